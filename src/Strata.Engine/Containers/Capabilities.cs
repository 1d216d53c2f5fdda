using System.Collections.Immutable;

namespace Strata.Containers;

/// <summary>Which capabilities a container's processes may have.</summary>
public static class Capabilities
{
    /// <summary>
    /// The default: enough for package managers and servers that drop privileges (mask 0x800405fb). Docker's default also has MKNOD, NET_RAW and
    /// AUDIT_WRITE: raw sockets allow spoofing on a shared bridge, and device nodes and audit records are rarely needed. --cap-add gives them back.
    /// </summary>
    public static ImmutableArray<string> Default { get; } =
    [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID",
        "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
    ];

    /// <summary>All capabilities of the kernel (linux/capability.h), in order of their numbers.</summary>
    public static ImmutableArray<string> All { get; } =
    [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
        "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
        "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
        "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
    ];

    /// <summary>The default with some added and some dropped, as --cap-add and --cap-drop say it (with or without CAP_, any case; ALL). Adding wins over dropping ALL, dropping a name over adding ALL.</summary>
    /// <exception cref="StrataException">Invalid: no such capability.</exception>
    public static ImmutableArray<string> Resolve(IReadOnlyList<string> add, IReadOnlyList<string> drop)
    {
        ArgumentNullException.ThrowIfNull(add);
        ArgumentNullException.ThrowIfNull(drop);
        HashSet<string> added = [.. add.Select(Parse)];
        HashSet<string> dropped = [.. drop.Select(Parse)];
        IEnumerable<string> start = added.Contains("ALL") ? All : dropped.Contains("ALL") ? [] : Default;
        HashSet<string> result = [.. start.Where(c => !dropped.Contains(c) || added.Contains(c)), .. added.Where(c => c != "ALL")];
        result.ExceptWith(dropped.Where(c => !added.Contains(c)));
        return [.. All.Where(result.Contains)];
    }

    private static string Parse(string name)
    {
        string upper = name.ToUpperInvariant();
        if (upper == "ALL")
        {
            return upper;
        }
        string full = upper.StartsWith("CAP_", StringComparison.Ordinal) ? upper : "CAP_" + upper;
        return All.Contains(full) ? full : throw new StrataException(ErrorKind.Invalid, $"capability '{name}': the kernel has none of that name");
    }
}
