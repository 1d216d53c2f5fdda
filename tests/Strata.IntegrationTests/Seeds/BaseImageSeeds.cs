using System.Globalization;
using System.Text.Json;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Seeds;

/// <summary>Rows A of the checklist: base images, kernel, bootfs and rootfs.</summary>
public sealed class BaseImageSeeds(SeedStore store)
{
    private string BuildHello(string tag)
    {
        string context = store.Context();
        File.WriteAllBytes(Path.Combine(context, "hello"), HelloProgram.Make("Hello from the layers\n"));
        File.SetUnixFileMode(Path.Combine(context, "hello"), (UnixFileMode)0b111_101_101);
        store.RunWithInput("FROM scratch\nCOPY hello /\nCMD [\"/hello\"]\n", "build", "-t", tag, "-f", "-", context).Ok();
        return context;
    }

    [Fact]
    public void A1_a_base_image_depends_on_no_other_image()
    {
        BuildHello("a1");
        Assert.Equal("1", store.Inspect("a1", "{{len .RootFS.Layers}}"));
    }

    [Fact]
    public void A2_others_can_extend_a_base_image()
    {
        BuildHello("a2base");
        store.Build("a2child", "FROM a2base\nCOPY x /\n", ("x", "more")).Ok();
        string[] parent = store.Layers("a2base"), child = store.Layers("a2child");
        Assert.Equal(parent.Length + 1, child.Length);
        Assert.Equal(parent, child[..parent.Length]);
    }

    [Fact]
    public void A3_hello_world_holds_only_its_one_program()
    {
        string context = BuildHello("a3");
        Assert.Equal("Hello from the layers\n", store.Run("run", "--rm", "a3").Ok().Out);
        string container = store.Run("create", "a3").Ok().Out.Trim();
        string tar = Path.Combine(store.Folder, "a3.tar");
        store.Run("export", "-o", tar, container).Ok();
        Assert.Equal(["hello"], SeedStore.Exec("tar", null, "tvf", tar).Ok().Lines.Where(l => l.StartsWith('-')).Select(l => l.Split(' ')[^1]));
        store.Run("rm", container).Ok();
        Assert.Equal(new FileInfo(Path.Combine(context, "hello")).Length.ToString(CultureInfo.InvariantCulture), store.Inspect("a3", "{{.Size}}"));
    }

