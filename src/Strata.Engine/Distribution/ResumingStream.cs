using Strata.Oci;

namespace Strata.Distribution;

/// <summary>
/// A download that goes on after it broke off: the rest is asked for again, from the first byte that is missing. Gives up only where several attempts
/// in a row bring nothing. Whether the bytes are right is judged by who reads them to the end.
/// </summary>
internal sealed class ResumingStream(Stream first, long start, Descriptor descriptor, string source, RegistryOptions options,
    Func<long, CancellationToken, ValueTask<Stream>> reopen, Func<int, TimeSpan> backoff) : Stream
{
    private Stream? _current = first;
    private CancellationTokenSource _stall = new();
    private long _position = start;
    private int _failures;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (true)
        {
            Exception? cause = null;
            try
            {
                _current ??= await reopen(_position, cancellationToken).ConfigureAwait(false);
                int read = await ReadOnceAsync(_current, buffer, cancellationToken).ConfigureAwait(false);
                if (read > 0 || buffer.IsEmpty || _position >= descriptor.Size)
                {
                    _position += read;
                    _failures = read > 0 ? 0 : _failures;
                    return read;
                }
            }
            catch (Exception e) when (e is IOException or HttpRequestException or StrataException { Kind: ErrorKind.Unavailable })
            {
                cause = e;
            }
            if (_current is not null)
            {
                await _current.DisposeAsync().ConfigureAwait(false);
                _current = null;
            }
            if (++_failures >= options.Attempts)
            {
                throw new StrataException(ErrorKind.Unavailable, $"{source}: {descriptor.Digest} broke off at {_position} of {descriptor.Size} bytes", cause);
            }
            await Task.Delay(backoff(_failures), options.Time, cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask<int> ReadOnceAsync(Stream stream, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        CancellationTokenSource stall = _stall;
        using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(static state => ((CancellationTokenSource)state!).Cancel(), stall);
        stall.CancelAfter(options.Patience);
        try
        {
            return await stream.ReadAsync(buffer, stall.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw new IOException($"no byte within {options.Patience.TotalSeconds:0} s", e);
        }
        finally
        {
            if (!stall.TryReset())
            {
                stall.Dispose();
                _stall = new CancellationTokenSource();
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _current?.Dispose();
            _stall.Dispose();
        }
        base.Dispose(disposing);
    }

    public override async ValueTask DisposeAsync()
    {
        if (_current is not null)
        {
            await _current.DisposeAsync().ConfigureAwait(false);
        }
        _stall.Dispose();
        await base.DisposeAsync().ConfigureAwait(false);
    }

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => descriptor.Size;
    public override long Position { get => _position; set => throw new NotSupportedException(); }
    // A synchronous read would have to block a thread for a network that may take minutes.
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("a download is read asynchronously");
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
