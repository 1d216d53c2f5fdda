using System.Collections.Immutable;
using Strata.Cli.Commands;
using Strata.Containers;
using Strata.Images;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Containers;

/// <summary>What decides about a container's life, without one.</summary>
public sealed class LifeTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("no", "no", 0)]
    [InlineData("", "no", 0)]
    [InlineData("always", "always", 0)]
    [InlineData("unless-stopped", "unless-stopped", 0)]
    [InlineData("on-failure", "on-failure", 0)]
    [InlineData("on-failure:7", "on-failure", 7)]
    [InlineData("sometimes", null, 0)]
    [InlineData("always:3", null, 0)]
    [InlineData("on-failure:-1", null, 0)]
    [InlineData("on-failure:x", null, 0)]
    public void Restart_policies_are_read_as_Docker_writes_them(string text, string? name, int retries)
    {
        if (name is null)
        {
            Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => RestartPolicy.Parse(text)).Kind);
            return;
        }
        RestartPolicy policy = RestartPolicy.Parse(text);
        Assert.Equal((name, retries), (policy.Name, policy.MaximumRetries));
    }

    [Theory]
    [InlineData("no", 1, 0, false)]
    [InlineData("always", 0, 9, true)]
    [InlineData("unless-stopped", 3, 9, true)]
    [InlineData("on-failure", 0, 0, false)]
    [InlineData("on-failure", 3, 99, true)]
    [InlineData("on-failure:2", 3, 1, true)]
    [InlineData("on-failure:2", 3, 2, false)]
    public void A_policy_decides_by_code_and_count(string policy, int code, int restarts, bool wants) => Assert.Equal(wants, RestartPolicy.Parse(policy).Wants(code, restarts));

    [Fact]
    public void An_end_that_nobody_saw_is_a_failure()
    {
        Assert.True(RestartPolicy.Parse("on-failure").Wants(null, 0));
        Assert.Equal([100d, 200, 400, 60000], ((int[])[0, 1, 2, 30]).Select(n => RestartPolicy.DelayBefore(n).TotalMilliseconds));
    }

    [Theory]
    [InlineData("ctrl-p,ctrl-q", "ab\u0010\u0011", "ab", true)]
    [InlineData("ctrl-p,ctrl-q", "ab\u0010x", "ab\u0010x", false)]
    [InlineData("ctrl-p,ctrl-q", "\u0010\u0010\u0011", "\u0010", true)]
    [InlineData("ctrl-p,ctrl-q", "\u0011\u0010", "\u0011", false)]
    [InlineData("ctrl-@", "a\0b", "a", true)]
    [InlineData("a,b,ctrl-[", "aab\u001b", "a", true)]
    [InlineData("x", "yx", "y", true)]
    public void Detach_keys_are_found_and_nothing_else_is_lost(string keys, string typed, string passed, bool detached)
    {
        foreach (int size in (int[])[1, 2, typed.Length]) // as keys come: one by one, or together
        {
            DetachKeys filter = DetachKeys.Parse(keys)!;
            string got = "";
            bool found = false;
            foreach (char[] part in typed.Chunk(size))
            {
                found |= filter.Filter([.. part.Select(c => (byte)c)], bytes => got += string.Concat(bytes.ToArray().Select(b => (char)b)));
                if (found)
                {
                    break;
                }
            }
            Assert.Equal((passed, detached), (got, found));
        }
    }

    [Theory]
    [InlineData("ctrl-")]
    [InlineData("ctrl-1")]
    [InlineData("ab")]
    [InlineData("a,,b")]
    public void What_is_no_key_is_refused(string keys) => Assert.Throws<StrataException>(() => DetachKeys.Parse(keys));

    [Fact]
    public void No_keys_are_no_keys() => Assert.Null(DetachKeys.Parse(""));

    [Theory]
    [InlineData("0", 0)]
    [InlineData("30s", 30_000_000_000)]
    [InlineData("1m30s", 90_000_000_000)]
    [InlineData("1.5h", 5_400_000_000_000)]
    [InlineData("500ms", 500_000_000)]
    [InlineData("2us3ns", 2_003)]
    [InlineData("30", -1)]
    [InlineData("s", -1)]
    [InlineData("", -1)]
    [InlineData("1x", -1)]
    [InlineData("-1s", -1)]
    public void Durations_are_read_as_Go_reads_them(string text, long nanoseconds)
    {
        if (nanoseconds < 0)
        {
            Assert.Throws<StrataException>(() => Durations.Nanoseconds(text, "--x"));
        }
        else
        {
            Assert.Equal(nanoseconds, Durations.Nanoseconds(text, "--x"));
        }
    }

    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static HealthResult Check(int second, int code) => new(s_start.AddSeconds(second), s_start.AddSeconds(second), code, "");

    [Fact]
    public void Health_follows_the_checks()
    {
        var config = new HealthcheckConfig { Test = ["CMD", "x"], Retries = 2, Interval = 10 * HealthPlan.Second, StartPeriod = 5 * HealthPlan.Second, StartInterval = HealthPlan.Second };
        var judge = new HealthJudge(config, s_start, new HealthState { Status = HealthState.Starting });
        Assert.Equal(1, judge.NextDelay(s_start).TotalSeconds);
        Assert.Equal(10, judge.NextDelay(s_start.AddSeconds(6)).TotalSeconds);
        (int Second, int Code, string Status, int Streak)[] course =
            [(1, 1, "starting", 0), (2, 1, "starting", 0), (6, 1, "starting", 1), (7, 0, "healthy", 0), (17, 1, "healthy", 1), (27, -1, "unhealthy", 2), (37, 1, "unhealthy", 3), (47, 0, "healthy", 0)];
        foreach ((int second, int code, string status, int streak) in course)
        {
            HealthState state = judge.Take(Check(second, code));
            Assert.Equal((status, streak), (state.Status, state.FailingStreak));
        }
        Assert.Equal(5, judge.State.Log.Length);
        HealthStore.Write(_folder.File(""), judge.State);
        HealthState again = HealthStore.TryRead(_folder.File(""))!;
        Assert.Equal(judge.State.Log, again.Log);
    }

    [Fact]
    public void A_check_of_the_image_is_changed_field_by_field()
    {
        var image = new HealthcheckConfig { Test = ["CMD-SHELL", "true"], Interval = 5, Retries = 7 };
        HealthcheckConfig merged = HealthPlan.Merge(image, new HealthcheckConfig { Interval = 9 });
        Assert.Equal((9L, 7), (merged.Interval, merged.Retries));
        Assert.Equal(["/bin/sh", "-c", "true"], HealthPlan.Command(merged, null));
        Assert.Equal(["/bin/bash", "-c", "true"], HealthPlan.Command(merged, ["/bin/bash", "-c"]));
        Assert.Equal(["a", "b"], HealthPlan.Command(new HealthcheckConfig { Test = ["CMD", "a", "b"] }, null));
    }

    [Fact]
    public void Events_are_kept_in_order_and_have_an_end()
    {
        var log = new EventLog(_folder.File(""));
        string filler = new('x', 1000);
        for (int i = 0; i < 5000; i++)
        {
            log.Append(new StoreEvent(s_start.AddSeconds(i), "container", "start", i.ToString("x64", null), ImmutableSortedDictionary<string, string>.Empty.Add("name", filler)));
        }
        long[] sizes = [.. ((string[])[log.FilePath, log.OlderPath]).Select(f => new FileInfo(f).Length)];
        Assert.All(sizes, s => Assert.InRange(s, 1, (2 << 20) + 2000));
        StoreEvent last = EventLog.TryParse(File.ReadAllLines(log.FilePath)[^1].Select(c => (byte)c).ToArray())!;
        Assert.Equal((s_start.AddSeconds(4999), 4999.ToString("x64", null), filler), (last.Time, last.Id, last.Attributes["name"]));
        Assert.Null(EventLog.TryParse("{\"time\": 1"u8));
    }

    [Fact]
    public async Task Events_of_many_writers_are_whole_lines()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(w => Task.Run(() =>
        {
            var log = new EventLog(_folder.File(""));
            for (int i = 0; i < 50; i++)
            {
                log.Append(new StoreEvent(s_start, "container", "start", $"{w}-{i}", ImmutableSortedDictionary<string, string>.Empty));
            }
        })));
        string[] ids = [.. File.ReadAllLines(new EventLog(_folder.File("")).FilePath).Select(l => EventLog.TryParse(l.Select(c => (byte)c).ToArray())!.Id)];
        Assert.Equal(400, ids.Distinct().Count());
    }

    [Fact]
    public void A_unified_cgroup_tree_is_read()
    {
        Tree(("cgroup.controllers", "cpu memory pids io"), ("strata/a/cpu.stat", "usage_usec 1500\nuser_usec 1000\n"), ("strata/a/memory.current", "5000\n"), ("strata/a/memory.stat", "anon 1\ninactive_file 1000\n"),
            ("strata/a/memory.max", "max\n"), ("strata/a/pids.current", "3\n"), ("strata/a/io.stat", "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n"), ("strata/a/cgroup.procs", "12\n13\n"), ("strata/a/sub/cgroup.procs", "14\n"));
        ContainerUsage usage = CgroupReader.Read(_folder.File(""), "/strata/a", machineBytes: 9000);
        Assert.Equal(new ContainerUsage { CpuNanoseconds = 1_500_000, MemoryBytes = 4000, MemoryLimit = 9000, Processes = 3, BlockRead = 11, BlockWritten = 22 }, usage);
        Assert.Equal([12, 13, 14], CgroupReader.Processes(_folder.File(""), "/strata/a").Order());
    }

    [Fact]
    public void Cgroup_trees_of_single_controllers_are_read()
    {
        Tree(("cpuacct/strata/a/cpuacct.usage", "77\n"), ("memory/strata/a/memory.usage_in_bytes", "5000\n"), ("memory/strata/a/memory.stat", "total_inactive_file 4000\n"), ("memory/strata/a/memory.limit_in_bytes", "8000\n"),
            ("pids/strata/a/pids.current", "2\n"), ("pids/strata/a/cgroup.procs", "5\n"), ("blkio/strata/a/blkio.throttle.io_service_bytes", "8:0 Read 3\n8:0 Write 4\nTotal 7\n"));
        ContainerUsage usage = CgroupReader.Read(_folder.File(""), "/strata/a", machineBytes: 9000);
        Assert.Equal(new ContainerUsage { CpuNanoseconds = 77, MemoryBytes = 1000, MemoryLimit = 8000, Processes = 2, BlockRead = 3, BlockWritten = 4 }, usage);
        Assert.Equal([5], CgroupReader.Processes(_folder.File(""), "/strata/a"));
        Assert.Empty(CgroupReader.Processes(_folder.File(""), "/strata/gone"));
    }

    private void Tree(params (string Path, string Text)[] files)
    {
        foreach ((string path, string text) in files)
        {
            string full = Path.Combine(_folder.File(""), path);
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            File.WriteAllText(full, text);
        }
    }

    [Fact]
    public void Network_counters_leave_out_the_loopback()
        => Assert.Equal((30, 7), CgroupReader.Network("Inter-| Receive | Transmit\n face |bytes\n    lo: 9 1 0 0 0 0 0 0 9 1\n  eth0: 10 1 0 0 0 0 0 0 5 1\n  eth1:20 1 0 0 0 0 0 0 2 1\n"));

    [Theory]
    [InlineData("/a/b/../c/.", "a/c")]
    [InlineData("../../x", "x")]
    [InlineData("/", "")]
    [InlineData("a//b/", "a/b")]
    public void Paths_of_copies_are_cleaned(string path, string clean) => Assert.Equal(clean, FileTransfer.Clean(path));

    [Fact]
    public void Limits_are_never_above_our_own()
    {
        SpecRlimit limit = Ulimits.Parse(["nofile=1:-1"]).Single();
        Assert.Equal(("RLIMIT_NOFILE", 1UL, global::Strata.Linux.Host.OpenFileLimit.Hard), (limit.Type, limit.Soft, limit.Hard));
        foreach (string bad in (string[])["nofile", "nofile=2:1", "what=1", "nofile=1:2:3", "nofile=x"])
        {
            Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => Ulimits.Parse([bad])).Kind);
        }
    }

    [Fact]
    public void Kernel_parameters_of_the_host_are_refused()
    {
        Assert.Equal("1", ContainerLimits.ParseSysctls(["net.ipv4.ip_forward=1", "kernel.msgmax=9"], new IsolationOptions { Network = NetworkMode.None })["net.ipv4.ip_forward"]);
        foreach (string bad in (string[])["kernel.core_pattern=|x", "net.ipv4.ip_forward=1", "vm.swappiness=1", "kernel.msgmax", "net/ipv4/x=1"])
        {
            Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => ContainerLimits.ParseSysctls([bad], new IsolationOptions { Network = NetworkMode.Host })).Kind);
        }
    }

    [Fact]
    public void A_filter_of_Dockers_form_counts_what_is_for_this_container()
    {
        const string Profile = """
            {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}, {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []}],
             "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                          {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                          {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 5, "valueTwo": 6, "op": "SCMP_CMP_MASKED_EQ"}], "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
                          {"names": ["future"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}}]}
            """;
        SpecSeccomp plain = SeccompProfile.Read(Profile, [], ["X"]), admin = SeccompProfile.Read(Profile, ["CAP_SYS_ADMIN"], ["X"]);
        Assert.Equal(["read", "clone"], plain.Syscalls.Select(s => s.Names.Single()));
        Assert.Equal(["read", "mount"], admin.Syscalls.Select(s => s.Names.Single()));
        Assert.Equal(6UL, plain.Syscalls[1].Args!.Value.Single().ValueTwo);
        Assert.DoesNotContain("X", plain.Architectures);
        Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => SeccompProfile.Read("{}", [], [])).Kind);
        Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => SeccompProfile.Read("no", [], [])).Kind);
    }

    [Theory]
    [InlineData("--pid", "host", "host")]
    [InlineData("--pid", "private", null)]
    [InlineData("--pid", "container:x", "container:x")]
    [InlineData("--ipc", "shareable", null)]
    [InlineData("--uts", "host", "host")]
    [InlineData("--uts", "container:x", "!")]
    [InlineData("--pid", "container:", "!")]
    [InlineData("--cgroupns", "what", "!")]
    public void Namespaces_of_others_are_named(string option, string text, string? mode)
    {
        if (mode == "!")
        {
            Assert.Throws<StrataException>(() => ContainerLimits.ParseNamespace(option, text));
        }
        else
        {
            Assert.Equal(mode, ContainerLimits.ParseNamespace(option, text));
        }
    }
}
