using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using Strata.Layers;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Layers;

public sealed class LayerWriterTests
{
    private static readonly EntryMetadata s_plain = new(0b110_100_100, 0, 0, new FileTime(1, 0));

    // Bytes that names are made of here: letters, what looks like UTF-8, what is not, and what formats trip over.
    private static readonly Gen<byte> s_nameByte = Gen.Frequency(
        (20, Gen.Choose('a', 'z').Select(c => (byte)c)),
        (2, Gen.Choose(0x80, 0xFF).Select(c => (byte)c)),
        (1, Gen.Elements("\n =%\\\u007f\u0001.\"*"u8.ToArray())));

    private static readonly Gen<string> s_name = Sizes(1, 3, 60, 255).SelectMany(n => s_nameByte.ArrayOf(n)).Select(b => LinuxPath.Decode(b))
        .Where(n => n is not ("." or "..") && !n.StartsWith(".wh.", StringComparison.Ordinal));

    private static readonly Gen<string> s_path = Gen.Choose(1, 6).SelectMany(n => s_name.ArrayOf(n)).Select(names => string.Join('/', names));

    private static readonly Gen<uint> s_id = Gen.Frequency(
        (4, Gen.Choose(0, 70_000).Select(n => (uint)n)),
        (1, Gen.Elements(0u, 0x1FFFFFu, 0x200000u, uint.MaxValue - 1)));

    private static readonly Gen<FileTime> s_time =
        from seconds in Gen.Frequency((3, Gen.Choose(0, int.MaxValue).Select(n => (long)n)), (1, Gen.Choose(int.MinValue, 0).Select(n => (long)n)), (1, Gen.Elements(0L, -1L, 0x1FFFFFFFFL, 0x200000000L)))
        from nanoseconds in Gen.Frequency((2, Gen.Constant(0)), (2, Gen.Choose(0, 999_999_999)), (1, Gen.Elements(1, 999_999_999, 500_000_000)))
        select new FileTime(seconds, nanoseconds);

    private static readonly Gen<ImmutableArray<KeyValuePair<string, ImmutableArray<byte>>>> s_xattrs =
        from names in Gen.Choose(0, 3).SelectMany(n => Gen.Elements("user.a", "user.a=b", "user.100%", "user.%3D", "user.%25=", "security.capability", "user.ä", "trusted.b").ArrayOf(n))
        from value in Gen.Choose(0, 40).SelectMany(n => Gen.Choose(0, 255).Select(b => (byte)b).ArrayOf(n))
        select names.Distinct().Order(StringComparer.Ordinal).Select(n => KeyValuePair.Create(n, value.ToImmutableArray())).ToImmutableArray();

    private static readonly Gen<EntryMetadata> s_metadata =
        from mode in Gen.Choose(0, 0xFFF)
        from uid in s_id
        from gid in s_id
        from time in s_time
        from xattrs in s_xattrs
        select new EntryMetadata(mode, uid, gid, time, xattrs);

    private static readonly Gen<LayerEntry> s_entry =
        from path in s_path
        from metadata in s_metadata
        from target in s_path
        from size in Gen.Choose(0, 2000)
        from number in Gen.Choose(0, 9)
        select (LayerEntry)(number switch
        {
            0 => new WhiteoutEntry(path),
            1 => new OpaqueEntry(path),
            2 => new DirectoryEntry(path, metadata),
            3 => new SymbolicLinkEntry(path, metadata, target),
            4 => new HardLinkEntry(path, metadata, target),
            5 => new DeviceEntry(path, metadata, FileKind.CharacterDevice, (uint)size, 1_048_575),
            6 => new DeviceEntry(path, metadata, FileKind.BlockDevice, 8, (uint)size),
            7 => new DeviceEntry(path, metadata, FileKind.Fifo, 0, 0),
            _ => new FileEntry(path, metadata, size),
        });

