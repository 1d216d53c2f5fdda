using Strata.Content;

namespace Strata.Build;

/// <summary>Where a cache is brought to or comes from: one --cache-to or --cache-from.</summary>
/// <param name="Type">inline, registry, local or oci.</param>
/// <param name="Target">An image's name, or a folder (an OCI layout); empty for inline.</param>
public sealed record CachePlace(string Type, string Target)
{
    private const long DefaultMountBytes = 1L << 30; // a package manager's folder, mostly; more is for those who ask

    /// <summary>Only the steps of the image itself, not those of stages that it copies from.</summary>
    public bool IsMinimal { get; init; }

    /// <summary>The most bytes on disk of cache mounts that come along; 0: none.</summary>
    public long MountBytes { get; init; } = DefaultMountBytes;

    /// <summary>Reads <c>type=TYPE,ref=NAME|dest=FOLDER|src=FOLDER[,mode=min|max][,mounts=SIZE|off]</c>; without type it is an image's name, as in Docker.</summary>
    /// <exception cref="FormatException">It cannot be understood.</exception>
    public static CachePlace Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (!text.Contains('=', StringComparison.Ordinal))
        {
            return new CachePlace("registry", text);
        }
        var place = new CachePlace("", "");
        foreach (string field in text.Split(','))
        {
            string[] parts = field.Split('=', 2);
            string value = parts.Length == 2 ? parts[1] : "";
            place = parts[0] switch
            {
                "type" => place with { Type = value },
                "ref" or "dest" or "src" => place with { Target = value },
                "mode" => value is "min" or "max" ? place with { IsMinimal = value == "min" } : throw new FormatException($"{text}: the modes are min and max"),
                "mounts" => place with { MountBytes = value == "off" ? 0 : StoreSettings.ParseMaxSize(value, "mounts") },
                _ => throw new FormatException($"{text}: there is no {parts[0]}; there are type, ref, dest, src, mode and mounts"),
            };
        }
        return place.Type is not ("inline" or "registry" or "local" or "oci") ? throw new FormatException($"{text}: the types are inline, registry, local and oci")
            : place is { Type: not "inline", Target: "" } ? throw new FormatException($"{text}: it needs {(place.Type == "registry" ? "ref=NAME" : "dest=FOLDER or src=FOLDER")}")
            : place;
    }
}
