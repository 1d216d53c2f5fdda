using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Strata.Containers;

/// <summary>Which network a container is in.</summary>
public enum NetworkMode
{
    /// <summary>The host's own.</summary>
    Host,
    /// <summary>Its own, with nothing in it but a loopback that is down.</summary>
    None,
    /// <summary>Its own, in bridge networks.</summary>
    Bridge,
    /// <summary>Another container's.</summary>
    Container,
}

/// <summary>What runs in a container: everything resolved, nothing left to look up.</summary>
public sealed record ProcessSpec(ImmutableArray<string> Arguments, ImmutableArray<string> Environment, string WorkingDirectory, ResolvedUser User)
{
    /// <summary>Whether it gets a terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>Rows and columns of that terminal at start.</summary>
    public (int Rows, int Columns)? TerminalSize { get; init; }
}

/// <summary>Numbers of a user, its group and its other groups; and its home directory.</summary>
public sealed record ResolvedUser(uint Uid, uint Gid, ImmutableArray<uint> Groups, string Home)
{
    /// <summary>Root.</summary>
    public static ResolvedUser Root { get; } = new(0, 0, [], "/root");
}

/// <summary>How far a container is closed off. The default is the hardened one.</summary>
public sealed partial record IsolationOptions
{
    /// <summary>Capabilities, by full name.</summary>
    public ImmutableArray<string> Capabilities { get; init; } = Containers.Capabilities.Default;
    /// <summary>Set-user-id programs gain nothing.</summary>
    public bool NoNewPrivileges { get; init; }
    /// <summary>False: no system call filter.</summary>
    public bool Seccomp { get; init; } = true;
    /// <summary>All devices, nothing masked, nothing read-only.</summary>
    public bool Privileged { get; init; }
    /// <summary>The root file system cannot be written to.</summary>
    public bool ReadOnlyRoot { get; init; }
    /// <summary>The network.</summary>
    public NetworkMode Network { get; init; } = NetworkMode.Host;
    /// <summary>Where the runtime finds the network namespace, at this start; null: it makes one, or uses the host's.</summary>
    internal string? NetworkPath { get; init; }
    /// <summary>The most processes and threads; null: no limit.</summary>
    public long? PidsLimit { get; init; } = 2048;
    /// <summary>The most memory, in bytes; null: no limit.</summary>
    public long? MemoryLimit { get; init; }
    /// <summary>The most processor time, in thousandths of a processor; null: no limit.</summary>
    public long? MilliCpus { get; init; }
    /// <summary>Size of /dev/shm in bytes.</summary>
    public long SharedMemoryBytes { get; init; } = 64 << 20;
    /// <summary>Resource limits beside that of open files, or in its place.</summary>
    public ImmutableArray<SpecRlimit> Limits { get; init; } = [];
}

/// <summary>What this machine offers; read once per process by <see cref="HostCgroups.Read"/>.</summary>
/// <param name="OpenFilesHard">This process's hard limit of open files: a container's cannot be above it.</param>
/// <param name="CgroupControllers">The controllers that a container's cgroup can use.</param>
/// <param name="Capabilities">This process's own capabilities, as bits: nobody can give what he does not have.</param>
/// <param name="ThermalThrottle">The directories that tell how hot each processor is, and so what neighbours do.</param>
public sealed record HostLimits(ulong OpenFilesHard, ImmutableArray<string> CgroupControllers, ulong Capabilities, ImmutableArray<string> ThermalThrottle)
{
    /// <summary>Whether an ordinary user asks: containers have no cgroup, and what the host alone may mount is bound in its place.</summary>
    public bool IsRootless { get; init; }
    /// <summary>Whether there is a group for terminals; a user without subordinate ids has one group, which is 0.</summary>
    public bool HasTerminalGroup { get; init; } = true;
}

