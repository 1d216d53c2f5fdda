using System.Collections.Immutable;
using System.Globalization;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>When a container that ended is started again.</summary>
public enum RestartKind
{
    /// <summary>Never.</summary>
    No,
    /// <summary>When its exit code was not 0.</summary>
    OnFailure,
    /// <summary>Whenever somebody did not stop it, and at boot.</summary>
    Always,
    /// <summary>The same, but not at boot where somebody had stopped it.</summary>
    UnlessStopped,
}

/// <summary>What --restart says.</summary>
/// <param name="Kind">When.</param>
/// <param name="MaximumRetries">How often in a row at most; 0: without end. For <see cref="RestartKind.OnFailure"/> alone.</param>
public sealed record RestartPolicy(RestartKind Kind, int MaximumRetries = 0)
{
    /// <summary>Never.</summary>
    public static RestartPolicy No { get; } = new(RestartKind.No);

    /// <summary>Docker's word for it.</summary>
    public string Name => Kind switch
    {
        RestartKind.OnFailure => "on-failure",
        RestartKind.Always => "always",
        RestartKind.UnlessStopped => "unless-stopped",
        _ => "no",
    };

    /// <summary>Reads <c>no</c>, <c>always</c>, <c>unless-stopped</c>, <c>on-failure</c> and <c>on-failure:5</c>.</summary>
    /// <exception cref="StrataException">Invalid: it is none of these.</exception>
    public static RestartPolicy Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string count = colon < 0 ? "0" : text[(colon + 1)..];
        RestartKind? kind = (colon < 0 ? text : text[..colon]) switch
        {
            "no" or "" => RestartKind.No,
            "always" => RestartKind.Always,
            "unless-stopped" => RestartKind.UnlessStopped,
            "on-failure" => RestartKind.OnFailure,
            _ => null,
        };
        if (kind is not { } known || !int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int retries) || (retries > 0 && known != RestartKind.OnFailure))
        {
            throw new StrataException(ErrorKind.Invalid, $"--restart {text}: there are no, on-failure[:N], always and unless-stopped");
        }
        return new RestartPolicy(known, retries);
    }

    /// <summary>Whether a container that ended so, after so many restarts in a row, starts again.</summary>
    internal bool Wants(int? exitCode, int restarts) => Kind switch
    {
        RestartKind.Always or RestartKind.UnlessStopped => true,
        RestartKind.OnFailure => exitCode != 0 && (MaximumRetries == 0 || restarts < MaximumRetries),
        _ => false,
    };

    /// <summary>How long to wait before the next start: 100 ms, twice as long each time, at most a minute, as Docker waits.</summary>
    internal static TimeSpan DelayBefore(int restarts) => TimeSpan.FromMilliseconds(Math.Min(60_000, 100 * Math.Pow(2, Math.Min(restarts, 20))));
}

/// <summary>How a container lives, beside what runs in it and how far it is closed off.</summary>
public sealed record LifeOptions
{
    /// <summary>A small first process (catatonit) that passes signals on and reaps what is left behind.</summary>
    public bool Init { get; init; }
    /// <summary>When it is started again.</summary>
    public RestartPolicy Restart { get; init; } = RestartPolicy.No;
    /// <summary>Seconds that stop waits before it kills; 10 where null.</summary>
    public int? StopTimeout { get; init; }
    /// <summary>The keys that detach from it, as Docker writes them; <c>ctrl-p,ctrl-q</c> where null.</summary>
    public string? DetachKeys { get; init; }
    /// <summary>Other groups of its first process, names of the image or numbers.</summary>
    public ImmutableArray<string> Groups { get; init; } = [];
    /// <summary>How much it can write into its own layer, in bytes; no limit where null.</summary>
    public long? StorageBytes { get; init; }
    /// <summary>Annotations of the runtime spec.</summary>
    public ImmutableSortedDictionary<string, string> Annotations { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}

public sealed partial record ContainerOptions
{
    /// <summary>How it lives.</summary>
    public LifeOptions Life { get; init; } = new();
    /// <summary>Over the image's HEALTHCHECK, field by field; a test of <c>NONE</c> turns it off.</summary>
    public HealthcheckConfig? Health { get; init; }
}

public sealed partial record ContainerRecord
{
    /// <summary>How it lives.</summary>
    public LifeOptions Life { get; init; } = new();

    /// <summary>Its place in the cgroup trees.</summary>
    public string Cgroup => Isolation.CgroupParent is { Length: > 0 } parent ? "/" + parent.Trim('/') + "/" + Id : OciRuntime.CgroupOf(Id);

    /// <summary>Its health check, or null where there is none.</summary>
    public HealthcheckConfig? Healthcheck => Config.Healthcheck is { Test: { Length: > 0 } test } check && test[0] != "NONE" ? check : null;
}
