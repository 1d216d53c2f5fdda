namespace Strata.Layers;

/// <summary>What a layer may ask of us; each limit is named in the error it causes.</summary>
public sealed record LayerLimits
{
    /// <summary>Entries in one layer. The largest public images have about half a million.</summary>
    public int MaxEntries { get; init; } = 5_000_000;
    /// <summary>Bytes of all extended headers of one entry (PAX records, GNU long names, a sparse map). Linux paths end at 4,096, xattr values at 64 KiB.</summary>
    public int MaxHeaderBytes { get; init; } = 8 << 20;
    /// <summary>Components of a path.</summary>
    public int MaxPathDepth { get; init; } = 1_000;
    /// <summary>Bytes of a path or of a link's target, as the archive has it: Linux' PATH_MAX with its NUL.</summary>
    public int MaxPathBytes { get; init; } = 4_096;
    /// <summary>Plain bytes of one layer.</summary>
    public long MaxPlainBytes { get; init; } = 1L << 40;
    /// <summary>Bytes of holes in the sparse files of one layer: an archive of a few kilobytes can claim any number of them.</summary>
    public long MaxHoleBytes { get; init; } = 8L << 30;
}
