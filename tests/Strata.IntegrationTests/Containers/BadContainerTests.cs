using System.Text;
using Strata.Containers;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>
/// Containers and images that mean harm: cases 15, 16, 20, 21, 29 and 30 of the bad cases, with real ones. STRATA_LONG=1 for the counts of a release.
/// </summary>
public sealed class BadContainerTests : IClassFixture<ContainerStoreFixture>, IAsyncDisposable
{
    private readonly ContainerStoreFixture _store;
    private readonly StrataProgram _strata;

    public BadContainerTests(ContainerStoreFixture store) => (_store, _strata) = (store, new StrataProgram(store));

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static bool IsLong => Environment.GetEnvironmentVariable("STRATA_LONG") == "1";

    // What a container must not reach: a folder of the host that a link of its own names by its full path.
    private string MakeCanary(string name)
    {
        string folder = Path.Combine(_store.Folder, name);
        Directory.CreateDirectory(folder);
        File.WriteAllText(folder + "/secret", "host");
        return folder;
    }

    private static string Seen(string folder) => string.Join('\n', Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(p => p + (p.EndsWith("secret", StringComparison.Ordinal) ? "=" + File.ReadAllText(p) : "")));

    [Fact]
    public async Task Case_15_a_path_that_flips_between_directory_and_link_leads_nowhere_outside()
    {
        int tries = IsLong ? 10_000 : 500;
        string canary = MakeCanary("canary15");
        string before = Seen(canary);
        string source = Path.Combine(_store.Folder, "planted");
        await File.WriteAllTextAsync(source, "planted", Cancel);
        const string Flip = "mkdir -p /x/real; while :; do mkdir /x/p; echo inside > /x/p/secret; mv /x/p /x/real/p; ln -s $CANARY /x/p; rm /x/p; mv /x/real/p /x/p; rm -rf /x/p; done";
        ContainerRecord record = await _store.Engine.CreateContainerAsync(new ContainerOptions { Image = "box", Command = ["sh", "-c", Flip], Environment = ["CANARY=" + canary], Isolation = new IsolationOptions { Network = NetworkMode.None } }, Cancel);
        await _store.Engine.StartContainerAsync(record.Id, Cancel);
        int went = 0;
        for (int i = 0; i < tries; i++)
        {
            try
            {
                await _store.Engine.CopyIntoContainerAsync(source, record.Id, "/x/p/planted", cancellationToken: Cancel);
                went++;
            }
            catch (Exception e) when (e is StrataException or IOException)
            {
                // its own copy is spoiled, which is its own affair
            }
            try
            {
                using var tar = new MemoryStream();
                await _store.Engine.CopyFromContainerAsync(record.Id, "/x/p/secret", tar, cancellationToken: Cancel);
                Assert.DoesNotContain("host", Encoding.ASCII.GetString(tar.ToArray()), StringComparison.Ordinal);
            }
            catch (Exception e) when (e is StrataException or IOException)
            {
                // the same
            }
        }
        Assert.Equal(before, Seen(canary));
        Assert.True(went > 0, "no copy went in at all: nothing was tried");
    }

    [Fact]
    public async Task Case_15_a_link_that_images_have_keeps_working()
    {
        string file = Path.Combine(_store.Folder, "pidfile");
        await File.WriteAllTextAsync(file, "1", Cancel);
        await _strata.OkAsync("run", "-d", "--name", "linked", "--network", "none", "-v", "linkedvol:/data", "box", "sh", "-c", "mkdir -p /run /var; ln -s /run /var/run; sleep 1000");
        await Task.Delay(300, Cancel);
        await _strata.OkAsync("cp", file, "linked:/var/run/");
        await _strata.OkAsync("cp", file, "linked:/data/below");
        Assert.Equal("1", (await _strata.OkAsync("exec", "linked", "cat", "/run/pidfile")).OutputText);
        Assert.Equal("1", await File.ReadAllTextAsync(Path.Combine(_store.Engine.Volumes.PathOf("linkedvol"), "below"), Cancel));
    }