/// <summary>Makes config.json. Pure: reads nothing but the numbers of the devices it is given, so that the same input gives the same container.</summary>
public static class RuntimeSpec
{
    /// <summary>Paths that a container must have because something is mounted there.</summary>
    public static ImmutableArray<string> StandardMountPoints { get; } = ["/proc", "/dev", "/sys"];

    // Host facts that help an attacker, or are not namespaced (GHSA-6fw5-f8r9-fgfm, GHSA-jq35-85cj-fj4p among the reasons).
    private static readonly ImmutableArray<string> s_masked =
    [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
        "/proc/timer_list", "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux",
    ];
    private static readonly ImmutableArray<string> s_readOnly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys/fs/cgroup"];

    // Where each controller has a tree of its own (v1), the runtime's bind of /sys/fs/cgroup over itself shows the trees below it as they are on the host,
    // writable: each is closed by itself. Where there is one tree the names are not there, and the runtime leaves them out.
    private static ImmutableArray<string> ReadOnlyPaths(HostLimits host)
    {
        ImmutableArray<string>.Builder paths = ImmutableArray.CreateBuilder<string>(s_readOnly.Length + host.CgroupControllers.Length);
        paths.AddRange(s_readOnly);
        foreach (string controller in host.CgroupControllers)
        {
            paths.Add("/sys/fs/cgroup/" + controller);
        }
        return paths.DrainToImmutable();
    }

    // /dev/null, zero, full, random, urandom, tty, ptmx and the pseudo terminals, console: what every runtime makes by itself.
    private static readonly ImmutableArray<SpecDeviceRule> s_devices =
    [
        new(true, "c", 1, 3, "rwm"), new(true, "c", 1, 5, "rwm"), new(true, "c", 1, 7, "rwm"), new(true, "c", 1, 8, "rwm"), new(true, "c", 1, 9, "rwm"),
        new(true, "c", 5, 0, "rwm"), new(true, "c", 5, 1, "rwm"), new(true, "c", 5, 2, "rwm"), new(true, "c", 136, null, "rwm"),
    ];

    // CAP_MKNOD is in the standard set: a node of any device may be made (images carry them), and none but the ones above opened.
    private static readonly ImmutableArray<SpecDeviceRule> s_mayMake = [new(true, "c", null, null, "m"), new(true, "b", null, null, "m")];

    private const string OpenFilesName = "RLIMIT_NOFILE";
    private const ulong OpenFiles = 1 << 20;

    // What is mounted outside comes into a mount, or what is mounted in it goes out, only where that is so of the root it is mounted in.
    private static string RootPropagation(IReadOnlyList<SpecMount> mounts)
        => mounts.Any(m => m.Options.Any(o => o is "shared" or "rshared")) ? "rshared" : mounts.Any(m => m.Options.Any(o => o is "slave" or "rslave")) ? "rslave" : "private";

