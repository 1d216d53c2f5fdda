using Strata.Layers;
using Xunit;

namespace Strata.Tests.Layers;

/// <summary>Archives that programs read differently, or that ask for too much: refused, with the entry's number and the reason.</summary>
public sealed class LayerReaderRefusalTests
{
    private static readonly Dictionary<string, (Func<byte[]> Make, string Reason)> s_cases = new()
    {
        ["global path"] = (() => new RawTar().Global("path=a").File("b").End(), "entry 1: a global header may not set path"),
        ["global linkpath"] = (() => new RawTar().Global("linkpath=a").File("b").End(), "entry 1: a global header may not set linkpath"),
        ["global size"] = (() => new RawTar().Global("size=1").File("b", "x").End(), "entry 1: a global header may not set size"),
        ["global xattr"] = (() => new RawTar().Global("SCHILY.xattr.user.a=b").File("b").End(), "a global header may not set extended attributes"),
        ["global libarchive xattr"] = (() => new RawTar().Global("LIBARCHIVE.xattr.user.a=Yg").File("b").End(), "a global header may not set extended attributes"),
        ["global sparse"] = (() => new RawTar().Global("GNU.sparse.size=9").File("b").End(), "a global header may not set GNU.sparse"),
        ["global headers that disagree by omission"] = (() => new RawTar().Global("uid=1").File("a").Global("gid=1").File("b").End(), "entry 2: a second global header leaves out uid"),
        ["global between extended header and entry"] = (() => new RawTar().Pax("uid=1").Global("gid=1").File("b").End(), "a global header between"),
        ["x path, then L"] = (() => new RawTar().Pax("path=a").Long('L', "b").File("c").End(), "entry 1: two extended headers disagree about the name"),
        ["L, then x path"] = (() => new RawTar().Long('L', "b").Pax("path=a").File("c").End(), "two extended headers disagree about the name"),
        ["x linkpath, then K"] = (() => new RawTar().Pax("linkpath=a").Long('K', "b").Header('2', "c").End(), "two extended headers disagree about the link target"),
        ["two L"] = (() => new RawTar().Long('L', "a").Long('L', "b").File("c").End(), "two extended headers disagree about the name"),
        ["two K"] = (() => new RawTar().Long('K', "a").Long('K', "b").Header('2', "c").End(), "two extended headers disagree about the link target"),
        ["two x"] = (() => new RawTar().Pax("uid=1").Pax("gid=1").File("c").End(), "a second PAX header for one entry"),
        ["empty PAX path"] = (() => new RawTar().Pax("path=").File("c").End(), "the PAX record path is empty"),
        ["size on a symbolic link"] = (() => new RawTar().Header('2', "a", 5, "b").End(), "entry 1 «a»: a symbolic link with a size"),
        ["size on a FIFO"] = (() => new RawTar().Header('6', "a", 5).End(), "a FIFO with a size"),
        ["size on a character device"] = (() => new RawTar().Header('3', "a", 5).End(), "a character device with a size"),
        ["size on a block device"] = (() => new RawTar().Header('4', "a", 5).End(), "a block device with a size"),
        ["size on a directory"] = (() => new RawTar().Header('5', "a/", 5).End(), "a directory with a size"),
        ["size on a file that is a directory by its slash"] = (() => new RawTar().Header('0', "a/", 5).End(), "a directory with a size"),
        ["PAX size on a directory"] = (() => new RawTar().Pax("size=5").Header('5', "a/", 5).End(), "a directory with a size"),
        ["a hard link with a PAX size"] = (() => new RawTar().Pax("size=4").Header('1', "a", 4, "b").End(), "a hard link with a PAX size"),
        ["an old sparse file that is not GNU's"] = (() => new RawTar().Header('S', "a").End(), "entries of type 'S' are not known"),
        ["an unknown type among AUFS' books"] = (() => new RawTar().Header('Z', ".wh..wh.aufs").End(), "entries of type 'Z' are not known"),
        ["a long name cut by its size"] = (() => new RawTar().Header('L', "x", 1).Body("ab"u8).File("a").End(), "a long name that goes on behind its size"),
        ["a contiguous file with a slash"] = (() => new RawTar().Header('7', "a/").End(), "a file with a slash behind its name"),
        ["a file whose PAX path has a slash"] = (() => new RawTar().Pax("path=a/").Header('0', "a").End(), "a file with a slash behind its name"),
        ["a number that nobody needs"] = (() => new RawTar().Header('x', "x", edit: b => b[110] = (byte)'z').File("a").End(), "entry 1: the header's uid is no number"),
        ["a device in a V7 header"] = (() => new RawTar().Header('3', "a", edit: b => { b.AsSpan(257, 8).Clear(); RawTar.Put(b, 337, 8, "0000001"u8); }).End(), "a device in a header without device numbers"),
        ["a global header at the end"] = (() => new RawTar().File("a").Global("comment=x").ToArray(), "the archive ends behind an extended header"),
        ["bad atime"] = (() => new RawTar().Pax("atime=x").File("a").End(), "the PAX record atime is no time"),
        ["hard link to nothing"] = (() => new RawTar().Header('1', "a").End(), "entry 1 «a»: a hard link with no target"),
        ["hard link to the root"] = (() => new RawTar().Header('1', "a", 0, "./").End(), "a hard link to the root"),
        ["file below a whiteout"] = (() => new RawTar().File(".wh.a/b").End(), "a name below a whiteout"),
        ["entry number counts entries"] = (() => new RawTar().Global("comment=x").Pax("uid=1").File("a").Pax("uid=1").File("../b").End(), "entry 2 «../b»"),
        ["sizes that disagree"] = (() => new RawTar().Pax("size=1024").File("a", "x").End(), "entry 1 «a»: its headers disagree about the size (1024 and 1 bytes)"),
        ["a prefix without the magic"] = (() => new RawTar().File("a", edit: b => { b.AsSpan(257, 8).Clear(); RawTar.Put(b, 345, 3, "dir"u8); }).End(), "a name prefix in a header that is not ustar"),
        ["a prefix in a GNU header"] = (() => new RawTar().File("a", edit: b => { RawTar.MakeGnu(b); RawTar.Put(b, 345, 3, "dir"u8); }).End(), "a name prefix in a header that is not ustar"),
        ["wrong checksum"] = (() => Break(new RawTar().File("a").End(), 3), "entry 1: the header's checksum is wrong"),
        ["cut header"] = (() => new RawTar().File("a", "text").End()[..700], "the archive is cut"),
        ["cut content"] = (() => new RawTar().File("a", new string('x', 1000)).End()[..1024], "the archive is cut"),
        ["end behind an extended header"] = (() => new RawTar().Pax("uid=1").End(), "the archive ends behind an extended header"),
        ["one zero block in the middle"] = (() => new RawTar().File("a").Raw(new byte[512]).File("b").End(), "a single zero block"),
        ["control characters in a name"] = (() => new RawTar().File("../a\u001b[1m\n").End(), "entry 1 «../a\\x1b[1m\\x0a»: the name escapes the layer root"),
        ["NUL in a PAX path"] = (() => new RawTar().Pax("path=a\0b").File("c").End(), "has a NUL"),
        ["NUL in an xattr's key"] = (() => new RawTar().Pax("SCHILY.xattr.user.\0=b").File("c").End(), "a PAX record's key has a NUL"),
        ["xattr without a name"] = (() => new RawTar().Pax("SCHILY.xattr.=b").File("c").End(), "an extended attribute has no name"),
        ["libarchive xattr that is no base64"] = (() => new RawTar().Pax("LIBARCHIVE.xattr.user.a=*").File("c").End(), "is not base64"),
        ["xattrs that disagree"] = (() => new RawTar().Pax("SCHILY.xattr.user.a=b", "LIBARCHIVE.xattr.user.a=eHg").File("c").End(), "the extended attribute user.a is stated twice, differently"),
        ["PAX length too long"] = (() => new RawTar().Header('x', "x", 10).Body("99 uid=10\n"u8).File("c").End(), "a PAX record's length is wrong"),
        ["PAX number that is none"] = (() => new RawTar().Pax("uid=-1").File("c").End(), "the PAX record uid is no number"),
        ["negative size"] = (() => new RawTar().Header('0', "a", edit: b => b.AsSpan(124, 12).Fill(0xFF)).End(), "the entry's size is negative"),
        ["unknown type"] = (() => new RawTar().Header('Z', "a").End(), "entries of type 'Z' are not known"),
        ["device 0:0"] = (() => new RawTar().Header('3', "a").End(), "overlayfs' whiteout"),
        ["whiteout of nothing"] = (() => new RawTar().File("a/.wh.").End(), "a whiteout that names nothing"),
        ["whiteout of .."] = (() => new RawTar().File("a/.wh...").End(), "a whiteout that names nothing"),
        ["dots in a hard link"] = (() => new RawTar().Header('1', "a", 0, "../b").End(), "the link target escapes the layer root"),
    };

