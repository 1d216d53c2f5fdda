using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Strata.Linux;

namespace Strata.Layers;

/// <summary>One 512-byte header block as it is (POSIX ustar, GNU and old V7 forms): fields by offset, numbers octal or base-256.</summary>
internal readonly ref struct TarHeader(ReadOnlySpan<byte> block)
{
    internal const int BlockBytes = 512;
    private readonly ReadOnlySpan<byte> _block = block;

    internal bool IsZero => !_block.ContainsAnyExcept((byte)0);
    internal char Type => _block[156] == 0 ? '0' : (char)_block[156];
    internal long Mode => Number(100, 8, "mode");
    internal long Uid => Number(108, 8, "uid");
    internal long Gid => Number(116, 8, "gid");
    internal long Size => Number(124, 12, "size");
    internal long Modified => Number(136, 12, "mtime");
    internal long DeviceMajor => Number(329, 8, "devmajor");
    internal long DeviceMinor => Number(337, 8, "devminor");
    internal ReadOnlySpan<byte> LinkName => Text(157, 100);
    private bool IsUstar => _block.Slice(257, 6).SequenceEqual("ustar\0"u8) || (_block.Slice(257, 5).SequenceEqual("ustar"u8) && _block[263] == '0');

    /// <summary>The name, joined with ustar's prefix field.</summary>
    internal byte[] Name
    {
        get
        {
            ReadOnlySpan<byte> name = Text(0, 100);
            ReadOnlySpan<byte> prefix = IsUstar ? Text(345, 155) : [];
            return prefix.IsEmpty ? name.ToArray() : [.. prefix, (byte)'/', .. name];
        }
    }

    /// <summary>Whether the checksum is right: the sum of all bytes, the field itself as blanks; some old tars summed signed bytes.</summary>
    internal bool ChecksumIsRight
    {
        get
        {
            const int Offset = 148, Length = 8;
            long unsigned = 0, signed = 0;
            for (int i = 0; i < BlockBytes; i++)
            {
                byte b = i is >= Offset and < Offset + Length ? (byte)' ' : _block[i];
                unsigned += b;
                signed += (sbyte)b;
            }
            return TryOctal(_block.Slice(Offset, Length), out long stated) && (stated == unsigned || stated == signed);
        }
    }

    private ReadOnlySpan<byte> Text(int offset, int length)
    {
        ReadOnlySpan<byte> field = _block.Slice(offset, length);
        int end = field.IndexOf((byte)0);
        return end < 0 ? field : field[..end];
    }

    private long Number(int offset, int length, string name)
    {
        ReadOnlySpan<byte> field = _block.Slice(offset, length);
        if ((field[0] & 0x80) != 0)
        {
            return Base256(field, name);
        }
        return TryOctal(field, out long value) ? value : throw new FormatException($"the header's {name} is no number");
    }

    // GNU: the top bit marks two's complement, big endian; 0xFF for negative numbers.
    private static long Base256(ReadOnlySpan<byte> field, string name)
    {
        bool negative = field[0] == 0xFF;
        ReadOnlySpan<byte> head = field[1..^8];
        long value = BinaryPrimitives.ReadInt64BigEndian(field[^8..]);
        if (field.Length == 8)
        {
            value = BinaryPrimitives.ReadInt64BigEndian(field) << 8 >> 8; // the marker byte is the sign
            return value;
        }
        bool fits = negative ? !head.ContainsAnyExcept((byte)0xFF) && value < 0 : field[0] == 0x80 && !head.ContainsAnyExcept((byte)0) && value >= 0;
        return fits ? value : throw new FormatException($"the header's {name} does not fit into 64 bits");
    }

    private static bool TryOctal(ReadOnlySpan<byte> field, out long value)
    {
        value = 0;
        field = field.Trim(" \0"u8);
        foreach (byte digit in field)
        {
            if (digit is < (byte)'0' or > (byte)'7' || value > long.MaxValue >> 3)
            {
                return false;
            }
            value = (value << 3) | (uint)(digit - '0');
        }
        return true;
    }
}

