using System.Collections.Concurrent;
using System.Collections.Immutable;
using Strata.Oci;

namespace Strata.Content;

/// <summary>Pull, push, save, load and mirror are all this.</summary>
public static class ContentCopier
{
    private const int MaxDepth = 8; // an index of indexes of …: nobody nests deeper

    /// <summary>Copies <paramref name="root"/> and all that it points to, children before parents, skipping what is there.</summary>
    /// <exception cref="StrataException">NotFound: the source lacks something; Corrupt: bytes are not what they claim to be.</exception>
    public static ValueTask CopyAsync(IContentSource source, IContentSink sink, Descriptor root, CopyOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(sink);
        ArgumentNullException.ThrowIfNull(root);
        return new Copy(source, sink, options ?? new CopyOptions()).RunAsync(root, 0, cancellationToken);
    }

    /// <summary>Reads a document (manifest, index, config) whole, verified, at most 4 MiB.</summary>
    public static async ValueTask<byte[]> ReadDocumentAsync(IContentSource source, Descriptor descriptor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(descriptor);
        if (descriptor.Size > OciJson.MaxDocumentBytes)
        {
            throw new StrataException(ErrorKind.Invalid, $"{descriptor.Digest}: a document of {descriptor.Size} bytes; {OciJson.MaxDocumentBytes} are taken");
        }
        Stream content = await source.OpenAsync(descriptor, cancellationToken).ConfigureAwait(false);
        await using (content.ConfigureAwait(false))
        {
            using var bytes = new MemoryStream((int)Math.Max(0, descriptor.Size));
            await content.CopyToAsync(bytes, cancellationToken).ConfigureAwait(false);
            return bytes.ToArray();
        }
    }

    private sealed class Copy(IContentSource source, IContentSink sink, CopyOptions options)
    {
        private readonly ConcurrentDictionary<Digest, bool> _done = new();

        internal async ValueTask RunAsync(Descriptor root, int depth, CancellationToken cancellationToken)
        {
            if (depth > MaxDepth)
            {
                throw new StrataException(ErrorKind.Invalid, $"{root.Digest}: indexes nested deeper than {MaxDepth}");
            }
            if (!MediaTypes.IsIndex(root.MediaType) && !MediaTypes.IsManifest(root.MediaType))
            {
                await CopyBlobAsync(root, cancellationToken).ConfigureAwait(false);
                return;
            }
            byte[] document = await ReadDocumentAsync(source, root, cancellationToken).ConfigureAwait(false);
            if (MediaTypes.IsIndex(root.MediaType))
            {
                foreach (Descriptor child in Chosen(OciJson.ParseIndex(document, root.MediaType)))
                {
                    await RunAsync(child, depth + 1, cancellationToken).ConfigureAwait(false);
                }
            }
            else
            {
                ImageManifest manifest = OciJson.ParseManifest(document, root.MediaType);
                var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.Parallelism, CancellationToken = cancellationToken };
                await Parallel.ForEachAsync(manifest.Layers.Append(manifest.Config).DistinctBy(d => d.Digest), parallel, CopyBlobAsync).ConfigureAwait(false);
            }
            if (!await sink.ContainsAsync(root, cancellationToken).ConfigureAwait(false))
            {
                using var bytes = new MemoryStream(document);
                await sink.WriteAsync(root, bytes, cancellationToken).ConfigureAwait(false);
            }
        }

        private ImmutableArray<Descriptor> Chosen(ImageIndex index)
        {
            if (options.Platform is not { } platform)
            {
                return index.Manifests;
            }
            Descriptor? chosen = index.Select(platform);
            return chosen is not null ? [chosen]
                : throw new StrataException(ErrorKind.NotFound, $"no image for {platform}; there are: {string.Join(", ", index.Manifests.Select(m => m.Platform?.ToString() ?? "unknown"))}");
        }