    [Fact]
    public async Task Case_16_nothing_of_the_image_runs_on_the_host()
    {
        string root = Path.Combine(_store.Folder, "trojan");
        Directory.CreateDirectory(root);
        BusyboxRoot.Create(root);
        string mark = Path.Combine(_store.Folder, "trojan-ran");
        foreach (string program in (string[])["xz", "unxz", "gzip", "unpigz", "pigz", "zstd", "bzip2", "tar", "rm", "crun", "conmon", "catatonit"])
        {
            string path = Path.Combine(root, "bin", program);
            File.Delete(path);
            await File.WriteAllTextAsync(path, $"#!/bin/sh\ntouch {mark}\n", Cancel);
            File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
        }
        await _store.ImportAsync(root, "trojan", "ENV PATH=/bin");
        await _strata.OkAsync("run", "-d", "--init", "--name", "trojan", "--network", "none", "trojan", "sleep", "1000");
        string folder = Path.Combine(_store.Folder, "sent");
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(folder + "/f", "x", Cancel);
        foreach (string flag in (string[])["z", "-zstd", ""])
        {
            Assert.Equal(0, (await _strata.ShellAsync($"tar -C {folder} {(flag == "-zstd" ? "--zstd -c" : "-c" + flag)} . | {_strata.Line("cp - trojan:/tmp")}")).ExitCode);
        }
        Assert.NotEqual(0, (await _strata.ShellAsync($"tar -C {folder} -cJ . | {_strata.Line("cp - trojan:/tmp")}")).ExitCode); // xz is not undone here: it is refused
        await _strata.OkAsync("cp", "trojan:/tmp", folder + "/back");
        await _strata.OkAsync("restart", "-t", "0", "trojan");
        await _strata.OkAsync("rm", "-f", "trojan");
        Assert.False(File.Exists(mark));
    }

    [Fact]
    public async Task Case_20_a_config_that_lies_is_refused_or_means_nothing()
    {
        (string[] Words, string Problem)[] table =
        [
            (["-e", "=x"], "NAME=value"), (["-u", "4294967296"], "user"), (["-u", "2147483648"], "user"), (["-u", "-1"], "user"), (["-u", "nobody-here"], "nobody-here"),
            (["-w", "/proc/self/fd/7"], "/proc"), (["-w", "/tmp/../.."], ".."), (["-v", "/../../x:/../.."], ".."), (["-v", "v:/a/../../b"], ".."), (["--label-file", "/nosuch"], "/nosuch"),
        ];
        foreach ((string[] words, string problem) in table)
        {
            ChildResult result = await _strata.RunAsync(["run", "--rm", "--network", "none", .. words, "box", "true"]);
            Assert.True(result.ExitCode == 125 && result.ErrorText.Contains(problem, StringComparison.Ordinal), $"{string.Join(' ', words)}: {result.ExitCode} {result.ErrorText}");
        }
        for (int descriptor = 3; descriptor <= 30; descriptor++)
        {
            Assert.Equal(125, (await _strata.RunAsync("run", "--rm", "--network", "none", "-w", $"/proc/self/fd/{descriptor}", "box", "true")).ExitCode);
            if (!IsLong && descriptor == 8)
            {
                break;
            }
        }
        Assert.Empty(_store.Engine.ListContainers());
    }

    public static TheoryData<string> Traps =>
    [
        "rm -rf $R/dev; ln -s $CANARY $R/dev", "mkdir -p $R/dev; ln -s $CANARY/secret $R/dev/null", "mkdir -p $R/dev; ln -s $CANARY $R/dev/pts", "mkdir -p $R/dev; ln -s $CANARY $R/dev/shm",
        "rm -rf $R/proc; ln -s $CANARY $R/proc", "rm -rf $R/sys; ln -s $CANARY $R/sys", "ln -sf $CANARY/secret $R/etc/hosts", "ln -sf $CANARY/secret $R/etc/resolv.conf", "ln -sf $CANARY/secret $R/etc/hostname",
        "mkfifo $R/etc/hosts", "mkfifo $R/etc/resolv.conf", "mkdir $R/etc/hosts", "rm $R/etc/passwd; mkfifo $R/etc/passwd", "rm $R/etc/passwd; ln -s /etc/passwd2 $R/etc/passwd; ln -s /etc/passwd $R/etc/passwd2",
        "rm $R/etc/passwd; truncate -s 10G $R/etc/passwd", "rm $R/etc/passwd; ln -s $CANARY/secret $R/etc/passwd", "rm -rf $R/etc; ln -s $CANARY $R/etc", "echo x > $R/proc", "mkfifo $R/sys", "echo x > $R/dev",
    ];