    [Fact]
    public void What_is_written_is_read_back()
    {
        int seen = 0;
        Prop.ForAll(Gen.Choose(0, 12).SelectMany(n => s_entry.ArrayOf(n)).ToArbitrary(), entries =>
        {
            byte[] tar = Write(entries);
            IReadOnlyList<ReadEntry> read = RawTar.Read(tar);
            Assert.Equal(entries.Select(Text), read.Select(r => Text(r.Entry)));
            Assert.All(read, r => Assert.Equal(r.Entry is FileEntry file ? ContentOf(file) : [], r.Content));
            Assert.Equal(tar, Write(read.Select(r => r.Entry)));
            Assert.Equal(0, tar.Length % RawTar.BlockBytes);
            seen += read.Count;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(200));
        Assert.True(seen > 400, $"{seen} entries");
    }

    [Theory]
    [InlineData(99)]
    [InlineData(100)]
    [InlineData(101)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(1000)]
    public void Long_names_and_targets_are_read_back_wherever_their_slashes_are(int length)
    {
        LayerEntry[] entries = [.. Enumerable.Range(1, Math.Min(length - 2, 300)).SelectMany(slash =>
        {
            string name = new string('a', slash) + "/" + new string('b', length - slash - 1);
            return (LayerEntry[])[new FileEntry(name, s_plain, 0), new DirectoryEntry(name, s_plain), new HardLinkEntry("x", s_plain, name), new SymbolicLinkEntry("y", s_plain, name)];
        })];
        Assert.Equal(entries.Select(Text), RawTar.Read(Write(entries)).Select(r => Text(r.Entry)));
    }

    [Theory]
    [InlineData(".wh.a")]
    [InlineData("d/.wh.a")]
    [InlineData("d/.wh.a/b")]
    public void A_name_that_would_be_read_as_a_whiteout_is_not_written(string path)
    {
        StrataException e = Assert.Throws<StrataException>(() => Write([new FileEntry(path, s_plain, 0)]));
        Assert.Equal(ErrorKind.Invalid, e.Kind);
        Assert.Contains($"«{path}»", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_became_shorter_is_told()
    {
        using var tar = new MemoryStream();
        using var writer = new LayerWriter(tar);
        using var content = new MemoryStream([1, 2, 3]);
        Assert.Contains("1 of 4 bytes", Assert.Throws<EndOfStreamException>(() => writer.Write(new FileEntry("a", s_plain, 4), content)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_of_files_are_counted_and_the_end_is_written_once()
    {
        using var tar = new MemoryStream();
        using var writer = new LayerWriter(tar);
        using var content = new MemoryStream(new byte[1000]);
        writer.Write(new FileEntry("a", s_plain, 1000), content);
        writer.Write(new DirectoryEntry("", s_plain));
        writer.Finish();
        writer.Finish();
        Assert.Equal(1000, writer.ContentBytes);
        Assert.Equal(512 + 1024 + 512 + 1024, tar.Length);
    }

    [Theory]
    [InlineData("user.a", "user.a")]
    [InlineData("user.a%", "user.a%")]
    [InlineData("user.a=b", "user.a%3Db")]
    [InlineData("user.a%=b", "user.a%25%3Db")]
    [InlineData("user.a%3D", "user.a%253D")]
    [InlineData("user.a%25", "user.a%2525")]
    public void An_attributes_name_is_escaped_only_where_it_must_be(string name, string key)
    {
        Assert.Equal(key, XattrKey.Encode(name));
        Assert.Equal(name, XattrKey.Decode(key));
    }

    private static Gen<int> Sizes(params int[] most) => Gen.OneOf(most.Select(m => Gen.Choose(1, m)).ToArray());

    private static byte[] ContentOf(FileEntry file) => [.. Enumerable.Range(0, (int)file.Size).Select(i => (byte)(i * 7))];

    private static byte[] Write(IEnumerable<LayerEntry> entries)
    {
        using var tar = new MemoryStream();
        using var writer = new LayerWriter(tar);
        foreach (LayerEntry entry in entries)
        {
            using var content = new MemoryStream(entry is FileEntry file ? ContentOf(file) : []);
            writer.Write(entry, content);
        }
        writer.Finish();
        return tar.ToArray();
    }

    // Records compare immutable arrays by identity.
    private static string Text(LayerEntry entry)
        => entry is NodeEntry node
            ? (node with { Metadata = node.Metadata with { Xattrs = [] } }) + string.Join(';', node.Metadata.Xattrs.Select(x => $"{x.Key}={Convert.ToHexString(x.Value.AsSpan())}"))
            : entry.ToString();
}
