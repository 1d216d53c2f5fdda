using System.Collections.Concurrent;
using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// Blobs on their way into the store, several at once, in order. It is a source of them, too: what it opens follows a blob that is still coming, so a layer
/// is unpacked while it is loaded, and its bytes are hashed once and never read from the disk. Ended by <see cref="DisposeAsync"/>, which waits.
/// </summary>
internal sealed class BlobDownloads : IContentSource, IAsyncDisposable
{
    private const int BufferBytes = 1 << 17;
    private const long StepBytes = 1 << 20; // progress is told at most every megabyte
    private readonly IResumableSource _source;
    private readonly ContentStore _store;
    private readonly IProgress<TransferProgress>? _progress;
    private readonly CancellationTokenSource _stop;
    private readonly SemaphoreSlim _slots;
    private readonly ConcurrentDictionary<Digest, Download> _downloads = new();
    private Exception? _failure;

    /// <summary>Starts to load what the store lacks; the first ones first.</summary>
    internal BlobDownloads(IResumableSource source, ContentStore store, IEnumerable<Descriptor> blobs, int parallelism, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        (_source, _store, _progress) = (source, store, progress);
        _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        _slots = new SemaphoreSlim(parallelism);
        List<Download> all = [.. blobs.DistinctBy(b => b.Digest).Select(b => new Download(b))];
        all.ForEach(d => _downloads[d.Blob.Digest] = d);
        all.ForEach(d => d.Work = RunAsync(d));
    }

    /// <summary>Cancelled when one of them fails: there is nothing to wait for any more.</summary>
    internal CancellationToken Stopped => _stop.Token;

    /// <summary>Whether one of them had been begun by an earlier process.</summary>
    internal bool HasResumed { get; private set; }

    /// <summary>Waits for all.</summary>
    /// <exception cref="StrataException">The first failure.</exception>
    internal async ValueTask CompleteAsync()
    {
        await Task.WhenAll(_downloads.Values.Select(d => d.Work)).ConfigureAwait(false);
        ThrowIfFailed();
    }

    /// <summary>The first failure; where there is one, a cancellation that others report is its consequence.</summary>
    internal void ThrowIfFailed()
    {
        if (Volatile.Read(ref _failure) is { } failure)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<Stream> OpenAsync(Descriptor descriptor, CancellationToken cancellationToken = default)
    {
        if (_downloads.TryGetValue(descriptor.Digest, out Download? download) && await download.Begun.Task.WaitAsync(cancellationToken).ConfigureAwait(false) is { } partial)
        {
            return partial.OpenReader();
        }
        return await _store.OpenAsync(descriptor, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_downloads.Values.Select(d => d.Work)).ConfigureAwait(false);
        _slots.Dispose();
        _stop.Dispose();
    }

#pragma warning disable CA1031 // kept, and thrown at whoever waits for the blob or for all of them
    private async Task RunAsync(Download download)
    {
        try
        {
            await _slots.WaitAsync(_stop.Token).ConfigureAwait(false);
            try
            {
                await LoadAsync(download, _stop.Token).ConfigureAwait(false);
            }
            finally
            {
                _slots.Release();
            }
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
            if (download.Begun.TrySetException(e))
            {
                _ = download.Begun.Task.Exception; // nobody may be waiting for it
            }
            await _stop.CancelAsync().ConfigureAwait(false);
        }
    }
#pragma warning restore CA1031

    private async ValueTask LoadAsync(Download download, CancellationToken cancellationToken)
    {
        Descriptor blob = download.Blob;
        using PartialBlob? partial = await _store.ContainsAsync(blob, cancellationToken).ConfigureAwait(false) ? null
            : await PartialBlob.TryAcquireAsync(_store, blob, cancellationToken).ConfigureAwait(false);
        download.Begun.SetResult(partial);
        if (partial is null)
        {
            _progress?.Report(new TransferProgress(blob, blob.Size, TransferState.AlreadyThere));
            return;
        }
        HasResumed |= partial.IsResumed;
        try
        {
            await FetchAsync(partial, blob, cancellationToken).ConfigureAwait(false);
            await partial.CommitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            partial.Fail(e);
            throw;
        }
        _progress?.Report(new TransferProgress(blob, blob.Size, TransferState.Done));
    }

    private async ValueTask FetchAsync(PartialBlob partial, Descriptor blob, CancellationToken cancellationToken)
    {
        if (partial.Length == blob.Size)
        {
            return;
        }
        Stream content = await _source.OpenFromAsync(blob, partial.Length, cancellationToken).ConfigureAwait(false);
        await using (content.ConfigureAwait(false))
        {
            byte[] buffer = new byte[BufferBytes];
            int read;
            for (long told = partial.Length; (read = await content.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0;)
            {
                partial.Append(buffer.AsSpan(0, read));
                if (partial.Length - told >= StepBytes)
                {
                    told = partial.Length;
                    _progress?.Report(new TransferProgress(blob, told, TransferState.Moving));
                }
            }
        }
        if (partial.Length < blob.Size)
        {
            throw new StrataException(ErrorKind.Corrupt, $"{blob.Digest} has {partial.Length} bytes, not {blob.Size}");
        }
    }

    private sealed class Download(Descriptor blob)
    {
        internal Descriptor Blob { get; } = blob;
        internal TaskCompletionSource<PartialBlob?> Begun { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
        internal Task Work { get; set; } = Task.CompletedTask;
    }
}
