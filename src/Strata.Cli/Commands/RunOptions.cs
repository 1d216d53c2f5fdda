using System.Collections.Immutable;
using System.Globalization;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary>The options of <c>run</c> and <c>create</c> about how a container lives and what it may use.</summary>
internal sealed class RunOptions
{
    private readonly Option<bool> _init = Options.Flag("--init", "a small first process that passes signals on and reaps");
    private readonly Option<string?> _restart = Options.Value("--restart", "POLICY", "no, on-failure[:N], always or unless-stopped");
    private readonly Option<string?> _stopTimeout = Options.Value("--stop-timeout", "SECONDS", "what stop waits before it kills (10)");
    private readonly Option<string?> _detachKeys = Options.Value("--detach-keys", "KEYS", "the keys that leave it (ctrl-p,ctrl-q)");
    private readonly Option<string[]> _groups = Options.Values("--group-add", "GROUP", "one more group of its process");
    private readonly Option<string[]> _annotations = Options.Values("--annotation", "NAME=VALUE", "annotation for the runtime");
    private readonly Option<string[]> _labelFile = Options.Values("--label-file", "FILE", "labels, a line each");
    private readonly Option<string[]> _ulimit = Options.Values("--ulimit", "NAME=SOFT[:HARD]", "resource limit, as nofile=1024:2048");
    private readonly Option<string?> _shmSize = Options.Value("--shm-size", "BYTES", "size of /dev/shm (64m)");
    private readonly Option<string[]> _device = Options.Values("--device", "SRC[:DST][:rwm]", "a device of the host");
    private readonly Option<string[]> _storage = Options.Values("--storage-opt", "size=BYTES", "how much it can write into its own layer");
    private readonly Option<string?> _memorySwap = Options.Value("--memory-swap", "BYTES", "most memory and swap together; -1: no limit");
    private readonly Option<string?> _memoryReservation = Options.Value("--memory-reservation", "BYTES", "what it may keep when memory is short");
    private readonly Option<string?> _cpus = Options.Value("--cpus", "N", "most processors, e.g. 1.5");
    private readonly Option<string?> _cpuShares = Options.Value("--cpu-shares", "N", "its weight beside others (1024)", "-c");
    private readonly Option<string?> _cpusetCpus = Options.Value("--cpuset-cpus", "LIST", "the processors it runs on, as 0-2,4");
    private readonly Option<string?> _cpusetMems = Options.Value("--cpuset-mems", "LIST", "the memory nodes it uses");
    private readonly Option<string?> _blkioWeight = Options.Value("--blkio-weight", "N", "its weight at disks, 10 to 1000");
    private readonly Option<string?> _cgroupParent = Options.Value("--cgroup-parent", "PATH", "the cgroup it is put below");
    private readonly Option<string?> _userns = Options.Value("--userns", "MODE", "host, or auto: users of its own, who are nobody on the host");
    private readonly Option<string?> _pid = Options.Value("--pid", "MODE", "private, host or container:NAME");
    private readonly Option<string?> _ipc = Options.Value("--ipc", "MODE", "private, host or container:NAME");
    private readonly Option<string?> _uts = Options.Value("--uts", "MODE", "private or host");
    private readonly Option<string?> _cgroupns = Options.Value("--cgroupns", "MODE", "private or host");
    private readonly Option<string[]> _sysctl = Options.Values("--sysctl", "NAME=VALUE", "kernel parameter of its namespaces");
    private readonly Option<string?> _oomScoreAdj = Options.Value("--oom-score-adj", "N", "how readily it is killed when memory is short");
    private readonly Option<string?> _healthCmd = Options.Value("--health-cmd", "COMMAND", "what tells whether it is healthy");
    private readonly Option<string?> _healthInterval = Options.Value("--health-interval", "TIME", "between two checks (30s)");
    private readonly Option<string?> _healthTimeout = Options.Value("--health-timeout", "TIME", "how long a check may take (30s)");
    private readonly Option<string?> _healthStart = Options.Value("--health-start-period", "TIME", "how long failures do not count (0s)");
    private readonly Option<string?> _healthStartInterval = Options.Value("--health-start-interval", "TIME", "between two checks of that time (5s)");
    private readonly Option<string?> _healthRetries = Options.Value("--health-retries", "N", "failures in a row that make it unhealthy (3)");
    private readonly Option<bool> _noHealth = Options.Flag("--no-healthcheck", "no health check, whatever the image says");

