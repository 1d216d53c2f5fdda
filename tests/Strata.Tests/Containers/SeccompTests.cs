using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text.Json;
using Strata.Containers;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class SeccompTests
{
    private const uint X64 = 0xC000003E, X86 = 0x40000003, Arm64 = 0xC00000B7;
    private const uint Allow = 0x7fff0000, Eperm = 0x50001, Enosys = 0x50026;

    // Runs the program as the kernel does: struct seccomp_data {int nr; u32 arch; u64 ip; u64 args[6]}.
    private static uint Run(byte[] program, uint architecture, uint number, ulong argument)
    {
        byte[] data = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(data, number);
        BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(4), architecture);
        BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(16), argument);
        uint accumulator = 0;
        for (int pc = 0; ; pc++)
        {
            ReadOnlySpan<byte> at = program.AsSpan(pc * 8, 8);
            uint k = BinaryPrimitives.ReadUInt32LittleEndian(at[4..]);
            switch (BinaryPrimitives.ReadUInt16LittleEndian(at))
            {
                case 0x20: accumulator = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan((int)k)); break;
                case 0x15: pc += accumulator == k ? at[2] : at[3]; break;
                case 0x35: pc += accumulator >= k ? at[2] : at[3]; break;
                case 0x45: pc += (accumulator & k) != 0 ? at[2] : at[3]; break;
                case 0x05: pc += (int)k; break;
                case 0x06: return k;
                default: throw new InvalidOperationException("no such instruction");
            }
        }
    }

    public static TheoryData<string[]> CapabilitySets => new([.. Capabilities.Default], [], [.. Capabilities.All], ["CAP_SYS_ADMIN"], ["CAP_SYS_PTRACE", "CAP_SYS_TIME"]);

    [Theory]
    [MemberData(nameof(CapabilitySets))]
    public void The_program_answers_every_call_as_the_policy_says(string[] capabilities)
    {
        byte[] program = SeccompProgram.Compile(capabilities);
        Assert.True(program.Length / 8 <= 4096, "BPF_MAXINSNS");
        RuledCall[] rules = SeccompPolicy.For(capabilities);
        foreach ((uint architecture, Func<Syscall, int?> number) in new (uint, Func<Syscall, int?>)[] { (X64, c => c.X64), (X86, c => c.X86) })
        {
            Dictionary<uint, SyscallRule> byNumber = rules.Where(r => number(r.Call) is not null).ToDictionary(r => (uint)number(r.Call)!.Value, r => r.Rule);
            for (uint n = 0; n < 1100; n++)
            {
                SyscallRule rule = byNumber.GetValueOrDefault(n, SyscallRule.Unknown);
                foreach (ulong argument in (ulong[])[0, 2, 8, 16, 38, 39, 40, 41, 0x11, 0x20000, 0x20008, 0x10000000, 0x7E020011, 0xffffffff, 0x100000000])
                {
                    Assert.Equal(Expected(rule, (uint)argument), Run(program, architecture, n, argument));
                }
            }
        }
    }

    private static uint Expected(SyscallRule rule, uint argument) => rule switch
    {
        SyscallRule.Allow => Allow,
        SyscallRule.Refuse => Eperm,
        SyscallRule.Unknown or SyscallRule.Hide => Enosys,
        SyscallRule.CloneWithoutNamespaces => (argument & 0x7E020000) == 0 ? Allow : Eperm,
        SyscallRule.KnownPersonality => argument is 0 or 8 or 0x20000 or 0x20008 or 0xffffffff ? Allow : Eperm,
        _ => argument is 38 or 40 ? Eperm : Allow,
    };

    [Theory]
    [InlineData(Arm64, 0u)]
    [InlineData(X64, 0x40000000u)] // x32: its calls have this bit
    [InlineData(X64, 0xffffffffu)]
    public void Another_architecture_gets_nothing(uint architecture, uint number) => Assert.Equal(Enosys, Run(SeccompProgram.Compile(Capabilities.Default), architecture, number, 0));

    [Theory]
    [InlineData("read", nameof(SyscallRule.Allow))]
    [InlineData("execve", nameof(SyscallRule.Allow))]
    [InlineData("openat2", nameof(SyscallRule.Allow))]
    [InlineData("futex_waitv", nameof(SyscallRule.Allow))]
    [InlineData("chroot", nameof(SyscallRule.Allow))] // CAP_SYS_CHROOT is in the default
    [InlineData("mount", nameof(SyscallRule.Refuse))]
    [InlineData("unshare", nameof(SyscallRule.Refuse))]
    [InlineData("setns", nameof(SyscallRule.Refuse))]
    [InlineData("bpf", nameof(SyscallRule.Refuse))]
    [InlineData("perf_event_open", nameof(SyscallRule.Refuse))]
    [InlineData("keyctl", nameof(SyscallRule.Refuse))]
    [InlineData("add_key", nameof(SyscallRule.Refuse))]
    [InlineData("io_uring_setup", nameof(SyscallRule.Refuse))]
    [InlineData("userfaultfd", nameof(SyscallRule.Refuse))]
    [InlineData("open_by_handle_at", nameof(SyscallRule.Refuse))]
    [InlineData("kexec_load", nameof(SyscallRule.Refuse))]
    [InlineData("reboot", nameof(SyscallRule.Refuse))]
    [InlineData("init_module", nameof(SyscallRule.Refuse))]
    [InlineData("clock_settime", nameof(SyscallRule.Refuse))]
    [InlineData("clone3", nameof(SyscallRule.Hide))]
    public void The_default_policy_is(string call, string rule)
        => Assert.Equal(rule, SeccompPolicy.For(Capabilities.Default).Single(r => r.Call.Name == call).Rule.ToString());

    [Fact]
    public void Every_known_call_is_in_the_spec_once_or_by_argument()
    {
        SpecSeccomp spec = SeccompPolicy.ToSpec(Capabilities.Default, ["SCMP_ARCH_X86_64"]);
        HashSet<string> named = [.. spec.Syscalls.SelectMany(s => s.Names)];
        Assert.All(SyscallTable.All, call => Assert.Contains(call.Name, named));
        IEnumerable<string> unconditional = spec.Syscalls.Where(s => s.Args is null).SelectMany(s => s.Names);
        Assert.Equal(unconditional.Count(), unconditional.Distinct().Count());
    }

    [Fact]
    public void The_table_has_the_kernels_numbers()
    {
        // linux: arch/x86/entry/syscalls/syscall_64.tbl, syscall_32.tbl
        Dictionary<string, Syscall> table = SyscallTable.All.ToDictionary(c => c.Name);
        Assert.Equal((0, 3), (table["read"].X64, table["read"].X86));
        Assert.Equal((59, 11), (table["execve"].X64, table["execve"].X86));
        Assert.Equal((435, 435), (table["clone3"].X64, table["clone3"].X86));
        Assert.Null(table["socketcall"].X64);
        Assert.Equal(table.Count, SyscallTable.All.Length);
        Assert.Equal(SyscallTable.All.Count(c => c.X64 is not null), SyscallTable.All.Select(c => c.X64).OfType<int>().Distinct().Count());
        Assert.Equal(SyscallTable.All.Count(c => c.X86 is not null), SyscallTable.All.Select(c => c.X86).OfType<int>().Distinct().Count());
    }

    [Fact]
    public void The_default_capabilities_are_these_eleven()
    {
        ulong mask = Capabilities.Default.Aggregate(0UL, (bits, name) => bits | (1UL << Capabilities.All.IndexOf(name)));
        Assert.Equal(0x800405fbUL, mask);
    }

    [Theory]
    [InlineData("NET_ADMIN", "", 12)]
    [InlineData("cap_net_admin", "CHOWN", 11)]
    [InlineData("ALL", "", 41)]
    [InlineData("ALL", "SYS_ADMIN", 40)]
    [InlineData("", "ALL", 0)]
    [InlineData("CHOWN", "all", 1)]
    [InlineData("", "", 11)]
    public void Capabilities_are_added_and_dropped(string add, string drop, int count)
        => Assert.Equal(count, Capabilities.Resolve(add.Length == 0 ? [] : [add], drop.Length == 0 ? [] : [drop]).Length);

    [Fact]
    public void An_unknown_capability_is_refused()
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => Capabilities.Resolve(["FLY"], [])).Kind);

    [Fact]
    public void The_document_is_written_as_the_runtime_spec_names_it()
    {
        var process = new ProcessSpec(["/bin/sh"], ["A=+1"], "/", new ResolvedUser(1000, 1001, [10], "/home/app")) { Terminal = true, TerminalSize = (24, 80) };
        var mounts = new SpecMount[] { new("/a/b", "bind", "/src", ["rbind"]), new("/a", "bind", "/src", ["rbind"]), new("/dev/shm", "tmpfs", "tmpfs", ["size=1m"]) };
        RuntimeSpecDocument document = RuntimeSpec.Create("/root/fs", "host", process, new IsolationOptions { Network = NetworkMode.None }, mounts, "/strata/x", new HostLimits(4096, ["pids", "devices"], ulong.MaxValue, ["/sys/devices/system/cpu/cpu0/thermal_throttle"]));
        JsonElement json = JsonDocument.Parse(RuntimeSpecJson.Serialize(document)).RootElement;
        Assert.Equal(["pid", "mount", "ipc", "uts", "cgroup", "network"], json.GetProperty("linux").GetProperty("namespaces").EnumerateArray().Select(n => n.GetProperty("type").GetString()));
        Assert.Equal(4096, json.GetProperty("process").GetProperty("rlimits")[0].GetProperty("hard").GetInt64());
        Assert.Equal(2048, json.GetProperty("linux").GetProperty("resources").GetProperty("pids").GetProperty("limit").GetInt64());
        Assert.Equal(80, json.GetProperty("process").GetProperty("consoleSize").GetProperty("width").GetInt32());
        Assert.Equal([10], json.GetProperty("process").GetProperty("user").GetProperty("additionalGids").EnumerateArray().Select(g => g.GetInt32()));
        Assert.Empty(json.GetProperty("process").GetProperty("capabilities").GetProperty("effective").EnumerateArray()); // not root
        Assert.Equal(11, json.GetProperty("process").GetProperty("capabilities").GetProperty("bounding").GetArrayLength());
        ImmutableArray<string> targets = [.. document.Mounts.Select(m => m.Destination)];
        Assert.True(targets.IndexOf("/a") < targets.IndexOf("/a/b"));
        Assert.Single(targets, t => t == "/dev/shm");
        Assert.Contains("\"A=+1\"", json.GetRawText(), StringComparison.Ordinal);
        Assert.Contains("/sys/devices/system/cpu/cpu0/thermal_throttle", document.Linux.MaskedPaths);
        Assert.False(document.Linux.Resources!.Devices!.Value[0].Allow);
    }

    [Fact]
    public void Privileged_opens_what_is_closed_else()
    {
        RuntimeSpecDocument document = RuntimeSpec.Create("/r", "h", new ProcessSpec(["x"], [], "/", ResolvedUser.Root), new IsolationOptions { Privileged = true }, [], "/strata/x", new HostLimits(1 << 20, ["devices"], ulong.MaxValue >> 24, []));
        Assert.Null(document.Linux.Seccomp);
        Assert.Null(document.Annotations);
        Assert.Empty(document.Linux.MaskedPaths);
        Assert.Empty(document.Linux.ReadonlyPaths);
        Assert.Equal(40, document.Process.Capabilities!.Effective.Length); // all that we have ourselves: the last one we have not
        Assert.True(document.Linux.Resources!.Devices!.Value.Single().Allow);
        Assert.Null(document.Linux.Resources.Pids); // the machine has no such controller
    }
}