    [Theory]
    [MemberData(nameof(Traps))]
    public async Task Case_21_an_image_with_traps_runs_closed_off_or_not_at_all(string trap)
    {
        string canary = MakeCanary("canary21-" + Math.Abs(trap.GetHashCode(StringComparison.Ordinal)));
        string before = Seen(canary);
        string root = Directory.CreateTempSubdirectory("strata-trap-").FullName;
        try
        {
            BusyboxRoot.Create(root);
            File.SetUnixFileMode(root, (UnixFileMode)0b111_101_101); // its root is the container's, who is an ordinary user here
            Assert.Equal(0, (await ChildProcess.RunAsync(new ChildStart { Program = "/bin/sh", Arguments = ["-c", trap.Replace("$R", root, StringComparison.Ordinal).Replace("$CANARY", canary, StringComparison.Ordinal)] }, cancellationToken: Cancel)).ExitCode);
            string name = "trap" + Math.Abs(trap.GetHashCode(StringComparison.Ordinal));
            ChildResult imported = await _strata.ShellAsync($"tar -C {root} --sparse -c . | {_strata.Line($"import -c 'ENV PATH=/bin' - {name}")}");
            if (imported.ExitCode != 0)
            {
                Assert.StartsWith("strata: import: ", imported.ErrorText, StringComparison.Ordinal); // refused before it is an image
                return;
            }
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
            limit.CancelAfter(TimeSpan.FromSeconds(20));
            ChildResult result = await ChildProcess.RunAsync(_strata.Start("run", "--rm", "-u", "app", "--network", "none", name, "sh", "-c", "echo ran; echo x > /dev/null; id -u"), cancellationToken: limit.Token);
            Assert.True(result.ExitCode == 125 ? result.ErrorText.StartsWith("strata: run: ", StringComparison.Ordinal) : result.OutputText.StartsWith("ran", StringComparison.Ordinal), $"{trap}: {result.ExitCode} {result.OutputText} {result.ErrorText}");
            await _strata.OkAsync("rmi", "-f", name);
        }
        finally
        {
            FileSystems.RemoveTree(root);
        }
        Assert.Equal(before, Seen(canary));
        _store.AssertNothingRuns();
    }

    [Fact]
    public async Task Case_29_whoever_dies_in_whatever_state_leaves_what_can_be_told_and_removed()
    {
        string[] states = ["created", "running", "paused", "exited", "executing", "restarting"];
        string[] victims = ["monitor", "container", "both"];
        int rounds = IsLong ? 34 : 1; // times 18: 600 deaths
        for (int round = 0; round < rounds; round++)
        {
            foreach (string state in states)
            {
                foreach (string victim in victims)
                {
                    await DieAsync(state, victim);
                }
            }
        }
        _store.AssertNothingLeft();
    }

    private async Task DieAsync(string state, string victim)
    {
        string name = $"die-{state}-{victim}";
        string[] options = state == "restarting" ? ["--restart", "always"] : [];
        string[] command = state is "exited" or "restarting" ? ["false"] : ["sleep", "1000"];
        await _strata.OkAsync([state == "created" ? "create" : "run", .. state == "created" ? (string[])[] : ["-d"], "--name", name, "--network", "none", .. options, "box", .. command]);
        if (state == "paused")
        {
            await _strata.OkAsync("pause", name);
        }
        if (state == "executing")
        {
            await _strata.OkAsync("exec", "-d", name, "sleep", "1000");
        }
        if (_store.Engine.Containers.ReadStart(_store.Engine.GetContainer(name).Record.Id) is { } start)
        {
            if (victim != "container")
            {
                LiveProcess.Signal(start.MonitorPid, start.MonitorStarted, 9);
            }
            if (victim != "monitor")
            {
                LiveProcess.Signal(start.Pid, start.PidStarted, 9);
            }
        }
        // Within two seconds the state is right: gone where its process is, and then an exit code or none.
        DateTimeOffset end = TimeProvider.System.GetUtcNow().AddSeconds(2);
        while (state is "running" or "executing" && victim != "monitor" && _store.Engine.GetContainer(name).State.Status != ContainerStatus.Exited)
        {
            Assert.True(TimeProvider.System.GetUtcNow() < end, $"{name} does not come to be over");
            await Task.Delay(20, Cancel);
        }
        await _strata.OkAsync("rm", "-f", name);
        Assert.Null(_store.Engine.TryGetContainer(name));
    }

