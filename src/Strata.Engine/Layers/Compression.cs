namespace Strata.Layers;

/// <summary>How a layer blob is compressed.</summary>
public enum CompressionKind
{
    /// <summary>Not.</summary>
    None,
    /// <summary>RFC 1952.</summary>
    Gzip,
    /// <summary>RFC 8878.</summary>
    Zstd,
}

/// <summary>Compressed layers: gzip (several members), zstd (several frames, skippable ones), plain.</summary>
public static class Compression
{
    /// <summary>Tells by the first bytes (at least 6, or all there are).</summary>
    public static CompressionKind Detect(ReadOnlySpan<byte> start) => throw new NotImplementedException(start.Length.ToString());

    /// <summary>A plain stream of a blob, which is not disposed. Truncation, bad checksums and trailing garbage throw <see cref="InvalidDataException"/> (the base library's GZipStream accepts them).</summary>
    public static Stream OpenDecompressor(Stream blob) => throw new NotImplementedException(blob.ToString());

    /// <summary>A stream that compresses into <paramref name="target"/>, which is not disposed. Same bytes for same input on one version of the library.</summary>
    public static Stream OpenCompressor(Stream target, CompressionKind kind) => throw new NotImplementedException(target.ToString() + kind);
}
