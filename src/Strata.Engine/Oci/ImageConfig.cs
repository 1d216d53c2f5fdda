using System.Collections.Immutable;
using System.Text.Json;

namespace Strata.Oci;

/// <summary>The config of an image: what it runs, its layers' diff IDs, its history. Unknown fields survive in <see cref="Extra"/>.</summary>
/// <remarks><see href="https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md"/></remarks>
public sealed record ImageConfig
{
    /// <summary>When it was made, as text (RFC 3339): a config derived from this one keeps all nine digits and the zone another tool wrote.</summary>
    public string? CreatedText { get; init; }
    /// <summary>When it was made. Finer than 100 ns is only in <see cref="CreatedText"/>, which setting this writes (UTC).</summary>
    public DateTimeOffset? Created { get => Timestamps.Parse(CreatedText); init => CreatedText = Timestamps.Format(value); }
    /// <summary>Who made it.</summary>
    public string? Author { get; init; }
    /// <summary>CPU architecture, Go's names.</summary>
    public required string Architecture { get; init; }
    /// <summary>Operating system, Go's names.</summary>
    public required string Os { get; init; }
    /// <summary>Version of the operating system (Windows).</summary>
    public string? OsVersion { get; init; }
    /// <summary>What the operating system must offer.</summary>
    public ImmutableArray<string>? OsFeatures { get; init; }
    /// <summary>E.g. <c>v7</c>.</summary>
    public string? Variant { get; init; }
    /// <summary>How to run it.</summary>
    public ContainerConfig? Config { get; init; }
    /// <summary>The layers.</summary>
    public required RootFs RootFs { get; init; }
    /// <summary>A row per instruction, oldest first.</summary>
    public ImmutableArray<HistoryEntry> History { get => field.IsDefault ? [] : field; init; } = [];
    /// <summary>What we do not know.</summary>
    public Dictionary<string, JsonElement>? Extra { get; init; }

    /// <summary>The platform it is made for.</summary>
    public Platform Platform => new(Os, Architecture, string.IsNullOrEmpty(Variant) ? null : Variant) { OsVersion = OsVersion, OsFeatures = OsFeatures };
}

/// <summary>The layers of an image. Docker leaves <c>diff_ids</c> out where there are none.</summary>
public sealed record RootFs(string Type, ImmutableArray<Digest> DiffIds = default)
{
    /// <summary>Digests of the plain tars, bottom first.</summary>
    public ImmutableArray<Digest> DiffIds { get => field.IsDefault ? [] : field; init; } = DiffIds;
}

/// <summary>What an instruction did.</summary>
public sealed record HistoryEntry
{
#pragma warning disable CS1591 // the fields of the spec
    public string? CreatedText { get; init; }
    public DateTimeOffset? Created { get => Timestamps.Parse(CreatedText); init => CreatedText = Timestamps.Format(value); }
    public string? CreatedBy { get; init; }
    public string? Author { get; init; }
    public string? Comment { get; init; }
    public bool EmptyLayer { get; init; }
    public Dictionary<string, JsonElement>? Extra { get; init; }
#pragma warning restore CS1591
}

/// <summary>How to run an image (the <c>config</c> object; field names are capitalised).</summary>
public sealed record ContainerConfig
{
#pragma warning disable CS1591 // the fields of the spec
    public string? User { get; init; }
    public ImmutableSortedDictionary<string, EmptyObject>? ExposedPorts { get; init; }
    public ImmutableArray<string>? Env { get; init; }
    public ImmutableArray<string>? Entrypoint { get; init; }
    public ImmutableArray<string>? Cmd { get; init; }
    public ImmutableSortedDictionary<string, EmptyObject>? Volumes { get; init; }
    public string? WorkingDir { get; init; }
    public ImmutableSortedDictionary<string, string>? Labels { get; init; }
    public string? StopSignal { get; init; }
    public bool? ArgsEscaped { get; init; }
    public HealthcheckConfig? Healthcheck { get; init; }
    public ImmutableArray<string>? OnBuild { get; init; }
    public ImmutableArray<string>? Shell { get; init; }
    public Dictionary<string, JsonElement>? Extra { get; init; }
#pragma warning restore CS1591
}

/// <summary>Docker's HEALTHCHECK; durations in nanoseconds.</summary>
public sealed record HealthcheckConfig
{
#pragma warning disable CS1591
    public ImmutableArray<string>? Test { get; init; }
    public long? Interval { get; init; }
    public long? Timeout { get; init; }
    public long? StartPeriod { get; init; }
    public long? StartInterval { get; init; }
    public int? Retries { get; init; }
#pragma warning restore CS1591
}

/// <summary>Go's <c>struct{}</c>.</summary>
public sealed record EmptyObject;