        private async ValueTask CopyBlobAsync(Descriptor blob, CancellationToken cancellationToken)
        {
            if (!_done.TryAdd(blob.Digest, true))
            {
                return;
            }
            if (options.LeavesForeign && blob.IsForeign)
            {
                options.Progress?.Report(new TransferProgress(blob, blob.Size, TransferState.LeftOut));
                return;
            }
            if (await sink.ContainsAsync(blob, cancellationToken).ConfigureAwait(false))
            {
                options.Progress?.Report(new TransferProgress(blob, blob.Size, TransferState.AlreadyThere));
                return;
            }
            bool isSent = true;
            if (source is IResumableSource there && sink is IResumableSink far)
            {
                isSent = await SendAsync(there, far, blob, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                Stream content = await source.OpenAsync(blob, cancellationToken).ConfigureAwait(false);
                var counted = new ProgressStream(content, 0, blob, options.Progress);
                await using (counted.ConfigureAwait(false))
                {
                    await sink.WriteAsync(blob, counted, cancellationToken).ConfigureAwait(false);
                }
            }
            options.Progress?.Report(new TransferProgress(blob, blob.Size, isSent ? TransferState.Done : TransferState.Mounted));
        }

        // The sink hashes what comes: hashing it here as well would only cost. Where it says no, whose fault it is is found out.
        private async ValueTask<bool> SendAsync(IResumableSource there, IResumableSink far, Descriptor blob, CancellationToken cancellationToken)
        {
            try
            {
                return await far.WriteAsync(blob, OpenFromAsync, cancellationToken).ConfigureAwait(false);
            }
            catch (StrataException e) when (e.Kind is ErrorKind.Invalid or ErrorKind.Corrupt)
            {
                Stream content = await source.OpenAsync(blob, cancellationToken).ConfigureAwait(false);
                await using (content.ConfigureAwait(false))
                {
                    await content.CopyToAsync(Stream.Null, cancellationToken).ConfigureAwait(false);
                }
                throw;
            }

            async ValueTask<Stream> OpenFromAsync(long start, CancellationToken token)
                => new ProgressStream(await there.OpenFromAsync(blob, start, token).ConfigureAwait(false), start, blob, options.Progress);
        }
    }

    /// <summary>Tells as bytes pass, at most every megabyte.</summary>
    private sealed class ProgressStream(Stream inner, long start, Descriptor blob, IProgress<TransferProgress>? progress) : Stream
    {
        private const long StepBytes = 1 << 20;
        private long _read = start, _told = start;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => blob.Size;
        public override long Position { get => _read; set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int read = await inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            Told(read);
            return read;
        }

        public override int Read(Span<byte> buffer)
        {
            int read = inner.Read(buffer);
            Told(read);
            return read;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            inner.Dispose();
            base.Dispose(disposing);
        }

        private void Told(int read)
        {
            _read += read;
            if (progress is not null && _read - _told >= StepBytes)
            {
                _told = _read;
                progress.Report(new TransferProgress(blob, _read, TransferState.Moving));
            }
        }
    }
}

/// <summary>How to copy.</summary>
public sealed record CopyOptions
{
    /// <summary>Copy only this platform of an index; all where null.</summary>
    public Platform? Platform { get; init; }
    /// <summary>How many blobs at once.</summary>
    public int Parallelism { get; init; } = 4;
    /// <summary>Told as bytes move.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }
    /// <summary>Leaves out layers that say themselves where they are to be had.</summary>
    public bool LeavesForeign { get; init; }
}

/// <summary>How far a blob has come. <see cref="State"/> says what happens to it.</summary>
public readonly record struct TransferProgress(Descriptor Descriptor, long Bytes, TransferState State);

/// <summary>What happens to a blob.</summary>
public enum TransferState
{
    /// <summary>Bytes are moving.</summary>
    Moving,
    /// <summary>The other side had it.</summary>
    AlreadyThere,
    /// <summary>All moved and verified.</summary>
    Done,
    /// <summary>The other side took it from another of its repositories.</summary>
    Mounted,
    /// <summary>A foreign layer: whoever wants it fetches it where it says.</summary>
    LeftOut,
}
