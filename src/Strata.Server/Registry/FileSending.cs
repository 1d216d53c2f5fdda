using System.IO.Pipelines;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Strata.Server.Registry;

/// <summary>What a plain connection offers beside bytes: a part of a file that goes from the page cache to the socket without a copy (<c>sendfile(2)</c>).</summary>
internal interface IFileSending
{
    /// <summary>The most bytes of one call.</summary>
    int MaxBytes { get; }

    /// <summary>The next bytes that are asked for by <see cref="PipeWriter.GetMemory"/> and advanced over are these of the file; what is written there is not looked at.</summary>
    void Announce(FileStream file, long offset, int count);
}

/// <summary>
/// The way out of a plain connection. Kestrel's own passes a response's bytes to a thread that sends them, and has no way to <c>sendfile</c> that keeps HTTP's
/// framing; this one sends them where they are flushed, and in the place of bytes that were announced as a file's it sends the file. Kestrel counts them as any
/// others, so lengths, timeouts and the connection's next request are its own work still.
/// </summary>
internal sealed class FileSending : PipeWriter, IFileSending, IDuplexPipe
{
    private const int ChunkBytes = 4 << 20;

    // Nobody reads or writes it, so the system gives it no memory: Kestrel wants a place of as many bytes as it counts.
    private static readonly Lazy<byte[]> s_place = new(() => GC.AllocateUninitializedArray<byte>(ChunkBytes, pinned: true));

    private readonly Pipe _text;
    private readonly Socket _socket;
    private readonly IDuplexPipe _transport;
    private FileStream? _file;
    private long _offset;
    private int _announced, _ready;
    private bool _isBroken;

    private FileSending(Socket socket, IDuplexPipe transport, PipeOptions options)
    {
        (_socket, _transport) = (socket, transport);
        _text = new Pipe(options);
    }

    /// <summary>For a listener without TLS: each connection whose socket is known gets it.</summary>
    public static ConnectionDelegate Use(ConnectionDelegate next) => async connection =>
    {
        if (connection.Features.Get<IConnectionSocketFeature>()?.Socket is not { } socket)
        {
            await next(connection);
            return;
        }
        IDuplexPipe transport = connection.Transport;
        // What is flushed is sent before the flush ends: nothing waits for a reader.
        FileSending sending = new(socket, transport, new PipeOptions(connection.Features.Get<IMemoryPoolFeature>()?.MemoryPool, pauseWriterThreshold: 0, useSynchronizationContext: false));
        connection.Transport = sending;
        connection.Features.Set<IFileSending>(sending);
        try
        {
            await next(connection);
        }
        finally
        {
            connection.Transport = transport;
            await sending.EndAsync();
        }
    };

    public PipeReader Input => _transport.Input;

    public PipeWriter Output => this;

    public int MaxBytes => ChunkBytes;

    public void Announce(FileStream file, long offset, int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, ChunkBytes);
        (_file, _offset, _announced) = (file, offset, count);
    }

    public override Memory<byte> GetMemory(int sizeHint = 0) => _announced > 0 ? s_place.Value.AsMemory(0, Math.Max(_announced, sizeHint)) : _text.Writer.GetMemory(sizeHint);

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        if (_announced == 0)
        {
            _text.Writer.Advance(bytes);
            return;
        }
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes, _announced);
        (_ready, _announced) = (bytes, 0);
    }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _text.Writer.UnflushedBytes + _ready;

    public override async ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        if (_isBroken)
        {
            (_ready, _file) = (0, null);
            return new FlushResult(isCanceled: false, isCompleted: true);
        }
        try
        {
            await SendTextAsync(cancellationToken);
            if (_ready > 0)
            {
                await SendFileAsync();
            }
            return new FlushResult(isCanceled: false, isCompleted: false);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The other end is gone; the transport's own reading finds out why.
            _isBroken = true;
            return new FlushResult(isCanceled: false, isCompleted: true);
        }
        catch (OperationCanceledException)
        {
            _isBroken = true; // a part of the bytes may have gone: nothing that follows could be understood
            throw;
        }
        finally
        {
            (_ready, _file) = (0, null);
        }
    }

    private async ValueTask SendTextAsync(CancellationToken cancellationToken)
    {
        await _text.Writer.FlushAsync(CancellationToken.None);
        if (!_text.Reader.TryRead(out ReadResult text))
        {
            return;
        }
        try
        {
            foreach (ReadOnlyMemory<byte> segment in text.Buffer)
            {
                for (ReadOnlyMemory<byte> rest = segment; rest.Length > 0;)
                {
                    rest = rest[await _socket.SendAsync(rest, SocketFlags.None, cancellationToken)..];
                }
            }
        }
        finally
        {
            _text.Reader.AdvanceTo(text.Buffer.End);
        }
    }

    private async ValueTask SendFileAsync()
    {
        using SocketAsyncEventArgs packet = new();
        TaskCompletionSource sent = new(TaskCreationOptions.RunContinuationsAsynchronously);
        packet.SendPacketsElements = [new SendPacketsElement(_file!, _offset, _ready)];
        packet.Completed += (_, _) => sent.TrySetResult();
        if (_socket.SendPacketsAsync(packet))
        {
            await sent.Task;
        }
        if (packet.SocketError != SocketError.Success || packet.BytesTransferred != _ready)
        {
            throw new SocketException((int)(packet.SocketError == SocketError.Success ? SocketError.ConnectionAborted : packet.SocketError));
        }
    }

    // What is on its way ends with the connection, which who asks for this is about to end.
    public override void CancelPendingFlush() => _isBroken = true;

    /// <summary>Nothing more is written; the transport ends the connection once it has been told.</summary>
    public override void Complete(Exception? exception = null)
    {
        _isBroken = true;
        _transport.Output.Complete(exception);
    }

    private async ValueTask EndAsync()
    {
        Complete();
        await _text.Writer.CompleteAsync();
        await _text.Reader.CompleteAsync();
    }
}
