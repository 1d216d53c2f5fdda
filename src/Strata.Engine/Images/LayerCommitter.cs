using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Images;

/// <summary>Turns what a writable snapshot changed into a layer blob, in one pass: tar, hash of the plain bytes, compression, hash of the blob.</summary>
public static class LayerCommitter
{
    private const int BufferBytes = 1 << 18;

    /// <summary>
    /// Writes the changes of <paramref name="snapshot"/> as a layer; null where nothing changed. The snapshot stays as it is: freeze it with
    /// <see cref="ISnapshotter.CommitAsync"/> and the diff ID, or keep writing to it. The caller holds a <see cref="StoreLease"/>.
    /// </summary>
    /// <param name="snapshots">The snapshotter that owns <paramref name="snapshot"/>.</param>
    /// <param name="snapshot">What changed.</param>
    /// <param name="content">Where the layer goes.</param>
    /// <param name="compression">How the blob is compressed; the diff ID is the same for all.</param>
    /// <param name="clampModified">Later mtimes become this (SOURCE_DATE_EPOCH).</param>
    /// <param name="cancellationToken">Stops the writing; then nothing is stored.</param>
    public static async ValueTask<CommittedLayer?> WriteAsync(ISnapshotter snapshots, ActiveSnapshot snapshot, ContentStore content,
        CompressionKind compression = CompressionKind.Gzip, FileTime? clampModified = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshots);
        var options = new SnapshotDiffOptions { ClampModified = clampModified };
        return await WriteAsync(content, tar => snapshots.WriteChangesAsync(snapshot, tar, options, cancellationToken), compression, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Stores the tar that <paramref name="write"/> writes as a layer; null where it says that there is none.</summary>
    public static async ValueTask<CommittedLayer?> WriteAsync(ContentStore content, Func<Stream, ValueTask<bool>> write,
        CompressionKind compression = CompressionKind.Gzip, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(content);
        ArgumentNullException.ThrowIfNull(write);
        BlobWriter blob = content.CreateWriter();
        await using (blob.ConfigureAwait(false))
        {
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            long plainBytes;
            Stream compressor = Compression.OpenCompressor(blob, compression);
            await using (compressor.ConfigureAwait(false))
            {
                var tar = new HashingStream(compressor, hash);
                await using (tar.ConfigureAwait(false))
                {
                    // Files are read on one thread, and hashed and compressed on another.
                    using WriteBehind behind = new(tar);
                    if (!await write(behind).ConfigureAwait(false))
                    {
                        return null;
                    }
                    behind.Complete();
                    plainBytes = tar.Length;
                }
            }
            Descriptor layer = await blob.CommitAsync(MediaTypeOf(compression), expected: null, cancellationToken).ConfigureAwait(false);
            return new CommittedLayer(layer, Digest.FromSha256(hash.GetHashAndReset()), plainBytes);
        }
    }

    /// <summary>
    /// Stores the tar that <paramref name="write"/> writes as a layer, and has it applied by <paramref name="apply"/>, which gets its diff ID and the tar in a file that
    /// may be taken; null where there is none. The bytes are made once, hashed on one thread and compressed on another, and applied while the compression goes on.
    /// </summary>
    internal static async ValueTask<(CommittedLayer Layer, T Applied)?> WriteAsync<T>(ContentStore content, Func<Stream, bool> write, Func<Digest, string, ValueTask<T>> apply, CompressionKind compression, CancellationToken cancellationToken)
        where T : class
    {
        string path = content.Layout.NewIngestPath("layer");
        BlobWriter blob = content.CreateWriter();
        await using (blob.ConfigureAwait(false))
        {
            try
            {
                using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
                Stream compressor = Compression.OpenCompressor(blob, compression);
                await using (compressor.ConfigureAwait(false))
                {
                    using WriteBehind compressing = new(compressor), hashing = new(new HashingStream(Stream.Null, hash));
                    if (!WritePlain(path, write, hashing, compressing))
                    {
                        return null;
                    }
                    var diffId = Digest.FromSha256(hash.GetHashAndReset());
                    Task<T> applied = Task.Run(() => apply(diffId, path).AsTask(), CancellationToken.None);
                    try
                    {
                        compressing.Complete();
                        await compressor.DisposeAsync().ConfigureAwait(false); // the end of what is compressed; disposing once more does nothing
                        Descriptor layer = await blob.CommitAsync(MediaTypeOf(compression), expected: null, cancellationToken).ConfigureAwait(false);
                        return (new CommittedLayer(layer, diffId, hashing.Length), await applied.ConfigureAwait(false));
                    }
                    finally
                    {
                        await ((Task)applied).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // it reads the file
                    }
                }
            }
            finally
            {
                File.Delete(path);
            }
        }
    }

    private static bool WritePlain(string path, Func<Stream, bool> write, WriteBehind hashing, WriteBehind compressing)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        var plain = new SparseFileStream(file);
        using (var tar = new BufferedStream(new TeeStream(plain, hashing, compressing), BufferBytes))
        {
            if (!write(tar))
            {
                return false;
            }
        }
        plain.Flush();
        hashing.Complete();
        return true;
    }

    private static string MediaTypeOf(CompressionKind compression) => compression switch
    {
        CompressionKind.None => MediaTypes.OciLayer,
        CompressionKind.Gzip => MediaTypes.OciLayerGzip,
        CompressionKind.Zstd => MediaTypes.OciLayerZstd,
        _ => throw new ArgumentOutOfRangeException(nameof(compression), compression, "no such compression"),
    };

    /// <summary>Writes everything several times. The targets are the caller's.</summary>
    private sealed class TeeStream(params Stream[] targets) : Stream
    {
        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            foreach (Stream target in targets)
            {
                target.Write(buffer);
            }
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
        public override void Flush() { }
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
    }

    /// <summary>Hashes what passes on to <paramref name="target"/>, which it does not dispose.</summary>
    private sealed class HashingStream(Stream target, IncrementalHash hash) : Stream
    {
        private long _length;

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => _length;
        public override long Position { get => _length; set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            hash.AppendData(buffer);
            target.Write(buffer);
            _length += buffer.Length;
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            hash.AppendData(buffer.Span);
            await target.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
            _length += buffer.Length;
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
        public override void Flush() => target.Flush();
        public override Task FlushAsync(CancellationToken cancellationToken) => target.FlushAsync(cancellationToken);
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
    }
}

/// <summary>A layer that was just stored.</summary>
/// <param name="Layer">The blob, as a manifest names it.</param>
/// <param name="DiffId">The digest of the plain tar, as a config names it.</param>
/// <param name="PlainBytes">The length of the plain tar.</param>
public sealed record CommittedLayer(Descriptor Layer, Digest DiffId, long PlainBytes);
