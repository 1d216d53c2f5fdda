using System.Globalization;
using System.Net.Sockets;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>Where the streams of a container go. With a terminal all output comes as output.</summary>
/// <param name="Input">Read until its end where the container's input is open; null: the container's input is empty.</param>
/// <param name="Output">Its output.</param>
/// <param name="Error">Its error output.</param>
public sealed record ContainerStreams(Stream? Input, Stream Output, Stream Error)
{
    /// <summary>Rows and columns its terminal starts with.</summary>
    public (int Rows, int Columns)? TerminalSize { get; init; }
    /// <summary>Typed, they leave the container without ending it; none where null.</summary>
    public DetachKeys? DetachKeys { get; init; }
}

/// <summary>A container, or a further process in one, that this process has its streams with.</summary>
public sealed class ContainerSession : IDisposable
{
    private const int Kill = 9, PipeExit = 128 + 13;

    private readonly ContainerStart _start;
    private readonly string _bundle;
    private readonly string _persistent;
    private readonly ConmonProcess? _monitor;
    private readonly AttachedStreams? _attached;

    internal ContainerSession(ContainerRecord record, ContainerStart start, string bundle, string persistent, ConmonProcess? monitor, AttachedStreams? attached)
        => (Record, _start, _bundle, _persistent, _monitor, _attached) = (record, start, bundle, persistent, monitor, attached);

    /// <summary>What runs.</summary>
    public ContainerRecord Record { get; }

    /// <summary>Whether the detach keys were typed: then it runs on, and <see cref="WaitAsync"/> gave 0.</summary>
    public bool IsDetached { get; private set; }

    internal string Bundle => _bundle;

    /// <summary>Changes the size of its terminal.</summary>
    public void Resize(int rows, int columns) => Conmon.Resize(_bundle, rows, columns);

    /// <summary>Sends a signal to its first process. Gone already is no error.</summary>
    public void Signal(int signal) => LiveProcess.Signal(_start.Pid, _start.PidStarted, signal);