    internal IEnumerable<Symbol> All =>
    [
        _init, _restart, _stopTimeout, _detachKeys, _groups, _annotations, _labelFile, _ulimit, _shmSize, _device, _storage, _memorySwap, _memoryReservation, _cpus, _cpuShares, _cpusetCpus, _cpusetMems,
        _blkioWeight, _cgroupParent, _userns, _pid, _ipc, _uts, _cgroupns, _sysctl, _oomScoreAdj, _healthCmd, _healthInterval, _healthTimeout, _healthStart, _healthStartInterval,
        _healthRetries, _noHealth,
    ];

    /// <summary>What was said of these, over what is there.</summary>
    internal ContainerOptions Apply(ParseResult parsed, ContainerOptions options)
    {
        string[] labelFiles = parsed.GetValue(_labelFile);
        ContainerOptions applied = options with { Life = ReadLife(parsed), Health = ReadHealth(parsed), Isolation = ReadIsolation(parsed, options.Isolation) };
        if (applied is { Remove: true, Life.Restart.Kind: not RestartKind.No })
        {
            throw new StrataException(ErrorKind.Invalid, "conflicting options: cannot specify both --restart and --rm");
        }
        return labelFiles.Length == 0 ? applied : applied with { Labels = ReadLabels(labelFiles).SetItems(options.Labels) };
    }

    /// <summary>The keys that leave it.</summary>
    internal DetachKeys? Keys(ParseResult parsed) => DetachKeys.Parse(parsed.GetValue(_detachKeys));

