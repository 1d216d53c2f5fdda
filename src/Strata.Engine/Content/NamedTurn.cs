using Strata.Linux;

namespace Strata.Content;

/// <summary>
/// The turn to load a blob or to unpack a layer: one process does, the others wait and then find it. The lock's file is removed by its holder, so who gets the lock of a
/// file that has lost its name tries again.
/// </summary>
internal sealed class NamedTurn : IDisposable
{
    private readonly string _path;
    private readonly FileLock _lock;

    private NamedTurn(string path, FileLock held) => (_path, _lock) = (path, held);

    internal static async ValueTask<NamedTurn> AcquireAsync(string path, CancellationToken cancellationToken)
    {
        while (true)
        {
            FileLock held = await FileLock.AcquireAsync(path, exclusive: true, cancellationToken).ConfigureAwait(false);
            if (FileSystems.TryGetStatus(path) is { } named && named.Inode == Files.GetStatus(held.Handle).Inode)
            {
                return new NamedTurn(path, held);
            }
            held.Dispose();
        }
    }

    /// <summary>Removes the locks' files that nobody holds: of processes that were killed.</summary>
    internal static void Sweep(string folder, bool dryRun)
    {
        foreach (string path in dryRun ? [] : Directory.GetFiles(folder, ".lock-*"))
        {
            // Removed while held, as by its holder.
            using FileLock? free = FileLock.TryAcquire(path, exclusive: true);
            if (free is not null)
            {
                File.Delete(path);
            }
        }
    }

    public void Dispose()
    {
        File.Delete(_path);
        _lock.Dispose();
    }
}
