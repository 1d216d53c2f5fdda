using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Rootless;

/// <summary>What an ordinary user cannot have: one line that names the cause, and what to do.</summary>
public sealed class RootlessRefusalTests(SeedStore seeds)
{
    private string Archive(OrdinaryUser user, string tag)
    {
        string archive = Path.Combine(user.Folder, "image.tar");
        seeds.Run("save", "-o", archive, tag).Ok();
        File.SetUnixFileMode(archive, (UnixFileMode)0b110_100_100);
        return archive;
    }

    [Fact]
    public void Limits_networks_of_several_and_pauses_say_what_they_need()
    {
        using var user = new OrdinaryUser();
        user.Run("load", "-i", Archive(user, seeds.Busybox)).Ok();
        Assert.Contains("--memory: it needs a cgroup", user.Run("run", "--memory", "64m", "box:1", "true").Fails(125).Err, StringComparison.Ordinal);
        Assert.Contains("--cpus", user.Run("create", "--cpus", "1", "box:1", "true").Fails(125).Err, StringComparison.Ordinal);
        Assert.Contains("ordinary user cannot make bridges", user.Run("network", "create", "back").Fails(1).Err, StringComparison.Ordinal);
        user.Run("run", "-d", "--name", "box", "--network", "none", "box:1", "tail", "-f", "/dev/null").Ok();
        Assert.Contains("pause: it needs a cgroup", user.Run("pause", "box").Fails(1).Err, StringComparison.Ordinal);
        Assert.Contains("what an ordinary user mounts", user.Run("mount", "box:1").Fails(1).Err, StringComparison.Ordinal);
        user.Run("rm", "-f", "box").Ok();
    }

    [Fact]
    public void A_network_without_a_tunnel_device_or_a_helper_says_so()
    {
        using var user = new OrdinaryUser();
        user.Run("load", "-i", Archive(user, seeds.Busybox)).Ok();
        string tunnel = user.RunWhere("umount /dev/net/tun && mknod -m 600 " + user.Folder + "/closed c 10 200 && mount --bind " + user.Folder + "/closed /dev/net/tun", "run", "--rm", "box:1", "true").Fails(125).Err;
        Assert.Contains("/dev/net/tun", tunnel, StringComparison.Ordinal);
        Assert.Contains("chmod 0666", tunnel, StringComparison.Ordinal);
        string helper = user.RunWhere("for p in pasta slirp4netns; do [ ! -e /usr/bin/$p ] || mount --bind /dev/null /usr/bin/$p || exit 1; done", "run", "--rm", "box:1", "true").Fails(125).Err;
        Assert.Contains("apt-get install passt", helper, StringComparison.Ordinal);
    }

    [Fact]
    public void Slirp4netns_serves_where_pasta_is_not()
    {
        using var user = new OrdinaryUser();
        user.Run("load", "-i", Archive(user, seeds.Busybox)).Ok();
        Assert.Contains("10.0.2.", user.RunWhere("mount --bind /dev/null /usr/bin/pasta", "run", "--rm", "-p", "127.0.0.1::80", "box:1", "ip", "addr").Ok().Out, StringComparison.Ordinal);
        user.ExpectNothingRuns();
    }

    [Fact]
    public void Without_subordinate_ids_images_of_root_alone_can_be_used()
    {
        using var user = new OrdinaryUser(subordinates: false);
        Outcome loaded = user.Run("load", "-i", Archive(user, seeds.Busybox)).Ok();
        Assert.Contains($"user {user.Name} has no subordinate ids", loaded.Err, StringComparison.Ordinal);
        Assert.Contains($"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user.Name}", loaded.Err, StringComparison.Ordinal);
        Assert.Equal("0\n", user.Run("run", "--rm", "--network", "none", "box:1", "id", "-u").Ok().Out);

        seeds.Build("owned:1", "FROM box:1\nRUN echo x >/x && chown 1000 /x").Ok();
        Outcome refused = LoadAndRun(user, "owned:1");
        Assert.NotEqual(0, refused.Code);
        Assert.Contains("user 1000 is beyond the ids that this user's containers have (0)", refused.Err, StringComparison.Ordinal);
        Assert.Contains("usermod --add-subuids", refused.Err, StringComparison.Ordinal);
    }