    /// <summary>
    /// Waits until it is over and all output was passed on; returns its exit code. Where the output could not be written any more (a closed pipe)
    /// the container is killed, and the result is 141, as for a program that a closed pipe ends.
    /// </summary>
    /// <exception cref="ContainerStartException">Its monitor was killed: nobody knows how it ended.</exception>
    public async ValueTask<int> WaitAsync(CancellationToken cancellationToken = default)
    {
        bool passedOn = true;
        if (_attached is not null)
        {
            AttachEnd end = await _attached.Completion.WaitAsync(cancellationToken).ConfigureAwait(false);
            if (end == AttachEnd.Detached)
            {
                IsDetached = true;
                return 0;
            }
            passedOn = end == AttachEnd.Closed;
            if (!passedOn)
            {
                // The monitor may be in the middle of a write to us: closing the socket lets it go on, and see that its container is gone.
                Signal(Kill);
                _attached.Dispose();
            }
        }
        if (_monitor is null)
        {
            return await WaitForExitFileAsync(cancellationToken).ConfigureAwait(false);
        }
        if (!KeepsMonitor)
        {
            await _monitor.Process.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        else
        {
            await WaitForEndAsync(cancellationToken).ConfigureAwait(false);
        }
        if (Conmon.TryReadExit(_persistent) is (int code, _))
        {
            return passedOn ? code : PipeExit;
        }
        Signal(Kill);
        throw new ContainerStartException(125, $"container {Record.ShortId}: its monitor (conmon) was killed; the container was killed too");
    }

    /// <summary>Whether its monitor has more to do when the container is over, which is not waited for.</summary>
    internal bool KeepsMonitor { get; init; }

    // The exit code is there before the monitor ends: it may have a command to run then.
    private async ValueTask WaitForEndAsync(CancellationToken cancellationToken)
    {
        await LiveProcess.WaitAsync(_start.Pid, _start.PidStarted, cancellationToken).ConfigureAwait(false);
        while (Conmon.TryReadExit(_persistent) is null && LiveProcess.IsSame(_start.MonitorPid, _start.MonitorStarted))
        {
            await Task.Delay(1, cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask<int> WaitForExitFileAsync(CancellationToken cancellationToken)
    {
        await WaitForEndAsync(cancellationToken).ConfigureAwait(false);
        return Conmon.TryReadExit(_persistent) is (int code, _) ? code : throw new ContainerStartException(125, $"container {Record.ShortId}: it is over, and nobody knows how");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _attached?.Dispose();
        _monitor?.Dispose();
    }
}

/// <summary>How an attachment ended.</summary>
internal enum AttachEnd
{
    /// <summary>The container closed its side, and all was written.</summary>
    Closed,
    /// <summary>A stream of ours was closed before.</summary>
    ReaderGone,
    /// <summary>The detach keys were typed.</summary>
    Detached,
}

/// <summary>Passes data between a container's attach socket and streams: one thread for each direction, because terminals and pipes block.</summary>
internal sealed class AttachedStreams : IDisposable
{
    // conmon reads and writes 8 KiB at once; its messages have the byte that names the stream in front.
    private const int MessageBytes = 8 << 10;
    private const byte OutputStream = 2, ErrorStream = 3;

    private readonly Socket _socket;
    private readonly ContainerStreams _streams;
    private readonly TaskCompletionSource<AttachEnd> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private AttachedStreams(Socket socket, ContainerStreams streams) => (_socket, _streams) = (socket, streams);

    /// <summary>How it ended, when it has.</summary>
    public Task<AttachEnd> Completion => _completion.Task;

    /// <summary>Connects to conmon.</summary>
    public static AttachedStreams Connect(string path, ContainerStreams streams)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        // The kernel takes 107 bytes, and a user's runtime directory may be anywhere: the directory is named by its descriptor.
        using (var folder = RootedDirectory.Open(Path.GetDirectoryName(path)!))
        {
            socket.Connect(new UnixDomainSocketEndPoint(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{folder.Handle.DangerousGetHandle()}/{Path.GetFileName(path)}")));
        }
        var attached = new AttachedStreams(socket, streams);
        new Thread(attached.PassOutput) { IsBackground = true, Name = "container output" }.Start();
        if (streams.Input is { } input)
        {
            new Thread(() => attached.PassInput(input)) { IsBackground = true, Name = "container input" }.Start();
        }
        return attached;
    }

    private void PassOutput()
    {
        byte[] buffer = new byte[MessageBytes + 1];
        try
        {
            while (TryReceive(buffer) is > 0 and int length)
            {
                Stream target = buffer[0] switch
                {
                    OutputStream => _streams.Output,
                    ErrorStream => _streams.Error,
                    byte other => throw new InvalidDataException($"conmon sent data of stream {other}"),
                };
                target.Write(buffer, 1, length - 1);
                target.Flush();
            }
            _completion.TrySetResult(AttachEnd.Closed);
        }
        catch (IOException)
        {
            _completion.TrySetResult(AttachEnd.ReaderGone); // EPIPE: who read our output is gone
        }
        catch (InvalidDataException e)
        {
            _completion.TrySetException(e);
        }
    }

    // 0 at the end: conmon closes the socket when the container's output is closed, or is gone (ECONNRESET).
    private int TryReceive(byte[] buffer)
    {
        try
        {
            return _socket.Receive(buffer);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return 0;
        }
    }

    private void PassInput(Stream input)
    {
        byte[] buffer = new byte[MessageBytes];
        try
        {
            while (input.Read(buffer) is > 0 and int length)
            {
                if (_streams.DetachKeys is not { } keys)
                {
                    _socket.Send(buffer.AsSpan(0, length));
                }
                else if (keys.Filter(buffer.AsSpan(0, length), part => Send(part.Span)))
                {
                    _completion.TrySetResult(AttachEnd.Detached);
                    return;
                }
            }
            _socket.Shutdown(SocketShutdown.Send); // conmon closes the container's input
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The container is over; nobody wants the rest.
        }
    }

    private void Send(ReadOnlySpan<byte> part)
    {
        if (part.Length > 0) // an empty message would be the end
        {
            _socket.Send(part);
        }
    }

    public void Dispose() => _socket.Dispose();
}
