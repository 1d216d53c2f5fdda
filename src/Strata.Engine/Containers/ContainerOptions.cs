using System.Collections.Immutable;
using System.Globalization;
using Strata.Containers.Networks;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>What a person can say about a container to be made; what is not said comes from the image.</summary>
public sealed partial record ContainerOptions
{
    /// <summary>The image, as typed.</summary>
    public required string Image { get; init; }
    /// <summary>In place of the image's CMD where not empty.</summary>
    public ImmutableArray<string> Command { get; init; } = [];
    /// <summary>In place of the image's ENTRYPOINT, and then its CMD is not used either; empty: none.</summary>
    public ImmutableArray<string>? Entrypoint { get; init; }
    /// <summary>A name; one is made up where null.</summary>
    public string? Name { get; init; }
    /// <summary><c>NAME=value</c>, over the image's.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>In place of WORKDIR.</summary>
    public string? WorkingDirectory { get; init; }
    /// <summary>In place of USER.</summary>
    public string? User { get; init; }
    /// <summary>The first 12 digits of the id where null; with the host's network too: a name of its own.</summary>
    public string? Hostname { get; init; }
    /// <summary>As -v says it: <c>SOURCE:TARGET[:OPTIONS]</c> or <c>TARGET</c>.</summary>
    public ImmutableArray<string> Volumes { get; init; } = [];
    /// <summary>As --mount says it: <c>type=…,source=…,target=…</c>.</summary>
    public ImmutableArray<string> Mounts { get; init; } = [];
    /// <summary>As --tmpfs says it: <c>TARGET[:OPTIONS]</c>.</summary>
    public ImmutableArray<string> Tmpfs { get; init; } = [];
    /// <summary>Over the image's.</summary>
    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>In place of STOPSIGNAL.</summary>
    public string? StopSignal { get; init; }
    /// <summary>Keep its input open.</summary>
    public bool Input { get; init; }
    /// <summary>Give it a terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>Remove it, and its anonymous volumes, when it ends.</summary>
    public bool Remove { get; init; }
    /// <summary>How far it is closed off.</summary>
    public IsolationOptions Isolation { get; init; } = new();
    /// <summary>Its place in the net.</summary>
    public NetworkOptions Networking { get; init; } = new();
}

/// <summary>From an image's config and what a person said to a container. Pure.</summary>
internal static class ContainerPlan
{
    /// <summary>The PATH of an image that names none: Docker's.</summary>
    public const string DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>An image with this label does not run on older kernels: a container has the host's kernel, whatever its image ships.</summary>
    public const string MinimumKernelLabel = "org.strata.kernel.minimum";

    private static readonly System.Buffers.SearchValues<char> s_versionCharacters = System.Buffers.SearchValues.Create("0123456789.");

    /// <summary>The record; mounts of the host are not looked at here.</summary>
    /// <exception cref="StrataException">Invalid: what is asked for makes no container.</exception>
    public static ContainerRecord Resolve(ContainerOptions options, ImageConfig image, Descriptor manifest, Digest imageId, string id, string name, DateTimeOffset created)
    {
        ContainerConfig config = image.Config ?? new ContainerConfig();
        string hostname = options.Hostname ?? id[..12];
        string workingDirectory = options.WorkingDirectory ?? (string.IsNullOrEmpty(config.WorkingDir) ? "/" : config.WorkingDir);
        return new ContainerRecord
        {
            Id = id,
            Name = name,
            Created = created,
            Image = options.Image,
            Manifest = manifest,
            ImageId = imageId,
            Arguments = Arguments(options, config),
            Environment = Environment(options, config, hostname),
            WorkingDirectory = workingDirectory.StartsWith('/') ? workingDirectory : "/" + workingDirectory,
            User = options.User ?? config.User,
            Hostname = CheckHostname(hostname),
            Terminal = options.Terminal,
            Input = options.Input,
            Remove = options.Remove,
            Labels = (config.Labels ?? ImmutableSortedDictionary<string, string>.Empty).SetItems(options.Labels),
            StopSignal = Signals.Parse(options.StopSignal ?? config.StopSignal ?? "SIGTERM"),
            Mounts = Mounts(options, config),
            Config = Merge(options, config),
            Isolation = ContainerUsers.Check(UserNamespace.Current is null ? options.Isolation : UserLimits.Check(options.Isolation)),
            Networking = NetworkPlan.Resolve(options, config),
            Life = options.Life,
        };
    }

    private static ContainerConfig Merge(ContainerOptions options, ContainerConfig config) => config with
    {
        Entrypoint = options.Entrypoint is { } entrypoint ? (entrypoint.IsEmpty ? null : entrypoint) : config.Entrypoint,
        Cmd = options.Command.Length > 0 ? options.Command : options.Entrypoint is null ? config.Cmd : null,
        Env = options.Environment.IsEmpty ? config.Env : Merge([.. config.Env ?? [], .. options.Environment]),
        User = options.User ?? config.User,
        WorkingDir = options.WorkingDirectory ?? config.WorkingDir,
        Labels = options.Labels.IsEmpty ? config.Labels : (config.Labels ?? ImmutableSortedDictionary<string, string>.Empty).SetItems(options.Labels),
        StopSignal = options.StopSignal ?? config.StopSignal,
        ExposedPorts = NetworkPlan.Exposed(options, config),
        Healthcheck = options.Health is { } health ? HealthPlan.Merge(config.Healthcheck, health) : config.Healthcheck,
    };

