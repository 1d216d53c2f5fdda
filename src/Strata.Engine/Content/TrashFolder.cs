using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// Things on their way out. A tree loses its name by one rename into trash/ and is removed there: killed half-way, there is none, and not half of one.
/// The directory is made with the store: a removal on a full disk needs no block.
/// </summary>
internal static class TrashFolder
{
    /// <summary>What the names of lock files start with.</summary>
    internal const string LockName = ".lock";

    /// <summary>Makes trash/ where it is missing.</summary>
    internal static void Create(StoreLayout layout) => StoreDirectory.Create(layout.Trash, durable: false);

    /// <summary>Takes a tree's name away, then removes it; false where it was not there.</summary>
    internal static bool Remove(StoreLayout layout, string path)
    {
        Create(layout);
        string trash = Path.Combine(layout.Trash, "removed-" + Guid.NewGuid().ToString("n"));
        try
        {
            Durability.Rename(path, trash, replace: false);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return false;
        }
        FileSystems.RemoveTree(trash);
        return true;
    }

    /// <summary>Collectors take turns: nobody empties what another one may still put back.</summary>
    internal static async ValueTask<FileLock> LockAsync(StoreLayout layout, CancellationToken cancellationToken)
    {
        Create(layout);
        return await FileLock.AcquireAsync(Path.Combine(layout.Trash, LockName), exclusive: true, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// The turn in which blobs lose their names (exclusive), or in which one is looked for or published (shared) by who has pinned it before.
    /// </summary>
    internal static async ValueTask<FileLock> LockSweepAsync(StoreLayout layout, bool exclusive, CancellationToken cancellationToken)
    {
        Create(layout);
        return await FileLock.AcquireAsync(Path.Combine(layout.Trash, ".sweep"), exclusive, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Where a blob waits for the last look at the leases.</summary>
    internal static string PathOf(StoreLayout layout, Digest digest) => Path.Combine(layout.Trash, $"{digest.Algorithm}-{digest.Hex}");

    /// <summary>
    /// Removes what is there, but for blobs that are needed: a collector that was killed between the move and its look at the leases left them, and they
    /// go back. Returns bytes on disk. Not for a dry run, the caller holds the lock.
    /// </summary>
    internal static long Empty(StoreLayout layout, HashSet<Digest> needed, bool dryRun)
    {
        long bytes = 0;
        foreach (string left in Directory.Exists(layout.Trash) ? Directory.GetFileSystemEntries(layout.Trash) : [])
        {
            string name = Path.GetFileName(left);
            if (name[0] == '.' || (Digest.TryParse(name.Replace('-', ':'), null, out Digest digest) && needed.Contains(digest) && (dryRun || TryPutBack(layout, digest))))
            {
                continue;
            }
            bytes += FileSystems.GetDiskUsage(left);
            if (!dryRun)
            {
                FileSystems.RemoveTree(left);
            }
        }
        return bytes;
    }

    /// <summary>Gives a blob its name again; false where it was written anew meanwhile, so that this copy may go.</summary>
    internal static bool TryPutBack(StoreLayout layout, Digest digest)
    {
        string path = layout.Blob(digest), directory = Path.GetDirectoryName(path)!;
        try
        {
            StoreDirectory.Create(directory);
            Durability.Rename(PathOf(layout, digest), path, replace: false);
        }
        catch (LinuxException e) when (e.Errno is Errno.EEXIST)
        {
            return false;
        }
        Durability.SyncDirectory(directory);
        return true;
    }
}
