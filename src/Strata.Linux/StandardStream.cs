using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>
/// Standard output or error as they are: write(2), without a buffer. System.Console's streams bring the whole console with them: milliseconds at
/// every start, and escape sequences to a terminal that nobody asked for.
/// </summary>
public sealed unsafe class StandardStream : Stream
{
    private const short POLLOUT = 4;
    private const int OutputNumber = 1, ErrorNumber = 2;
    private readonly SafeFileHandle _file;
    private readonly string _name;

    private StandardStream(int number, string name) => (_file, _name) = (new SafeFileHandle(number, ownsHandle: false), name);

    /// <summary>Descriptor 1. Disposing of it does not close the descriptor.</summary>
    public static StandardStream OpenOutput() => new(OutputNumber, "standard output");

    /// <summary>Descriptor 2. Disposing of it does not close the descriptor.</summary>
    public static StandardStream OpenError() => new(ErrorNumber, "standard error");

    /// <inheritdoc/>
    public override bool CanRead => false;
    /// <inheritdoc/>
    public override bool CanSeek => false;
    /// <inheritdoc/>
    public override bool CanWrite => true;
    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();
    /// <inheritdoc/>
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <summary>Writes all of it.</summary>
    /// <exception cref="LinuxException">write failed; EPIPE: the reader has gone.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            for (nint done = 0; done < buffer.Length;)
            {
                nint written = Native.write(_file.Fd(), start + done, buffer.Length - done);
                if (written >= 0)
                {
                    done += written;
                }
                else if (Native.LastErrno is Errno.EAGAIN)
                {
                    // Whoever gave us the descriptor made it non-blocking; it is his flag, so we wait instead of clearing it.
                    var wait = new Native.PollFd { Fd = _file.Fd(), Events = POLLOUT };
                    _ = Native.poll(&wait, 1, -1);
                }
                else if (Native.LastErrno is not Errno.EINTR)
                {
                    throw Native.Failure("write", _name);
                }
            }
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();
}
