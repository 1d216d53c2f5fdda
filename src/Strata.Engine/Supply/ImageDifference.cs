using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Strata.Content;
using Strata.Layers;
using Strata.Oci;

namespace Strata.Supply;

/// <summary>Where two images part: the first path of the first layer that differs and which of its fields, or the first field of their configurations.</summary>
internal static class ImageDifference
{
    private const int BufferBytes = 1 << 16;

    /// <summary>The first difference in words; null where both are the same image.</summary>
    internal static async ValueTask<string?> FindFirstAsync(ContentStore content, Descriptor first, Descriptor second, CancellationToken cancellationToken)
    {
        if (first.Digest == second.Digest)
        {
            return null;
        }
        ImageManifest a = await ReadAsync(content, first, cancellationToken).ConfigureAwait(false), b = await ReadAsync(content, second, cancellationToken).ConfigureAwait(false);
        ImageConfig config = OciJson.ParseConfig(await content.ReadAsync(a.Config, cancellationToken).ConfigureAwait(false));
        for (int i = 0; i < Math.Min(a.Layers.Length, b.Layers.Length); i++)
        {
            if (a.Layers[i].Digest != b.Layers[i].Digest)
            {
                Stream one = await content.OpenAsync(a.Layers[i], cancellationToken).ConfigureAwait(false), other = await content.OpenAsync(b.Layers[i], cancellationToken).ConfigureAwait(false);
                await using (one.ConfigureAwait(false))
                await using (other.ConfigureAwait(false))
                {
                    string? by = config.History.Where(h => !h.EmptyLayer).ElementAtOrDefault(i)?.CreatedBy;
                    return $"layer {i + 1}{(by is null ? "" : $" ({by})")}: {Compare(one, other) ?? "the same files, compressed otherwise"}";
                }
            }
        }
        if (a.Layers.Length != b.Layers.Length)
        {
            return $"layers: {a.Layers.Length} and {b.Layers.Length}";
        }
        using var configA = JsonDocument.Parse(await content.ReadAsync(a.Config, cancellationToken).ConfigureAwait(false));
        using var configB = JsonDocument.Parse(await content.ReadAsync(b.Config, cancellationToken).ConfigureAwait(false));
        using var manifestA = JsonDocument.Parse(await content.ReadAsync(first, cancellationToken).ConfigureAwait(false));
        using var manifestB = JsonDocument.Parse(await content.ReadAsync(second, cancellationToken).ConfigureAwait(false));
        return Compare(configA.RootElement, configB.RootElement, "config") ?? Compare(manifestA.RootElement, manifestB.RootElement, "manifest") ?? "the documents' bytes";
    }

    /// <summary>Where two layers part; null where their entries are the same.</summary>
    internal static string? Compare(Stream first, Stream second)
    {
        using LayerReader a = new(first), b = new(second);
        while (true)
        {
            LayerEntry? x = a.Read(), y = b.Read();
            if (x is null || y is null || x.Path != y.Path)
            {
                // Entries come ordered, so the smaller path is the one the other lacks.
                bool onlyFirst = y is null || (x is not null && string.CompareOrdinal(x.Path, y.Path) < 0);
                return x is null && y is null ? null : onlyFirst ? $"/{x!.Path}: only in the first" : $"/{y!.Path}: only in the second";
            }
            if (Compare(x, y) is { } field)
            {
                return $"/{x.Path}: {field}";
            }
            if (x is FileEntry && CompareContent(a.Content, b.Content) is { } offset)
            {
                return $"/{x.Path}: content, from byte {offset}";
            }
        }
    }

    private static string? Compare(LayerEntry x, LayerEntry y)
    {
        if (x.GetType() != y.GetType())
        {
            return $"kind: {KindOf(x)} and {KindOf(y)}";
        }
        string? own = (x, y) switch
        {
            (FileEntry a, FileEntry b) when a.Size != b.Size => $"size: {a.Size} and {b.Size}",
            (SymbolicLinkEntry a, SymbolicLinkEntry b) when a.Target != b.Target => $"target: {a.Target} and {b.Target}",
            (HardLinkEntry a, HardLinkEntry b) when a.Target != b.Target => $"target: {a.Target} and {b.Target}",
            (DeviceEntry a, DeviceEntry b) when (a.Kind, a.Major, a.Minor) != (b.Kind, b.Major, b.Minor) => $"device: {a.Kind} {a.Major}:{a.Minor} and {b.Kind} {b.Major}:{b.Minor}",
            _ => null,
        };
        return own ?? (x is NodeEntry node ? Compare(node.Metadata, ((NodeEntry)y).Metadata) : null);
    }

