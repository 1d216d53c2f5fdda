using System.Text;
using Strata.Layers;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Layers;

/// <summary>What is unusual and means one thing to all programs: read.</summary>
public sealed class LayerReaderTests
{
    private static readonly Dictionary<string, (Func<byte[]> Make, string[] Listing)> s_cases = new()
    {
        ["nothing at all"] = (() => [], []),
        ["an empty archive"] = (() => new RawTar().End(), []),
        ["no end"] = (() => new RawTar().File("a", "text").ToArray(), ["File a 4"]),
        ["one block of end"] = (() => [.. new RawTar().File("a").ToArray(), .. new byte[512]], ["File a 0"]),
        ["garbage behind the end"] = (() => [.. new RawTar().File("a").End(), .. "garbage"u8], ["File a 0"]),
        ["another archive behind the end"] = (() => [.. new RawTar().File("a").End(), .. new RawTar().File("b").End()], ["File a 0"]),
        ["unclean names"] = (() => new RawTar().Header('5', "./").File("./a").File("/b").File("c//d/./e").Header('5', "f/.").End(), ["Directory ", "File a 0", "File b 0", "File c/d/e 0", "Directory f"]),
        ["x and L that agree"] = (() => new RawTar().Pax("path=a").Long('L', "a").File("b").End(), ["File a 0"]),
        ["L twice, equal"] = (() => new RawTar().Long('L', "a").Long('L', "a").File("b").End(), ["File a 0"]),
        ["L and K"] = (() => new RawTar().Long('K', "target").Long('L', "name").Header('2', "b", 0, "c").End(), ["SymbolicLink name target"]),
        ["K and PAX path"] = (() => new RawTar().Long('K', "target").Pax("path=name").Header('1', "b", 0, "c").End(), ["HardLink name target"]),
        ["a hard link with the size of its file"] = (() => new RawTar().File("a", "text").Header('1', "b", 4, "a").File("c").End(), ["File a 4", "HardLink b a", "File c 0"]),
        ["a target on what is no link"] = (() => new RawTar().Header('0', "a", 0, "b").End(), ["File a 0"]),
        ["directories by their slash"] = (() => new RawTar().Header('0', "a/").Header('\0', "b/").Long('L', "c/").Header('0', "d").End(), ["Directory a", "Directory b", "Directory c"]),
        ["a contiguous file"] = (() => new RawTar().Header('7', "a", 4).Body("text"u8).End(), ["File a 4"]),
        ["whiteouts"] = (() => new RawTar().File("d/.wh.a").File("d/.wh..wh..opq").Header('1', ".wh.b", 0, ".wh..wh.aufs").End(), ["Whiteout d/a", "Opaque d", "Whiteout b"]),
        ["AUFS' books"] = (() => new RawTar().File(".wh..wh.aufs").Header('5', ".wh..wh.plnk/").File(".wh..wh.plnk/1.2", "text").Header('5', ".wh..wh.orph/").File("a", "b").End(), ["File a 1"]),
        ["devices"] = (() => new RawTar().Header('3', "a", edit: Device(1, 3)).Header('4', "b", edit: Device(8, 0)).Header('6', "c").End(), ["Device a CharacterDevice 1:3", "Device b BlockDevice 8:0", "Device c Fifo 0:0"]),
        ["V7 with a file"] = (() => new RawTar().File("a", "text", b => b.AsSpan(257, 8).Clear()).End(), ["File a 4"]),
        ["a global comment"] = (() => new RawTar().Global("comment=0123").File("a").End(), ["File a 0"]),
        ["a PAX size for what fits"] = (() => new RawTar().Pax("size=4").File("a", "text").File("b").End(), ["File a 4", "File b 0"]),
    };

