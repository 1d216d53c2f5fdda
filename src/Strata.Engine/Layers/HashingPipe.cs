using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Layers;

/// <summary>
/// Decompresses on one thread, hashes on another, keeps a copy on a third where one is wanted, and is read on the caller's: a layer then costs about
/// as much as its slowest part. At most <see cref="Buffers"/> buffers are under way. A failure of one thread stops all and is thrown at the reader, then and at every call
/// after it.
/// </summary>
internal sealed class HashingPipe : Stream
{
    private const int Buffers = 4;
    private const int BufferBytes = 1 << 20;
    private const int WritebackBytes = 8 << 20;
    private readonly BlockingCollection<Chunk> _free = new(Buffers);
    private readonly BlockingCollection<Chunk> _filled = new(Buffers + 1);
    private readonly BlockingCollection<Chunk> _toHash = new(Buffers + 1);
    private readonly IncrementalHash _hash;
    private readonly long _maxBytes;
    private readonly CancellationTokenSource _stop = new();
    private readonly BlockingCollection<Chunk>? _toCopy;
    private readonly SafeFileHandle? _copy;
    private readonly Thread _filler, _hasher;
    private readonly Thread? _copier;
    private readonly Chunk[] _chunks = new Chunk[Buffers];
    private readonly Stream _source;
    private Exception? _failure;
    private Chunk? _current;
    private int _at;
    private bool _atEnd, _disposed;

    /// <summary>Starts to read <paramref name="source"/>, which is not disposed. More than <paramref name="maxBytes"/> are not handed out, nor passed over; all that is goes to the empty file <paramref name="copy"/> as well.</summary>
    internal HashingPipe(Stream source, long maxBytes = long.MaxValue, IncrementalHash? hash = null, SafeFileHandle? copy = null)
    {
        (_source, _maxBytes, _hash) = (source, maxBytes, hash ?? IncrementalHash.CreateHash(HashAlgorithmName.SHA256));
        for (int i = 0; i < Buffers; i++)
        {
            _free.Add(_chunks[i] = new Chunk());
        }
        _filler = new Thread(Fill) { IsBackground = true, Name = "layer inflate" };
        _hasher = new Thread(Hash) { IsBackground = true, Name = "layer hash" };
        _filler.Start();
        _hasher.Start();
        if (copy is not null)
        {
            (_copy, _toCopy) = (copy, new BlockingCollection<Chunk>(Buffers + 1));
            _copier = new Thread(Copy) { IsBackground = true, Name = "layer copy" };
            _copier.Start();
        }
    }

    /// <summary>Bytes handed out so far.</summary>
    internal long BytesRead { get; private set; }

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => BytesRead; set => throw new NotSupportedException(); }

    /// <summary>The hash of all; once, after the end was read. Then the copy is whole, too.</summary>
    internal byte[] Finish()
    {
        _hasher.Join();
        _copier?.Join();
        ThrowIfFailed();
        return _hash.GetHashAndReset();
    }

    public override int Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty || (_current is null && !Next()))
        {
            return 0;
        }
        int count = Math.Min(buffer.Length, _current!.Length - _at);
        _current.Bytes.AsSpan(_at, count).CopyTo(buffer);
        Advance(count);
        return count;
    }

    /// <summary>Passes over bytes without copying them.</summary>
    internal long Skip(long count)
    {
        long left = count;
        while (left > 0 && (_current is not null || Next()))
        {
            int step = (int)Math.Min(left, _current!.Length - _at);
            Advance(step);
            left -= step;
        }
        return count - left;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && !_disposed)
        {
            _disposed = true;
            _stop.Cancel();
            _filler.Join();
            _hasher.Join();
            _copier?.Join();
            _current = null;
            _atEnd = true;
            foreach (Chunk chunk in _chunks.Where(c => c.Bytes is not null))
            {
                ArrayPool<byte>.Shared.Return(chunk.Bytes!);
            }
            _hash.Dispose();
            _free.Dispose();
            _filled.Dispose();
            _toHash.Dispose();
            _toCopy?.Dispose();
            _stop.Dispose();
        }
        base.Dispose(disposing);
    }

    private void Advance(int count)
    {
        _at += count;
        BytesRead += count;
        if (BytesRead > _maxBytes)
        {
            throw new StrataException(ErrorKind.Invalid, $"layer: more than {_maxBytes} plain bytes (the limit {nameof(LayerLimits.MaxPlainBytes)})");
        }
        if (_at == _current!.Length)
        {
            Release(_current);
            (_current, _at) = (null, 0);
        }
    }

    private bool Next()
    {
        if (_atEnd)
        {
            ThrowIfFailed();
            return false;
        }
        if (!_filled.TryTake(out _current, Timeout.Infinite) || _current.Length == 0)
        {
            (_current, _atEnd) = (null, true);
            _toHash.CompleteAdding();
            _toCopy?.CompleteAdding();
            ThrowIfFailed();
            return false;
        }
        _at = 0;
        _current.Users = _toCopy is null ? 2 : 3; // the reader, the hasher and the copier
        _toHash.Add(_current);
        _toCopy?.Add(_current);
        return true;
    }

    private void Release(Chunk chunk)
    {
        if (Interlocked.Decrement(ref chunk.Users) == 0)
        {
            _free.Add(chunk);
        }
    }

    private void ThrowIfFailed()
    {
        if (Volatile.Read(ref _failure) is { } failure)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
    }

#pragma warning disable CA1031 // thrown again at the reader
    private void Fill()
    {
        try
        {
            while (true)
            {
                Chunk chunk = _free.Take(_stop.Token);
                chunk.Bytes ??= ArrayPool<byte>.Shared.Rent(BufferBytes); // most layers are small, and use one or two
                chunk.Length = _source.ReadAtLeast(chunk.Bytes.AsSpan(0, BufferBytes), BufferBytes, throwOnEndOfStream: false);
                _filled.Add(chunk);
                if (chunk.Length == 0)
                {
                    return;
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // disposed before the end, or the hasher failed: nobody reads on
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null); // thrown behind what came before it
        }
        finally
        {
            _filled.CompleteAdding();
        }
    }

    private void Hash()
    {
        try
        {
            foreach (Chunk chunk in _toHash.GetConsumingEnumerable(_stop.Token))
            {
                _hash.AppendData(chunk.Bytes!, 0, chunk.Length);
                Release(chunk);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // disposed before the end: nobody asks for the hash
        }
        catch (Exception e)
        {
            // Its chunks never come free: whoever waits for one would wait for ever.
            Interlocked.CompareExchange(ref _failure, e, null);
            _stop.Cancel();
        }
    }

    // The disk begins at once: what the caller syncs at the end is mostly there by then.
    private void Copy()
    {
        try
        {
            using var copy = new SparseFileStream(_copy!);
            long begun = 0;
            foreach (Chunk chunk in _toCopy!.GetConsumingEnumerable(_stop.Token))
            {
                copy.Write(chunk.Bytes.AsSpan(0, chunk.Length));
                Release(chunk);
                if (copy.Length - begun >= WritebackBytes)
                {
                    Durability.BeginWriteback(_copy!, begun, copy.Length - begun);
                    begun = copy.Length;
                }
            }
            copy.Flush();
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // disposed before the end: nobody wants the copy
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
            _stop.Cancel();
        }
    }
#pragma warning restore CA1031

    private sealed class Chunk
    {
        internal byte[]? Bytes;
        internal int Length;
        internal int Users;
    }
}
