using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>flock(2) on a file: a kernel lock, gone when its holder is. The file is created where missing (0600, O_CLOEXEC) and stays.</summary>
public sealed class FileLock : IDisposable
{
    private const int LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8;
    private static readonly TimeSpan s_firstPause = TimeSpan.FromMilliseconds(1), s_longestPause = TimeSpan.FromMilliseconds(50);
    private readonly SafeFileHandle _file;

    private FileLock(SafeFileHandle file) => _file = file;

    /// <summary>The locked file, open for reading and writing.</summary>
    public SafeFileHandle Handle => _file;

    /// <summary>Takes the lock, or null where another holds it.</summary>
    public static unsafe FileLock? TryAcquire(string path, bool exclusive)
    {
        ArgumentNullException.ThrowIfNull(path);
        SafeFileHandle file;
        fixed (byte* name = PathBytes.Of(path, "open"))
        {
            int fd = Native.openat(Native.AT_FDCWD, name, Native.O_RDWR | Native.O_CREAT | Native.O_NOFOLLOW | Native.O_CLOEXEC, 0b110_000_000);
            file = fd >= 0 ? fd.ToHandle() : throw Native.Failure("open", path);
        }
        try
        {
            if (TryLock(file, path, exclusive))
            {
                return new FileLock(file);
            }
        }
        catch (LinuxException)
        {
            file.Dispose();
            throw;
        }
        file.Dispose();
        return null;
    }

    /// <summary>Locks an open file, which stays the caller's: closing it lets the lock go. False where another holds it.</summary>
    public static bool TryLock(SafeFileHandle file, string path, bool exclusive)
    {
        ArgumentNullException.ThrowIfNull(file);
        while (Native.flock(file.Fd(), (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0)
        {
            Errno error = Native.LastErrno;
            if (error is not Errno.EINTR)
            {
                return error is Errno.EAGAIN ? false : throw new LinuxException("flock", path, error);
            }
        }
        return true;
    }

    /// <summary>Waits for the lock (polls, so that it can be cancelled).</summary>
    public static async ValueTask<FileLock> AcquireAsync(string path, bool exclusive, CancellationToken cancellationToken = default)
    {
        for (TimeSpan pause = s_firstPause; ; pause = pause < s_longestPause ? pause * 2 : pause)
        {
            if (TryAcquire(path, exclusive) is { } taken)
            {
                return taken;
            }
            await Task.Delay(pause, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Lets it go: also where a child process that is just being started has the descriptor for as long as it has not become its program.</summary>
    public void Dispose()
    {
        if (!_file.IsClosed)
        {
            _ = Native.flock(_file.Fd(), LOCK_UN);
        }
        _file.Dispose();
    }
}