    public static TheoryData<string> Cases => [.. s_cases.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_means_one_thing_to_all_is_read(string name)
    {
        (Func<byte[]> make, string[] listing) = s_cases[name];
        byte[] tar = make();
        foreach (CompressionKind kind in Enum.GetValues<CompressionKind>())
        {
            using var blob = new MemoryStream();
            using (Stream compressor = Compression.OpenCompressor(blob, kind))
            {
                compressor.Write(tar);
            }
            blob.Position = 0;
            Assert.Equal(listing, RawTar.Read(blob, null, out string diffId).Select(e => Describe(e.Entry)));
            Assert.Equal(RawTar.DigestOf(tar), diffId);
            Assert.Equal(blob.Length, blob.Position);
        }
    }

    [Theory]
    [InlineData("mtime=1.5", 1, 500_000_000)]
    [InlineData("mtime=-1.25", -2, 750_000_000)]
    [InlineData("mtime=-1", -1, 0)]
    [InlineData("mtime=-0.5", -1, 500_000_000)]
    [InlineData("mtime=1.0000000019", 1, 1)]
    [InlineData("mtime=4294967296", 4294967296, 0)]
    public void A_time_has_nanoseconds(string record, long seconds, int nanoseconds)
        => Assert.Equal(new FileTime(seconds, nanoseconds), MetadataOf(new RawTar().Pax(record)).Modified);

    [Fact]
    public void Owners_come_from_the_nearest_that_states_them()
    {
        IReadOnlyList<ReadEntry> entries = RawTar.Read(new RawTar().Global("uid=10", "gid=11", "mtime=12").File("a").Pax("uid=20").File("b").Global("uid=30", "gid=31", "mtime=32").File("c").End());
        Assert.Equal([(10u, 11u, 12L), (20u, 11u, 12L), (30u, 31u, 32L)],
            entries.Select(e => ((NodeEntry)e.Entry).Metadata).Select(m => (m.Uid, m.Gid, m.Modified.Seconds)));
    }

    [Theory]
    [InlineData("SCHILY.xattr.user.a=b=c", "user.a", "b=c")]
    [InlineData("SCHILY.xattr.user.a=", "user.a", "")]
    [InlineData("SCHILY.xattr.user.a%3Db=c", "user.a=b", "c")]
    [InlineData("SCHILY.xattr.user.a%253D=c", "user.a%3D", "c")]
    [InlineData("SCHILY.xattr.user.100%=c", "user.100%", "c")]
    [InlineData("LIBARCHIVE.xattr.user.a=Yg", "user.a", "b")]
    [InlineData("LIBARCHIVE.xattr.user.a=Yg==", "user.a", "b")]
    [InlineData("LIBARCHIVE.xattr.user.a=", "user.a", "")]
    [InlineData("LIBARCHIVE.xattr.user.%C3%A4%3D=Yg", "user.ä=", "b")]
    [InlineData("LIBARCHIVE.xattr.user.a=Yg|SCHILY.xattr.user.a=b", "user.a", "b")]
    [InlineData("LIBARCHIVE.xattr.user.a%3Dx=Yg|SCHILY.xattr.user.a=x=b", "user.a=x", "b")]
    public void An_extended_attribute_is_read_as_its_writer_meant_it(string records, string name, string value)
    {
        KeyValuePair<string, System.Collections.Immutable.ImmutableArray<byte>> xattr = Assert.Single(MetadataOf(new RawTar().Pax(records.Split('|'))).Xattrs);
        Assert.Equal((name, value), (xattr.Key, Encoding.UTF8.GetString(xattr.Value.AsSpan())));
    }

    [Fact]
    public void What_would_speak_to_overlayfs_is_left_out_and_counted()
    {
        using var blob = new MemoryStream(new RawTar().Pax("SCHILY.xattr.trusted.overlay.opaque=y", "LIBARCHIVE.xattr.user.overlay.redirect=Yg", "SCHILY.xattr.trusted.overlayfs=y").Header('5', "a").End());
        using var reader = new LayerReader(blob);
        Assert.Equal("trusted.overlayfs", Assert.Single(((NodeEntry)reader.Read()!).Metadata.Xattrs).Key);
        Assert.Equal(2, reader.DroppedXattrs);
    }

    [Fact]
    public void Content_is_exactly_the_size_and_what_is_left_is_passed_over()
    {
        using var blob = new MemoryStream(new RawTar().File("a", new string('x', 1000)).File("b", "text").End());
        using var reader = new LayerReader(blob);
        reader.Read();
        Assert.Equal(1000, reader.Content.Length);
        Assert.Equal(10, reader.Content.Read(new byte[10]));
        Stream old = reader.Content;
        reader.Read();
        Assert.Equal(0, old.Read(new byte[10]));
        using var text = new StreamReader(reader.Content);
        Assert.Equal("text", text.ReadToEnd());
        Assert.Throws<InvalidOperationException>(() => reader.DiffId);
        Assert.Null(reader.Read());
        Assert.Null(reader.Read());
        Assert.Throws<InvalidOperationException>(() => reader.Content);
    }

    [Fact]
    public void An_empty_file_without_a_name_is_refused_in_a_layer_and_passed_over_where_that_is_asked_for()
    {
        byte[] tar = new RawTar().File("").File("a", "text").End();
        using var layer = new LayerReader(new MemoryStream(tar));
        Assert.Contains("the root must be a directory", Assert.Throws<StrataException>(layer.Read).Message, StringComparison.Ordinal);
        using var archive = new LayerReader(new MemoryStream(tar)) { PassesOverNameless = true };
        Assert.Equal("a", Assert.IsType<FileEntry>(archive.Read()).Path);
        Assert.Null(archive.Read());
        using var full = new LayerReader(new MemoryStream(new RawTar().File("", "text").End())) { PassesOverNameless = true };
        Assert.Throws<StrataException>(full.Read);
    }

    [Fact]
    public void Names_of_any_bytes_are_kept()
    {
        byte[] name = [0xFF, (byte)'a', 0x80, (byte)'\n', 0xC3, 0xA4];
        IReadOnlyList<ReadEntry> entries = RawTar.Read(new RawTar().Records('x', [.. "path="u8, .. name]).File("b").File(LinuxPath.Decode(name)).End());
        Assert.All(entries, e => Assert.Equal(name, LinuxPath.Encode(e.Entry.Path)));
    }

    private static Action<byte[]> Device(int major, int minor) => b =>
    {
        RawTar.Put(b, 329, 8, RawTar.Octal(major, 7));
        RawTar.Put(b, 337, 8, RawTar.Octal(minor, 7));
    };

    private static EntryMetadata MetadataOf(RawTar tar) => ((NodeEntry)Assert.Single(RawTar.Read(tar.File("a").End())).Entry).Metadata;

    private static string Describe(LayerEntry entry)
    {
        string kind = entry.GetType().Name.Replace("Entry", "", StringComparison.Ordinal);
        return entry switch
        {
            FileEntry file => $"{kind} {file.Path} {file.Size}",
            SymbolicLinkEntry link => $"{kind} {link.Path} {link.Target}",
            HardLinkEntry link => $"{kind} {link.Path} {link.Target}",
            DeviceEntry device => $"{kind} {device.Path} {device.Kind} {device.Major}:{device.Minor}",
            _ => $"{kind} {entry.Path}",
        };
    }
}
