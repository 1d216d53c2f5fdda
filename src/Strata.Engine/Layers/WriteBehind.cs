using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace Strata.Layers;

/// <summary>
/// Hands what is written to a thread that writes it on, so that whoever makes the bytes and whoever takes them work at the same time. What fits into one buffer is
/// written on at the end, without a thread. A failure of the target is thrown at the next call. The target is not disposed.
/// </summary>
internal sealed class WriteBehind(Stream target) : Stream
{
    private const int BufferBytes = 512 << 10, Buffers = 3;
    private readonly BlockingCollection<(byte[] Bytes, int Count)> _filled = new(Buffers);
    private readonly BlockingCollection<byte[]> _free = new(Buffers + 1);
    private Thread? _thread;
    private byte[]? _current;
    private int _count, _made;
    private long _length;
    private volatile Exception? _failure;
    private bool _completed;

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => !_completed;
    public override long Length => _length;
    public override long Position { get => _length; set => throw new NotSupportedException(); }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        ObjectDisposedException.ThrowIf(_completed, this);
        for (_length += buffer.Length; buffer.Length > 0;)
        {
            _current ??= NextBuffer();
            int part = Math.Min(buffer.Length, BufferBytes - _count);
            buffer[..part].CopyTo(_current.AsSpan(_count));
            buffer = buffer[part..];
            _count += part;
            if (_count == BufferBytes)
            {
                HandOver(_current);
            }
        }
    }

    /// <summary>Waits until all is with the target.</summary>
    public void Complete()
    {
        if (_completed)
        {
            return;
        }
        if (_thread is not null)
        {
            if (_count > 0)
            {
                HandOver(_current!);
            }
            End();
            ThrowFailure();
        }
        else if (_count > 0)
        {
            target.Write(_current.AsSpan(0, _count));
        }
        _completed = true;
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    public override void Flush() { }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    // Without Complete what is not written yet is forgotten: something failed.
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _completed = true;
            End();
            _filled.Dispose();
            _free.Dispose();
        }
        base.Dispose(disposing);
    }

    private void End()
    {
        _filled.CompleteAdding();
        _thread?.Join();
    }

    private byte[] NextBuffer()
    {
        ThrowFailure();
        if (!_free.TryTake(out byte[]? buffer))
        {
            buffer = _made++ <= Buffers ? new byte[BufferBytes] : _free.Take();
        }
        return buffer;
    }

    private void HandOver(byte[] buffer)
    {
        if (_thread is null)
        {
            _thread = new Thread(WriteOn) { IsBackground = true, Name = "write behind" };
            _thread.Start();
        }
        _filled.Add((buffer, _count));
        (_current, _count) = (null, 0);
    }

#pragma warning disable CA1031 // thrown again at the caller
    private void WriteOn()
    {
        foreach ((byte[] bytes, int count) in _filled.GetConsumingEnumerable())
        {
            try
            {
                if (_failure is null)
                {
                    target.Write(bytes, 0, count);
                }
            }
            catch (Exception e)
            {
                _failure = e; // the rest is taken and dropped, so that nobody waits for room
            }
            _free.Add(bytes);
        }
    }
#pragma warning restore CA1031

    private void ThrowFailure()
    {
        if (_failure is { } failure)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }
}
