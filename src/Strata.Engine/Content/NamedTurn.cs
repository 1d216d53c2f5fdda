using Strata.Linux;

namespace Strata.Content;

/// <summary>
/// The turn to load a blob, to unpack a layer, to do a build step or to use a cache's folder: one process does, the others wait and then find it. The lock's file is
/// removed by who held it alone, so who gets the lock of a file that has lost its name tries again. Gone when its process is, as every flock(2).
/// </summary>
internal sealed class NamedTurn : IDisposable
{
    private readonly string _path;
    private readonly FileLock _lock;
    private readonly bool _removes;

    private NamedTurn(string path, FileLock held, bool removes) => (_path, _lock, _removes) = (path, held, removes);

    /// <summary>Waits for it.</summary>
    /// <param name="path">The lock's file; made where it is not there.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <param name="exclusive">Alone; else with others who want it shared.</param>
    internal static async ValueTask<NamedTurn> AcquireAsync(string path, CancellationToken cancellationToken, bool exclusive = true)
    {
        while (true)
        {
            if (TryHold(path, await FileLock.AcquireAsync(path, exclusive, cancellationToken).ConfigureAwait(false), exclusive) is { } turn)
            {
                return turn;
            }
        }
    }

    /// <summary>Takes it alone, or null where somebody has it.</summary>
    internal static NamedTurn? TryAcquire(string path)
    {
        while (FileLock.TryAcquire(path, exclusive: true) is { } held)
        {
            if (TryHold(path, held, exclusive: true) is { } turn)
            {
                return turn;
            }
        }
        return null;
    }

    // Null: its last holder has removed the file between our open and our lock.
    private static NamedTurn? TryHold(string path, FileLock held, bool exclusive)
    {
        if (FileSystems.TryGetStatus(path) is { } named && named.Inode == Files.GetStatus(held.Handle).Inode)
        {
            return new NamedTurn(path, held, exclusive);
        }
        held.Dispose();
        return null;
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
        if (_removes)
        {
            File.Delete(_path);
        }
        _lock.Dispose();
    }
}
