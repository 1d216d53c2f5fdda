using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// Mark and sweep over blobs: from the manifests that the caller names (of images, with and without names, and of containers) and the pins of living
/// leases. Both are asked for again when victims are known, in a turn in which nobody finds or publishes a blob (<see cref="TrashFolder.LockSweepAsync"/>):
/// who found one before has pinned it, or named it and let go of his lease; who comes later finds none. Nothing else waits for a collector.
/// </summary>
public static class GarbageCollector
{
    /// <summary>Collects; with <paramref name="dryRun"/> only says what would go.</summary>
    public static async ValueTask<(int Blobs, long Bytes)> CollectAsync(ContentStore store, Func<IEnumerable<Descriptor>> roots, IEnumerable<Digest> keep, bool dryRun,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(roots);
        using FileLock? turn = dryRun ? null : await TrashFolder.LockAsync(store.Layout, cancellationToken).ConfigureAwait(false);
        Digest[] kept = [.. keep];
        HashSet<Digest> marked = await MarkAllAsync(store, roots, kept, cancellationToken).ConfigureAwait(false);
        long bytes = IngestFolder.Sweep(store.Layout, dryRun) + PartialBlob.Sweep(store.Layout, TimeProvider.System, dryRun) + TrashFolder.Empty(store.Layout, marked, dryRun) + SweepRecords(store.Layout, dryRun);
        List<Digest> victims = [.. store.List().Select(b => b.Digest).Where(d => !marked.Contains(d))];
        if (victims.Count == 0)
        {
            return (0, bytes);
        }
        if (dryRun)
        {
            return (victims.Count, bytes + victims.Sum(d => FileSystems.GetDiskUsage(store.Layout.Blob(d))));
        }
        var moved = new List<Digest>();
        using (FileLock sweep = await TrashFolder.LockSweepAsync(store.Layout, exclusive: true, cancellationToken).ConfigureAwait(false))
        {
            marked = await MarkAllAsync(store, roots, kept, cancellationToken).ConfigureAwait(false);
            moved.AddRange(victims.Where(d => !marked.Contains(d) && TryMove(store.Layout, d)));
            bytes += ReferrerRecords.Sweep(store);
        }
        foreach (string trash in moved.Select(d => TrashFolder.PathOf(store.Layout, d)))
        {
            bytes += FileSystems.GetDiskUsage(trash);
            FileSystems.RemoveTree(trash);
        }
        return (moved.Count, bytes);
    }

    // Names after leases: who names something and then lets go of its lease is seen by one of the two looks.
    private static async ValueTask<HashSet<Digest>> MarkAllAsync(ContentStore store, Func<IEnumerable<Descriptor>> roots, IEnumerable<Digest> keep, CancellationToken cancellationToken)
    {
        HashSet<Digest> marked = [.. keep, .. StoreLease.ReadAll(store.Layout).Pins], walked = [];
        foreach (Descriptor root in roots())
        {
            await MarkAsync(store, root, marked, walked, cancellationToken).ConfigureAwait(false);
        }
        return marked;
    }

    private static bool TryMove(StoreLayout layout, Digest digest)
    {
        try
        {
            Durability.Rename(layout.Blob(digest), TrashFolder.PathOf(layout, digest), replace: true);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return false; // a check has removed it
        }
        Fail.Point("collect.after-trash");
        return true;
    }

    private static long SweepRecords(StoreLayout layout, bool dryRun)
        => AtomicFile.Sweep(layout.Root, recurse: false, dryRun)
            + new[] { layout.Images, layout.Referrers, layout.Snapshots, layout.Containers, layout.Cache }.Sum(folder => AtomicFile.Sweep(folder, recurse: true, dryRun));

    /// <summary>Marks a manifest and all that is below it.</summary>
    internal static ValueTask MarkAsync(ContentStore store, Descriptor descriptor, HashSet<Digest> marked, CancellationToken cancellationToken)
        => MarkAsync(store, descriptor, marked, [], cancellationToken);

    // A document that is not here or not readable marks nothing below it: system check tells of it, and a collector is no judge.
    private static async ValueTask MarkAsync(ContentStore store, Descriptor descriptor, HashSet<Digest> marked, HashSet<Digest> walked, CancellationToken cancellationToken)
    {
        marked.Add(descriptor.Digest);
        // Not by its mark: a lease may have pinned it, and nothing yet of what is below it.
        if (!walked.Add(descriptor.Digest) || store.TryGetSize(descriptor.Digest) is null)
        {
            return;
        }
        try
        {
            await MarkChildrenAsync(store, descriptor, marked, walked, cancellationToken).ConfigureAwait(false);
            foreach (Descriptor about in ReferrerRecords.List(store.Layout, descriptor.Digest))
            {
                await MarkAsync(store, about, marked, walked, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (StrataException e) when (e.Kind is ErrorKind.Corrupt or ErrorKind.Invalid)
        {
            // see above
        }
    }

    private static async ValueTask MarkChildrenAsync(ContentStore store, Descriptor descriptor, HashSet<Digest> marked, HashSet<Digest> walked, CancellationToken cancellationToken)
    {
        if (MediaTypes.IsIndex(descriptor.MediaType))
        {
            foreach (Descriptor child in OciJson.ParseIndex(await store.ReadAsync(descriptor, cancellationToken).ConfigureAwait(false), descriptor.MediaType).Manifests)
            {
                await MarkAsync(store, child, marked, walked, cancellationToken).ConfigureAwait(false);
            }
        }
        else if (MediaTypes.IsManifest(descriptor.MediaType))
        {
            ImageManifest manifest = OciJson.ParseManifest(await store.ReadAsync(descriptor, cancellationToken).ConfigureAwait(false), descriptor.MediaType);
            marked.Add(manifest.Config.Digest);
            marked.UnionWith(manifest.Layers.Select(l => l.Digest));
        }
    }
}