    /// <summary>Refuses an image that asks for a newer kernel.</summary>
    /// <exception cref="StrataException">Unsupported: names both versions; Invalid: the label is no version.</exception>
    public static void CheckKernel(string image, IReadOnlyDictionary<string, string> labels, string kernelRelease)
    {
        if (!labels.TryGetValue(MinimumKernelLabel, out string? minimum))
        {
            return;
        }
        Version needed = ParseKernel(minimum) ?? throw new StrataException(ErrorKind.Invalid, $"{image}: label {MinimumKernelLabel}={minimum}: not a kernel version");
        if (ParseKernel(kernelRelease) is { } running && running < needed)
        {
            throw new StrataException(ErrorKind.Unsupported, $"{image}: needs Linux {minimum} ({MinimumKernelLabel}), and this machine runs {kernelRelease}")
            {
                Hint = "a container shares the kernel of its host: a newer one needs another host or a virtual machine",
            };
        }
    }

    // "6.18.44-amd64" is 6.18.44; "5" is 5.0.
    private static Version? ParseKernel(string text)
    {
        int end = text.AsSpan().IndexOfAnyExcept(s_versionCharacters);
        string numbers = (end < 0 ? text : text[..end]).Trim('.');
        return Version.TryParse(numbers.Contains('.', StringComparison.Ordinal) ? numbers : numbers + ".0", out Version? version)
            ? new Version(version.Major, version.Minor, Math.Max(version.Build, 0)) : null;
    }

    private static ImmutableArray<string> Arguments(ContainerOptions options, ContainerConfig config)
    {
        ImmutableArray<string> entrypoint = options.Entrypoint ?? config.Entrypoint ?? [];
        ImmutableArray<string> command = options.Command.Length > 0 ? options.Command : options.Entrypoint is null ? config.Cmd ?? [] : [];
        ImmutableArray<string> arguments = entrypoint.AddRange(command);
        if (arguments.IsEmpty)
        {
            throw new StrataException(ErrorKind.Invalid, $"{options.Image}: no command specified, and the image has neither CMD nor ENTRYPOINT");
        }
        return arguments.Any(a => a.Contains('\0', StringComparison.Ordinal)) || arguments[0].Length == 0
            ? throw new StrataException(ErrorKind.Invalid, $"{options.Image}: an argument has a NUL byte, or the program's name is empty") : arguments;
    }

    private static ImmutableArray<string> Environment(ContainerOptions options, ContainerConfig config, string hostname)
    {
        List<string> start = [DefaultPath, "HOSTNAME=" + hostname];
        if (options.Terminal)
        {
            start.Add("TERM=xterm");
        }
        return Merge([.. start, .. config.Env ?? [], .. options.Environment]);
    }

    /// <summary>Each name once, at its first place, with its last value.</summary>
    internal static ImmutableArray<string> Merge(IEnumerable<string> entries)
    {
        var result = new List<string>();
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (string entry in entries)
        {
            int equals = entry.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || entry.Contains('\0', StringComparison.Ordinal))
            {
                throw new StrataException(ErrorKind.Invalid, $"environment '{entry}': not NAME=value");
            }
            if (places.TryAdd(entry[..equals], result.Count))
            {
                result.Add(entry);
            }
            else
            {
                result[places[entry[..equals]]] = entry;
            }
        }
        return [.. result];
    }

    // RFC 1123, and 64 bytes of sethostname(2).
    private static string CheckHostname(string name)
        => name.Length is > 0 and <= 64 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_') && name[0] != '-'
            ? name : throw new StrataException(ErrorKind.Invalid, $"hostname '{name}': only letters, digits, '-', '.' and '_', at most 64");

    private static ImmutableArray<ContainerMount> Mounts(ContainerOptions options, ContainerConfig config)
    {
        List<ContainerMount> mounts = [.. options.Volumes.Select(ContainerMounts.ParseVolume), .. options.Mounts.Select(MountSyntax.Parse), .. options.Tmpfs.Select(ContainerMounts.ParseTmpfs)];
        foreach (IGrouping<string, ContainerMount> twice in mounts.GroupBy(m => m.Target).Where(g => g.Count() > 1))
        {
            throw new StrataException(ErrorKind.Invalid, $"mount at {twice.Key}: asked for {twice.Count()} times");
        }
        foreach (string path in config.Volumes?.Keys ?? [])
        {
            string target = ContainerMounts.CleanTarget(path);
            if (mounts.TrueForAll(m => m.Target != target))
            {
                mounts.Add(new ContainerMount(ContainerMountKind.Volume, ContainerStore.CreateId(), target, []) { Anonymous = true, CopyUp = true });
            }
        }
        return [.. mounts];
    }
}

/// <summary>Signals by name and number (signal.7, x86 and ARM).</summary>
public static class Signals
{
    private static readonly string[] s_names =
    [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT",
        "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    private const int First = 1, Last = 64, RealTimeMin = 34, RealTimeMax = 64;

    /// <summary>Reads <c>9</c>, <c>KILL</c>, <c>SIGKILL</c>, <c>RTMIN+3</c>, <c>RTMAX-1</c>.</summary>
    /// <exception cref="StrataException">Invalid: no such signal.</exception>
    public static int Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string name = text.ToUpperInvariant();
        name = name.StartsWith("SIG", StringComparison.Ordinal) ? name[3..] : name;
        int number = name switch
        {
            "RTMIN" => RealTimeMin,
            "RTMAX" => RealTimeMax,
            _ when name.StartsWith("RTMIN+", StringComparison.Ordinal) && TryNumber(name[6..]) is { } above => RealTimeMin + above,
            _ when name.StartsWith("RTMAX-", StringComparison.Ordinal) && TryNumber(name[6..]) is { } below => RealTimeMax - below,
            _ when TryNumber(name) is { } itself => itself,
            _ => name.Length == 0 ? -1 : Array.IndexOf(s_names, name),
        };
        return number is >= First and <= Last ? number : throw new StrataException(ErrorKind.Invalid, $"signal '{text}': there is none of that name");
    }

    private static int? TryNumber(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
}
