using System.IO.Compression;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Linux;

/// <summary>gzip by ISA-L and by zlib: the same bytes, the same faults.</summary>
public sealed class GunzipTests
{
    public static TheoryData<string> Libraries => ["isal", "zlib"];

    [Fact]
    public void The_library_is_the_one_that_is_known() => Assert.True(IsalMembers.IsUsable, "libisal2 is not installed, or is another one");

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Members_of_all_kinds_come_back_however_they_are_cut(string library)
    {
        var random = new Random(1952);
        for (int round = 0; round < 150; round++)
        {
            using var gzip = new MemoryStream();
            using var plain = new MemoryStream();
            for (int members = random.Next(1, 4); members > 0; members--)
            {
                byte[] content = Content(random, random.Next(0, round % 10 == 0 ? 600_000 : 20_000));
                plain.Write(content);
                gzip.Write(Member(content, (CompressionLevel)random.Next(0, 4), random));
                gzip.Write(new byte[random.Next(3) == 0 && members == 1 ? random.Next(1, 600) : 0]); // padding
            }
            using Stream gunzip = new GunzipStream(new Pieces(gzip.ToArray(), random, round % 3 == 0 ? 3 : 200_000), Open(library));
            Assert.Equal(plain.ToArray(), ReadAll(gunzip, random, round % 4 == 0 ? 7 : 300_000));
        }
    }

    [Theory]
    [MemberData(nameof(Libraries))]
    public void A_cut_at_any_byte_is_told(string library)
    {
        byte[] gzip = Member(Content(new Random(3), 700), CompressionLevel.Optimal, new Random(5));
        for (int length = 0; length < gzip.Length; length++)
        {
            byte[] cut = gzip[..length];
            Assert.Throws<InvalidDataException>(() => Gunzip(library, cut));
        }
        Assert.Equal(700, Gunzip(library, gzip).Length);
    }

    [Fact]
    public void A_flipped_bit_is_what_zlib_says_it_is()
    {
        byte[] gzip = Member(Content(new Random(4), 1_500), CompressionLevel.Optimal, new Random(6));
        int refused = 0;
        for (int bit = 0; bit < gzip.Length * 8; bit++)
        {
            byte[] flipped = [.. gzip];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            byte[]? expected = TryGunzip("zlib", flipped), found = TryGunzip("isal", flipped);
            Assert.True(expected is null ? found is null : found is not null && expected.AsSpan().SequenceEqual(found), $"bit {bit} of byte {bit / 8}: {(expected is null ? "zlib refuses it" : "zlib takes it")}");
            refused += expected is null ? 1 : 0;
        }
        Assert.InRange(refused, gzip.Length * 6, gzip.Length * 8);
    }

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Garbage_is_told_and_noise_ends(string library)
    {
        byte[] gzip = Member(Content(new Random(4), 100), CompressionLevel.Optimal, new Random(7));
        Assert.Throws<InvalidDataException>(() => Gunzip(library, [.. gzip, .. "garbage"u8]));
        Assert.Throws<InvalidDataException>(() => Gunzip(library, "no gzip at all"u8.ToArray()));
        var random = new Random(8);
        for (int i = 0; i < 300; i++)
        {
            byte[] noise = new byte[random.Next(1, 5_000)];
            random.NextBytes(noise);
            (noise[0], noise[^1]) = (0x1F, 1);
            Assert.Null(TryGunzip(library, [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, .. noise]));
        }
    }

    private static GzipMembers Open(string library) => library == "isal" ? new IsalMembers() : new ZlibMembers();

    private static byte[] Gunzip(string library, byte[] gzip)
    {
        using Stream gunzip = new GunzipStream(new MemoryStream(gzip), Open(library));
        using var plain = new MemoryStream();
        gunzip.CopyTo(plain);
        return plain.ToArray();
    }

    private static byte[]? TryGunzip(string library, byte[] gzip)
    {
        try
        {
            return Gunzip(library, gzip);
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    private static byte[] ReadAll(Stream stream, Random random, int most)
    {
        using var all = new MemoryStream();
        byte[] buffer = new byte[most];
        for (int read; (read = stream.Read(buffer, 0, random.Next(1, most + 1))) > 0;)
        {
            all.Write(buffer, 0, read);
        }
        return all.ToArray();
    }

    // Noise, text, and runs; what repeats does so from far away, too.
    private static byte[] Content(Random random, int length)
    {
        byte[] content = new byte[length];
        for (int at = 0; at < length;)
        {
            int step = Math.Min(length - at, random.Next(1, 5_000));
            Span<byte> piece = content.AsSpan(at, step);
            switch (random.Next(4))
            {
                case 0:
                    random.NextBytes(piece);
                    break;
                case 1:
                    piece.Fill((byte)random.Next(256));
                    break;
                case 2 when at > 0:
                    int from = random.Next(Math.Max(0, at - 32_768), at);
                    for (int i = 0; i < step; i++)
                    {
                        piece[i] = content[from + (i % (at - from))];
                    }
                    break;
                default:
                    for (int i = 0; i < step; i++)
                    {
                        piece[i] = (byte)"the layers of an image "[(at + i) % 23];
                    }
                    break;
            }
            at += step;
        }
        return content;
    }

    // RFC 1952: with a header that has any of the fields, its own CRC among them.
    private static byte[] Member(byte[] content, CompressionLevel level, Random random)
    {
        using var bytes = new MemoryStream();
        using (var gzip = new GZipStream(bytes, level, leaveOpen: true))
        {
            gzip.Write(content);
        }
        byte[] plain = content.Length == 0 ? [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0] : bytes.ToArray();
        int flags = random.Next(32) & ~1;
        List<byte> header = [0x1F, 0x8B, 8, (byte)flags, 1, 2, 3, 4, 0, 3];
        if ((flags & 4) != 0)
        {
            header.AddRange([5, 0, 1, 2, 1, 0, 9]);
        }
        if ((flags & 8) != 0)
        {
            header.AddRange("name\0"u8);
        }
        if ((flags & 16) != 0)
        {
            header.AddRange("a comment\0"u8);
        }
        if ((flags & 2) != 0)
        {
            uint crc = Crc32([.. header]);
            header.AddRange([(byte)crc, (byte)(crc >> 8)]);
        }
        return [.. header, .. plain.AsSpan(10)];
    }

    private static uint Crc32(byte[] bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int i = 0; i < 8; i++)
            {
                crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
            }
        }
        return ~crc;
    }

    private sealed class Pieces(byte[] all, Random random, int most) : MemoryStream(all)
    {
        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, random.Next(1, most + 1))); // of spans, too
    }
}
