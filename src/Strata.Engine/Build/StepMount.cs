using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using Strata.Dockerfiles;

namespace Strata.Build;

/// <summary>A mount of a RUN, planned (Dockerfile reference, "RUN --mount").</summary>
/// <param name="Options">As written, expanded.</param>
/// <param name="Target">Where the process sees it: absolute; empty for a secret that is a variable only.</param>
public sealed record StepMount(MountOptions Options, string Target)
{
    /// <summary>The step whose files are mounted, or a cache starts with; null: the build context, or nothing.</summary>
    public BuildStep? From { get; init; }

    /// <summary>Whether files of the build context are mounted.</summary>
    public bool IsOfContext => Options.Kind == MountKind.Bind && From is null;

    // What a secret, an agent or a cache holds counts for no key: that is what they are for. What a bind mount shows does, as an input or as content.
    internal void AppendTo(CacheKeyBuilder key)
    {
        string Number(long? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "";
        key.Append("mount", Options.Kind.ToString(), Target, Options.Source ?? "", Options.Id ?? "", Options.Environment ?? "", Options.ReadOnly ? "ro" : "rw",
            Number(Options.Mode), Number(Options.UserId), Number(Options.GroupId), Number(Options.SizeLimit), From is null ? "" : "from");
    }
}

/// <summary>A line for /etc/hosts.</summary>
public sealed record RunHost(string Name, IPAddress Address);

/// <summary>What the command line says of all processes of a build: --shm-size, --ulimit, --add-host.</summary>
public sealed record RunLimits
{
    /// <summary>Nothing said.</summary>
    public static RunLimits None { get; } = new();
    /// <summary>Size of /dev/shm in bytes.</summary>
    public long? SharedMemoryBytes { get; init; }
    /// <summary>Resource limits.</summary>
    public ImmutableArray<RunLimit> Limits { get; init; } = [];
    /// <summary>Lines for /etc/hosts.</summary>
    public ImmutableArray<RunHost> Hosts { get; init; } = [];

    internal void AppendTo(CacheKeyBuilder key)
    {
        if (SharedMemoryBytes is { } bytes)
        {
            key.Append("shm", bytes.ToString(CultureInfo.InvariantCulture));
        }
        if (!Limits.IsEmpty)
        {
            key.Append("ulimit", Limits.Select(l => l.ToString()).ToImmutableArray());
        }
        if (!Hosts.IsEmpty)
        {
            key.Append("hosts", Hosts.Select(h => $"{h.Name}={h.Address}").ToImmutableArray());
        }
    }
}

/// <summary>One --ulimit.</summary>
/// <param name="Name">As the runtime names it: <c>RLIMIT_NOFILE</c>.</param>
/// <param name="Soft">The soft limit.</param>
/// <param name="Hard">The hard limit.</param>
public sealed record RunLimit(string Name, ulong Soft, ulong Hard)
{
    private static readonly string[] s_names =
        ["core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"];

    /// <summary>Reads <c>NAME=SOFT[:HARD]</c>; -1 is no limit.</summary>
    /// <exception cref="FormatException">It says no limit, or a name that is none.</exception>
    public static RunLimit Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split('=', 2);
        string[] values = parts.Length == 2 ? parts[1].Split(':', 2) : [];
        if (!s_names.Contains(parts[0]) || values.Length == 0)
        {
            throw new FormatException($"--ulimit {text}: write it like nofile=1024 or nofile=1024:2048; there are {string.Join(", ", s_names)}");
        }
        ulong soft = Value(text, values[0]), hard = Value(text, values[^1]);
        return soft <= hard ? new RunLimit("RLIMIT_" + parts[0].ToUpperInvariant(), soft, hard)
            : throw new FormatException($"--ulimit {text}: the soft limit is above the hard one");
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name}={Soft}:{Hard}");

    private static ulong Value(string text, string value)
        => value == "-1" ? ulong.MaxValue : ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) ? number : throw new FormatException($"--ulimit {text}: '{value}' is no number");
}
