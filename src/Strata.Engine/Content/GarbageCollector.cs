using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// Mark and sweep over blobs: from the manifests that the caller names (of images, with and without names, and of containers). Living leases
/// are read before marking and again after a blob was moved to trash/: what somebody has pinned meanwhile goes back. Nothing stops anybody.
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
        HashSet<Digest> marked = [.. keep, .. StoreLease.ReadAll(store.Layout).Pins], walked = [];
        // Names after leases: who names something and then lets go of its lease is seen by one of the two looks.
        foreach (Descriptor root in roots())
        {
            await MarkAsync(store, root, marked, walked, cancellationToken).ConfigureAwait(false);
        }
        int blobs = 0;
        long bytes = IngestFolder.Sweep(store.Layout, dryRun) + TrashFolder.Empty(store.Layout, marked, dryRun) + SweepRecords(store.Layout, dryRun);
        foreach ((Digest digest, _) in store.List().ToList())
        {
            if (marked.Contains(digest))
            {
                continue;
            }
            string path = store.Layout.Blob(digest);
            long size = FileSystems.GetDiskUsage(path);
            if (dryRun || Sweep(store, digest, path))
            {
                blobs++;
                bytes += size;
            }
        }
        return (blobs, bytes);
    }

    private static bool Sweep(ContentStore store, Digest digest, string path)
    {
        string trash = TrashFolder.PathOf(store.Layout, digest);
        try
        {
            Durability.Rename(path, trash, replace: true);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return false; // a check has removed it
        }
        Fail.Point("collect.after-trash");
        if (StoreLease.ReadAll(store.Layout).Pins.Contains(digest) && TrashFolder.TryPutBack(store.Layout, digest))
        {
            return false;
        }
        FileSystems.RemoveTree(trash);
        return true;
    }

    private static long SweepRecords(StoreLayout layout, bool dryRun)
        => AtomicFile.Sweep(layout.Root, recurse: false, dryRun)
            + new[] { layout.Images, layout.Snapshots, layout.Containers, layout.Cache }.Sum(folder => AtomicFile.Sweep(folder, recurse: true, dryRun));

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
