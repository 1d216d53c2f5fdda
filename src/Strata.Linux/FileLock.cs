namespace Strata.Linux;

/// <summary>flock(2) on a file: a kernel lock, gone when its holder is. The file is created where missing (0600, O_CLOEXEC) and stays.</summary>
public sealed class FileLock : IDisposable
{
    private FileLock() { }

    /// <summary>Takes the lock, or null where another holds it.</summary>
    public static FileLock? TryAcquire(string path, bool exclusive) => throw new NotImplementedException(path);

    /// <summary>Waits for the lock (polls, so that it can be cancelled).</summary>
    public static ValueTask<FileLock> AcquireAsync(string path, bool exclusive, CancellationToken cancellationToken = default) => throw new NotImplementedException(path);

    /// <summary>Lets it go.</summary>
    public void Dispose() => throw new NotImplementedException();
}
