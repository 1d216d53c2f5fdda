using System.Collections.Immutable;
using Strata.Containers;
using Strata.Linux;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Containers;

public sealed class RunTests(ContainerStoreFixture store) : IClassFixture<ContainerStoreFixture>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 3", 3)]
    [InlineData("sh -c 'kill -9 $$'; exit $?", 137)]
    public async Task The_exit_code_is_the_processs_and_nothing_is_left(string script, int expected)
    {
        Assert.Equal(expected, (await store.ShellAsync(script)).Code);
        store.AssertNothingLeft();
    }

    [Theory]
    [InlineData("nosuch", 127)]
    [InlineData("/bin/nosuch", 127)]
    [InlineData("/etc", 126)]
    [InlineData("/etc/plain", 126)]
    public async Task A_program_that_cannot_run_is_told_by_its_code_and_nothing_is_left(string program, int expected)
    {
        ContainerStartException failure = await Assert.ThrowsAsync<ContainerStartException>(() => store.ShellAsync("", o => o with { Command = [program] }));
        Assert.Equal(expected, failure.ExitCode);
        Assert.Contains($"exec \"{program}\"", failure.Message, StringComparison.Ordinal);
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task Who_may_make_nodes_makes_any_and_opens_only_the_standard_ones()
    {
        (int code, string output, string error) = await store.ShellAsync("mknod /zero c 1 5 && mknod /ram b 1 0 && head -c 2 /zero | wc -c && head -c 1 /ram", o => o with { Isolation = o.Isolation with { Capabilities = Capabilities.Resolve(["MKNOD"], []) } });
        Assert.Equal((1, "2\n"), (code, output));
        Assert.Contains("/ram: Operation not permitted", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_runtime_is_told_with_its_package()
    {
        using Engine engine = Engine.Open(new EngineOptions { Root = Path.Combine(store.Folder, "store"), Runtime = "no-such-runtime" });
        ContainerStartException failure = await Assert.ThrowsAsync<ContainerStartException>(async () =>
            await engine.RunContainerAsync(new ContainerOptions { Image = "box", Remove = true }, new ContainerStreams(null, Stream.Null, Stream.Null), cancellationToken: Cancel));
        Assert.Equal((125, "apt-get install crun"), (failure.ExitCode, failure.Hint));
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task Outputs_come_apart_and_whole()
    {
        (int code, string output, string error) = await store.ShellAsync("seq 1 100000; echo oops >&2");
        Assert.Equal(0, code);
        Assert.Equal(string.Concat(Enumerable.Range(1, 100_000).Select(i => $"{i}\n")), output);
        Assert.Equal("oops\n", error);
    }

    [Fact]
    public async Task Input_goes_in_whole_and_ends()
    {
        string text = string.Concat(Enumerable.Range(1, 200_000).Select(i => $"{i}\n"));
        (int code, string output, _) = await store.ShellAsync("cat; echo end", input: text);
        Assert.Equal(0, code);
        Assert.Equal(text + "end\n", output);
    }

    [Fact]
    public async Task Without_input_the_container_reads_nothing()
        => Assert.Equal("end\n", (await store.ShellAsync("cat; echo end")).Output);

    [Fact]
    public async Task Namespaces_are_not_the_hosts_save_for_a_network_that_is_asked_for()
    {
        const string script = "for n in pid mnt ipc uts net cgroup; do readlink /proc/self/ns/$n; done";
        string[] inside = (await store.ShellAsync(script)).Output.Split('\n');
        string[] names = ["pid", "mnt", "ipc", "uts", "net", "cgroup"];
        string[] host = [.. names.Select(n => File.ResolveLinkTarget("/proc/self/ns/" + n, false)!.Name)];
        Assert.All(host, (h, i) => Assert.NotEqual(h, inside[i]));
        string[] onHost = (await store.ShellAsync(script, o => o with { Isolation = o.Isolation with { Network = NetworkMode.Host } })).Output.Split('\n');
        Assert.Equal(host[4], onHost[4]);
        Assert.NotEqual(host[0], onHost[0]);
    }

    [Fact]
    public async Task The_default_is_the_hardened_one()
    {
        (_, string output, string error) = await store.ShellAsync("""
            grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\t'
            ls /proc/self/fd | tr '\n' ' '; echo
            cat /proc/keys /proc/timer_list /proc/kcore | wc -c
            ls /sys/firmware | wc -l
            for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/profiling /sys/fs/cgroup/x; do (echo 1 > $f) 2>/dev/null && echo wrote $f; done
            mknod /tmp/disk b 8 0 || echo no device
            mount -t tmpfs x /tmp || echo no mount
            unshare -U true || echo no user namespace
            hostname other || echo no hostname
            ulimit -n
            grep ' /dev/shm ' /proc/mounts
            cat /proc/self/oom_score_adj
            cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null
            env | grep -c -E 'OCI|STRATA|XDG'
            """);
        foreach (string set in (string[])["Prm", "Eff", "Bnd"])
        {
            Assert.Contains($"Cap{set}:00000000800405fb\n", output, StringComparison.Ordinal);
        }
        Assert.Contains("CapInh:0000000000000000\n", output, StringComparison.Ordinal);
        Assert.Contains("CapAmb:0000000000000000\n", output, StringComparison.Ordinal);
        Assert.Contains("Seccomp:2\n0 1 2 3 \n0\n0\n", output, StringComparison.Ordinal); // 3 is ls's own; nothing in the masked files
        Assert.DoesNotContain("wrote", output, StringComparison.Ordinal);
        Assert.Contains("no device\nno mount\nno user namespace\nno hostname\n", output, StringComparison.Ordinal);
        Assert.Contains($"{Math.Min(1048576, Host.OpenFileLimit.Hard)}\n", output, StringComparison.Ordinal);
        Assert.Contains("/dev/shm tmpfs rw,nosuid,nodev,noexec,", output, StringComparison.Ordinal);
        Assert.EndsWith("\n0\n2048\n0\n", output, StringComparison.Ordinal);
        Assert.NotEqual("", error);
    }

    [Fact]
    public async Task Capabilities_and_privileges_can_be_given_and_taken()
    {
        ImmutableArray<string> none = Capabilities.Resolve([], ["ALL"]);
        Assert.Contains("CapEff:\t0000000000000000", (await store.ShellAsync("cat /proc/self/status", o => o with { Isolation = o.Isolation with { Capabilities = none, NoNewPrivileges = true } })).Output, StringComparison.Ordinal);
        Assert.Contains("NoNewPrivs:\t1", (await store.ShellAsync("cat /proc/self/status", o => o with { Isolation = o.Isolation with { NoNewPrivileges = true } })).Output, StringComparison.Ordinal);
        Assert.Contains("Seccomp:\t0", (await store.ShellAsync("cat /proc/self/status", o => o with { Isolation = o.Isolation with { Seccomp = false } })).Output, StringComparison.Ordinal);
        Assert.Equal("mounted\n", (await store.ShellAsync("mount -t tmpfs x /tmp && echo mounted", o => o with { Isolation = o.Isolation with { Capabilities = Capabilities.Resolve(["SYS_ADMIN"], []) } })).Output);
        Assert.Equal("privileged\n", (await store.ShellAsync("mount -t tmpfs x /tmp && mknod /tmp/d b 8 0 && echo 1 > /proc/sys/vm/drop_caches && echo privileged", o => o with { Isolation = o.Isolation with { Privileged = true } })).Output);
    }

    [Fact]
    public async Task Files_that_name_the_container_are_its_own()
    {
        (_, string output, _) = await store.ShellAsync("cat /etc/hostname; hostname; grep -c localhost /etc/hosts; grep box1 /etc/hosts; cat /etc/resolv.conf", o => o with { Hostname = "box1" });
        Assert.Equal($"box1\nbox1\n2\n127.0.1.1\tbox1\n{(File.Exists("/etc/resolv.conf") ? File.ReadAllText("/etc/resolv.conf") : "")}", output);
    }

    [Fact]
    public async Task Options_over_the_image()
    {
        Assert.Equal("uid=1000(app) gid=1001(app) groups=10(wheel),1500(extra)\n/home/app\n/home/app\nv w\n",
            (await store.ShellAsync("id; pwd; echo $HOME; echo $A", o => o with { User = "app", WorkingDirectory = "/home/app", Environment = ["A=v w"] })).Output);
        Assert.Contains("Read-only file system", (await store.ShellAsync("touch /x", o => o with { Isolation = o.Isolation with { ReadOnlyRoot = true } })).Error, StringComparison.Ordinal);
        Assert.Contains(" /cache tmpfs rw,nosuid,nodev,noexec,", (await store.ShellAsync("grep /cache /proc/mounts", o => o with { Tmpfs = ["/cache:size=1m"] })).Output, StringComparison.Ordinal);
        Assert.Equal("a b\n", (await store.RunAsync(new ContainerOptions { Image = "box", Entrypoint = ["echo"], Command = ["a", "b"], Remove = true })).Output);
    }

    [Fact]
    public async Task Volumes_are_shared_read_only_and_filled_from_the_image()
    {
        string shared = Path.Combine(store.Folder, "shared");
        Directory.CreateDirectory(shared);
        await File.WriteAllTextAsync(shared + "/f", "host\n", Cancel);
        Assert.Equal("host\n", (await store.ShellAsync("cat /m/f; echo in > /m/g", o => o with { Volumes = [shared + ":/m"] })).Output);
        Assert.Equal("in\n", await File.ReadAllTextAsync(shared + "/g", Cancel));
        Assert.Contains("Read-only", (await store.ShellAsync("touch /m/x", o => o with { Volumes = [shared + ":/m:ro"] })).Error, StringComparison.Ordinal);
        Assert.Equal("host\n", (await store.ShellAsync("cat /single", o => o with { Volumes = [shared + "/f:/single"] })).Output);
        Assert.Equal("from the image\n", (await store.ShellAsync("cat /var/data/seed; echo more >> /var/data/seed", o => o with { Volumes = ["kept:/var/data"] })).Output);
        Assert.Equal("from the image\nmore\n", (await store.ShellAsync("cat /var/data/seed", o => o with { Volumes = ["kept:/var/data"] })).Output);
        Assert.Equal(0, (await store.ShellAsync("test ! -e /var/data/seed", o => o with { Volumes = ["bare:/var/data:nocopy"] })).Code);
        Assert.Equal(["bare", "kept"], store.Engine.Volumes.List());
        await store.ShellAsync("touch /x/y", o => o with { Volumes = ["/x"] });
        Assert.Equal(["bare", "kept"], store.Engine.Volumes.List()); // an anonymous one goes with its container
    }

    [Fact]
    public async Task Signals_go_to_the_container()
    {
        using var ready = new SemaphoreSlim(0);
        var options = new ContainerOptions { Image = "box", Command = ["sh", "-c", "trap 'echo caught; exit 7' USR1; echo ready; while :; do sleep 0.01; done"], Remove = true };
        ContainerSession? session = null;
        using var output = new SignallingStream(ready);
        Task<int> running = store.Engine.RunContainerAsync(options, new ContainerStreams(null, output, Stream.Null), s => session = s, Cancel).AsTask();
        await ready.WaitAsync(Cancel);
        while (session is null)
        {
            await Task.Delay(1, Cancel);
        }
        session.Signal(Signals.Parse("USR1"));
        Assert.Equal(7, await running);
        Assert.Contains("caught", output.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_terminal_has_a_size_that_can_change()
    {
        using var ready = new SemaphoreSlim(0);
        var options = new ContainerOptions { Image = "box", Command = ["sh", "-c", "stty size; trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done"], Terminal = true, Remove = true };
        ContainerSession? session = null;
        using var output = new SignallingStream(ready, "ready");
        Task<int> running = store.Engine.RunContainerAsync(options, new ContainerStreams(null, output, Stream.Null) { TerminalSize = (33, 77) }, s => session = s, Cancel).AsTask();
        await ready.WaitAsync(Cancel);
        while (session is null)
        {
            await Task.Delay(1, Cancel);
        }
        session.Resize(44, 99);
        Assert.Equal(0, await running);
        Assert.Equal("33 77\r\nready\r\n44 99\r\n", output.Text);
    }

    // More than any pipe holds, and an end: a container that outlives a killed test run must not fill the disk with its log.
    private const string EnoughOutput = "100000000";

    [Fact]
    public async Task A_closed_output_ends_the_container()
    {
        int code = await store.Engine.RunContainerAsync(new ContainerOptions { Image = "box", Command = ["head", "-c", EnoughOutput, "/dev/zero"], Remove = true }, new ContainerStreams(null, new ClosedStream(), Stream.Null), cancellationToken: Cancel);
        Assert.Equal(141, code);
        store.AssertNothingLeft();
    }

    [Theory]
    [InlineData("/proc/self/fd/7")]
    [InlineData("/proc/1/root")]
    [InlineData("relative/../../x")]
    public async Task A_working_directory_outside_is_refused(string path)
        => Assert.Equal(125, (await Assert.ThrowsAsync<ContainerStartException>(() => store.ShellAsync("pwd", o => o with { WorkingDirectory = path }))).ExitCode);

    [Fact]
    public async Task Only_what_the_container_changed_is_a_change()
    {
        (int code, _, _) = await store.RunAsync(new ContainerOptions { Image = "box", Name = "differ", Command = ["sh", "-c", "echo x > /new; rm /etc/plain; echo >> /etc/group"], Volumes = ["/vol/deep"], Tmpfs = ["/mem"] });
        Assert.Equal(0, code);
        IReadOnlyList<Change> changes = await store.Engine.GetContainerChangesAsync("differ", Cancel);
        Assert.Equal(["Modified /etc", "Modified /etc/group", "Deleted /etc/plain", "Added /new"], changes.Select(c => $"{c.Kind} {c.Path}"));
        await store.Engine.RemoveContainerAsync("differ", removeVolumes: true, cancellationToken: Cancel);
    }

    /// <summary>Tells when some text came.</summary>
    private sealed class SignallingStream(SemaphoreSlim ready, string text = "ready") : MemoryStream
    {
        private bool _told;

        public string Text => System.Text.Encoding.UTF8.GetString(ToArray());

        public override void Write(byte[] buffer, int offset, int count)
        {
            base.Write(buffer, offset, count);
            if (!_told && Text.Contains(text, StringComparison.Ordinal))
            {
                _told = true;
                ready.Release();
            }
        }
    }

    /// <summary>A pipe whose reader is gone.</summary>
    private sealed class ClosedStream : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count) => throw new IOException("Broken pipe");
    }
}
