using System.Collections.Immutable;

namespace Strata.Containers;

/// <summary>What the filter does with a system call.</summary>
internal enum SyscallRule
{
    /// <summary>Not known to us: ENOSYS, so that programs fall back to what they did before the call existed.</summary>
    Unknown,
    /// <summary>Goes through.</summary>
    Allow,
    /// <summary>EPERM.</summary>
    Refuse,
    /// <summary>ENOSYS, though known: clone3 hides its flags behind a pointer, which a filter cannot read. glibc falls back to clone.</summary>
    Hide,
    /// <summary>Allowed without any CLONE_NEW* flag, else EPERM.</summary>
    CloneWithoutNamespaces,
    /// <summary>Allowed for the personalities that 32-bit and old programs ask for, else EPERM.</summary>
    KnownPersonality,
    /// <summary>Allowed but for AF_ALG (kernel crypto, a history of escapes) and AF_VSOCK (reaches the hypervisor past all network rules), else EPERM.</summary>
    SocketFamily,
}

/// <summary>
/// Which system calls a container may make. Deny by default: the table of known calls minus what is refused here is what is allowed. One
/// limit is the kernel's: i386 programs can make sockets through socketcall, whose arguments a filter cannot see.
/// </summary>
internal static class SeccompPolicy
{
    /// <summary>CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (linux/sched.h).</summary>
    public const uint NamespaceFlags = 0x7E020000;
    /// <summary>PER_LINUX, PER_LINUX32, UNAME26 of each, and "tell me" (linux/personality.h).</summary>
    public static ImmutableArray<uint> Personalities { get; } = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];
    /// <summary>AF_ALG and AF_VSOCK (linux/socket.h).</summary>
    public static ImmutableArray<uint> RefusedFamilies { get; } = [38, 40];

    // Refused whatever capabilities there are. Kernel keyrings are not namespaced; io_uring does what seccomp cannot see; userfaultfd and vmsplice
    // make kernel races winnable; kexec and swap are the machine's; the rest is old, gone or Linux security modules' own.
    private static readonly HashSet<string> s_refused =
    [
        "add_key", "keyctl", "request_key",
        "io_uring_enter", "io_uring_register", "io_uring_setup",
        "userfaultfd", "vmsplice",
        "kexec_file_load", "kexec_load", "swapoff", "swapon",
        "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr",
        "_sysctl", "afs_syscall", "bdflush", "break", "create_module", "ftime", "get_kernel_syms", "getpmsg", "gtty", "idle", "lock", "mpx",
        "nfsservctl", "prof", "profil", "putpmsg", "query_module", "security", "sgetmask", "ssetmask", "stty", "sysfs", "tuxcall", "ulimit",
        "uselib", "ustat", "vm86", "vm86old", "vserver",
    ];

    // Refused unless the container has the capability: the kernel checks it too, but its check may be inside a user namespace.
    private static readonly (string Capability, string[] Names)[] s_gated =
    [
        ("CAP_SYS_ADMIN", [
            "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
            "open_tree", "open_tree_attr", "perf_event_open", "pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns",
            "statmount", "umount", "umount2", "unshare",
        ]),
        ("CAP_BPF", ["bpf"]),
        ("CAP_PERFMON", ["perf_event_open"]),
        ("CAP_DAC_READ_SEARCH", ["open_by_handle_at"]),
        ("CAP_SYS_BOOT", ["reboot"]),
        ("CAP_SYS_CHROOT", ["chroot"]),
        ("CAP_SYS_MODULE", ["delete_module", "finit_module", "init_module"]),
        ("CAP_SYS_NICE", ["get_mempolicy", "mbind", "migrate_pages", "move_pages", "set_mempolicy", "set_mempolicy_home_node"]),
        ("CAP_SYS_PACCT", ["acct"]),
        ("CAP_SYS_PTRACE", ["kcmp", "pidfd_getfd", "process_madvise"]),
        ("CAP_SYS_RAWIO", ["ioperm", "iopl"]),
        ("CAP_SYS_TIME", ["clock_settime", "clock_settime64", "settimeofday", "stime"]),
        ("CAP_SYS_TTY_CONFIG", ["vhangup"]),
        ("CAP_SYSLOG", ["syslog"]),
    ];

    /// <summary>The rule for each known call, in the table's order.</summary>
    public static ImmutableArray<(Syscall Call, SyscallRule Rule)> For(IReadOnlyCollection<string> capabilities)
    {
        HashSet<string> allowedByCapability = [.. s_gated.Where(g => capabilities.Contains(g.Capability)).SelectMany(g => g.Names)];
        HashSet<string> refused = [.. s_gated.SelectMany(g => g.Names)];
        refused.ExceptWith(allowedByCapability);
        refused.UnionWith(s_refused);
        bool namespaces = capabilities.Contains("CAP_SYS_ADMIN");
        return [.. SyscallTable.All.Select(call => (call, call.Name switch
        {
            "clone" when !namespaces => SyscallRule.CloneWithoutNamespaces,
            "clone3" when !namespaces => SyscallRule.Hide,
            "personality" => SyscallRule.KnownPersonality,
            "socket" => SyscallRule.SocketFamily,
            _ => refused.Contains(call.Name) ? SyscallRule.Refuse : SyscallRule.Allow,
        }))];
    }

    /// <summary>The policy as the runtime spec writes it; the runtime compiles it with libseccomp.</summary>
    public static SpecSeccomp ToSpec(IReadOnlyCollection<string> capabilities, ImmutableArray<string> architectures)
    {
        ILookup<SyscallRule, string> names = For(capabilities).ToLookup(r => r.Rule, r => r.Call.Name);
        const int eperm = 1, enosys = 38;
        ImmutableArray<SpecSyscall>.Builder rules = ImmutableArray.CreateBuilder<SpecSyscall>();
        // aarch64 and arm spell two calls of their own.
        rules.Add(new([.. names[SyscallRule.Allow], "arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2"], "SCMP_ACT_ALLOW"));
        rules.Add(new([.. names[SyscallRule.Refuse]], "SCMP_ACT_ERRNO") { ErrnoRet = eperm });
        if (names[SyscallRule.CloneWithoutNamespaces].Any())
        {
            rules.Add(new(["clone"], "SCMP_ACT_ALLOW") { Args = [new SpecSyscallArg(0, NamespaceFlags, "SCMP_CMP_MASKED_EQ") { ValueTwo = 0 }] });
            rules.Add(new(["clone3"], "SCMP_ACT_ERRNO") { ErrnoRet = enosys });
        }
        rules.AddRange(Personalities.Select(p => new SpecSyscall(["personality"], "SCMP_ACT_ALLOW") { Args = [new(0, p, "SCMP_CMP_EQ")] }));
        // Arguments of one rule are and-ed, rules are or-ed: below 38, 39, above 40.
        rules.Add(new(["socket"], "SCMP_ACT_ALLOW") { Args = [new(0, RefusedFamilies[0], "SCMP_CMP_LT")] });
        rules.Add(new(["socket"], "SCMP_ACT_ALLOW") { Args = [new(0, RefusedFamilies[0] + 1, "SCMP_CMP_EQ")] });
        rules.Add(new(["socket"], "SCMP_ACT_ALLOW") { Args = [new(0, RefusedFamilies[1], "SCMP_CMP_GT")] });
        return new SpecSeccomp("SCMP_ACT_ERRNO", enosys, architectures, rules.DrainToImmutable());
    }
}
