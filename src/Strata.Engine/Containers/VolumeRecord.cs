using System.Collections.Immutable;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>A volume: volumes/NAME/volume.json; one without that file has no labels and options.</summary>
/// <param name="Name">Unique in the store.</param>
/// <param name="Created">When it was made; null: nobody wrote it down.</param>
public sealed record VolumeRecord(string Name, DateTimeOffset? Created)
{
    /// <summary>Labels.</summary>
    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>What is mounted in place of its directory: <c>type</c>, <c>device</c> and <c>o</c>, as mount(8) has them; empty: its directory.</summary>
    public ImmutableSortedDictionary<string, string> Options { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Whether a container made it without a name: it goes with the container.</summary>
    public bool IsAnonymous => Name.Length == 64 && Name.All(char.IsAsciiHexDigitLower);

    internal static VolumeRecord Read(string name, JsonFields o) => new(name, o.MaybeTime("created"))
    {
        Labels = o.MaybeMap("labels") ?? ImmutableSortedDictionary<string, string>.Empty,
        Options = o.MaybeMap("options") ?? ImmutableSortedDictionary<string, string>.Empty,
    };

    internal static void Write(JsonFieldsWriter writer, VolumeRecord volume)
    {
        writer.Field("created", volume.Created);
        writer.Field("labels", volume.Labels);
        writer.Field("options", volume.Options);
    }

    /// <summary>Checks what a volume is to be like.</summary>
    /// <exception cref="StrataException">Invalid or Unsupported: names the option.</exception>
    internal static void CheckOptions(ImmutableSortedDictionary<string, string> options)
    {
        if (options.Keys.FirstOrDefault(k => k is not ("type" or "device" or "o")) is { } unknown)
        {
            throw new StrataException(ErrorKind.Unsupported, $"volume option {unknown}: there are type, device and o");
        }
        if (options.Count > 0 && !options.ContainsKey("device"))
        {
            throw new StrataException(ErrorKind.Invalid, "volume option device: it is missing") { Hint = "strata volume create -o type=none -o o=bind -o device=/srv/data NAME" };
        }
    }
}
