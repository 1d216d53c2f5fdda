using System.Text;
using Strata.Layers;
using Xunit;

namespace Strata.Tests.Layers;

public sealed class CompressionTests
{
    private static readonly byte[] s_text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 20_000).Select(i => i + " ")));

    [Theory]
    [InlineData(new byte[] { 0x1F, 0x8B, 0x08, 0, 0, 0 }, CompressionKind.Gzip)]
    [InlineData(new byte[] { 0x1F, 0x8B, 0x07, 0, 0, 0 }, CompressionKind.None)]
    [InlineData(new byte[] { 0x28, 0xB5, 0x2F, 0xFD, 0, 0 }, CompressionKind.Zstd)]
    [InlineData(new byte[] { 0x50, 0x2A, 0x4D, 0x18, 0, 0 }, CompressionKind.Zstd)]
    [InlineData(new byte[] { 0x5F, 0x2A, 0x4D, 0x18 }, CompressionKind.Zstd)]
    [InlineData(new byte[] { 0x60, 0x2A, 0x4D, 0x18, 0, 0 }, CompressionKind.None)]
    [InlineData(new byte[] { 0x1F, 0x8B }, CompressionKind.None)]
    [InlineData(new byte[0], CompressionKind.None)]
    public void The_first_bytes_tell(byte[] start, CompressionKind expected) => Assert.Equal(expected, Compression.Detect(start));

    [Theory]
    [InlineData(CompressionKind.None)]
    [InlineData(CompressionKind.Gzip)]
    [InlineData(CompressionKind.Zstd)]
    public void What_is_compressed_comes_back(CompressionKind kind)
    {
        foreach (int size in (int[])[0, 1, 5, 6, 7, 1000, s_text.Length])
        {
            byte[] blob = Compress(s_text[..size], kind);
            Assert.Equal(s_text[..size], Plain(blob));
            Assert.Equal(blob, Compress(s_text[..size], kind));
        }
        Assert.True(kind == CompressionKind.None || Compress(s_text, kind).Length < s_text.Length);
    }

    [Theory]
    [InlineData(CompressionKind.Gzip)]
    [InlineData(CompressionKind.Zstd)]
    public void Several_threads_give_the_same_bytes_however_the_input_is_cut(CompressionKind kind)
    {
        byte[] plain = new byte[(9 << 20) + 77];
        new Random(1952).NextBytes(plain.AsSpan(0, 5 << 20));
        for (int at = 5 << 20; at < plain.Length; at++)
        {
            plain[at] = (byte)(at / 100);
        }
        byte[] blob = Compress(plain, kind);
        Assert.Equal(plain, Plain(blob));
        Assert.InRange(blob.Length, 5 << 20, (5 << 20) + (1 << 17)); // what does not become smaller does not become larger
        using var target = new MemoryStream();
        using (Stream compressor = Compression.OpenCompressor(target, kind))
        {
            for (int at = 0, step = 1; at < plain.Length; at += step, step = (step * 7 % 300_000) + 1)
            {
                compressor.Write(plain.AsSpan(at, Math.Min(step, plain.Length - at)));
            }
        }
        Assert.Equal(blob, target.ToArray());
    }

    [Theory]
    [InlineData(CompressionKind.Gzip)]
    [InlineData(CompressionKind.Zstd)]
    public void What_the_target_refuses_is_told(CompressionKind kind)
    {
        using var full = new MemoryStream(new byte[100]); // cannot grow
        byte[] plain = new byte[6 << 20];
        new Random(1).NextBytes(plain);
        Assert.Throws<NotSupportedException>(() =>
        {
            using Stream compressor = Compression.OpenCompressor(full, kind);
            compressor.Write(plain);
        });
    }

    [Theory]
    [InlineData(CompressionKind.Gzip)]
    [InlineData(CompressionKind.Zstd)]
    public void Several_members_or_frames_are_one_stream(CompressionKind kind)
    {
        byte[] empty = Compress([], kind);
        byte[] blob = [.. empty, .. Compress(s_text[..1000], kind), .. empty, .. Compress(s_text[1000..], kind), .. empty];
        Assert.Equal(s_text, Plain(blob));
    }

    [Fact]
    public void A_skippable_frame_is_skipped_wherever_it_is()
    {
        byte[] skippable = [0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
        Assert.Equal(s_text, Plain([.. skippable, .. Compress(s_text, CompressionKind.Zstd), .. skippable]));
    }

    [Theory]
    [InlineData(CompressionKind.Gzip)]
    [InlineData(CompressionKind.Zstd)]
    public void A_stream_that_is_cut_anywhere_is_no_stream(CompressionKind kind)
    {
        byte[] blob = Compress(s_text[..300], kind);
        for (int length = DetectedBytes; length < blob.Length; length++)
        {
            Assert.Throws<InvalidDataException>(() => Plain(blob[..length]));
        }
    }

    [Theory]
    [InlineData(CompressionKind.Gzip)]
    [InlineData(CompressionKind.Zstd)]
    public void A_stream_with_a_wrong_checksum_is_no_stream(CompressionKind kind)
    {
        byte[] blob = Compress(s_text, kind);
        blob[^(kind == CompressionKind.Gzip ? 5 : 1)] ^= 1; // gzip ends with CRC32 and size, zstd with a checksum
        Assert.Throws<InvalidDataException>(() => Plain(blob));
        if (kind == CompressionKind.Gzip)
        {
            blob[^5] ^= 1;
            blob[^1] ^= 1; // the size
            Assert.Throws<InvalidDataException>(() => Plain(blob));
        }
    }

    [Theory]
    [InlineData(CompressionKind.Gzip)]
    [InlineData(CompressionKind.Zstd)]
    public void Garbage_behind_the_end_is_refused(CompressionKind kind)
        => Assert.Throws<InvalidDataException>(() => Plain([.. Compress(s_text, kind), .. "garbage"u8]));

    [Fact]
    public void Zeros_behind_a_gzip_stream_are_padding() => Assert.Equal(s_text, Plain([.. Compress(s_text, CompressionKind.Gzip), .. new byte[700]]));

    [Fact]
    public void The_blob_and_the_target_stay_open()
    {
        using var blob = new MemoryStream(Compress(s_text, CompressionKind.Gzip));
        Compression.OpenDecompressor(blob).Dispose();
        Assert.True(blob.CanRead);
    }

    private const int DetectedBytes = 4; // fewer are not told to be compressed

    private static byte[] Compress(byte[] plain, CompressionKind kind)
    {
        using var target = new MemoryStream();
        using (Stream compressor = Compression.OpenCompressor(target, kind))
        {
            compressor.Write(plain);
        }
        return target.ToArray();
    }

    private static byte[] Plain(byte[] blob)
    {
        using var source = new MemoryStream(blob);
        using Stream decompressor = Compression.OpenDecompressor(source);
        using var plain = new MemoryStream();
        decompressor.CopyTo(plain);
        return plain.ToArray();
    }
}
