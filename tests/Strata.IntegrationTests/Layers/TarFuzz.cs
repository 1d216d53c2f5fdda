using System.Globalization;
using System.Text;
using Strata.Linux;

namespace Strata.IntegrationTests.Layers;

/// <summary>Archives from a seed: what tar programs write, what they never would, and both with bytes changed.</summary>
internal sealed class TarFuzz(int seed)
{
    internal const int BlockBytes = 512;
    private const string Letters = "abcdefghijklmnopqrstuvwxyz";
    private readonly Random _random = new(seed);
    private readonly List<byte[]> _blocks = [];

    private static readonly string[] s_names =
    [
        "a", "b", "dir", "dir/", "dir/file", "./x", "x//y", "d/./e", "z/", "with space", "new\nline", "back\\slash", "quote\"s", "tab\t", "ünï/cödé", "\udcff\udc80raw", "a/b/c/d/e",
        ".wh.gone", "dir/.wh.gone", "dir/.wh..wh..opq", ".wh..wh.plnk/1.2", ".wh.", ".wh.a/b", "..", "a/../b", "../up", "/absolute", "", ".", "./", "...", "a..b", "PaxHeaders/x",
    ];

    /// <summary>The archive of this seed.</summary>
    internal byte[] Make()
    {
        if (Chance(4))
        {
            AddGlobal();
        }
        for (int i = _random.Next(1, 6); i > 0; i--)
        {
            AddEntry();
        }
        List<byte> tar = [.. _blocks.SelectMany(b => b)];
        int end = _random.Next(100);
        tar.AddRange(new byte[end < 88 ? 1024 : end < 92 ? 512 : end < 95 ? 10240 : 0]);
        if (Chance(3))
        {
            tar.AddRange(Bytes(700));
        }
        byte[] archive = [.. tar];
        return Chance(40) ? Mutate(archive) : archive;
    }

    /// <summary>Makes the checksum of a header right.</summary>
    internal static void Sum(Span<byte> block)
    {
        block.Slice(148, 8).Fill((byte)' ');
        int sum = 0;
        foreach (byte b in block)
        {
            sum += b;
        }
        Octal(sum, 7).CopyTo(block[148..]);
    }

    /// <summary>A header by its fields.</summary>
    internal static byte[] Header(char type, byte[] name, long size, byte[] link, string magic = "ustar\000", int mode = 0b110_100_100, uint uid = 0, uint gid = 0, long time = 1_600_000_000, int major = 0, int minor = 0)
    {
        byte[] block = new byte[BlockBytes];
        Put(block, 0, 100, name);
        Put(block, 100, 8, Octal(mode, 8));
        Put(block, 108, 8, Octal(uid, 8));
        Put(block, 116, 8, Octal(gid, 8));
        Put(block, 124, 12, Octal(size, 12));
        Put(block, 136, 12, Octal(time, 12));
        block[156] = (byte)type;
        Put(block, 157, 100, link);
        Put(block, 257, 8, Encoding.ASCII.GetBytes(magic));
        if (magic.Length > 0)
        {
            Put(block, 329, 8, Octal(major, 8));
            Put(block, 337, 8, Octal(minor, 8));
        }
        Sum(block);
        return block;
    }

    /// <summary>Content, with zeros to the end of its block.</summary>
    internal static byte[] Padded(byte[] content) => [.. content, .. new byte[(BlockBytes - (content.Length % BlockBytes)) % BlockBytes]];

    /// <summary>PAX records with their header.</summary>
    internal static byte[] Pax(char type, IEnumerable<byte[]> records)
    {
        byte[] body = [.. records.SelectMany(Record)];
        return [.. Header(type, "PaxHeaders/p"u8.ToArray(), body.Length, []), .. Padded(body)];
    }

    /// <summary>GNU's long name or target.</summary>
    internal static byte[] Long(char type, byte[] text)
        => [.. Header(type, "././@LongLink"u8.ToArray(), text.Length + 1, [], "ustar  \0"), .. Padded([.. text, 0])];

    internal static byte[] Octal(long value, int width) => Encoding.ASCII.GetBytes(Convert.ToString(value, 8).PadLeft(width - 1, '0') + "\0");

    private bool Chance(int percent) => _random.Next(100) < percent;

    private T Pick<T>(params ReadOnlySpan<T> choices) => choices[_random.Next(choices.Length)];

