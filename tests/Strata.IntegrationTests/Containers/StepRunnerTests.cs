using System.Text;
using Strata.Containers;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Containers;

public sealed class StepRunnerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-step").FullName;
    private readonly string _root;
    private readonly RuntimeLayout _layout;

    public StepRunnerTests()
    {
        _root = Path.Combine(_folder, "root");
        BusyboxRoot.Create(_root);
        foreach (MountPoint point in StepRunner.MountPoints)
        {
            string path = _root + point.Path;
            if (point.IsDirectory)
            {
                Directory.CreateDirectory(path);
            }
            else if (!File.Exists(path))
            {
                File.WriteAllText(path, "");
            }
        }
        _layout = new RuntimeLayout(new StoreLayout(Path.Combine(_folder, "store")));
    }

    private async Task<(int Code, string Output, string Error)> RunAsync(StepProcess process)
    {
        using var output = new MemoryStream();
        using var error = new MemoryStream();
        var runner = new StepRunner(new BoundDirectory(_root), new OciRuntime("crun", _layout));
        int code = await runner.RunAsync(new ActiveSnapshot("step", null), process, output, error, TestContext.Current.CancellationToken);
        return (code, Encoding.UTF8.GetString(output.ToArray()), Encoding.UTF8.GetString(error.ToArray()));
    }

    private Task<(int Code, string Output, string Error)> ShellAsync(string script, Func<StepProcess, StepProcess>? with = null)
    {
        var process = new StepProcess { Arguments = ["/bin/sh", "-c", script], Environment = [.. (string[])["PATH=/bin"]] };
        return RunAsync(with is null ? process : with(process));
    }

    [Theory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 3", 3)]
    [InlineData("sh -c 'kill -9 $$'; exit $?", 137)]
    public async Task The_exit_code_is_the_processs(string script, int expected) => Assert.Equal(expected, (await ShellAsync(script)).Code);

    [Fact]
    public async Task Outputs_come_apart_and_whole()
    {
        (int code, string output, string error) = await ShellAsync("seq 1 50000; echo oops >&2");
        Assert.Equal(0, code);
        Assert.Equal(string.Concat(Enumerable.Range(1, 50_000).Select(i => $"{i}\n")), output);
        Assert.Equal("oops\n", error);
    }

    [Theory]
    [InlineData("nosuch", 127)]
    [InlineData("/bin/nosuch", 127)]
    [InlineData("/etc", 126)]
    [InlineData("/etc/plain", 126)]
    public async Task A_program_that_cannot_run_is_told_by_its_code(string program, int expected)
    {
        ContainerStartException failure = await Assert.ThrowsAsync<ContainerStartException>(() => RunAsync(new StepProcess { Arguments = [program], Environment = ["PATH=/bin"] }));
        Assert.Equal(expected, failure.ExitCode);
        Assert.Contains($"exec \"{program}\"", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task User_working_directory_environment_and_files_are_as_asked()
    {
        (_, string output, string error) = await ShellAsync("id; pwd; echo $A $HOME; cat /etc/hostname; echo hello > made", p => p with
        {
            User = "app",
            WorkingDirectory = "/work/deep",
            Environment = p.Environment.Add("A=one two"),
            Isolation = new IsolationOptions { Network = NetworkMode.None },
        });
        Assert.Equal("uid=1000(app) gid=1001(app) groups=10(wheel),1500(extra)\n/work/deep\none two /home/app\nbuild\n", output);
        Assert.Contains("Permission denied", error, StringComparison.Ordinal); // the working directory is root's
        Assert.True(Directory.Exists(_root + "/work/deep"));
    }

    [Fact]
    public async Task The_default_is_the_hardened_one()
    {
        (_, string output, _) = await ShellAsync("grep -E 'Cap|NoNew|Seccomp:' /proc/self/status; ls /proc/self/fd | grep -v -x 3; cat /proc/keys /proc/timer_list; ls /dev | tr '\\n' ' '; unshare -U true || echo no user namespace; mount -t tmpfs x /tmp || echo no mount");
        Assert.Contains("CapInh:\t0000000000000000", output, StringComparison.Ordinal);
        Assert.Contains("CapPrm:\t00000000800405fb", output, StringComparison.Ordinal);
        Assert.Contains("CapEff:\t00000000800405fb", output, StringComparison.Ordinal);
        Assert.Contains("CapBnd:\t00000000800405fb", output, StringComparison.Ordinal);
        Assert.Contains("CapAmb:\t0000000000000000", output, StringComparison.Ordinal);
        Assert.Contains("Seccomp:\t2\n0\n1\n2\n", output, StringComparison.Ordinal); // the filter is on; descriptors 0, 1, 2 (3 is ls's own)
        Assert.Contains("core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero", output, StringComparison.Ordinal);
        Assert.Contains("no user namespace", output, StringComparison.Ordinal);
        Assert.Contains("no mount", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/proc/self/fd/7")]
    [InlineData("/proc/1/root")]
    [InlineData("/link/7")]
    [InlineData("/up/../../etc")]
    [InlineData("relative")]
    public async Task A_working_directory_outside_is_refused(string path)
    {
        File.CreateSymbolicLink(_root + "/link", "/proc/self/fd");
        ContainerStartException failure = await Assert.ThrowsAsync<ContainerStartException>(() => ShellAsync("pwd", p => p with { WorkingDirectory = path }));
        Assert.Equal(125, failure.ExitCode);
    }

    [Fact]
    public async Task A_working_directory_through_a_link_stays_inside()
    {
        File.CreateSymbolicLink(_root + "/link", "/../../../home");
        Assert.Equal("/home/app\n", (await ShellAsync("pwd", p => p with { WorkingDirectory = "/link/app" })).Output);
    }

    [Fact]
    public async Task A_cancelled_step_is_killed_and_leaves_nothing()
    {
        using var cancel = new CancellationTokenSource();
        var runner = new StepRunner(new BoundDirectory(_root), new OciRuntime("crun", _layout));
        Task<int> running = runner.RunAsync(new ActiveSnapshot("step", null), new StepProcess { Arguments = ["/bin/sleep", "1000"] }, Stream.Null, Stream.Null, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries(_layout.Root), e => Path.GetFileName(e) != "crun");
        Assert.Empty(Directory.EnumerateFileSystemEntries(_layout.RuntimeState));
        Assert.DoesNotContain(Mounts.ReadTable(), m => m.Target.StartsWith(_layout.Root, StringComparison.Ordinal));
    }

    public void Dispose()
    {
        FileSystems.RemoveTree(_folder);
        FileSystems.RemoveTree(_layout.Root);
    }

    /// <summary>One directory as every snapshot.</summary>
    private sealed class BoundDirectory(string root) : ISnapshotter
    {
        public string Name => "bound";
        public IReadOnlyList<MountSpec> GetMounts(Snapshot snapshot, string target) => [new MountSpec("", root, target, [], MountFlags.Bind)];

        public ValueTask<CommittedSnapshot> ApplyAsync(CommittedSnapshot? parent, Descriptor layer, Digest diffId, IContentSource source, CancellationToken cancellationToken = default) => throw new NotSupportedException();
        public ValueTask<CommittedSnapshot?> TryGetAsync(IReadOnlyList<Digest> diffIds, CancellationToken cancellationToken = default) => throw new NotSupportedException();
        public ValueTask<ActiveSnapshot> PrepareAsync(string key, CommittedSnapshot? parent, IReadOnlyList<MountPoint>? mountPoints = null, bool durable = false, CancellationToken cancellationToken = default) => throw new NotSupportedException();
        public ValueTask<ActiveSnapshot?> TryOpenActiveAsync(string key, CancellationToken cancellationToken = default) => throw new NotSupportedException();
        public ValueTask<IReadOnlyList<Change>> GetChangesAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken = default) => throw new NotSupportedException();
        public ValueTask<bool> WriteChangesAsync(ActiveSnapshot snapshot, Stream tar, SnapshotDiffOptions? options = null, CancellationToken cancellationToken = default) => throw new NotSupportedException();
        public ValueTask<CommittedSnapshot> CommitAsync(ActiveSnapshot snapshot, Digest diffId, CancellationToken cancellationToken = default) => throw new NotSupportedException();
        public ValueTask<PathOrigin?> WhereAsync(Snapshot snapshot, string path, CancellationToken cancellationToken = default) => throw new NotSupportedException();
        public IReadOnlyList<LayerAnswer> GetAnswers(Snapshot snapshot, string path) => throw new NotSupportedException();
        public LayerStack OpenStack(Snapshot snapshot) => throw new NotSupportedException();
        public IReadOnlyList<string> GetDirectories(Snapshot snapshot) => throw new NotSupportedException();
        public long GetDiskUsage(Snapshot snapshot) => throw new NotSupportedException();
        public (IReadOnlyList<CommittedSnapshot> Committed, IReadOnlyList<string> ActiveKeys) List() => throw new NotSupportedException();
        public ValueTask RemoveAsync(Snapshot snapshot, CancellationToken cancellationToken = default) => throw new NotSupportedException();
    }
}