    private LifeOptions ReadLife(ParseResult parsed)
    {
        string? keys = parsed.GetValue(_detachKeys);
        string[] annotations = parsed.GetValue(_annotations), groups = parsed.GetValue(_groups);
        var life = new LifeOptions
        {
            Init = parsed.GetValue(_init),
            StopTimeout = parsed.GetValue(_stopTimeout) is { } seconds ? Number(seconds, "--stop-timeout") : null,
            DetachKeys = keys,
            Groups = [.. groups],
        };
        foreach (string storage in parsed.GetValue(_storage))
        {
            life = life with { StorageBytes = ReadStorage(storage) };
        }
        life = parsed.GetValue(_restart) is { } restart ? life with { Restart = RestartPolicy.Parse(restart) } : life;
        return annotations.Length == 0 ? life : life with { Annotations = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(annotations)) };
    }

    private static string? ReadUsers(string mode) => mode is "" or "host" ? null : mode == "auto" ? mode
        : throw new StrataException(ErrorKind.Unsupported, $"--userns {mode}: there are host (the host's users) and auto (users of its own, who are nobody on the host)");

    private static long ReadStorage(string text) => text.StartsWith("size=", StringComparison.Ordinal) ? RunCommand.ParseBytes(text["size=".Length..], "--storage-opt size")
        : throw new StrataException(ErrorKind.Unsupported, $"--storage-opt {text}: there is size=BYTES only") { Hint = "write it like --storage-opt size=10g" };

    private IsolationOptions ReadIsolation(ParseResult parsed, IsolationOptions isolation)
    {
        long? memory = isolation.MemoryLimit;
        IsolationOptions read = isolation with
        {
            SharedMemoryBytes = parsed.GetValue(_shmSize) is { } shm ? RunCommand.ParseBytes(shm, "--shm-size") : isolation.SharedMemoryBytes,
            MemorySwap = parsed.GetValue(_memorySwap) is not { } swap ? null : swap == "-1" ? -1 : RunCommand.ParseBytes(swap, "--memory-swap"),
            MemoryReservation = parsed.GetValue(_memoryReservation) is { } reserved ? RunCommand.ParseBytes(reserved, "--memory-reservation") : null,
            MilliCpus = parsed.GetValue(_cpus) is { } cpus ? ReadCpus(cpus) : isolation.MilliCpus,
            CpuShares = parsed.GetValue(_cpuShares) is { } shares ? (ulong)Number(shares, "--cpu-shares") : null,
            CpusetCpus = parsed.GetValue(_cpusetCpus),
            CpusetMems = parsed.GetValue(_cpusetMems),
            BlkioWeight = parsed.GetValue(_blkioWeight) is { } weight ? ReadWeight(weight) : null,
            OomScoreAdj = parsed.GetValue(_oomScoreAdj) is { } score ? Number(score, "--oom-score-adj", -1000, 1000) : 0,
            CgroupParent = parsed.GetValue(_cgroupParent) is { } parent ? ReadCgroup(parent) : null,
            PidMode = parsed.GetValue(_pid) is { } pid ? NamespaceMode("--pid", pid) : null,
            IpcMode = parsed.GetValue(_ipc) is { } ipc ? NamespaceMode("--ipc", ipc) : null,
            UserMode = parsed.GetValue(_userns) is { } users ? ReadUsers(users) : null,
            UtsMode = parsed.GetValue(_uts) is { } uts ? NamespaceMode("--uts", uts) : null,
            CgroupMode = parsed.GetValue(_cgroupns) is { } cgroup ? NamespaceMode("--cgroupns", cgroup) : null,
        };
        if (read.MemorySwap > 0 && (memory is null || read.MemorySwap < memory))
        {
            throw new StrataException(ErrorKind.Invalid, "--memory-swap: it is memory and swap together, so it needs --memory, and cannot be below it");
        }
        return ReadLists(parsed, read);
    }

    private IsolationOptions ReadLists(ParseResult parsed, IsolationOptions isolation)
    {
        string[] limits = parsed.GetValue(_ulimit), devices = parsed.GetValue(_device), parameters = parsed.GetValue(_sysctl);
        isolation = limits.Length == 0 ? isolation : isolation with { Limits = Ulimits.Parse(limits) };
        isolation = devices.Length == 0 ? isolation : isolation with { Devices = ContainerLimits.ParseDevices(devices) };
        return parameters.Length == 0 ? isolation : isolation with { Sysctls = ContainerLimits.ParseSysctls(parameters, isolation) };
    }

    private HealthcheckConfig? ReadHealth(ParseResult parsed)
    {
        string? command = parsed.GetValue(_healthCmd), interval = parsed.GetValue(_healthInterval), timeout = parsed.GetValue(_healthTimeout), start = parsed.GetValue(_healthStart);
        string? startInterval = parsed.GetValue(_healthStartInterval), retries = parsed.GetValue(_healthRetries);
        if (parsed.GetValue(_noHealth))
        {
            return command is null && interval is null && timeout is null && start is null && startInterval is null && retries is null ? new HealthcheckConfig { Test = ["NONE"] }
                : throw new StrataException(ErrorKind.Invalid, "--no-healthcheck conflicts with --health-* options");
        }
        if (command is null && interval is null && timeout is null && start is null && startInterval is null && retries is null)
        {
            return null;
        }
        return new HealthcheckConfig
        {
            Test = command is null ? null : ["CMD-SHELL", command],
            Interval = interval is null ? null : Durations.Nanoseconds(interval, "--health-interval"),
            Timeout = timeout is null ? null : Durations.Nanoseconds(timeout, "--health-timeout"),
            StartPeriod = start is null ? null : Durations.Nanoseconds(start, "--health-start-period"),
            StartInterval = startInterval is null ? null : Durations.Nanoseconds(startInterval, "--health-start-interval"),
            Retries = retries is null ? null : Number(retries, "--health-retries"),
        };
    }

    private static string? NamespaceMode(string option, string text) => ContainerLimits.ParseNamespace(option, text);

    private static int ReadWeight(string text) => Number(text, "--blkio-weight", 0, 1000) is var weight && weight is 0 or >= 10 ? weight
        : throw new StrataException(ErrorKind.Invalid, $"--blkio-weight {text}: it is from 10 to 1000");

    private static string ReadCgroup(string text)
        => text.Split('/').All(p => p is not (".." or ".")) && text.Trim('/').Length > 0 && !text.Contains('\0', StringComparison.Ordinal) ? text
            : throw new StrataException(ErrorKind.Invalid, $"--cgroup-parent {text}: not a path of cgroups");

    internal static long ReadCpus(string text)
        => decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal count) && count >= 0.01m && count <= 65536
            ? (long)(count * 1000) : throw new StrataException(ErrorKind.Invalid, $"--cpus {text}: write it like 2 or 0.5");

    internal static int Number(string text, string option, int least = 0, int most = int.MaxValue)
        => int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number) && number >= least && number <= most ? number
            : throw new StrataException(ErrorKind.Invalid, $"{option} {text}: not a number{(least == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" from {least} to {most}"))}");

    // NAME, as --label has it, and NAME=VALUE; lines that begin with # are for people.
    private static ImmutableSortedDictionary<string, string> ReadLabels(string[] files)
        => ImmutableSortedDictionary<string, string>.Empty.SetItems(Options.Pairs(files.SelectMany(f => File.Exists(f) ? File.ReadLines(f) : throw new StrataException(ErrorKind.NotFound, $"--label-file {f}: no such file"))
            .Select(l => l.Trim()).Where(l => l.Length > 0 && !l.StartsWith('#'))));
}
