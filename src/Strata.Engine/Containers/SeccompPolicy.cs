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
    private static readonly Gate[] s_gated =
    [
        new("CAP_SYS_ADMIN", [
            "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
            "open_tree", "open_tree_attr", "perf_event_open", "pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns",
            "statmount", "umount", "umount2", "unshare",
        ]),
        new("CAP_BPF", ["bpf"]),
        new("CAP_PERFMON", ["perf_event_open"]),
        new("CAP_DAC_READ_SEARCH", ["open_by_handle_at"]),
        new("CAP_SYS_BOOT", ["reboot"]),
        new("CAP_SYS_CHROOT", ["chroot"]),
        new("CAP_SYS_MODULE", ["delete_module", "finit_module", "init_module"]),
        new("CAP_SYS_NICE", ["get_mempolicy", "mbind", "migrate_pages", "move_pages", "set_mempolicy", "set_mempolicy_home_node"]),
        new("CAP_SYS_PACCT", ["acct"]),
        new("CAP_SYS_PTRACE", ["kcmp", "pidfd_getfd", "process_madvise"]),
        new("CAP_SYS_RAWIO", ["ioperm", "iopl"]),
        new("CAP_SYS_TIME", ["clock_settime", "clock_settime64", "settimeofday", "stime"]),
        new("CAP_SYS_TTY_CONFIG", ["vhangup"]),
        new("CAP_SYSLOG", ["syslog"]),
    ];

    private sealed record Gate(string Capability, string[] Names);

    /// <summary>The rule for each known call, in the table's order.</summary>
    // Loops and a type of our own: this runs at every start of a container, and LINQ over tuples would be compiled each time.
    public static RuledCall[] For(IReadOnlyCollection<string> capabilities)
    {
        var refused = new HashSet<string>(s_refused);
        foreach (Gate gate in s_gated)
        {
            refused.UnionWith(gate.Names);
        }
        foreach (Gate gate in s_gated)
        {
            if (capabilities.Contains(gate.Capability))
            {
                refused.ExceptWith(gate.Names);
            }
        }
        refused.UnionWith(s_refused);
        bool namespaces = capabilities.Contains("CAP_SYS_ADMIN");
        ImmutableArray<Syscall> calls = SyscallTable.All;
        var rules = new RuledCall[calls.Length];
        for (int i = 0; i < rules.Length; i++)
        {
            rules[i] = new RuledCall(calls[i], calls[i].Name switch
            {
                "clone" when !namespaces => SyscallRule.CloneWithoutNamespaces,
                "clone3" when !namespaces => SyscallRule.Hide,
                "personality" => SyscallRule.KnownPersonality,
                "socket" => SyscallRule.SocketFamily,
                string name => refused.Contains(name) ? SyscallRule.Refuse : SyscallRule.Allow,
            });
        }
        return rules;
    }

    /// <summary>The policy as the runtime spec writes it; the runtime compiles it with libseccomp.</summary>
    public static SpecSeccomp ToSpec(IReadOnlyCollection<string> capabilities, ImmutableArray<string> architectures)
    {
        // aarch64 and arm spell some calls in a way of their own.
        List<string> allowed = ["arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2"], refused = [];
        bool restrictsClone = false;
        foreach (RuledCall ruled in For(capabilities))
        {
            restrictsClone |= ruled.Rule == SyscallRule.CloneWithoutNamespaces;
            if (ruled.Rule is SyscallRule.Allow or SyscallRule.Refuse)
            {
                (ruled.Rule == SyscallRule.Allow ? allowed : refused).Add(ruled.Call.Name);
            }
        }
        const int eperm = 1, enosys = 38;
        ImmutableArray<SpecSyscall>.Builder rules = ImmutableArray.CreateBuilder<SpecSyscall>();
        rules.Add(new([.. allowed], "SCMP_ACT_ALLOW"));
        rules.Add(new([.. refused], "SCMP_ACT_ERRNO") { ErrnoRet = eperm });
        if (restrictsClone)
        {
            rules.Add(new(["clone"], "SCMP_ACT_ALLOW") { Args = [new SpecSyscallArg(0, NamespaceFlags, "SCMP_CMP_MASKED_EQ") { ValueTwo = 0 }] });
            rules.Add(new(["clone3"], "SCMP_ACT_ERRNO") { ErrnoRet = enosys });
        }
        foreach (uint personality in Personalities)
        {
            rules.Add(new(["personality"], "SCMP_ACT_ALLOW") { Args = [new(0, personality, "SCMP_CMP_EQ")] });
        }
        // Arguments of one rule are and-ed, rules are or-ed: below 38, 39, above 40.
        rules.Add(new(["socket"], "SCMP_ACT_ALLOW") { Args = [new(0, RefusedFamilies[0], "SCMP_CMP_LT")] });
        rules.Add(new(["socket"], "SCMP_ACT_ALLOW") { Args = [new(0, RefusedFamilies[0] + 1, "SCMP_CMP_EQ")] });
        rules.Add(new(["socket"], "SCMP_ACT_ALLOW") { Args = [new(0, RefusedFamilies[1], "SCMP_CMP_GT")] });
        return new SpecSeccomp("SCMP_ACT_ERRNO", enosys, architectures, rules.DrainToImmutable());
    }
}

/// <summary>A system call and what the filter does with it.</summary>
internal readonly record struct RuledCall(Syscall Call, SyscallRule Rule);
