using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Puts the entries of a layer or of any tar into a directory, through a <see cref="RootedDirectory"/>.</summary>
public static class LayerExtractor
{
    /// <summary>Extracts all that <paramref name="layer"/> has, to its end, into a directory that may have files; returns the bytes of regular files.</summary>
    /// <exception cref="StrataException">The archive is damaged or has what must not be.</exception>
    /// <exception cref="LinuxException">The disk refused.</exception>
    public static long Extract(LayerReader layer, RootedDirectory target, ExtractOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(options);
        using var extraction = new LayerExtraction(new DirectoryTarget(target), options, options.OverlayWhiteouts ? WhiteoutForm.Overlay : WhiteoutForm.Applied, below: null);
        Run(layer, extraction, cancellationToken);
        return extraction.Finish().ContentBytes;
    }

    /// <summary>
    /// Extracts a layer into an empty target, which is disposed, as one of a stack. Without <paramref name="below"/> the tree is good for every stack that fits what
    /// it says of itself; with it, for that stack only. Null: the layer has hard links to files below, so it cannot be extracted alone.
    /// </summary>
    internal static ExtractedTree? TryExtractTree(LayerReader layer, IExtractionTarget target, WhiteoutForm form, LayerStack? below, CancellationToken cancellationToken)
    {
        using var extraction = new LayerExtraction(target, new ExtractOptions(), form, below);
        try
        {
            Run(layer, extraction, cancellationToken);
        }
        catch (NeedsLayersBelowException)
        {
            return null;
        }
        return extraction.Finish();
    }

    private static void Run(LayerReader layer, LayerExtraction extraction, CancellationToken cancellationToken)
    {
        try
        {
            while (layer.Read() is { } entry)
            {
                cancellationToken.ThrowIfCancellationRequested();
                extraction.Put(entry, entry is FileEntry ? layer.Content : Stream.Null);
            }
        }
        catch (InvalidDataException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"layer: {e.Message}", e); // a file's content broke off, or does not inflate
        }
    }
}

/// <summary>How to extract.</summary>
public sealed record ExtractOptions
{
    /// <summary>True: whiteouts and opaque entries become what overlayfs reads (character device 0:0, trusted.overlay.opaque). False: they remove what was in the target before.</summary>
    public bool OverlayWhiteouts { get; init; }
    /// <summary>Directory below the target that the archive's root is put at; created with mode 0755, owner 0:0 where missing.</summary>
    public string Prefix { get; init; } = "";
    /// <summary>Owner of everything, in place of the archive's.</summary>
    public (uint Uid, uint Gid)? Owner { get; init; }
}

/// <summary>What a layer became.</summary>
/// <param name="ContentBytes">Bytes of its regular files.</param>
/// <param name="HidesAllBelow">Its root is opaque. overlayfs joins the roots of all lowers whatever they say, so the stack has to start here.</param>
/// <param name="Implied">Directories that are there because of what is in them: no entry says how they look.</param>
/// <param name="Hiding">Directories with overlayfs' whiteouts. Where the layers below have no such directory, overlayfs would list the whiteouts as files.</param>
/// <param name="Marks">What is deleted, where the files do not say it.</param>
internal sealed record ExtractedTree(long ContentBytes, bool HidesAllBelow, IReadOnlyList<string> Implied, IReadOnlyList<string> Hiding, LayerMarks Marks);

/// <summary>The attributes by which overlayfs keeps its books (Documentation/filesystems/overlayfs.rst).</summary>
internal static class OverlayXattrs
{
    // What is trusted is the first user namespace's; elsewhere overlayfs (with its option userxattr) reads and writes attributes that any owner may have.
    internal static readonly string Prefix = UserNamespace.Current is null ? "trusted.overlay." : "user.overlay.";
    internal static readonly string Opaque = Prefix + "opaque";
}
