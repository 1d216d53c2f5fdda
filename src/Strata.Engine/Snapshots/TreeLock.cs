using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// The turn to unpack a layer: one process does, the others wait and then find it. The lock's file is removed by its holder, so who gets the lock of a
/// file that has lost its name tries again.
/// </summary>
internal sealed class TreeLock : IDisposable
{
    private readonly string _path;
    private readonly FileLock _lock;

    private TreeLock(string path, FileLock held) => (_path, _lock) = (path, held);

    internal static async ValueTask<TreeLock> AcquireAsync(string path, CancellationToken cancellationToken)
    {
        while (true)
        {
            FileLock held = await FileLock.AcquireAsync(path, exclusive: true, cancellationToken).ConfigureAwait(false);
            if (FileSystems.TryGetStatus(path) is { } named && named.Inode == Files.GetStatus(held.Handle).Inode)
            {
                return new TreeLock(path, held);
            }
            held.Dispose();
        }
    }

    public void Dispose()
    {
        File.Delete(_path);
        _lock.Dispose();
    }
}