    /// <summary>The document for one process in a root file system at <paramref name="root"/>.</summary>
    /// <param name="root">Absolute path of the mounted root file system.</param>
    /// <param name="hostname">Name in the UTS namespace.</param>
    /// <param name="process">What runs.</param>
    /// <param name="isolation">How far it is closed off.</param>
    /// <param name="mounts">Mounts beside the standard ones, in any order; one at a standard mount's place takes that place.</param>
    /// <param name="cgroup">Its place in the cgroup trees, absolute.</param>
    /// <param name="host">What the machine offers.</param>
    public static RuntimeSpecDocument Create(string root, string hostname, ProcessSpec process, IsolationOptions isolation, IReadOnlyList<SpecMount> mounts, string cgroup, HostLimits host)
    {
        ArgumentNullException.ThrowIfNull(process);
        ArgumentNullException.ThrowIfNull(isolation);
        ArgumentNullException.ThrowIfNull(host);
        ImmutableArray<string> capabilities = Given(isolation, host);
        bool filter = isolation.Seccomp && !isolation.Privileged;
        return new RuntimeSpecDocument(
            CreateProcess(process, isolation, host),
            new SpecRoot(root, isolation.ReadOnlyRoot),
            new SpecLinux(Namespaces(isolation))
            {
                CgroupsPath = host.IsRootless ? null : cgroup,
                Resources = Resources(isolation, host),
                RootfsPropagation = RootPropagation(mounts),
                Sysctl = isolation.Sysctls.IsEmpty ? null : isolation.Sysctls,
                Devices = isolation.Devices.IsEmpty ? null : HostDevices.ToSpec(isolation.Devices),
                MaskedPaths = isolation.Privileged ? [] : s_masked.AddRange(host.ThermalThrottle),
                ReadonlyPaths = isolation.Privileged ? [] : ReadOnlyPaths(host),
                Seccomp = !filter ? null : isolation.SeccompProfile is { } profile ? SeccompProfile.Read(profile, capabilities, Architectures()) : SeccompPolicy.ToSpec(capabilities, Architectures()),
            })
        {
            Hostname = isolation.UtsMode is null ? hostname : null,
            Mounts = Mounts(isolation, mounts, host),
            Annotations = filter && isolation.SeccompProfile is null && RuntimeInformation.ProcessArchitecture == Architecture.X64
                ? ImmutableSortedDictionary<string, string>.Empty.Add("run.oci.seccomp_bpf_data", Convert.ToBase64String(SeccompProgram.Compile(capabilities)))
                : null,
        };
    }

    /// <summary>The document of one process: the container's first, or a further one beside it, closed off alike.</summary>
    public static SpecProcess CreateProcess(ProcessSpec process, IsolationOptions isolation, HostLimits host)
    {
        ArgumentNullException.ThrowIfNull(process);
        ArgumentNullException.ThrowIfNull(isolation);
        ArgumentNullException.ThrowIfNull(host);
        ulong openFiles = Math.Min(OpenFiles, host.OpenFilesHard);
        return new SpecProcess(new SpecUser(process.User.Uid, process.User.Gid) { AdditionalGids = process.User.Groups }, process.Arguments, process.Environment, process.WorkingDirectory)
        {
            Terminal = process.Terminal,
            ConsoleSize = process is { Terminal: true, TerminalSize: (int rows, int columns) } ? new SpecConsoleSize(rows, columns) : null,
            Capabilities = EffectiveFor(process.User, Given(isolation, host)),
            Rlimits = isolation.Limits.Any(l => l.Type == OpenFilesName) ? isolation.Limits : [new SpecRlimit(OpenFilesName, openFiles, openFiles), .. isolation.Limits],
            NoNewPrivileges = isolation.NoNewPrivileges,
            OomScoreAdj = isolation.OomScoreAdj,
        };
    }

    // Nobody can give what he does not have.
    private static ImmutableArray<string> Given(IsolationOptions isolation, HostLimits host)
        => [.. (isolation.Privileged ? Capabilities.All : isolation.Capabilities).Where(c => (host.Capabilities >> Capabilities.All.IndexOf(c) & 1) != 0)];

    /// <summary>The limits alone, as a running container's can be changed: no devices.</summary>
    public static SpecResources Limits(IsolationOptions isolation, HostLimits host) => Resources(isolation, host) with { Devices = null };

    // Not root: the process starts without capabilities, and gets those of the bounding set from set-user-id programs only.
    private static SpecCapabilities EffectiveFor(ResolvedUser user, ImmutableArray<string> capabilities)
        => user.Uid == 0 ? new SpecCapabilities(capabilities, capabilities, capabilities, [], []) : new SpecCapabilities(capabilities, [], [], [], []);