    private byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        _random.NextBytes(bytes);
        return bytes;
    }

    private static void Put(byte[] block, int offset, int length, byte[] value) => value.AsSpan(0, Math.Min(length, value.Length)).CopyTo(block.AsSpan(offset));

    private static byte[] Record(byte[] record)
    {
        int length = record.Length + 3;
        while (length != record.Length + 2 + length.ToString(CultureInfo.InvariantCulture).Length)
        {
            length++;
        }
        return [.. Encoding.ASCII.GetBytes(length.ToString(CultureInfo.InvariantCulture)), (byte)' ', .. record, (byte)'\n'];
    }

    private byte[] Name()
    {
        if (Chance(60))
        {
            return LinuxPath.Encode(string.Concat(Enumerable.Range(0, _random.Next(1, 4)).Select(i => (i > 0 ? "/" : "") + Letters[_random.Next(26)] + _random.Next(9))));
        }
        return Chance(85)
            ? LinuxPath.Encode(Pick<string>(s_names))
            : LinuxPath.Encode(string.Join('/', Enumerable.Range(0, _random.Next(1, 6)).Select(_ => new string(Letters[_random.Next(26)], _random.Next(1, 120)))));
    }

    private void AddGlobal() => _blocks.Add(Pax('g', Pick<string[]>(["comment=c"], ["comment=c"], ["uid=77"], ["gid=78", "mtime=1234567890.5"], ["path=all"], ["SCHILY.xattr.user.g=1"]).Select(LinuxPath.Encode)));

    private void AddEntry()
    {
        if (Chance(6))
        {
            AddSparse();
            return;
        }
        char type = Pick('0', '0', '0', '0', '0', '0', '0', '0', '0', '\0', '5', '5', '5', '2', '2', '1', '1', '3', '4', '6', '7', Chance(10) ? 'Z' : '0');
        byte[] name = Name(), content = type is '0' or '\0' or '7' or 'Z' && !name.AsSpan().EndsWith("/"u8) ? Bytes(Pick(0, 1, 5, 511, 512, 513, 1500)) : [];
        byte[] link = type is '1' or '2' || Chance(2) ? Name() : [];
        long size = Chance(2) ? _random.Next(2000) : type == '1' && Chance(20) ? 5 : content.Length;
        string format = Pick("ustar", "ustar", "pax", "pax", "gnu", "gnu", "v7");
        string magic = format switch { "gnu" => "ustar  \0", "v7" when type is not ('3' or '4') => "", _ => "ustar\000" };
        if (format == "gnu" && (name.Length > 100 || Chance(20)))
        {
            _blocks.Add(Long('L', name));
            AddAgain('L', name);
            name = Chance(80) ? name[..Math.Min(100, name.Length)] : Name();
        }
        if (format == "gnu" && (link.Length > 100 || Chance(10)))
        {
            _blocks.Add(Long('K', link));
            AddAgain('K', link);
        }
        if (format == "pax")
        {
            AddPax(name, link, size);
        }
        byte[] header = Header(type, name, size, link, magic, _random.Next(0xFFF), (uint)_random.Next(70_000), (uint)_random.Next(70_000), Time(), type is '3' or '4' ? _random.Next(1, 300) : 0, _random.Next(300));
        if (format == "ustar" && Chance(15))
        {
            Put(header, 345, 155, Pick<byte[]>("pre"u8.ToArray(), "pre/fix"u8.ToArray(), "pre/"u8.ToArray(), Encoding.ASCII.GetBytes(new string('p', 155))));
            Sum(header);
        }
        _blocks.Add(header);
        _blocks.Add(Padded(content));
    }

    private long Time() => Pick(0, 1, 1_600_000_000, _random.NextInt64(0x1FFFFFFFF));

    // Rarely a second one of the kind, or a PAX header that says the same or something else.
    private void AddAgain(char type, byte[] text)
    {
        if (Chance(10))
        {
            _blocks.Add(Long(type, Chance(50) ? text : Name()));
        }
        if (Chance(10))
        {
            _blocks.Add(Pax('x', [[.. Encoding.ASCII.GetBytes(type == 'L' ? "path=" : "linkpath="), .. Chance(50) ? text : Name()]]));
        }
    }

    private void AddPax(byte[] name, byte[] link, long size)
    {
        var records = new List<byte[]>();
        void Add(string key, byte[] value) => records.Add([.. Encoding.ASCII.GetBytes(key + "="), .. value]);
        if (name.Length > 100 || Chance(40))
        {
            Add("path", Chance(95) ? name : Name());
        }
        if (link.Length > 100 || (link.Length > 0 && Chance(50)) || Chance(1))
        {
            Add("linkpath", link);
        }
        if (Chance(10))
        {
            Add("size", LinuxPath.Encode((Chance(80) ? size : size + 512).ToString(CultureInfo.InvariantCulture)));
        }
        if (Chance(15))
        {
            Add(Pick("uid", "gid"), LinuxPath.Encode(Pick("0", "3000000", "4294967294", "-1", "", "x")));
        }
        if (Chance(30))
        {
            Add("mtime", LinuxPath.Encode(Pick("1600000000.123456789", "1.5", "-1.25", "12345678901", "0", "1.", "x")));
        }
        if (Chance(20))
        {
            Add(Pick("SCHILY.xattr.user.a", "LIBARCHIVE.xattr.user.b", "comment", "atime", "uname", "VENDOR.key"), Encoding.ASCII.GetBytes(Pick("1", "Yg", "")));
        }
        if (Chance(5) && records.Count > 0)
        {
            records.Add(Pick<byte[]>([.. records]));
        }
        _blocks.Add(Pax('x', records));
        if (Chance(3))
        {
            _blocks.Add(Pax(Pick('x', 'g'), ["comment=again"u8.ToArray()]));
        }
    }

    private void AddSparse()
    {
        var map = new List<long>();
        long at = 0, stored = 0;
        for (int i = _random.Next(0, 40); i > 0; i--)
        {
            long length = _random.Next(0, 30);
            at += _random.Next(0, 600);
            map.AddRange([at, length]);
            at += length;
            stored += length;
        }
        long size = at + _random.Next(0, 2000);
        if (Chance(8) && map.Count > 0)
        {
            map[_random.Next(map.Count)] += Pick(-1, 1, 5000); // it no longer fits
        }
        byte[] name = Encoding.ASCII.GetBytes("sparse" + _random.Next(9)), data = Padded(Bytes((int)stored));
        string[] numbers = [.. map.Select(n => n.ToString(CultureInfo.InvariantCulture))];
        string count = (map.Count / 2).ToString(CultureInfo.InvariantCulture), real = size.ToString(CultureInfo.InvariantCulture);
        // Python gives old sparse files nothing of a global header, GNU tar does: none behind one.
        switch (_random.Next(_blocks.Count > 0 && _blocks[0][156] == 'g' ? 1 : 0, 4))
        {
            case 0:
                AddOldSparse(name, map, size, stored);
                break;
            case 1:
                _blocks.Add(Pax('x', ((string[])[$"GNU.sparse.size={real}", $"GNU.sparse.numblocks={count}", .. numbers.Select((n, i) => $"GNU.sparse.{(i % 2 == 0 ? "offset" : "numbytes")}={n}")]).Select(LinuxPath.Encode)));
                _blocks.Add(Header('0', name, stored, []));
                break;
            case 2:
                _blocks.Add(Pax('x', ((string[])[$"GNU.sparse.size={real}", $"GNU.sparse.numblocks={count}", $"GNU.sparse.name={Encoding.ASCII.GetString(name)}", $"GNU.sparse.map={string.Join(',', numbers)}"]).Select(LinuxPath.Encode)));
                _blocks.Add(Header('0', "GNUSparseFile.1/s"u8.ToArray(), stored, []));
                break;
            default:
                byte[] lines = Padded(Encoding.ASCII.GetBytes(string.Concat(numbers.Prepend(count).Select(n => n + "\n"))));
                _blocks.Add(Pax('x', ((string[])["GNU.sparse.major=1", "GNU.sparse.minor=0", $"GNU.sparse.name={Encoding.ASCII.GetString(name)}", $"GNU.sparse.realsize={real}"]).Select(LinuxPath.Encode)));
                _blocks.Add(Header('0', "GNUSparseFile.1/s"u8.ToArray(), lines.Length + stored, []));
                _blocks.Add(lines);
                break;
        }
        _blocks.Add(data);
    }

    private void AddOldSparse(byte[] name, List<long> map, long size, long stored)
    {
        byte[] pairs = [.. map.SelectMany(n => Octal(Math.Max(n, 0), 12))];
        byte[] header = Header('S', name, stored, [], "ustar  \0");
        Put(header, 386, 96, pairs);
        header[482] = (byte)(pairs.Length > 96 ? 1 : 0);
        Put(header, 483, 12, Octal(size, 12));
        Sum(header);
        _blocks.Add(header);
        for (int at = 96; at < pairs.Length; at += 21 * 24)
        {
            byte[] block = new byte[BlockBytes];
            Put(block, 0, 21 * 24, pairs[at..]);
            block[504] = (byte)(at + (21 * 24) < pairs.Length ? 1 : 0);
            _blocks.Add(block);
        }
    }

    private byte[] Mutate(byte[] archive)
    {
        for (int i = _random.Next(1, 4); i > 0 && archive.Length >= BlockBytes; i--)
        {
            int block = _random.Next(archive.Length / BlockBytes) * BlockBytes;
            Range one = block..(block + BlockBytes);
            switch (_random.Next(8))
            {
                case 0:
                    archive = archive[..(Chance(50) ? block : _random.Next(archive.Length))];
                    break;
                case 1:
                    archive = [.. archive[..block], .. archive[one.End..]];
                    break;
                case 2:
                    archive = [.. archive[..block], .. archive[one], .. archive[block..]];
                    break;
                default:
                    MutateField(archive.AsSpan(one));
                    break;
            }
        }
        return archive;
    }

    // Mostly with the checksum made right again: else every program would stop there.
    private void MutateField(Span<byte> block)
    {
        bool isHeader = block.Slice(257, 5).SequenceEqual("ustar"u8);
        (int offset, int length) = Pick((0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (329, 16), (345, 155), (0, 512));
        int at = offset + _random.Next(length);
        block[at] = Pick((byte)_random.Next(256), (byte)'0', (byte)'7', (byte)' ', (byte)0, (byte)0x80, (byte)0xFF, (byte)'/', (byte)'.', (byte)(block[at] ^ 1));
        if (isHeader && Chance(90))
        {
            Sum(block);
        }
    }
}