    public static TheoryData<string> Cases => [.. s_cases.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_programs_would_read_differently_is_refused(string name)
    {
        (Func<byte[]> make, string reason) = s_cases[name];
        StrataException e = Assert.Throws<StrataException>(() => RawTar.Read(make()));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        Assert.True(e.Kind is ErrorKind.Invalid or ErrorKind.Corrupt);
    }

    [Fact]
    public void A_refused_archive_stays_refused()
    {
        using var blob = new MemoryStream(new RawTar().File("../a").File("b").End());
        using var reader = new LayerReader(blob);
        string first = Assert.Throws<StrataException>(reader.Read).Message;
        Assert.Equal(first, Assert.Throws<StrataException>(reader.Read).Message);
    }

    [Theory]
    [InlineData(5000, 4096, false)]
    [InlineData(5000, 7168, true)] // a header, ten blocks of content, two of end: 6,656 bytes
    [InlineData(5000, 6655, false)]
    [InlineData(5000, 6656, true)]
    public void Plain_bytes_are_limited_wherever_they_are(int content, long limit, bool fits)
    {
        byte[] tar = new RawTar().File("a", new string('x', content)).End();
        AssertLimit(tar, new LayerLimits { MaxPlainBytes = limit }, fits ? null : "MaxPlainBytes");
        Assert.Equal(6656, tar.Length);
    }

    [Fact]
    public void Plain_bytes_behind_the_end_are_limited_too()
        => AssertLimit([.. new RawTar().File("a").End(), .. new byte[100_000]], new LayerLimits { MaxPlainBytes = 50_000 }, "MaxPlainBytes");

    [Fact]
    public void Content_that_is_read_meets_the_limit_before_its_end()
    {
        using var blob = new MemoryStream(new RawTar().File("a", new string('x', 100_000)).End());
        StrataException e = Assert.Throws<StrataException>(() =>
        {
            using var reader = new LayerReader(blob, new LayerLimits { MaxPlainBytes = 10_000 });
            reader.Read();
            reader.Content.CopyTo(Stream.Null);
        });
        Assert.Contains("MaxPlainBytes", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(3, false)]
    public void Extended_headers_of_one_entry_are_limited_by_their_sum(int parts, bool fits)
    {
        string text = new('y', 2000);
        var tar = new RawTar();
        if (parts > 1)
        {
            tar.Long('L', "name").Long('K', text);
        }
        tar.Pax("comment=" + text).Header('2', "name", 0, "b");
        AssertLimit(tar.End(), new LayerLimits { MaxHeaderBytes = 3000 }, fits ? null : "MaxHeaderBytes");
    }

    [Fact]
    public void Extended_headers_of_several_entries_do_not_add_up()
    {
        var tar = new RawTar();
        for (int i = 0; i < 20; i++)
        {
            tar.Pax("comment=" + new string('y', 1000)).File("f" + i);
        }
        AssertLimit(tar.End(), new LayerLimits { MaxHeaderBytes = 3000 }, null);
    }

    [Fact]
    public void A_header_that_claims_two_gigabytes_is_refused_by_its_claim()
        => AssertLimit(new RawTar().Header('x', "x", 2L << 30).End(), new LayerLimits(), "MaxHeaderBytes");

    [Fact]
    public void A_path_is_measured_before_it_is_split()
    {
        string deep = string.Concat(Enumerable.Repeat("a/", 200_000));
        AssertLimit(new RawTar().Long('L', deep).Header('5', "a").End(), new LayerLimits(), "MaxPathBytes");
        AssertLimit(new RawTar().Long('L', deep).Header('5', "a").End(), new LayerLimits { MaxPathBytes = 1 << 20 }, "MaxPathDepth");
        AssertLimit(new RawTar().Long('L', "a/b/c").File("a").End(), new LayerLimits { MaxPathDepth = 2 }, "MaxPathDepth");
        AssertLimit(new RawTar().Long('L', "./a//b/").Header('5', "a").End(), new LayerLimits { MaxPathDepth = 2 }, null);
    }

    [Fact]
    public void Entries_are_counted_without_their_extended_headers()
    {
        byte[] tar = new RawTar().Global("comment=x").Pax("uid=1").Long('L', "a").File("a").Pax("uid=1").File("b").End();
        AssertLimit(tar, new LayerLimits { MaxEntries = 2 }, null);
        AssertLimit(tar, new LayerLimits { MaxEntries = 1 }, "MaxEntries");
    }

    private static byte[] Break(byte[] tar, int at)
    {
        tar[at] ^= 1;
        return tar;
    }

    private static void AssertLimit(byte[] tar, LayerLimits limits, string? named)
    {
        StrataException? e = Record.Exception(() => RawTar.Read(tar, limits)) as StrataException;
        Assert.Equal(named is null, e is null);
        Assert.Contains(named ?? "", e?.Message ?? "", StringComparison.Ordinal);
    }
}