    private static string? Compare(EntryMetadata x, EntryMetadata y)
    {
        if (x.Mode != y.Mode)
        {
            return $"mode: {Convert.ToString(x.Mode, 8)} and {Convert.ToString(y.Mode, 8)}";
        }
        if ((x.Uid, x.Gid) != (y.Uid, y.Gid))
        {
            return $"owner: {x.Uid}:{x.Gid} and {y.Uid}:{y.Gid}";
        }
        if (x.Modified != y.Modified)
        {
            return $"mtime: {Text(x)} and {Text(y)}";
        }
        string? name = x.Xattrs.Select(a => a.Key).Concat(y.Xattrs.Select(a => a.Key)).FirstOrDefault(n => !ValueOf(x, n).SequenceEqual(ValueOf(y, n)));
        return name is null ? null : $"xattr {name}";
    }

    private static string Text(EntryMetadata metadata) => metadata.Modified.ToDate() is { } date && metadata.Modified.Nanoseconds % 100 == 0 ? date.ToString("O", CultureInfo.InvariantCulture)
        : string.Create(CultureInfo.InvariantCulture, $"{metadata.Modified.Seconds}.{metadata.Modified.Nanoseconds:d9}");

    private static ImmutableArray<byte> ValueOf(EntryMetadata metadata, string name)
    {
        foreach ((string key, ImmutableArray<byte> value) in metadata.Xattrs)
        {
            if (key == name)
            {
                return value;
            }
        }
        return [];
    }

    private static string KindOf(LayerEntry entry) => entry switch
    {
        WhiteoutEntry => "deletion",
        OpaqueEntry => "emptied directory",
        DirectoryEntry => "directory",
        FileEntry => "file",
        SymbolicLinkEntry => "symbolic link",
        HardLinkEntry => "hard link",
        _ => "device",
    };

    // Both have the same size; null where they are the same.
    private static long? CompareContent(Stream first, Stream second)
    {
        byte[] x = new byte[BufferBytes], y = new byte[BufferBytes];
        for (long offset = 0; ;)
        {
            int read = first.ReadAtLeast(x, BufferBytes, throwOnEndOfStream: false), other = second.ReadAtLeast(y, BufferBytes, throwOnEndOfStream: false);
            int common = x.AsSpan(0, read).CommonPrefixLength(y.AsSpan(0, other));
            if (common < Math.Max(read, other))
            {
                return offset + common;
            }
            if (read == 0)
            {
                return null;
            }
            offset += read;
        }
    }

    // The first field that differs, in the order of the first document.
    private static string? Compare(JsonElement x, JsonElement y, string path)
    {
        if (x.ValueKind != y.ValueKind)
        {
            return $"{path}: {x.GetRawText()} and {y.GetRawText()}";
        }
        switch (x.ValueKind)
        {
            case JsonValueKind.Object:
                string[] names = [.. x.EnumerateObject().Select(p => p.Name).Union(y.EnumerateObject().Select(p => p.Name))];
                return names.Select(n => !x.TryGetProperty(n, out JsonElement a) ? $"{path}.{n}: only in the second"
                    : !y.TryGetProperty(n, out JsonElement b) ? $"{path}.{n}: only in the first" : Compare(a, b, $"{path}.{n}")).FirstOrDefault(d => d is not null);
            case JsonValueKind.Array:
                int count = Math.Min(x.GetArrayLength(), y.GetArrayLength());
                return Enumerable.Range(0, count).Select(i => Compare(x[i], y[i], $"{path}[{i}]")).FirstOrDefault(d => d is not null)
                    ?? (x.GetArrayLength() == y.GetArrayLength() ? null : $"{path}: {x.GetArrayLength()} and {y.GetArrayLength()} entries");
            default:
                return x.GetRawText() == y.GetRawText() ? null : $"{path}: {x.GetRawText()} and {y.GetRawText()}";
        }
    }

    private static async ValueTask<ImageManifest> ReadAsync(ContentStore content, Descriptor descriptor, CancellationToken cancellationToken)
        => OciJson.ParseManifest(await content.ReadAsync(descriptor, cancellationToken).ConfigureAwait(false), descriptor.MediaType);
}
