using System.Collections.Concurrent;
using Strata.Linux;

namespace Strata.Content;

/// <summary>
/// This process's own folder below ingest/, locked for as long as the process lives: whoever can lock a folder's file knows that its owner is
/// dead and may sweep it.
/// </summary>
internal static class IngestFolder
{
    internal const string LockName = ".lock";
    private static readonly ConcurrentDictionary<string, Lazy<(string Path, FileLock Lock)>> s_folders = new(StringComparer.Ordinal);

    internal static string Of(StoreLayout layout) => s_folders.GetOrAdd(layout.Root, _ => new Lazy<(string, FileLock)>(() => Create(layout))).Value.Path;

    /// <summary>Removes the folders of processes that are gone; returns what they held, in bytes on disk.</summary>
    internal static long Sweep(StoreLayout layout, bool dryRun)
    {
        long bytes = 0;
        foreach (string folder in Directory.Exists(layout.Ingest) ? Directory.GetDirectories(layout.Ingest) : [])
        {
            if (folder == layout.Downloads)
            {
                continue;
            }
            if (s_folders.TryGetValue(layout.Root, out Lazy<(string Path, FileLock Lock)>? own) && own.IsValueCreated && own.Value.Path == folder)
            {
                continue;
            }
            using FileLock? dead = TryLock(folder);
            if (dead is null)
            {
                continue;
            }
            bytes += FileSystems.GetDiskUsage(folder);
            if (!dryRun)
            {
                FileSystems.RemoveTree(folder);
            }
        }
        return bytes;
    }

    private static FileLock? TryLock(string folder)
    {
        try
        {
            return FileLock.TryAcquire(Path.Combine(folder, LockName), exclusive: true);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return null; // somebody else swept it
        }
    }

    private static (string, FileLock) Create(StoreLayout layout)
    {
        StoreDirectory.Create(layout.Ingest, durable: false);
        while (true)
        {
            string folder = Path.Combine(layout.Ingest, Guid.NewGuid().ToString("n"));
            Directory.CreateDirectory(folder);
            // A sweeper may come between the folder and its lock; then there is another try.
            if (TryLock(folder) is { } held)
            {
                if (Directory.Exists(folder))
                {
                    AppDomain.CurrentDomain.ProcessExit += (_, _) => RemoveEmpty(folder);
                    return (folder, held);
                }
                held.Dispose();
            }
        }
    }

    private static void RemoveEmpty(string folder)
    {
        try
        {
            File.Delete(Path.Combine(folder, LockName));
            Directory.Delete(folder);
        }
        catch (IOException)
        {
            // something is left in it: the next collection takes it
        }
    }
}
