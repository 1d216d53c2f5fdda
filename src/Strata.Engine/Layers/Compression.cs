using Strata.Linux;

namespace Strata.Layers;

/// <summary>How a layer blob is compressed.</summary>
public enum CompressionKind
{
    /// <summary>Not.</summary>
    None,
    /// <summary>RFC 1952.</summary>
    Gzip,
    /// <summary>RFC 8878.</summary>
    Zstd,
}

/// <summary>Compressed layers: gzip (several members), zstd (several frames, skippable ones), plain.</summary>
public static class Compression
{
    private const int DetectBytes = 6;
    private const int GzipLevel = 1; // a build waits for it; what a higher level saves on the wire is small beside what it costs here
    private const int ZstdLevel = 3;

    /// <summary>Tells by the first bytes (at least 6, or all there are).</summary>
    public static CompressionKind Detect(ReadOnlySpan<byte> start) => start switch
    {
        [0x1F, 0x8B, 0x08, ..] => CompressionKind.Gzip,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => CompressionKind.Zstd,
        [>= 0x50 and <= 0x5F, 0x2A, 0x4D, 0x18, ..] => CompressionKind.Zstd, // a skippable frame first
        _ => CompressionKind.None,
    };

    /// <summary>
    /// A plain stream of a blob, which is not disposed. Truncation, bad checksums and trailing garbage throw <see cref="InvalidDataException"/>
    /// (the base library's GZipStream accepts them).
    /// </summary>
    public static Stream OpenDecompressor(Stream blob)
    {
        ArgumentNullException.ThrowIfNull(blob);
        byte[] start = new byte[DetectBytes];
        int read = blob.ReadAtLeast(start, DetectBytes, throwOnEndOfStream: false);
        var whole = new PrefixedStream(start.AsMemory(0, read), blob);
        return Detect(start.AsSpan(0, read)) switch
        {
            CompressionKind.Gzip => Zlib.OpenGunzip(whole),
            CompressionKind.Zstd => Zstd.OpenDecompressor(whole),
            _ => whole,
        };
    }

    /// <summary>A stream that compresses into <paramref name="target"/>, which is not disposed. Same bytes for same input on one version of the library.</summary>
    public static Stream OpenCompressor(Stream target, CompressionKind kind) => kind switch
    {
        CompressionKind.None => new PassingStream(target),
        CompressionKind.Gzip => Zlib.OpenGzip(target, GzipLevel),
        CompressionKind.Zstd => Zstd.OpenCompressor(target, ZstdLevel),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "no such compression"),
    };

    /// <summary>A few bytes that were read already, then the rest.</summary>
    private sealed class PrefixedStream(ReadOnlyMemory<byte> prefix, Stream rest) : Stream
    {
        private ReadOnlyMemory<byte> _prefix = prefix;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            if (_prefix.IsEmpty)
            {
                return rest.Read(buffer);
            }
            int count = Math.Min(_prefix.Length, buffer.Length);
            _prefix.Span[..count].CopyTo(buffer);
            _prefix = _prefix[count..];
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }

    /// <summary>No compression: what is written goes on, and the target stays open.</summary>
    private sealed class PassingStream(Stream target) : Stream
    {
        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer) => target.Write(buffer);
        public override void Write(byte[] buffer, int offset, int count) => target.Write(buffer, offset, count);
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => target.WriteAsync(buffer, cancellationToken);
        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => target.WriteAsync(buffer, offset, count, cancellationToken);
        public override void Flush() => target.Flush();
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
