using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// A blob that comes from far away, as far as it is here. Its file stands under the digest's name in <see cref="StoreLayout.Downloads"/>, and it is one process's turn
/// to write it: a second process waits and then finds the blob, and after a kill the next one goes on where this one ended. Others of this process may read
/// what is here while the rest is coming. The bytes are judged when all are here; until then nothing of it is a blob.
/// </summary>
internal sealed class PartialBlob : IDisposable
{
    private static readonly TimeSpan s_life = TimeSpan.FromDays(1);
    private readonly ContentStore _store;
    private readonly Descriptor _descriptor;
    private readonly string _path;
    private readonly NamedTurn _writing;
    private readonly SafeFileHandle _file;
    private readonly IncrementalHash _hash;
    private readonly object _turn = new(); // a monitor: readers wait for the writer
    private Writeback _writeback;
    private long _length;
    private bool _isWhole;
    private Exception? _failure;
    private bool _disposed;

    private PartialBlob(ContentStore store, Descriptor descriptor, string path, NamedTurn writing)
    {
        (_store, _descriptor, _path, _writing, _hash) = (store, descriptor, path, writing, descriptor.Digest.CreateHash());
        _file = Files.OpenOrCreate(path);
    }

    /// <summary>Bytes that are here.</summary>
    internal long Length => Interlocked.Read(ref _length);

    /// <summary>Whether some of it was here when it was taken up: by whom and what became of it since, nobody knows until all is hashed.</summary>
    internal bool IsResumed { get; private set; }

    /// <summary>Takes up a blob. Null: the store has it, perhaps since another process that was waited for has finished it.</summary>
    internal static async ValueTask<PartialBlob?> TryAcquireAsync(ContentStore store, Descriptor descriptor, CancellationToken cancellationToken)
    {
        StoreDirectory.Create(store.Layout.Downloads, durable: false);
        string path = PathOf(store.Layout, descriptor.Digest);
        NamedTurn turn = await NamedTurn.AcquireAsync(LockOf(path), cancellationToken).ConfigureAwait(false);
        try
        {
            if (!await store.ContainsAsync(descriptor, cancellationToken).ConfigureAwait(false))
            {
                return Open(store, descriptor, path, turn);
            }
            File.Delete(path); // it came another way
        }
        catch
        {
            turn.Dispose();
            throw;
        }
        turn.Dispose();
        return null;
    }

    /// <summary>Removes what nobody is loading and nobody has touched for a day; returns the bytes on disk.</summary>
    internal static long Sweep(StoreLayout layout, TimeProvider time, bool dryRun)
    {
        long bytes = 0;
        if (!Directory.Exists(layout.Downloads))
        {
            return 0;
        }
        NamedTurn.Sweep(layout.Downloads, dryRun);
        foreach (string path in Directory.GetFiles(layout.Downloads).Where(p => !Path.GetFileName(p).StartsWith('.')))
        {
            using FileLock? free = FileLock.TryAcquire(LockOf(path), exclusive: true);
            if (free is not null && FileSystems.TryGetStatus(path) is { } status && time.GetUtcNow() - DateTimeOffset.FromUnixTimeSeconds(status.Modified.Seconds) > s_life)
            {
                bytes += FileSystems.GetDiskUsage(path);
                if (!dryRun)
                {
                    File.Delete(path);
                }
            }
            if (free is not null)
            {
                File.Delete(LockOf(path)); // while it is held, as its holders do
            }
        }
        return bytes;
    }

    /// <summary>Adds bytes.</summary>
    /// <exception cref="StrataException">Corrupt: there are more than the blob has.</exception>
    internal void Append(ReadOnlySpan<byte> bytes)
    {
        if (_length + bytes.Length > _descriptor.Size)
        {
            throw new StrataException(ErrorKind.Corrupt, $"{_descriptor.Digest} has more than {_descriptor.Size} bytes");
        }
        Files.Write(_file, bytes, _path);
        _hash.AppendData(bytes);
        _writeback.Advance(_file, _length + bytes.Length);
        int count = bytes.Length;
        Tell(() => _length += count);
    }

