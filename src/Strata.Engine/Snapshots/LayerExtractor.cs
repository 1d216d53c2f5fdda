using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Puts the entries of a layer or of any tar into a directory, through a <see cref="RootedDirectory"/>.</summary>
public static class LayerExtractor
{
    /// <summary>Extracts all that <paramref name="layer"/> has, to its end.</summary>
    public static void Extract(LayerReader layer, RootedDirectory target, ExtractOptions options, CancellationToken cancellationToken = default)
        => throw new NotImplementedException();
}

/// <summary>How to extract.</summary>
public sealed record ExtractOptions
{
    /// <summary>True: whiteouts and opaque entries become what overlayfs reads (character device 0:0, trusted.overlay.opaque). False: they remove what is in the target.</summary>
    public bool OverlayWhiteouts { get; init; }
    /// <summary>Directory below the target that the archive's root is put at; created with mode 0755, owner 0:0 where missing.</summary>
    public string Prefix { get; init; } = "";
    /// <summary>Owner of everything, in place of the archive's.</summary>
    public (uint Uid, uint Gid)? Owner { get; init; }
}