    [Fact]
    public async Task Case_30_what_terminals_act_on_is_shown_and_not_sent()
    {
        const string Evil = "\u001b]52;c;AAAA\u0007\u001b[2J\r\b\u202e";
        await _strata.OkAsync("run", "-d", "--name", "evil", "--network", "none", "--label", "bad=" + Evil, "-e", "BAD=" + Evil, "box", "sh", "-c", "printf 'one\\033[2Jtwo\\n'; exec sleep 1000 # " + Evil + new string('x', 100_000));
        foreach (string[] words in (string[][])[["ps", "--no-trunc"], ["ps", "--format", "{{.Labels}} {{.Command}}"], ["inspect", "evil"], ["top", "evil"], ["events", "--since", "5m", "--until", "0s"], ["inspect", "-f", "{{.Config.Labels.bad}}", "evil"], ["stats", "--no-stream"]])
        {
            ChildResult result = await _strata.OkAsync(words);
            Assert.DoesNotContain(result.OutputText, c => (char.IsControl(c) && c != '\n') || c == '\u202e');
        }
        ChildResult json = await _strata.OkAsync("ps", "--format", "json");
        using var parsed = System.Text.Json.JsonDocument.Parse(json.OutputText.Split('\n')[0]);
        Assert.Contains(Evil, parsed.RootElement.GetProperty("Labels").GetString(), StringComparison.Ordinal);
        Assert.Equal("one\u001b[2Jtwo", (await _strata.OkAsync("logs", "evil")).OutputText); // its output is what it wrote, as with every engine
        foreach (string name in (string[])["a\u001bb", "a\nb", "\u202ex"])
        {
            ChildResult refused = await _strata.RunAsync("rename", "evil", name);
            Assert.Equal(1, refused.ExitCode == 0 ? 0 : 1);
            Assert.DoesNotContain(refused.ErrorText, c => (char.IsControl(c) && c != '\n') || c == '\u202e');
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Container container in _store.Engine.ListContainers())
        {
            await _store.Engine.RemoveContainerAsync(container.Record.Id, force: true, removeVolumes: true);
        }
    }
}

/// <summary>Many at once: what a machine of two processors and 24 GB must hold.</summary>
public sealed class ManyContainersTests(ContainerStoreFixture store) : IClassFixture<ContainerStoreFixture>
{
    [Fact]
    public async Task Two_hundred_run_at_once_answer_and_go()
    {
        int count = Environment.GetEnvironmentVariable("STRATA_LONG") == "1" ? 200 : 10;
        var strata = new StrataProgram(store);
        long before = FreeBytes();
        await Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = TestContext.Current.CancellationToken }, async (i, _) =>
            await strata.OkAsync("run", "-d", "--name", $"many{i}", "--network", "none", "box", "sleep", "1000"));
        await Task.Delay(1000, TestContext.Current.CancellationToken);
        long each = (before - FreeBytes()) / count;
        for (int i = 0; i < count; i++)
        {
            using var output = new MemoryStream();
            Assert.Equal(0, await store.Engine.ExecAsync($"many{i}", new ExecOptions { Arguments = ["echo", "here"] }, new ContainerStreams(null, output, Stream.Null), cancellationToken: TestContext.Current.CancellationToken));
            Assert.Equal("here\n", Encoding.ASCII.GetString(output.ToArray()));
        }
        long begun = TimeProvider.System.GetTimestamp();
        Assert.Equal(count, (await strata.OkAsync("ps", "-q")).OutputText.Split('\n').Length);
        double milliseconds = TimeProvider.System.GetElapsedTime(begun).TotalMilliseconds;
        if (count == 200) // measured only where nothing else runs
        {
            Assert.True(each < 3 << 20, $"{each >> 10} KiB for each");
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{count} containers: {each >> 10} KiB each, ps {milliseconds:0} ms");
        await strata.OkAsync(["rm", "-f", .. Enumerable.Range(0, count).Select(i => $"many{i}")]);
        store.AssertNothingLeft();
    }

    private static long FreeBytes()
    {
        string line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) << 10;
    }
}
