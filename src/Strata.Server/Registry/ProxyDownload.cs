using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Distribution;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>
/// A blob on its way from an upstream: one download, any number of readers, each at its own pace. It comes into a file without a name; when all of it
/// is there and right it is stored, and only then the readers get its last part: nobody holds a whole blob that is wrong.
/// </summary>
internal sealed class ProxyDownload(ContentStore content, Descriptor blob)
{
    private const int ChunkBytes = 128 << 10;

    private readonly Lock _turn = new();
    private readonly SafeFileHandle _file = CreateFile(content);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _available;

    /// <summary>Over, well or not.</summary>
    public Task Ended => _ended.Task;

    private static SafeFileHandle CreateFile(ContentStore content)
    {
        string path = content.Layout.NewIngestPath("proxy");
        SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete);
        File.Delete(path); // it lives as long as somebody reads it
        return file;
    }

    /// <summary>Fetches, verifies, stores. A failure ends the readers, and is told to nobody else.</summary>
    public async Task RunAsync(RemoteRepository remote, Func<ValueTask> stored, CancellationToken cancellationToken)
    {
        try
        {
            long length = 0;
            await using (Stream source = await remote.OpenAsync(blob, cancellationToken))
            {
                byte[] buffer = new byte[ChunkBytes];
                for (int read; (read = await source.ReadAsync(buffer, cancellationToken)) > 0; length += read)
                {
                    // The last chunk waits for the verdict, which comes with the end.
                    Publish(length);
                    await RandomAccess.WriteAsync(_file, buffer.AsMemory(0, read), length, cancellationToken);
                }
            }
            await using (Stream whole = new HandleStream(_file))
            {
                await content.WriteAsync(blob, whole, cancellationToken);
            }
            await stored();
            Publish(length);
            _ended.TrySetResult();
        }
        catch (Exception e) when (e is StrataException or IOException or OperationCanceledException or HttpRequestException or ObjectDisposedException)
        {
            _ended.TrySetException(e is StrataException ? e : new StrataException(ErrorKind.Unavailable, $"fetch {blob.Digest} from {remote}: {e.Message}", e));
            _ = _ended.Task.Exception; // seen: there may be no reader left
            Publish(0);
        }
    }

    private void Publish(long available)
    {
        TaskCompletionSource changed;
        lock (_turn)
        {
            _available = Math.Max(_available, available);
            (changed, _changed) = (_changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        changed.TrySetResult();
    }

    private (long Available, Task Changed) Look()
    {
        lock (_turn)
        {
            return (_available, _changed.Task);
        }
    }

    /// <summary>Waits until something is there, or all of it.</summary>
    /// <exception cref="StrataException">What ended it.</exception>
    public async Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        for ((long available, Task changed) = Look(); available == 0 && !_ended.Task.IsCompleted; (available, changed) = Look())
        {
            await changed.WaitAsync(cancellationToken);
        }
        if (Look().Available == 0)
        {
            await _ended.Task;
        }
    }

    /// <summary>Writes it all, as it comes.</summary>
    /// <exception cref="StrataException">What ended it before its end.</exception>
    public async Task CopyToAsync(Stream target, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[ChunkBytes];
        for (long at = 0; at < blob.Size;)
        {
            (long available, Task changed) = Look();
            if (at == available)
            {
                if (_ended.Task.IsCompleted && Look().Available == available)
                {
                    await _ended.Task; // throws, or the blob is shorter than it says, which was found out above
                    return;
                }
                await changed.WaitAsync(cancellationToken);
                continue;
            }
            int read = await RandomAccess.ReadAsync(_file, buffer.AsMemory(0, (int)Math.Min(buffer.Length, available - at)), at, cancellationToken);
            await target.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            at += read;
        }
    }

    // From the file's beginning, whatever its place; the file stays open.
    private sealed class HandleStream(SafeFileHandle file) : Stream
    {
        private long _at;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => _at; set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            int read = RandomAccess.Read(file, buffer, _at);
            _at += read;
            return read;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => ValueTask.FromResult(Read(buffer.Span));
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
