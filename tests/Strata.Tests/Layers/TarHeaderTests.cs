using System.Text;
using Strata.Layers;
using Xunit;

namespace Strata.Tests.Layers;

public sealed class TarHeaderTests
{
    [Theory]
    [InlineData("00000000017\0", 15L)]
    [InlineData("         17 ", 15L)]
    [InlineData("17\0\0\0\0\0\0\0\0\0\0", 15L)]
    [InlineData("\0\0\0\0\0\0\0\0\0\0\0\0", 0L)]
    [InlineData("777777777777", 0xFFFFFFFFFL)]
    [InlineData("18\0\0\0\0\0\0\0\0\0\0", null)]
    [InlineData("1 7\0\0\0\0\0\0\0\0\0", null)]
    [InlineData("-1\0\0\0\0\0\0\0\0\0\0", null)]
    [InlineData("\u0080\0\0\0\0\0\0\0\0\0\0\u0001", 1L)]
    [InlineData("\u0080\0\0\0\u007f\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff", long.MaxValue)]
    [InlineData("\u0080\0\0\0\u0080\0\0\0\0\0\0\0", null)]
    [InlineData("\u0080\0\0\u0001\0\0\0\0\0\0\0\0", null)]
    [InlineData("\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff", -1L)]
    [InlineData("\u00ff\u00ff\u00ff\u00ff\u0080\0\0\0\0\0\0\0", long.MinValue)]
    [InlineData("\u00ff\u00ff\u00ff\u00fe\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff", null)]
    [InlineData("\u0081\0\0\0\0\0\0\0", null)]
    [InlineData("\u00fe\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff", null)]
    [InlineData("\u00ff\0\0\0\0\0\0\0", -(1L << 56))]
    [InlineData("\0000017\0", null)]
    [InlineData(" \000017\0", null)]
    [InlineData("        ", 0L)]
    [InlineData("\u0080\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff", 0xFFFFFFFFFFFFFFL)]
    [InlineData("\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00fe", -2L)]
    public void A_number_is_octal_or_base_256(string field, long? expected)
    {
        bool isNumber = TarHeader.TryNumber(Encoding.Latin1.GetBytes(field), out long value);
        Assert.Equal(expected, isNumber ? value : null);
    }

    [Theory]
    [InlineData("ustar\000", "", "dir/name")]
    [InlineData("ustar\000", "tar\0", "dir/name")]
    [InlineData("ustar\000", "none", "dir/name")]
    public void The_prefix_of_a_ustar_header_is_part_of_the_name(string magic, string trailer, string expected)
        => Assert.Equal(expected, NameOf(magic, "dir", trailer));

    [Fact]
    public void A_star_header_has_a_shorter_prefix()
    {
        string prefix = new('p', 131), withTime = prefix + "00000000000 ";
        Assert.Equal(prefix + "/name", NameOf("ustar\000", withTime, "tar\0"));
        Assert.Equal(withTime + "/name", NameOf("ustar\000", withTime, ""));
    }

    [Theory]
    [InlineData("ustar  \0", "00000000001\0")]
    [InlineData("ustar  \0", "")]
    [InlineData("\0\0\0\0\0\0\0\0", "")]
    public void Other_headers_have_none(string magic, string prefix) => Assert.Equal("name", NameOf(magic, prefix, ""));

    [Theory]
    [InlineData("ustar  \0")]
    [InlineData("ustar\0\0\0")]
    [InlineData("ustar 00")]
    [InlineData("\0\0\0\0\0\0\0\0")]
    public void What_looks_like_a_prefix_in_them_is_refused(string magic) => Assert.Throws<FormatException>(() => NameOf(magic, "dir", ""));

    [Fact]
    public void A_checksum_of_signed_bytes_is_right_too()
    {
        byte[] block = new byte[RawTar.BlockBytes];
        block[0] = 0xE4;
        RawTar.Sum(block);
        Assert.True(new TarHeader(block).ChecksumIsRight);
        RawTar.Put(block, 148, 8, [.. RawTar.Octal(Convert.ToInt64(Encoding.ASCII.GetString(block, 148, 6), 8) - 256, 6), (byte)' ']);
        Assert.True(new TarHeader(block).ChecksumIsRight);
        block[1] ^= 1;
        Assert.False(new TarHeader(block).ChecksumIsRight);
    }

    private static string NameOf(string magic, string prefix, string trailer)
    {
        byte[] block = new byte[RawTar.BlockBytes];
        RawTar.Put(block, 0, 100, "name"u8);
        RawTar.Put(block, 257, 8, Encoding.Latin1.GetBytes(magic));
        RawTar.Put(block, 345, 155, Encoding.Latin1.GetBytes(prefix));
        RawTar.Put(block, 508, 4, Encoding.Latin1.GetBytes(trailer));
        return Encoding.Latin1.GetString(new TarHeader(block).Name);
    }
}
