using Strata.Content;

namespace Strata.Snapshots;

/// <summary>Extracted directories as overlayfs lowers.</summary>
public abstract class OverlaySnapshotter
{
    /// <summary>Opens the snapshots of a store.</summary>
    public static ISnapshotter Open(StoreLayout layout) => throw new NotImplementedException(layout.Root);
}
