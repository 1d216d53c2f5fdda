using System.Globalization;
using Strata.Linux;

namespace Strata.Layers;

/// <summary>A piece of a sparse file that has data.</summary>
internal readonly record struct SparseExtent(long Offset, long Length);

/// <summary>
/// The map of a sparse file, in the four ways GNU tar has written it (tar.info, "Storing Sparse Files").
/// <code>
/// old GNU:  type S; in the header 4 pairs, then blocks of 21 pairs with a byte at 504 that says whether another follows; a pair is offset 12, length 12
/// PAX 0.0:  records GNU.sparse.size, numblocks, then offset and numbytes by turns
/// PAX 0.1:  GNU.sparse.size, numblocks, map=OFFSET,LENGTH,…
/// PAX 1.0:  GNU.sparse.major=1, minor=0, realsize; the content starts with the map: decimal lines COUNT, OFFSET, LENGTH, …, padded to a block
/// </code>
/// </summary>
internal static class SparseMap
{
    internal const int OldEntryBytes = 2 * OldNumberBytes;
    internal const int OldBlockEntries = 21;
    internal const int OldBlockGoesOn = 504;
    private const int OldNumberBytes = 12;
    private const int MaxDigits = 20;

    /// <summary>Adds the pairs of an old GNU header or block; a pair that starts with NUL ends the map.</summary>
    internal static void AddOld(List<SparseExtent> map, ReadOnlySpan<byte> entries)
    {
        for (; !entries.IsEmpty && entries[0] != 0; entries = entries[OldEntryBytes..])
        {
            map.Add(TarHeader.TryNumber(entries[..OldNumberBytes], out long offset) && TarHeader.TryNumber(entries[OldNumberBytes..OldEntryBytes], out long length)
                ? new SparseExtent(offset, length)
                : throw new FormatException("the sparse map has what is no number"));
        }
    }

    /// <summary>Reads PAX 0.1's list.</summary>
    internal static List<SparseExtent> Parse(ReadOnlySpan<byte> list)
    {
        var map = new List<SparseExtent>();
        do
        {
            map.Add(new SparseExtent(Next(ref list), Next(ref list)));
        }
        while (!list.IsEmpty);
        return map;
    }

    /// <summary>Reads PAX 1.0's map from blocks of content; returns how many bytes of content it took.</summary>
    internal static long Read(Func<byte[]> readBlock, long maxBytes, List<SparseExtent> map)
    {
        var lines = new LineReader(readBlock, maxBytes);
        long count = lines.Next();
        for (long i = 0; i < count; i++)
        {
            map.Add(new SparseExtent(lines.Next(), lines.Next()));
        }
        return lines.BytesTaken;
    }

    /// <summary>A map must be in order, inside the file, without overlap, and account for all bytes that are stored. Returns the bytes of holes.</summary>
    internal static long Check(List<SparseExtent> map, long realSize, long stored)
    {
        long end = 0, data = 0;
        foreach (SparseExtent extent in map)
        {
            if (extent.Offset < end || extent.Length < 0 || extent.Length > realSize - extent.Offset)
            {
                throw new FormatException($"the sparse map is out of order, overlaps or leaves the file (offset {extent.Offset}, {extent.Length} bytes, of {realSize})");
            }
            end = extent.Offset + extent.Length;
            data += extent.Length;
        }
        return data == stored ? realSize - data : throw new FormatException($"the sparse map has {data} bytes, the archive {stored}");
    }

    internal static long Number(ReadOnlySpan<byte> text)
        => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : throw new FormatException("the sparse map has what is no number");

    private static long Next(ref ReadOnlySpan<byte> list)
    {
        int comma = list.IndexOf((byte)',');
        ReadOnlySpan<byte> text = comma < 0 ? list : list[..comma];
        list = comma < 0 ? [] : list[(comma + 1)..];
        return Number(text);
    }

