using Strata.Content;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>
    /// Applies the layers of all images for this engine's snapshotter, and then takes away what other snapshotters have of images. What containers stand on stays: it goes
    /// with them. Nothing is lost where it ends in the middle: layers are made of blobs.
    /// </summary>
    /// <exception cref="StrataException">Corrupt: a layer is damaged.</exception>
    public async ValueTask<Migration> MigrateAsync(CancellationToken cancellationToken = default)
    {
        using StoreLease lease = Content.AcquireLease("migrate");
        int images = 0, removed = 0, kept = 0;
        foreach (ListedImage image in ListImages().DistinctBy(i => i.Record.Manifest.Digest))
        {
            if (await TryReadImageAsync(image.Record.Manifest, cancellationToken).ConfigureAwait(false) is var (_, manifest, config) && manifest.Layers.Length == config.RootFs.DiffIds.Length
                && manifest.Layers.Length > 0 && manifest.Layers.All(l => Content.TryGetSize(l.Digest) == l.Size))
            {
                await Snapshotter.Router.Get(Snapshots.Name).ApplyStackAsync([.. manifest.Layers.Zip(config.RootFs.DiffIds)], Content, cancellationToken).ConfigureAwait(false);
                images++;
            }
        }
        // From the top down: what another one is based on stays.
        foreach (CommittedSnapshot other in Snapshots.List().Committed.Where(s => s.Snapshotter != Snapshots.Name).OrderByDescending(s => s.Stack.Count))
        {
            bool isGone = await Snapshots.RemoveUnlessAsync(other, static () => false, cancellationToken).ConfigureAwait(false);
            (removed, kept) = isGone ? (removed + 1, kept) : (removed, kept + 1);
        }
        return new Migration(Snapshots.Name, images, removed, kept);
    }
}

/// <summary>What <see cref="Engine.MigrateAsync"/> did.</summary>
/// <param name="Snapshotter">Whose layers the images are now.</param>
/// <param name="Images">How many images.</param>
/// <param name="Removed">States of file systems of other snapshotters that went.</param>
/// <param name="Kept">And that stay, because something stands on them.</param>
public sealed record Migration(string Snapshotter, int Images, int Removed, int Kept);