    [Fact]
    public async Task A5_a_short_name_is_the_full_name_of_an_official_image()
    {
        store.MakeBusybox("a5source", "centos");
        await using RegistryProcess registry = await RegistryProcess.StartAsync(Path.Combine(store.Folder, "a5-registry"), TestContext.Current.CancellationToken);
        store.Run("tag", "a5source", $"{registry.Address}/library/centos:latest").Ok();
        store.Run("push", $"{registry.Address}/library/centos:latest").Ok();
        string config = Path.Combine(store.Folder, "a5.json"), other = Path.Combine(store.Folder, "a5");
        await File.WriteAllTextAsync(config, "{\"registries\":{\"docker.io\":{\"mirrors\":[\"http://" + registry.Address + "\"]}}}", TestContext.Current.CancellationToken);
        Outcome pulled = SeedStore.Exec("env", null, $"STRATA_CONFIG={config}", SeedStore.Binary, "--root", other, "pull", "centos").Ok();
        Assert.Contains("docker.io/library/centos:latest", pulled.Out, StringComparison.Ordinal);
        Assert.Equal("docker.io/library/centos:latest", SeedStore.RunIn(other, null, "inspect", "-f", "{{.Reference}}", "centos").Ok().Out.Trim());
        Assert.Contains("centos:latest", SeedStore.RunIn(other, null, "inspect", "centos").Ok().Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A6_images_shows_the_five_columns_as_docker_does()
    {
        string context = store.Context(("Dockerfile", "FROM scratch\nCOPY big /\n"));
        using (FileStream big = File.Create(Path.Combine(context, "big")))
        {
            big.SetLength(202_000_000);
        }
        long twoMonthsAgo = DateTimeOffset.UtcNow.AddDays(-61).ToUnixTimeSeconds();
        SeedStore.Exec("env", null, $"SOURCE_DATE_EPOCH={twoMonthsAgo}", SeedStore.Binary, "--root", store.Root, "build", "-t", "a6/centos", context).Ok();
        string[] lines = store.Run("images", "a6/centos").Ok().Lines;
        Assert.Matches(@"^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE$", lines[0].TrimEnd());
        Assert.Matches(@"^a6/centos +latest +[0-9a-f]{12} +2 months ago +202MB$", lines[1].TrimEnd());
        Assert.Equal(2, lines.Length);
    }

    [Fact]
    public void A7_the_image_has_no_kernel()
    {
        Outcome listed = store.Run("run", "--rm", store.Debian, "sh", "-c", "ls -A /boot; ls /lib/modules 2>/dev/null; true").Ok();
        Assert.Equal("", listed.Out.Trim());
    }

    [Fact]
    public void A4_base_images_are_those_of_distributions()
    {
        Assert.Contains("ID=debian", store.Run("run", "--rm", "--network", "none", store.Debian, "cat", "/etc/os-release").Ok().Lines);
        Assert.Contains("ID=busybox", store.Run("run", "--rm", "--network", "none", store.Busybox, "cat", "/etc/os-release").Ok().Lines);
    }

    [Fact]
    public void A10_several_distributions_run_at_once_on_one_kernel()
    {
        store.Run("bootstrap", "debian:trixie", "--quiet").Ok();
        // centos: a stand-in, as Debian's mirror has none.
        (string Image, string Name, string Is)[] all =
            [(store.Debian, "bookworm", "VERSION_CODENAME=bookworm"), ("debian:trixie", "trixie", "VERSION_CODENAME=trixie"), (store.Busybox, "busybox", "ID=busybox"), (store.MakeBusybox("a10centos", "centos"), "centos", "ID=centos")];
        foreach ((string image, string name, _) in all)
        {
            store.Run("run", "-d", "--network", "none", "--name", "a10" + name, image, "sleep", "1000").Ok();
        }
        Assert.Equal(all.Length, store.Run("ps", "-q", "--filter", "name=^a10").Ok().Lines.Length);
        foreach ((_, string name, string means) in all)
        {
            Assert.Contains(means, store.Run("exec", "a10" + name, "cat", "/etc/os-release").Ok().Lines);
            Assert.Equal(Host.KernelRelease, store.Run("exec", "a10" + name, "uname", "-r").Ok().Out.Trim());
        }
        store.Run(["rm", "-f", .. all.Select(i => "a10" + i.Name)]).Ok();
        store.Run("rmi", "debian:trixie").Ok();
    }

    [Fact]
    public void A8_containers_use_the_kernel_of_the_host()
        => Assert.Equal(Host.KernelRelease, store.Run("run", "--rm", store.Debian, "uname", "-r").Ok().Out.Trim());

    [Fact]
    public void A9_distributions_differ_in_their_root_file_systems_and_share_the_kernel()
    {
        // A stand-in for CentOS: its own root file system with yum as its package tool (no real one can be fetched in a test).
        string centos = store.MakeBusybox("a9centos", "centos", ("usr/bin/yum", "#!/bin/sh\necho yum stand-in\n"));
        Outcome debian = store.Run("run", "--rm", store.Debian, "sh", "-c", "command -v apt-get yum; uname -r");
        Outcome red = store.Run("run", "--rm", centos, "sh", "-c", "command -v apt-get; command -v yum; uname -r");
        Assert.Equal(["/usr/bin/apt-get", Host.KernelRelease], debian.Lines);
        Assert.Equal(["/usr/bin/yum", Host.KernelRelease], red.Lines);
    }

    [Fact]
    public void A11_an_image_that_needs_a_newer_kernel_is_refused_with_both_versions()
    {
        store.Build("a11", $"FROM {store.Busybox}\nLABEL org.strata.kernel.minimum=99.1\n").Ok();
        Outcome refused = store.Run("run", "--rm", "a11", "true").Fails(125);
        Assert.Contains("99.1", refused.Err, StringComparison.Ordinal);
        Assert.Contains(Host.KernelRelease, refused.Err, StringComparison.Ordinal);
    }

    [Fact]
    public void A11_a_kernel_inside_a_container_changes_nothing()
        => Assert.Equal(Host.KernelRelease, store.Run("run", "--rm", store.Busybox, "sh", "-c", "mkdir -p /boot; echo new >/boot/vmlinuz-99.1; uname -r").Ok().Out.Trim());

    [Fact]
    public void A12_the_root_file_system_holds_dev_proc_bin_etc()
    {
        Outcome listed = store.Run("run", "--rm", store.Debian, "sh", "-c", "ls -d /dev /proc /bin /etc; grep ' /proc proc ' /proc/mounts").Ok();
        Assert.Equal(["/dev", "/proc", "/bin", "/etc"], listed.Lines[..4].Order(StringComparer.Ordinal).OrderBy(l => Array.IndexOf(["/dev", "/proc", "/bin", "/etc"], l)));
        Assert.Contains(" /proc proc ", listed.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A13_no_boot_file_system_is_in_an_image_or_a_mount_table()
    {
        string[] layers = store.Run("layers", store.Debian).Ok().Lines;
        Assert.Contains(layers, l => l.Contains("sha256:", StringComparison.Ordinal));
        Assert.DoesNotContain(" /boot", store.Run("run", "--rm", store.Debian, "cat", "/proc/mounts").Ok().Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A14_a_slim_root_file_system_is_small_and_has_a_shell()
    {
        Assert.True(long.Parse(store.Inspect(store.Busybox, "{{.Size}}"), CultureInfo.InvariantCulture) < 10_000_000);
        Assert.Equal("works\n", store.Run("run", "--rm", store.Busybox, "sh", "-c", "echo works").Ok().Out);
    }

    [Fact]
    public void A15_the_chain_of_layers_ends_in_an_image_without_parent()
    {
        store.Build("a15", $"FROM {store.Busybox}\nRUN echo 1 >/one\nRUN echo 2 >/two\n").Ok();
        string[] rows = store.Run("history", "--format", "{{.CreatedBy}}", "a15").Ok().Lines;
        Assert.True(rows.Length >= 3);
        Assert.Contains("echo 2", rows[0], StringComparison.Ordinal);
        Assert.Equal("1", store.Inspect(store.Busybox, "{{len .RootFS.Layers}}"));
        Assert.Equal("3", store.Inspect("a15", "{{len .RootFS.Layers}}"));
    }

    [Fact]
    public void A16_an_image_is_files_and_how_to_run_them()
    {
        store.Build("a16", $"FROM {store.Busybox}\nENV A=1\nRUN mkdir /data && echo seed >/data/f && chown app /data /data/f\nVOLUME /data\nUSER app\n").Ok();
        using JsonDocument config = JsonDocument.Parse(store.Inspect("a16", "{{json .Config}}"));
        Assert.Contains("A=1", config.RootElement.GetProperty("Env").EnumerateArray().Select(e => e.GetString()));
        Assert.Equal("app", config.RootElement.GetProperty("User").GetString());
        Assert.True(config.RootElement.GetProperty("Volumes").TryGetProperty("/data", out _));
        Outcome ran = store.Run("run", "--rm", "a16", "sh", "-c", "id -un; echo $A; cat /data/f; grep ' /data ' /proc/mounts | wc -l; echo x >/data/g").Ok();
        Assert.Equal(["app", "1", "seed", "1"], ran.Lines);
    }

    [Fact]
    public void A17_an_image_never_changes_after_the_build()
    {
        store.Build("a17", $"FROM {store.Busybox}\nRUN echo 1 >/one\n").Ok();
        string before = store.Inspect("a17", "{{.Id}}");
        store.Run("run", "--rm", "a17", "sh", "-c", "rm -rf /etc /one; echo x >/bin/extra; chmod 000 /bin; true");
        store.Run("run", "--rm", "a17", "sh", "-c", "for f in /etc/* /one; do echo changed >$f; done").Ok();
        Assert.Equal(before, store.Inspect("a17", "{{.Id}}"));
        store.Run("verify", "a17").Ok();
    }

    [Fact]
    public void A18_a_distribution_image_is_a_complete_minimal_root_file_system()
    {
        Outcome ran = store.Run("run", "--rm", store.Debian, "sh", "-c", "apt-get --version | head -n 1 && ls /etc/apt").Ok();
        Assert.StartsWith("apt ", ran.Out, StringComparison.Ordinal);
        Assert.Contains("sources.list", ran.Out, StringComparison.Ordinal);
    }
}
