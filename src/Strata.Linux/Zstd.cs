namespace Strata.Linux;

/// <summary>Zstandard through libzstd.so.1: streaming, several frames, skippable frames, bounded window.</summary>
public static class Zstd
{
    /// <summary>Largest window a frame may ask for: 128 MiB, zstd's own default limit for streaming decompression.</summary>
    public const int MaxWindowLog = 27;

    /// <summary>A stream that decompresses <paramref name="source"/>, which it does not dispose. A cut or damaged frame throws <see cref="InvalidDataException"/>.</summary>
    public static Stream OpenDecompressor(Stream source) => throw new NotImplementedException(source.ToString());

    /// <summary>A stream that compresses into <paramref name="target"/>; disposing it ends the frame and does not dispose the target.</summary>
    public static Stream OpenCompressor(Stream target, int level = 3) => throw new NotImplementedException(target.ToString());
}