/// <summary>What extended headers (PAX x and g, GNU L and K) say about the next entry; null where they say nothing.</summary>
internal sealed class ExtendedHeader
{
    internal byte[]? Path { get; set; }
    internal byte[]? LinkPath { get; set; }
    internal long? Size { get; private set; }
    internal long? Uid { get; private set; }
    internal long? Gid { get; private set; }
    internal FileTime? Modified { get; private set; }
    internal string? Sparse { get; private set; }
    internal SortedDictionary<string, byte[]> Xattrs { get; } = new(StringComparer.Ordinal);

    /// <summary>A copy that entries may change: global records hold until the next global ones.</summary>
    internal ExtendedHeader Copy()
    {
        var copy = new ExtendedHeader { Path = Path, LinkPath = LinkPath, Size = Size, Uid = Uid, Gid = Gid, Modified = Modified, Sparse = Sparse };
        foreach ((string key, byte[] value) in Xattrs)
        {
            copy.Xattrs[key] = value;
        }
        return copy;
    }

    /// <summary>Reads PAX records: "LENGTH KEY=VALUE\n" each (POSIX pax, extended header). An empty value takes back what was said.</summary>
    /// <exception cref="FormatException">They are malformed.</exception>
    internal void ReadPax(ReadOnlySpan<byte> records)
    {
        while (!records.IsEmpty)
        {
            int blank = records.IndexOf((byte)' ');
            if (blank is <= 0 or > 10 || !int.TryParse(records[..blank], NumberStyles.None, CultureInfo.InvariantCulture, out int length)
                || length <= blank + 1 || length > records.Length || records[length - 1] != '\n')
            {
                throw new FormatException("a PAX record's length is wrong");
            }
            ReadOnlySpan<byte> record = records[(blank + 1)..(length - 1)];
            int equals = record.IndexOf((byte)'=');
            if (equals <= 0)
            {
                throw new FormatException("a PAX record has no key");
            }
            Set(LinuxPath.Decode(record[..equals]), record[(equals + 1)..].ToArray());
            records = records[length..];
        }
    }

    private void Set(string key, byte[] value)
    {
        byte[]? text = value.Length == 0 ? null : value;
        switch (key)
        {
            case "path":
                Path = text;
                break;
            case "linkpath":
                LinkPath = text;
                break;
            case "size":
                Size = text is null ? null : Integer(key, text);
                break;
            case "uid":
                Uid = text is null ? null : Integer(key, text);
                break;
            case "gid":
                Gid = text is null ? null : Integer(key, text);
                break;
            case "mtime":
                Modified = text is null ? null : Time(text);
                break;
            case var sparse when sparse.StartsWith("GNU.sparse.", StringComparison.Ordinal):
                Sparse = sparse;
                break;
            case var xattr when xattr.StartsWith("SCHILY.xattr.", StringComparison.Ordinal):
                Xattrs[xattr["SCHILY.xattr.".Length..]] = value;
                break;
        }
    }

    private static long Integer(string key, byte[] text)
        => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : throw new FormatException($"the PAX record {key} is no number");

    private static FileTime Time(byte[] text)
    {
        string time = Encoding.ASCII.GetString(text);
        bool negative = time.StartsWith('-');
        string[] parts = time.TrimStart('-').Split('.');
        if (parts.Length > 2 || !long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out long seconds)
            || (parts.Length == 2 && parts[1].Any(c => !char.IsAsciiDigit(c))))
        {
            throw new FormatException("the PAX record mtime is no time");
        }
        int nanoseconds = parts.Length == 2 && parts[1].Length > 0 ? int.Parse(parts[1].PadRight(9, '0')[..9], CultureInfo.InvariantCulture) : 0;
        return !negative ? new FileTime(seconds, nanoseconds) : nanoseconds == 0 ? new FileTime(-seconds, 0) : new FileTime(-seconds - 1, 1_000_000_000 - nanoseconds);
    }
}