    /// <summary>Makes it a blob of the store. Readers learn that it is right before it is synced.</summary>
    /// <exception cref="DigestMismatchException">It is another one; then what is here is forgotten.</exception>
    internal async ValueTask CommitAsync(CancellationToken cancellationToken)
    {
        Digest actual = Digest.FromHash(_descriptor.Digest.HashAlgorithm, _hash.GetHashAndReset());
        if (actual != _descriptor.Digest)
        {
            Forget();
            throw new DigestMismatchException(_descriptor.Digest, actual, "download");
        }
        Tell(() => _isWhole = true);
        Files.SetMode(_file, 0b100_000_000, _path);
        _store.Pin(actual);
        if (!await FileBlobWriter.PublishAsync(_store, _file, _path, actual, _length, replaces: false, cancellationToken).ConfigureAwait(false))
        {
            Forget(); // it came another way meanwhile
        }
    }

    /// <summary>It will not come: readers get this.</summary>
    internal void Fail(Exception failure)
    {
        // What is damaged is no start for another try, and a full disk needs the room.
        if (failure is StrataException { Kind: ErrorKind.Corrupt } or LinuxException)
        {
            Forget();
        }
        Tell(() => _failure = failure);
    }

    /// <summary>Reads it from its start, waiting for what is still to come. Ends when all was found right.</summary>
    internal Stream OpenReader()
    {
        lock (_turn)
        {
            // Once it is disposed of it is a blob like others, or has failed.
            return _disposed ? _store.OpenFile(_descriptor.Digest) : new Reader(this, Files.OpenAgain(_file, _path));
        }
    }

    /// <summary>Lets go of it: what is here stays for the next try.</summary>
    public void Dispose()
    {
        lock (_turn)
        {
            if (_disposed)
            {
                return;
            }
            _disposed = true;
        }
        if (_length == 0 && !_isWhole)
        {
            Forget();
        }
        LetGo();
        _writing.Dispose();
    }

    private void LetGo()
    {
        _file.Dispose();
        _hash.Dispose();
    }

    private static string PathOf(StoreLayout layout, Digest digest) => Path.Combine(layout.Downloads, $"{digest.Algorithm}-{digest.Hex}");

    private static string LockOf(string path) => Path.Combine(Path.GetDirectoryName(path)!, ".lock-" + Path.GetFileName(path));

    private static PartialBlob Open(ContentStore store, Descriptor descriptor, string path, NamedTurn turn)
    {
        var blob = new PartialBlob(store, descriptor, path, turn);
        try
        {
            long there = Files.GetStatus(blob._file).Size;
            if (there > descriptor.Size)
            {
                Files.SetLength(blob._file, 0, path);
                return blob;
            }
            byte[] buffer = new byte[1 << 17];
            int read;
            for (; (read = RandomAccess.Read(blob._file, buffer, blob._length)) > 0; blob._length += read)
            {
                blob._hash.AppendData(buffer, 0, read);
            }
            Files.Skip(blob._file, blob._length, path);
            blob.IsResumed = blob._length > 0;
            return blob;
        }
        catch
        {
            blob.LetGo(); // the turn is the caller's again
            throw;
        }
    }

    private void Forget() => FileSystems.RemoveTree(_path);

    private void Tell(Action change)
    {
        lock (_turn)
        {
            change();
            Monitor.PulseAll(_turn);
        }
    }

    // How many bytes may be read; waits where that is no more than what was read.
    private long WaitFor(long position)
    {
        lock (_turn)
        {
            while (_failure is null && _length <= position && !_isWhole)
            {
                Monitor.Wait(_turn);
            }
            if (_failure is { } failure)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
            }
            return _length;
        }
    }

    /// <summary>Follows the writer.</summary>
    private sealed class Reader(PartialBlob blob, SafeFileHandle file) : Stream
    {
        private long _position;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => blob._descriptor.Size;
        public override long Position { get => _position; set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            if (buffer.IsEmpty)
            {
                return 0;
            }
            long left = blob.WaitFor(_position) - _position;
            int read = left == 0 ? 0 : RandomAccess.Read(file, buffer[..(int)Math.Min(buffer.Length, left)], _position);
            _position += read;
            return read;
        }

        // Waits on a thread of its own: whoever writes needs those of the pool.
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
            => await Task.Factory.StartNew(() => Read(buffer.Span), cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                file.Dispose();
            }
            base.Dispose(disposing);
        }
    }
}
