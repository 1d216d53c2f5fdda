using Strata.Linux;

namespace Strata.Build;

/// <summary>
/// A lock by name that leaves no file behind: who holds it alone removes its file when he lets it go, and who waits finds out that the file he has
/// locked is not the one that is there any more, and begins anew. Gone when its process is, as every flock(2).
/// </summary>
internal sealed class KeyLock : IDisposable
{
    private readonly string _path;
    private readonly FileLock _file;
    private readonly bool _removes;

    private KeyLock(string path, FileLock file, bool removes) => (_path, _file, _removes) = (path, file, removes);

    /// <summary>Takes the lock, or null where another holds it.</summary>
    internal static KeyLock? TryAcquire(string path, bool exclusive)
    {
        while (true)
        {
            FileLock? file = FileLock.TryAcquire(path, exclusive);
            if (file is null)
            {
                return null;
            }
            if (FileSystems.TryGetStatus(path)?.Inode == FileSystems.TryGetStatus($"/proc/self/fd/{file.Handle.DangerousGetHandle()}", follow: true)?.Inode)
            {
                return new KeyLock(path, file, exclusive);
            }
            file.Dispose(); // its last holder has removed it between our open and our lock
        }
    }

    /// <summary>Waits for the lock.</summary>
    internal static async ValueTask<KeyLock> AcquireAsync(string path, bool exclusive, CancellationToken cancellationToken)
    {
        const int FirstPause = 1, LongestPause = 50; // milliseconds
        for (int pause = FirstPause; ; pause = Math.Min(pause * 2, LongestPause))
        {
            if (TryAcquire(path, exclusive) is { } taken)
            {
                return taken;
            }
            await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Lets it go.</summary>
    public void Dispose()
    {
        if (_removes)
        {
            File.Delete(_path);
        }
        _file.Dispose();
    }
}
