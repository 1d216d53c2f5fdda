using System.Text;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// A living claim on the store's content: a file in leases/ that its process holds by flock, and in it, a line each, the digests the process
/// counts on. No clock and no process id decides anything: a lock that can be taken belongs to the dead.
/// </summary>
public sealed class StoreLease : IDisposable
{
    private readonly string _path;
    private readonly FileLock _lock;
    private readonly Action<StoreLease> _onDispose;
    private readonly HashSet<Digest> _pinned = [];
    private bool _disposed;

    private StoreLease(string path, FileLock held, Action<StoreLease> onDispose) => (_path, _lock, _onDispose) = (path, held, onDispose);

    internal static StoreLease Create(StoreLayout layout, string purpose, Action<StoreLease> onDispose)
    {
        StoreDirectory.Create(layout.Leases, durable: false);
        while (true)
        {
            string path = Path.Combine(layout.Leases, $"{purpose.Replace('/', '_')}-{Guid.NewGuid():n}");
            FileLock? held = FileLock.TryAcquire(path, exclusive: true);
            if (held is not null && File.Exists(path))
            {
                return new StoreLease(path, held, onDispose);
            }
            held?.Dispose(); // a collector took the file, or has it for a moment, between its making and its locking
        }
    }

    /// <summary>Adds digests. Written before they are relied on, so that a collector's second look finds them.</summary>
    internal void Pin(params ReadOnlySpan<Digest> digests)
    {
        lock (_pinned)
        {
            var lines = new StringBuilder();
            foreach (Digest digest in digests)
            {
                if (!_disposed && _pinned.Add(digest))
                {
                    lines.Append(digest.ToString()).Append('\n');
                }
            }
            if (lines.Length > 0)
            {
                Files.Write(_lock.Handle, Encoding.ASCII.GetBytes(lines.ToString()), _path);
            }
        }
    }

    /// <summary>The purpose of a lease that counts on the blobs it pins and on nothing else: a registry, which lives long and unpacks nothing.</summary>
    public const string Registry = "registry";

    /// <summary>The pins of all living leases, and how many of these may count on more than they pin. The files of dead ones are removed.</summary>
    internal static (HashSet<Digest> Pins, int Living) ReadAll(StoreLayout layout, StoreLease? own = null)
    {
        var pins = new HashSet<Digest>();
        int living = 0;
        foreach (string path in Directory.Exists(layout.Leases) ? Directory.GetFiles(layout.Leases) : [])
        {
            if (path == own?._path)
            {
                continue;
            }
            using (FileLock? dead = FileLock.TryAcquire(path, exclusive: true))
            {
                if (dead is not null)
                {
                    File.Delete(path);
                    continue;
                }
            }
            living += Path.GetFileName(path).StartsWith(Registry + "-", StringComparison.Ordinal) ? 0 : 1;
            foreach (string line in Encoding.ASCII.GetString(AtomicFile.TryRead(path, 1 << 30) ?? []).Split('\n'))
            {
                if (Digest.TryParse(line, null, out Digest digest))
                {
                    pins.Add(digest);
                }
            }
        }
        return (pins, living);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_pinned)
        {
            if (_disposed)
            {
                return;
            }
            _disposed = true;
        }
        _onDispose(this);
        File.Delete(_path);
        _lock.Dispose();
    }
}
