using System.Globalization;
using System.Text;
using Strata.Layers;
using Xunit;

namespace Strata.Tests.Layers;

/// <summary>GNU tar's sparse files, in the four ways it has written them.</summary>
public sealed class SparseTests
{
    private const string Name = "dir/sparse";

    // Offset and length of data, then the size with holes.
    private static readonly Dictionary<string, (long[] Map, long Size)> s_files = new()
    {
        ["no data"] = ([], 1000),
        ["no data, as GNU tar says it"] = ([1000, 0], 1000),
        ["nothing at all"] = ([], 0),
        ["no hole"] = ([0, 1000], 1000),
        ["a hole first"] = ([700, 300], 1000),
        ["a hole last"] = ([0, 300, 1000, 0], 1000),
        ["four pieces"] = ([0, 1, 10, 1, 20, 600, 5000, 10], 6000),
        ["pieces that touch"] = ([10, 10, 20, 10, 30, 0, 30, 5], 100),
        ["more than one block of map"] = ([.. Enumerable.Range(0, 60).SelectMany(i => (long[])[i * 10, 3])], 700),
    };

    public static TheoryData<string, string> Files
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string file in s_files.Keys)
            {
                foreach (string form in (string[])(s_files[file].Map.Length > 0 ? ["old", "0.0", "0.1", "1.0"] : ["old", "1.0"])) // GNU tar reads an empty PAX map as none
                {
                    data.Add(form, file);
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void A_sparse_file_reads_whole(string form, string file)
    {
        (long[] map, long size) = s_files[file];
        (byte[] stored, byte[] whole) = Fill(map, size);
        byte[] tar = Write(form, map, size, stored).File("after", "x").End();
        IReadOnlyList<ReadEntry> entries = RawTar.Read(tar);
        Assert.Equal([Name, "after"], entries.Select(e => e.Entry.Path));
        Assert.Equal(size, Assert.IsType<FileEntry>(entries[0].Entry).Size);
        Assert.Equal(whole, entries[0].Content);
        Assert.Equal("x"u8, entries[1].Content);
        Assert.Equal(0b110_100_100, ((NodeEntry)entries[0].Entry).Metadata.Mode);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Its_holes_can_be_passed_over_and_its_content_left(string form, string file)
    {
        (long[] map, long size) = s_files[file];
        (byte[] stored, byte[] whole) = Fill(map, size);
        using var blob = new MemoryStream(Write(form, map, size, stored).File("after", "x").End());
        using var reader = new LayerReader(blob);
        reader.Read();
        var content = (EntryContent)reader.Content;
        byte[] found = new byte[size];
        byte[] piece = new byte[7];
        while (content.Position < size)
        {
            content.PassHole();
            int at = (int)content.Position, read = content.Read(piece);
            piece.AsSpan(0, read).CopyTo(found.AsSpan(at));
            if (at > 4000)
            {
                break; // the rest is left
            }
        }
        Assert.Equal(whole[..(int)content.Position], found[..(int)content.Position]);
        Assert.Equal("after", reader.Read()?.Path);
        Assert.Equal('x', reader.Content.ReadByte());
        Assert.Null(reader.Read());
    }

    [Theory]
    [InlineData("out of order", new long[] { 20, 1, 10, 1 }, 100, 2)]
    [InlineData("overlapping", new long[] { 0, 11, 10, 1 }, 100, 12)]
    [InlineData("behind the end", new long[] { 90, 11 }, 100, 11)]
    [InlineData("past all numbers", new long[] { 1, long.MaxValue }, 100, 0)]
    [InlineData("more data than is stored", new long[] { 0, 20 }, 100, 10)]
    [InlineData("less data than is stored", new long[] { 0, 10 }, 100, 20)]
    public void A_map_that_cannot_be_is_refused(string why, long[] map, long size, int stored)
    {
        foreach (string form in (string[])["old", "0.0", "0.1", "1.0"])
        {
            byte[] tar = Write(form, map, size, new byte[stored]).End();
            StrataException e = Assert.Throws<StrataException>(() => RawTar.Read(tar));
            Assert.True(e.Message.Contains("layer: entry 1: the sparse map", StringComparison.Ordinal), $"{form}, {why}: {e.Message}");
        }
    }

    [Theory]
    [InlineData("no number", "GNU.sparse.size=10|GNU.sparse.numblocks=1|GNU.sparse.map=0,x")]
    [InlineData("no number", "GNU.sparse.size=10|GNU.sparse.numblocks=1|GNU.sparse.map=0")]
    [InlineData("no number", "GNU.sparse.size=10|GNU.sparse.numblocks=0|GNU.sparse.map=")]
    [InlineData("a sparse file without a map", "GNU.sparse.size=10|GNU.sparse.numblocks=0")]
    [InlineData("claims 2", "GNU.sparse.size=10|GNU.sparse.numblocks=2|GNU.sparse.map=0,0")]
    [InlineData("claims 0", "GNU.sparse.size=10|GNU.sparse.map=0,0")]
    [InlineData("without its size", "GNU.sparse.numblocks=1|GNU.sparse.map=0,0")]
    [InlineData("two maps", "GNU.sparse.size=10|GNU.sparse.numblocks=1|GNU.sparse.map=0,0|GNU.sparse.offset=0|GNU.sparse.numbytes=0")]
    [InlineData("two maps", "GNU.sparse.major=1|GNU.sparse.minor=0|GNU.sparse.realsize=10|GNU.sparse.map=0,0")]
    [InlineData("disagree about the size with holes", "GNU.sparse.size=10|GNU.sparse.realsize=11|GNU.sparse.numblocks=1|GNU.sparse.map=0,0")]
    [InlineData("1.1 is not known", "GNU.sparse.major=1|GNU.sparse.minor=1|GNU.sparse.realsize=10")]
    [InlineData("GNU.sparse.numbytes is not known, or stands where it must not", "GNU.sparse.size=10|GNU.sparse.numbytes=0")]
    [InlineData("GNU.sparse.offset is not known, or stands where it must not", "GNU.sparse.size=10|GNU.sparse.offset=0|GNU.sparse.offset=0")]
    [InlineData("disagree about the name", "path=other|GNU.sparse.name=dir/sparse|GNU.sparse.size=10|GNU.sparse.numblocks=0")]
    public void Records_that_contradict_themselves_are_refused(string reason, string records)
    {
        byte[] tar = new RawTar().Pax(records.Split('|')).Header('0', Name).End();
        Assert.Contains(reason, Assert.Throws<StrataException>(() => RawTar.Read(tar)).Message, StringComparison.Ordinal);
    }

    // GNU tar cuts what stands in for the name to the 100 bytes of an old header: in the folder, behind its slash, in the word that says what it is.
    [Theory]
    [InlineData(120, true)]
    [InlineData(99, true)]
    [InlineData(92, true)]
    [InlineData(120, false)]
    public void A_name_that_stands_in_is_one_however_much_of_it_is_left(int folderLength, bool isCut)
    {
        string folder = new('f', folderLength), name = folder + "/sparse", placeholder = (folder + "/GNUSparseFile.1/sparse")[..(isCut ? 100 : 101)];
        byte[] lines = new byte[512];
        Encoding.ASCII.GetBytes("0\n").CopyTo(lines, 0);
        byte[] tar = new RawTar().Pax("GNU.sparse.major=1", "GNU.sparse.minor=0", $"GNU.sparse.name={name}", "GNU.sparse.realsize=10", $"path={placeholder}")
            .Header('0', "f", lines.Length).Body(lines).End();
        if (isCut)
        {
            Assert.Equal(name, Assert.Single(RawTar.Read(tar)).Entry.Path);
        }
        else
        {
            Assert.Contains("disagree about the name", Assert.Throws<StrataException>(() => RawTar.Read(tar)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_map_in_the_content_is_bounded_by_what_is_stored_and_by_the_limit()
    {
        byte[] lines = Encoding.ASCII.GetBytes("1000000000\n" + string.Concat(Enumerable.Repeat("0\n0\n", 5000)));
        string[] records = ["GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=10"];
        byte[] tar = new RawTar().Pax(records).Header('0', Name, lines.Length).Body(lines).End();
        Assert.Contains("the sparse map is longer", Assert.Throws<StrataException>(() => RawTar.Read(tar)).Message, StringComparison.Ordinal);
        Assert.Contains("MaxHeaderBytes", Assert.Throws<StrataException>(() => RawTar.Read(tar, new LayerLimits { MaxHeaderBytes = 4096 })).Message, StringComparison.Ordinal);
        byte[] old = Write("old", s_files["more than one block of map"].Map, 700, new byte[180]).End();
        Assert.Contains("MaxHeaderBytes", Assert.Throws<StrataException>(() => RawTar.Read(old, new LayerLimits { MaxHeaderBytes = 1024 })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Holes_have_a_limit_over_all_files_of_a_layer()
    {
        byte[] tar = Write("0.1", [0, 1], 6000, [1]).Pax("GNU.sparse.size=6000", "GNU.sparse.numblocks=1", "GNU.sparse.map=6000,0").Header('0', "second").End();
        Assert.Equal(2, RawTar.Read(tar, new LayerLimits { MaxHoleBytes = 11_999 }).Count);
        StrataException e = Assert.Throws<StrataException>(() => RawTar.Read(tar, new LayerLimits { MaxHoleBytes = 11_998 }));
        Assert.Contains("entry 2 «second»", e.Message, StringComparison.Ordinal);
        Assert.Contains("MaxHoleBytes", e.Message, StringComparison.Ordinal);
    }

    private static (byte[] Stored, byte[] Whole) Fill(long[] map, long size)
    {
        byte[] whole = new byte[size];
        var stored = new List<byte>();
        for (int i = 0; i < map.Length; i += 2)
        {
            for (long at = map[i]; at < map[i] + map[i + 1]; at++)
            {
                whole[at] = (byte)(1 + (at % 255));
                stored.Add(whole[at]);
            }
        }
        return ([.. stored], whole);
    }

    private static RawTar Write(string form, long[] map, long size, byte[] stored)
    {
        var tar = new RawTar();
        string count = (map.Length / 2).ToString(CultureInfo.InvariantCulture), real = size.ToString(CultureInfo.InvariantCulture);
        string placeholder = "dir/GNUSparseFile.1/sparse", list = string.Join(',', map);
        switch (form)
        {
            case "old":
                WriteOld(tar, map, size, stored.Length);
                break;
            case "0.0":
                string[] pairs = [.. map.Select((n, i) => $"GNU.sparse.{(i % 2 == 0 ? "offset" : "numbytes")}={n}")];
                tar.Pax([$"GNU.sparse.size={real}", $"GNU.sparse.numblocks={count}", .. pairs]).Header('0', Name, stored.Length);
                break;
            case "0.1":
                tar.Pax($"GNU.sparse.size={real}", $"GNU.sparse.numblocks={count}", $"GNU.sparse.name={Name}", $"GNU.sparse.map={list}").Header('0', placeholder, stored.Length);
                break;
            default:
                byte[] lines = Encoding.ASCII.GetBytes(string.Concat(map.Prepend(map.Length / 2).Select(n => n + "\n")));
                Array.Resize(ref lines, (lines.Length + 511) / 512 * 512);
                tar.Pax("GNU.sparse.major=1", "GNU.sparse.minor=0", $"GNU.sparse.name={Name}", $"GNU.sparse.realsize={real}", $"path={placeholder}")
                    .Header('0', "GNUSparseFile.1", lines.Length + stored.Length).Body(lines);
                break;
        }
        return tar.Body(stored);
    }

    private static void WriteOld(RawTar tar, long[] map, long size, int stored)
    {
        byte[] pairs = [.. map.SelectMany(n => n > 1L << 32 ? Base256(n) : RawTar.Octal(n, 11))];
        tar.Header('S', Name, stored, edit: b =>
        {
            RawTar.MakeGnu(b);
            RawTar.Put(b, 386, 96, pairs);
            b[482] = (byte)(pairs.Length > 96 ? 1 : 0);
            RawTar.Put(b, 483, 12, RawTar.Octal(size, 11));
        });
        for (int at = 96; at < pairs.Length; at += 21 * 24)
        {
            byte[] block = new byte[RawTar.BlockBytes];
            RawTar.Put(block, 0, 21 * 24, pairs.AsSpan(at));
            block[504] = (byte)(at + (21 * 24) < pairs.Length ? 1 : 0);
            tar.Raw(block);
        }
    }

    private static byte[] Base256(long number)
    {
        byte[] field = new byte[12];
        field[0] = 0x80;
        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(field.AsSpan(4), number);
        return field;
    }
}