    private static ImmutableArray<SpecNamespace> Namespaces(IsolationOptions isolation)
    {
        ImmutableArray<SpecNamespace>.Builder result = ImmutableArray.CreateBuilder<SpecNamespace>();
        Add(result, "pid", isolation.PidMode);
        result.Add(new("mount"));
        Add(result, "ipc", isolation.IpcMode);
        Add(result, "uts", isolation.UtsMode);
        Add(result, "cgroup", isolation.CgroupMode);
        if (isolation.Users is { } users)
        {
            result.Add(new("user") { Path = users.NamespacePath });
        }
        if (isolation.Network != NetworkMode.Host)
        {
            result.Add(new("network") { Path = isolation.NetworkPath });
        }
        return result.DrainToImmutable();
    }

    // Null: one of its own. A path: that of somebody else, who runs. Anything else is the host's, which nothing is said of.
    private static void Add(ImmutableArray<SpecNamespace>.Builder result, string type, string? mode)
    {
        if (mode is null or ['/', ..])
        {
            result.Add(new(type) { Path = mode });
        }
    }

    private static ImmutableArray<string> Architectures() => RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        Architecture.Arm64 => ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        _ => [],
    };

    private static SpecResources Resources(IsolationOptions isolation, HostLimits host)
    {
        const ulong period = 100_000;
        if (host.IsRootless)
        {
            UserLimits.Check(isolation);
        }
        return new SpecResources
        {
            Devices = host.CgroupControllers.Contains("devices")
                ? isolation.Privileged
                    ? [new SpecDeviceRule(true, null, null, null, "rwm")]
                    : [new SpecDeviceRule(false, null, null, null, "rwm"), .. s_mayMake, .. s_devices, .. isolation.Devices.IsEmpty ? [] : HostDevices.Rules(isolation.Devices)]
                : null,
            Pids = isolation.PidsLimit is { } pids && host.CgroupControllers.Contains("pids") ? new SpecPids(pids) : null,
            Memory = isolation.MemoryLimit is null && isolation.MemorySwap is null && isolation.MemoryReservation is null ? null
                : new SpecMemory(isolation.MemoryLimit, isolation.MemorySwap) { Reservation = isolation.MemoryReservation },
            Cpu = isolation.MilliCpus is null && isolation.CpuShares is null && isolation.CpusetCpus is null && isolation.CpusetMems is null ? null
                : new SpecCpu(isolation.CpuShares, isolation.MilliCpus * (long)period / 1000, isolation.MilliCpus is null ? null : period) { Cpus = isolation.CpusetCpus, Mems = isolation.CpusetMems },
            BlockIoWeight = isolation.BlkioWeight,
        };
    }

    private static ImmutableArray<SpecMount> Mounts(IsolationOptions isolation, IReadOnlyList<SpecMount> additional, HostLimits host)
    {
        string readOnly = isolation.Privileged ? "rw" : "ro";
        SpecMount[] standard =
        [
            new("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
            new("/dev", "tmpfs", "tmpfs", ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]),
            new("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", .. host.HasTerminalGroup ? (string[])["gid=5"] : []]),
            new("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", string.Create(System.Globalization.CultureInfo.InvariantCulture, $"size={isolation.SharedMemoryBytes}")]),
            new("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
            // Who has the host's network without being its root may not mount sysfs, which shows that network: the host's mount is shown in its place.
            (host.IsRootless || isolation.Users is not null) && isolation.Network == NetworkMode.Host ? new("/sys", "none", "/sys", ["rbind", "nosuid", "noexec", "nodev", "ro"]) : new("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", readOnly]),
            .. host.IsRootless ? (SpecMount[])[] : [new("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", readOnly])],
        ];
        List<SpecMount> mounts = [.. standard];
        // A mount below another comes after it; the order of equals stays.
        for (int depth = 0, left = additional.Count; left > 0; depth++)
        {
            foreach (SpecMount mount in additional)
            {
                if (mount.Destination.AsSpan().Count('/') == depth)
                {
                    mounts.RemoveAll(m => m.Destination == mount.Destination && standard.Contains(m));
                    mounts.Add(mount);
                    left--;
                }
            }
        }
        return [.. mounts];
    }
}
