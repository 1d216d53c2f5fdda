using Strata.Containers;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

public sealed class VolumeTests(ContainerStoreFixture store) : IClassFixture<ContainerStoreFixture>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private Task<(int Code, string Output, string Error)> ShellAsync(string script, params string[] mounts) => store.ShellAsync(script, o => o with { Mounts = [.. mounts] });

    [Fact]
    public async Task A_named_volume_is_filled_once_and_keeps_what_is_written()
    {
        Assert.Equal("plain\n", (await ShellAsync("ls /etc | grep plain; echo kept >/etc/new", "type=volume,source=etc,target=/etc,volume-label=a=b")).Output);
        Assert.Equal("kept\n", (await ShellAsync("cat /mine/new", "source=etc,target=/mine")).Output);
        VolumeRecord volume = store.Engine.Volumes.Get("etc");
        Assert.Equal(("b", true, false), (volume.Labels["a"], volume.Created is not null, volume.IsAnonymous));
        Assert.NotEqual(0, (await ShellAsync("echo x >/mine/no", "source=etc,target=/mine,readonly")).Code);
        Assert.Equal("", (await ShellAsync("ls /etc2", "source=bare,target=/etc2,volume-nocopy")).Output);
        store.Engine.RemoveVolume("etc");
        store.Engine.RemoveVolume("bare");
        Assert.Equal(ErrorKind.NotFound, Assert.Throws<StrataException>(() => store.Engine.RemoveVolume("etc")).Kind);
    }

    [Fact]
    public async Task A_volume_that_a_container_has_stays_and_others_are_pruned()
    {
        ContainerRecord user = await store.Engine.CreateContainerAsync(new ContainerOptions { Image = "box", Name = "user", Volumes = ["used:/v", "/anonymous"], Isolation = new IsolationOptions { Network = NetworkMode.None } }, Cancel);
        store.Engine.CreateVolume(new VolumeRecord("used", null));
        store.Engine.CreateVolume(new VolumeRecord("free", null));
        string unnamed = store.Engine.CreateVolume(new VolumeRecord("", null)).Name;
        StrataException used = Assert.Throws<StrataException>(() => store.Engine.RemoveVolume("used"));
        Assert.Equal((ErrorKind.Conflict, "strata rm user"), (used.Kind, used.Hint));
        Assert.Equal([unnamed], store.Engine.PruneVolumes(all: false).Names);
        Assert.Equal(["free"], store.Engine.PruneVolumes(all: true).Names);
        await store.Engine.StartContainerAsync("user", Cancel);
        string anonymous = user.Mounts.Single(m => m.Anonymous).Source;
        Assert.Contains(anonymous, store.Engine.Volumes.List());
        await store.Engine.RemoveContainerAsync("user", force: true, removeVolumes: true, Cancel);
        Assert.Equal(["used"], store.Engine.Volumes.List());
        store.Engine.RemoveVolume("used");
    }

    [Fact]
    public async Task A_volume_with_a_device_is_that_directory()
    {
        string folder = Directory.CreateDirectory(Path.Combine(store.Folder, "device")).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "file"), "there", Cancel);
        Assert.Equal("there", (await ShellAsync("cat /v/file; touch /v/made", $"source=dev,target=/v,volume-opt=type=none,volume-opt=o=bind,volume-opt=device={folder}")).Output);
        Assert.True(File.Exists(Path.Combine(folder, "made")));
        StrataException other = Assert.Throws<StrataException>(() => store.Engine.CreateVolume(new VolumeRecord("dev", null) { Options = store.Engine.Volumes.Get("dev").Options.SetItem("device", "/elsewhere") }));
        Assert.Equal(ErrorKind.Conflict, other.Kind);
        store.Engine.RemoveVolume("dev");
        Assert.True(File.Exists(Path.Combine(folder, "file")));
    }

    [Fact]
    public async Task Binds_and_memory_are_mounted_field_by_field()
    {
        string folder = Directory.CreateDirectory(Path.Combine(store.Folder, "bound")).FullName;
        (int code, string output, _) = await ShellAsync("grep -E ' /(b|t) ' /proc/mounts | cut -d' ' -f2,4; echo x >/b/no", $"type=bind,source={folder},target=/b,readonly", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700");
        Assert.NotEqual(0, code);
        Assert.Contains("/b ro,", output, StringComparison.Ordinal);
        Assert.Contains("size=1024k,mode=700", output, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(folder));
    }

    [Fact]
    public async Task What_is_mounted_on_one_side_of_a_bind_is_on_the_other_as_its_propagation_says()
    {
        string folder = Directory.CreateDirectory(Path.Combine(store.Folder, "passed-on")).FullName;
        Mounts.Mount(new MountSpec("tmpfs", "tmpfs", folder, [], MountFlags.Shared));
        var strata = new StrataProgram(store);
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "in"));
            Directory.CreateDirectory(Path.Combine(folder, "out"));
            await strata.OkAsync("run", "--rm", "--network", "none", "--privileged", "-v", $"{folder}:/b:rshared", "box", "sh", "-c", "mount -t tmpfs x /b/out && echo hi >/b/out/file");
            Assert.Equal("hi\n", await File.ReadAllTextAsync(Path.Combine(folder, "out", "file"), Cancel));
            foreach ((string kind, string seen) in new[] { ("rslave", "there"), ("rprivate", "") })
            {
                await strata.OkAsync("run", "-d", "--name", kind, "--network", "none", "--mount", $"type=bind,source={folder},target=/b,bind-propagation={kind}", "box", "sleep", "100");
                Mounts.Mount(new MountSpec("tmpfs", "tmpfs", Path.Combine(folder, "in"), []));
                await File.WriteAllTextAsync(Path.Combine(folder, "in", "there"), "", Cancel);
                Assert.Equal(seen, (await strata.OkAsync("exec", kind, "ls", "/b/in")).OutputText);
                await strata.OkAsync("rm", "-f", kind);
                Mounts.Unmount(Path.Combine(folder, "in"));
            }
            Mounts.Unmount(Path.Combine(folder, "out"));
            Mounts.Unmount(folder);
            Mounts.Mount(new MountSpec("tmpfs", "tmpfs", folder, [], MountFlags.Private));
            ChildResult refused = await strata.RunAsync("run", "--rm", "--network", "none", "-v", $"{folder}:/b:rshared", "box", "true");
            Assert.Equal((125, $"strata: run: volume '{folder}:/b': {folder} is mounted on {folder}, which is not a shared mount\nhint: mount --make-shared {folder}\n"), (refused.ExitCode, refused.ErrorText + "\n"));
        }
        finally
        {
            Mounts.Unmount(folder, detach: true);
        }
    }

    [Fact]
    public async Task The_long_form_of_what_the_store_costs_names_each_image_container_volume_and_record()
    {
        var strata = new StrataProgram(store);
        await strata.OkAsync("run", "--name", "writer", "--network", "none", "-v", "data:/data", "box", "sh", "-c", "head -c 1000000 /dev/zero >/data/file; head -c 2000000 /dev/zero >/own");
        string[] lines = (await strata.OkAsync("system", "df", "-v")).OutputText.Split('\n', StringSplitOptions.TrimEntries);
        Assert.Equal(["Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Build cache space usage:"], lines.Where(l => l.EndsWith("space usage:", StringComparison.Ordinal)));
        Assert.Matches("^box +latest +[0-9a-f]{12} .* 1$", lines.Single(l => l.StartsWith("box ", StringComparison.Ordinal)));
        Assert.Matches("^[0-9a-f]{12} +box +\"sh -c .* 1 +2\\.0[0-9]MB .* Exited \\(0\\) .* writer$", lines.Single(l => l.EndsWith(" writer", StringComparison.Ordinal)));
        Assert.Matches("^data +1 +1\\.0[0-9]MB$", lines.Single(l => l.StartsWith("data ", StringComparison.Ordinal)));
        await strata.OkAsync("rm", "-v", "writer");
        await strata.OkAsync("volume", "rm", "data");
    }
}
