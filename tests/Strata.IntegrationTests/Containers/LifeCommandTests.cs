using System.Text.Json;
using Strata.Containers;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>What people do with a running container, by the program itself.</summary>
public sealed class LifeCommandTests : IClassFixture<ContainerStoreFixture>, IAsyncDisposable
{
    private readonly ContainerStoreFixture _store;
    private readonly StrataProgram _strata;

    public LifeCommandTests(ContainerStoreFixture store) => (_store, _strata) = (store, new StrataProgram(store));

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private async Task<string> StartAsync(string name, params string[] options)
        => (await _strata.OkAsync(["run", "-d", "--name", name, "--network", "none", .. options, "box", "sleep", "1000"])).OutputText;

    private static async Task UntilAsync(Func<Task<bool>> isSo)
    {
        DateTime end = TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(20);
        while (!await isSo())
        {
            Assert.True(TimeProvider.System.GetUtcNow().UtcDateTime < end, "it did not come to be within 20 s");
            await Task.Delay(50, Cancel);
        }
    }

    [Fact]
    public async Task A_further_process_ends_with_its_own_code()
    {
        await StartAsync("one");
        (int Code, string[] Words)[] table =
        [
            (0, ["true"]), (7, ["sh", "-c", "exit 7"]), (137, ["sh", "-c", "kill -9 $$"]), (127, ["nosuch"]), (127, ["/nosuch"]), (126, ["/etc"]), (126, ["/etc/plain"]), (126, ["-w", "/nosuch", "one", "true"]),
        ];
        foreach ((int code, string[] words) in table)
        {
            ChildResult result = await _strata.RunAsync(["exec", .. words.Contains("one") ? words : ["one", .. words]]);
            Assert.True(code == result.ExitCode, $"{string.Join(' ', words)}: {result.ExitCode}, not {code}: {result.ErrorText}");
        }
        Assert.Equal("uid=1000(app) gid=1001(app) groups=10(wheel),1500(extra)\n/home/app 1 2\n/home/app", (await _strata.OkAsync("exec", "-u", "app", "-w", "/home/app", "-e", "A=1", "--env=B=2", "one", "sh", "-c", "id; echo $PWD $A $B; echo $HOME")).OutputText);
        Assert.Equal("CapEff:\t0000000000000000", (await _strata.OkAsync("exec", "-u", "1000", "one", "grep", "CapEff", "/proc/self/status")).OutputText);
        Assert.NotEqual("CapEff:\t00000000800405fb", (await _strata.OkAsync("exec", "--privileged", "one", "grep", "CapEff", "/proc/self/status")).OutputText);
        Assert.Equal("3\nend", (await _strata.ShellAsync($"printf 'a\\nb\\nc\\n' | {_strata.Line("exec -i one sh -c 'cat | wc -l; echo end'")}")).OutputText);
        Assert.Equal("", (await _strata.ShellAsync($"echo lost | {_strata.Line("exec one cat")}")).OutputText);
        await _strata.OkAsync("exec", "-d", "one", "sh", "-c", "echo done > /tmp/detached");
        await UntilAsync(async () => (await _strata.RunAsync("exec", "one", "cat", "/tmp/detached")).OutputText == "done");
        Assert.Equal(1, (await _strata.RunAsync("exec", "nosuch", "true")).ExitCode);
        Assert.DoesNotContain(Directory.GetDirectories(_store.RuntimeRoot), d => Path.GetFileName(d).StartsWith("exec-", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_further_process_has_a_terminal_and_can_be_left()
    {
        await StartAsync("term", "-it");
        string[] lines = (await _strata.ShellAsync($"(sleep 1; printf 'tty; echo code $((40+2))\\nexit 5\\n'; sleep 1) | script -qec \"{_strata.Line("exec -it term sh")}\" /dev/null; echo ended $?")).OutputText.Split('\n', StringSplitOptions.TrimEntries);
        Assert.Contains("code 42", lines);
        Assert.Contains(lines, l => l.StartsWith("/dev/pts/", StringComparison.Ordinal));
        // The keys leave the container, which runs on.
        string attached = (await _strata.ShellAsync($"(sleep 1; printf '\\020\\021'; sleep 1) | script -qec \"{_strata.Line("attach term")}; echo left $?\" /dev/null")).OutputText;
        Assert.Contains("left 0", attached, StringComparison.Ordinal);
        Assert.Equal("running", (await _strata.OkAsync("inspect", "-f", "{{.State.Status}}", "term")).OutputText);
    }

    [Fact]
    public async Task One_that_is_attached_to_passes_its_output_and_its_code()
    {
        await _strata.OkAsync("run", "-d", "-i", "--name", "listens", "--network", "none", "box", "sh", "-c", "read x; echo got $x; exit 6");
        ChildResult result = await _strata.ShellAsync($"echo word | {_strata.Line("attach listens")}");
        Assert.Equal((6, "got word"), (result.ExitCode, result.OutputText));
    }

    [Fact]
    public async Task A_detached_run_prints_the_id_and_is_removed_at_its_end_where_that_was_asked()
    {
        string id = (await _strata.OkAsync("run", "-d", "--rm", "--name", "gone", "--network", "none", "box", "sleep", "5")).OutputText;
        Assert.Matches("^[0-9a-f]{64}$", id);
        Assert.Equal("gone", (await _strata.OkAsync("ps", "--format", "{{.Names}}", "--filter", "name=gone")).OutputText);
        await UntilAsync(async () => (await _strata.OkAsync("ps", "-aq", "--filter", "name=gone")).OutputText.Length == 0);
        await UntilAsync(() => Task.FromResult(!Directory.Exists(_store.Engine.Containers.DirectoryOf(id))));
        Assert.Equal(127, (await _strata.RunAsync("run", "-d", "--rm", "--network", "none", "box", "nosuch")).ExitCode);
    }

    [Fact]
    public async Task A_restart_policy_is_kept_and_a_stop_is_respected()
    {
        await _strata.OkAsync("run", "-d", "--restart", "on-failure:2", "--name", "fails", "--network", "none", "box", "sh", "-c", "echo try; exit 3");
        await UntilAsync(async () => (await _strata.OkAsync("logs", "fails")).OutputText.Split('\n').Length == 3 && (await _strata.OkAsync("inspect", "-f", "{{.State.Running}}", "fails")).OutputText == "false");
        await Task.Delay(1000, Cancel);
        Assert.Equal("try\ntry\ntry", (await _strata.OkAsync("logs", "fails")).OutputText);
        Assert.Equal("2", (await _strata.OkAsync("inspect", "-f", "{{.RestartCount}}", "fails")).OutputText);

        await StartAsync("always", "--restart", "always");
        int Pid() => _store.Engine.GetContainer("always").State.Pid ?? 0;
        int first = Pid();
        Host.Kill(first, 9); // nobody's stop: it comes back
        await UntilAsync(() => Task.FromResult(Pid() is not 0 and var now && now != first));
        await _strata.OkAsync("stop", "-t", "0", "always");
        await Task.Delay(700, Cancel);
        Assert.Equal(ContainerStatus.Exited, _store.Engine.GetContainer("always").State.Status);
        Assert.Equal("always", (await _strata.OkAsync("container", "boot")).OutputText); // at boot it is wanted
        Assert.Equal(125, (await _strata.RunAsync("run", "--rm", "--restart", "always", "box", "true")).ExitCode);
    }

    [Fact]
    public async Task Inspect_tells_who_was_killed_for_memory_who_comes_back_and_which_ports_were_asked_for()
    {
        ChildResult eats = await _strata.RunAsync("run", "--name", "eats", "--network", "none", "--memory", "16m", "box", "sh", "-c", "tail /dev/zero");
        Assert.NotEqual(0, eats.ExitCode);
        Assert.Equal("true", (await _strata.OkAsync("inspect", "-f", "{{.State.OOMKilled}}", "eats")).OutputText);
        await _strata.RunAsync("run", "--name", "modest", "--network", "none", "--memory", "16m", "box", "false");
        Assert.Equal("false", (await _strata.OkAsync("inspect", "-f", "{{.State.OOMKilled}}", "modest")).OutputText);

        await _strata.OkAsync("run", "-d", "--restart", "always", "--name", "again", "--network", "none", "box", "false");
        await UntilAsync(async () => (await _strata.OkAsync("inspect", "-f", "{{.State.Status}} {{.State.Restarting}}", "again")).OutputText == "restarting true");
        await UntilAsync(async () => (await _strata.OkAsync("ps", "--format", "{{.Status}}", "--filter", "name=again", "--filter", "status=restarting")).OutputText.StartsWith("Restarting (1)", StringComparison.Ordinal));
        await _strata.OkAsync("stop", "-t", "0", "again");
        Assert.Equal("exited false", (await _strata.OkAsync("inspect", "-f", "{{.State.Status}} {{.State.Restarting}}", "again")).OutputText);

        await _strata.OkAsync("create", "--name", "ports", "-p", "127.0.0.1:8080:80", "-p", "53:53/udp", "-p", "9", "box");
        Assert.Equal("""{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}],"53/udp":[{"HostIp":"","HostPort":"53"}],"9/tcp":[{"HostIp":"","HostPort":""}]}""",
            string.Concat((await _strata.OkAsync("inspect", "-f", "{{json .HostConfig.PortBindings}}", "ports")).OutputText.Where(c => !char.IsWhiteSpace(c))));
    }

    [Fact]
    public async Task Held_renamed_limited_and_watched()
    {
        string id = await StartAsync("a", "--memory", "64m", "--pids-limit", "100", "--label", "tier=front");
        await _strata.OkAsync("pause", "a");
        Assert.Equal("Up|paused", (await _strata.OkAsync("ps", "--format", "{{.Status}}|{{.State}}")).OutputText.Split('\n').Select(l => l[..2] + l[l.IndexOf('|', StringComparison.Ordinal)..]).First(l => l.EndsWith("paused", StringComparison.Ordinal)));
        Assert.Contains("paused", (await _strata.RunAsync("exec", "a", "true")).ErrorText, StringComparison.Ordinal);
        Assert.Equal("true", (await _strata.OkAsync("inspect", "-f", "{{.State.Paused}}", "a")).OutputText);
        await _strata.OkAsync("unpause", "a");
        Assert.Equal(1, (await _strata.RunAsync("unpause", "a")).ExitCode);
        await _strata.OkAsync("rename", "a", "b");
        Assert.Equal(1, (await _strata.RunAsync("inspect", "a")).ExitCode);
        await _strata.OkAsync("update", "--pids-limit", "7", "--memory", "32m", "b");
        Assert.Equal("7 33554432", (await _strata.OkAsync("inspect", "-f", "{{.HostConfig.PidsLimit}} {{.HostConfig.Memory}}", "b")).OutputText);
        Assert.Equal("7", (await _strata.OkAsync("exec", "b", "sh", "-c", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true")).OutputText);
        string[] top = (await _strata.OkAsync("top", "b")).OutputText.Split('\n');
        Assert.StartsWith("UID", top[0], StringComparison.Ordinal);
        Assert.EndsWith("sleep 1000", Assert.Single(top[1..]), StringComparison.Ordinal);
        Assert.EndsWith("sleep", (await _strata.OkAsync("top", "b", "-eo", "pid,comm")).OutputText, StringComparison.Ordinal);
        using JsonDocument stats = JsonDocument.Parse((await _strata.OkAsync("stats", "--no-stream", "--format", "json", "b")).OutputText);
        Assert.Equal(("b", "1"), (stats.RootElement.GetProperty("Name").GetString(), stats.RootElement.GetProperty("PIDs").GetString()));
        Assert.EndsWith(" / 32MiB", stats.RootElement.GetProperty("MemUsage").GetString(), StringComparison.Ordinal);
        await _strata.OkAsync("restart", "-t", "0", "b");
        await _strata.OkAsync("rm", "-f", "b");
        string[] happened = (await _strata.OkAsync("events", "--since", "10m", "--until", "0s", "--filter", "container=" + id, "--format", "{{.Action}}")).OutputText.Split('\n');
        Assert.Equal(["create", "start", "pause", "unpause", "rename", "update"], happened.Take(6));
        Assert.Equal(["die", "stop", "start", "restart", "die", "destroy"], happened.Where(h => !h.StartsWith("exec", StringComparison.Ordinal)).Skip(6));
        Assert.Contains(", tier=front)", (await _strata.OkAsync("events", "--since", "10m", "--until", "0s", "--filter", "label=tier=front", "--filter", "event=start")).OutputText, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Files_are_copied_both_ways_and_as_archives()
    {
        string here = Path.Combine(_store.Folder, "copies");
        Directory.CreateDirectory(here + "/tree/sub");
        await File.WriteAllTextAsync(here + "/tree/sub/f", "text", Cancel);
        File.CreateSymbolicLink(here + "/tree/link", "/etc/passwd");
        await StartAsync("cp", "-v", "cpdata:/var/data");
        foreach (bool running in (bool[])[true, false])
        {
            if (!running)
            {
                await _strata.OkAsync("stop", "-t", "0", "cp");
            }
            string place = running ? "/tmp/live" : "/tmp/dead";
            await _strata.OkAsync("cp", here + "/tree", "cp:" + place);             // a new directory
            await _strata.OkAsync("cp", here + "/tree/.", "cp:" + place);           // its content, once more
            await _strata.OkAsync("cp", here + "/tree/sub/f", "cp:" + place + "/sub/");
            await _strata.OkAsync("cp", here + "/tree/sub/f", $"cp:/var/data/{running}"); // into the volume
            Assert.Equal(1, (await _strata.RunAsync("cp", here + "/tree/sub/f", "cp:/nosuch/")).ExitCode);
            Assert.Equal(1, (await _strata.RunAsync("cp", "cp:/nosuch", here)).ExitCode);
            await _strata.OkAsync("cp", "cp:" + place, $"{here}/back{running}");
            Assert.Equal("text", await File.ReadAllTextAsync($"{here}/back{running}/sub/f", Cancel));
            Assert.Equal("/etc/passwd", File.ResolveLinkTarget($"{here}/back{running}/link", false)!.FullName);
            Assert.Equal("root:x:0:0:root:/root:/bin/sh", (await _strata.ShellAsync($"{_strata.Line($"cp -L cp:{place}/link -")} | tar -xO | head -n 1")).OutputText); // the container's own
            Assert.Equal("text", (await _strata.ShellAsync($"{_strata.Line($"cp cp:{place}/sub -")} | tar -xO sub/f")).OutputText);
            Assert.Equal(0, (await _strata.ShellAsync($"tar -C {here} -cz tree | {_strata.Line($"cp - cp:{place}")}")).ExitCode);
            await _strata.OkAsync("cp", $"cp:{place}/tree/sub/f", $"{here}/f{running}");
            Assert.True(File.Exists(Path.Combine(_store.Engine.Volumes.PathOf("cpdata"), running.ToString())));
        }
        await _strata.OkAsync("start", "cp");
        Assert.Equal("0 0", (await _strata.OkAsync("exec", "cp", "stat", "-c", "%u %g", "/tmp/dead/sub/f")).OutputText);
    }

    [Fact]
    public async Task Options_say_how_it_lives_and_what_it_may_use()
    {
        string file = Path.Combine(_store.Folder, "labels");
        await File.WriteAllTextAsync(file, "# people read this\nfrom=file\nflag\n", Cancel);
        ChildResult result = await _strata.OkAsync("run", "--name", "opts", "--network", "none", "--init", "--ulimit", "nofile=100:200", "--shm-size", "1m", "--group-add", "extra", "--group-add", "77", "--oom-score-adj", "5", "--hostname", "named",
            "--cpus", "0.5", "--cpu-shares", "512", "--stop-timeout", "3", "--label-file", file, "--label", "from=line", "--annotation", "a=b", "--sysctl", "kernel.msgmax=9000", "--device", "/dev/null:/dev/mine:r", "--cgroup-parent", "/strata/parent", "--init",
            "box", "sh", "-c", "ulimit -n; id -G; cat /proc/self/oom_score_adj; hostname; cat /proc/1/comm; cat /proc/sys/kernel/msgmax; ls /dev/mine; df -k /dev/shm | tail -n 1 | awk '{print $2}'");
        Assert.Equal(["100", "0 77 1500", "5", "named", "init", "9000", "/dev/mine", "1024"], result.OutputText.Split('\n'));
        Assert.Equal("3 true no 500000000 512 line", (await _strata.OkAsync("inspect", "-f", "{{.Config.StopTimeout}} {{.HostConfig.Init}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}} {{.Config.Labels.from}}", "opts")).OutputText);
        await StartAsync("sharer");
        Assert.Contains("sleep 1000", (await _strata.OkAsync("run", "--rm", "--network", "none", "--pid", "container:sharer", "box", "ps")).OutputText, StringComparison.Ordinal);
        Assert.Equal(Environment.MachineName, (await _strata.OkAsync("run", "--rm", "--network", "none", "--uts", "host", "box", "hostname")).OutputText);
        (string Words, string Problem)[] refused =
        [
            ("--restart maybe", "--restart maybe"), ("--userns mine", "--userns mine"), ("--sysctl kernel.panic=1", "--sysctl kernel.panic=1"), ("--ulimit what=1", "--ulimit what=1"), ("--security-opt apparmor=x", "AppArmor"), ("--cpus 0", "--cpus 0"),
            ("--health-interval 5", "--health-interval 5"), ("--pid container:nosuch", "nosuch"), ("--device /dev/nosuch", "/dev/nosuch"), ("--platform linux/s390x --pull never", "s390x"),
        ];
        foreach ((string words, string problem) in refused)
        {
            ChildResult no = await _strata.RunAsync(["run", "--rm", "--network", "none", .. words.Split(' '), "box", "true"]);
            Assert.True(no.ExitCode == 125 && no.ErrorText.Contains(problem, StringComparison.Ordinal), $"{words}: {no.ExitCode} {no.ErrorText}");
        }
    }

    [Fact]
    public async Task Health_is_checked_while_it_runs()
    {
        await _strata.OkAsync("run", "-d", "--name", "ill", "--network", "none", "--health-cmd", "test -e /tmp/well", "--health-interval", "200ms", "--health-retries", "2", "box", "sleep", "1000");
        Task<bool> IsAsync(string status) => Task.Run(async () => (await _strata.OkAsync("inspect", "-f", "{{.State.Health.Status}}", "ill")).OutputText == status);
        await UntilAsync(() => IsAsync("unhealthy"));
        await _strata.OkAsync("exec", "ill", "touch", "/tmp/well");
        await UntilAsync(() => IsAsync("healthy"));
        Assert.EndsWith("(healthy)", (await _strata.OkAsync("ps", "--filter", "health=healthy", "--format", "{{.Status}}")).OutputText, StringComparison.Ordinal);
        Assert.Equal("health_status: unhealthy\nhealth_status: healthy", (await _strata.OkAsync("events", "--since", "5m", "--until", "0s", "--filter", "event=health_status", "--format", "{{.Action}}")).OutputText);
        await _strata.OkAsync("rm", "-f", "ill");
    }

    [Fact]
    public async Task Stopped_ones_are_pruned_and_listed_by_filters()
    {
        string first = (await _strata.OkAsync("create", "--name", "p1", "--label", "keep=1", "box", "true")).OutputText;
        string second = (await _strata.OkAsync("create", "--name", "p2", "box", "true")).OutputText;
        await StartAsync("p3");
        async Task<string> Names(params string[] words) => string.Join(' ', (await _strata.OkAsync(["ps", "-a", "--format", "{{.Names}}", "--filter", "name=^/?p[0-9]$", .. words])).OutputText.Split('\n').Order(StringComparer.Ordinal));
        Assert.Equal("p1 p2", await Names("--filter", "status=created"));
        Assert.Equal("p1", await Names("--filter", "before=p2"));
        Assert.Equal("p2 p3", await Names("--filter", "since=p1"));
        Assert.Equal("p1", await Names("--filter", "label=keep"));
        Assert.Equal("p3", await Names("-n", "1"));
        Assert.Equal(2, (await _strata.RunAsync("ps", "--filter", "what=1")).ExitCode == 0 ? 0 : 2);
        string[] pruned = (await _strata.OkAsync("container", "prune", "-f", "--filter", "label!=keep")).OutputText.Split('\n');
        Assert.Equal("Deleted Containers:", pruned[0]);
        Assert.Contains(second, pruned);
        Assert.DoesNotContain(first, pruned);
        Assert.StartsWith("Total reclaimed space: ", pruned[^1], StringComparison.Ordinal);
        Assert.Equal("p1 p3", await Names());
        Assert.Contains("container boot", (await _strata.OkAsync("container", "units")).OutputText, StringComparison.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Container container in _store.Engine.ListContainers())
        {
            await _store.Engine.RemoveContainerAsync(container.Record.Id, force: true, removeVolumes: true);
        }
    }
}