    private sealed class LineReader(Func<byte[]> readBlock, long maxBytes)
    {
        private byte[] _block = [];
        private int _at;

        internal long BytesTaken { get; private set; }

        internal long Next()
        {
            Span<byte> text = stackalloc byte[MaxDigits];
            for (int length = 0; length < MaxDigits; length++)
            {
                byte b = NextByte();
                if (b == '\n')
                {
                    return Number(text[..length]);
                }
                text[length] = b;
            }
            throw new FormatException("the sparse map has what is no number");
        }

        private byte NextByte()
        {
            if (_at == _block.Length)
            {
                if (BytesTaken + TarHeader.BlockBytes > maxBytes)
                {
                    throw new FormatException("the sparse map is longer than what is stored, or than MaxHeaderBytes");
                }
                (_block, _at) = (readBlock(), 0);
                BytesTaken += _block.Length;
            }
            return _block[_at++];
        }
    }
}

/// <summary>What PAX records say about holes.</summary>
internal sealed class SparseRecords
{
    private const string Prefix = "GNU.sparse.";
    private readonly List<SparseExtent> _pairs = [];
    private List<SparseExtent>? _list;
    private long? _offset, _count, _size, _realSize;
    private string? _major, _minor;

    internal byte[]? Name { get; private set; }

    /// <summary>Whether the map is the start of the content (1.0).</summary>
    internal bool IsInContent { get; private set; }

    internal static bool IsOne(string key) => key.StartsWith(Prefix, StringComparison.Ordinal);

    internal void Set(string key, byte[] value)
    {
        switch (key[Prefix.Length..])
        {
            case "major":
                _major = LinuxPath.Decode(value);
                break;
            case "minor":
                _minor = LinuxPath.Decode(value);
                break;
            case "name":
                Name = value.Length > 0 ? value : throw new FormatException("the PAX record GNU.sparse.name is empty");
                break;
            case "size":
                _size = SparseMap.Number(value);
                break;
            case "realsize":
                _realSize = SparseMap.Number(value);
                break;
            case "numblocks":
                _count = SparseMap.Number(value);
                break;
            case "map":
                _list = SparseMap.Parse(value);
                break;
            case "offset" when _offset is null:
                _offset = SparseMap.Number(value);
                break;
            case "numbytes" when _offset is { } offset:
                _pairs.Add(new SparseExtent(offset, SparseMap.Number(value)));
                _offset = null;
                break;
            default:
                throw new FormatException($"the PAX record {key} is not known, or stands where it must not");
        }
    }

    /// <summary>The map (to be read from the content where <see cref="IsInContent"/>) and the size of the file with its holes.</summary>
    internal (List<SparseExtent> Map, long RealSize) Finish()
    {
        if (_size is { } size && _realSize is { } real && size != real)
        {
            throw new FormatException($"its headers disagree about the size with holes ({size} and {real} bytes)");
        }
        long realSize = _size ?? _realSize ?? throw new FormatException("a sparse file without its size");
        IsInContent = (_major, _minor) == ("1", "0");
        if (IsInContent)
        {
            return _list is null && _pairs.Count == 0 && _offset is null ? ([], realSize) : throw new FormatException("a sparse file with two maps");
        }
        if ((_major is not null && _major != "0") || (_minor is not null && _minor is not ("0" or "1")))
        {
            throw new FormatException($"GNU sparse format {_major}.{_minor} is not known");
        }
        if (_offset is not null || (_list is not null && _pairs.Count > 0))
        {
            throw new FormatException("a sparse file with two maps, or half a pair");
        }
        List<SparseExtent> map = _list ?? _pairs;
        if (map.Count == 0)
        {
            throw new FormatException("a sparse file without a map"); // GNU tar would take it for one without holes
        }
        return map.Count == _count ? (map, realSize) : throw new FormatException($"the sparse map has {map.Count} pairs, and claims {_count ?? 0}");
    }
}