    // What does not suit a user is said when it is loaded, or when it is run.
    private Outcome LoadAndRun(OrdinaryUser user, string image)
    {
        Outcome loaded = user.Run("load", "-i", Archive(user, image));
        return loaded.Code == 0 ? user.Run("run", "--rm", "--network", "none", image, "true") : loaded;
    }

    [Fact]
    public void An_owner_beyond_the_range_is_named_with_it()
    {
        using var user = new OrdinaryUser();
        seeds.Build("far:1", $"FROM {seeds.Busybox}\nRUN echo x >/x && chown 100000 /x").Ok();
        Outcome refused = LoadAndRun(user, "far:1");
        Assert.NotEqual(0, refused.Code);
        Assert.Contains("user 100000 is beyond the ids that this user's containers have (0, 1-65536)", refused.Err, StringComparison.Ordinal);
        Assert.Contains("/etc/subuid", refused.Err, StringComparison.Ordinal);
    }

    [Fact]
    public void Devices_of_a_layer_are_left_out_and_the_layer_is_what_it_was()
    {
        using var user = new OrdinaryUser();
        string tree = seeds.Context(("y", "x\n"));
        SeedStore.Exec("mknod", null, Path.Combine(tree, "null"), "c", "1", "3").Ok();
        SeedStore.Exec("mknod", null, Path.Combine(tree, "pipe"), "p").Ok();
        File.Copy("/bin/busybox", Path.Combine(tree, "busybox"));
        seeds.Run("bootstrap", "--rootfs", tree, "-t", "devices:1").Ok();
        user.Run("load", "-i", Archive(user, "devices:1")).Ok();
        Assert.Equal("pipe\nx\n", user.Run("run", "--rm", "--network", "none", "devices:1", "/busybox", "sh", "-c", "test ! -e /null && test -p /pipe && echo pipe && /busybox cat /y").Ok().Out);
        user.Run("verify", "devices:1").Ok();
        Assert.Equal(seeds.Inspect("devices:1", "{{.Id}}"), user.Run("inspect", "-f", "{{.Id}}", "devices:1").Ok().Out.Trim());
    }

    [Fact]
    public void A_missing_helper_and_a_kernel_that_refuses_are_told_in_a_line()
    {
        using var user = new OrdinaryUser();
        Assert.Contains("apt-get install uidmap", user.RunWhere("mount --bind /dev/null /usr/bin/newuidmap", "run", "--rm", "box:1", "true").Fails(125).Err, StringComparison.Ordinal);
        // A machine of its own where the number of user namespaces is set to none: that setting belongs to each user namespace.
        string script = $"""
            unshare --user --mount sh -c 'until grep -q . /proc/self/uid_map; do sleep 0.02; done; exec sh -c "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --reuid {user.Name} --regid {user.Name} --clear-groups -- env -i PATH=/usr/bin:/bin HOME={user.Home} XDG_RUNTIME_DIR={user.Runtime} {user.Program} run --rm box:1 true"' & child=$!
            until [ "$(readlink /proc/$child/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.02; done
            echo 0 0 4294967295 >/proc/$child/uid_map && echo 0 0 4294967295 >/proc/$child/gid_map && wait $child
            """;
        Outcome refused = SeedStore.Exec("timeout", null, "30", "sh", "-c", script);
        Assert.Contains("/proc/sys/user/max_user_namespaces is 0", refused.Fails(125).Err, StringComparison.Ordinal);
    }

    [Fact]
    public void Commands_that_need_no_namespace_make_none()
    {
        using var user = new OrdinaryUser();
        user.Run("version").Ok();
        user.Run("images").Ok();
        user.Run("ps", "-a").Ok();
        Assert.Empty(user.Processes());
        string info = user.Run("info").Ok().Out;
        Assert.Contains($"0 is {user.Uid}, 1-65536 are ", info, StringComparison.Ordinal);
        Assert.Contains("Rootless:     user ", info, StringComparison.Ordinal);
        Assert.Contains($"Store:        {user.Home}/.local/share/strata", info, StringComparison.Ordinal);
    }
}
