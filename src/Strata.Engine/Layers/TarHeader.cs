namespace Strata.Layers;

/// <summary>
/// One 512-byte header block as it is: fields by offset, numbers octal or base-256.
/// <code>
/// all:    name 0..100, mode 100..108, uid 108..116, gid 116..124, size 124..136, mtime 136..148, checksum 148..156, type 156, link name 157..257
/// ustar:  "ustar\0" "00" 257..265, uname, gname, devmajor 329..337, devminor 337..345, prefix 345..500
/// star:   ustar with prefix 345..476, atime, ctime, "tar\0" 508..512
/// GNU:    "ustar  \0" 257..265, uname, gname, devmajor, devminor, atime 345..357, ctime 357..369, sparse map 386..482, more? 482, real size 483..495
/// V7:     neither magic
/// </code>
/// </summary>
internal readonly ref struct TarHeader(ReadOnlySpan<byte> block)
{
    internal const int BlockBytes = 512;
    internal const long MaxOctal11 = 0x1FFFFFFFF;  // a size field with its NUL
    internal const long MaxOctal12 = 0xFFFFFFFFF;  // one without
    private const int MagicOffset = 257, PrefixOffset = 345, UstarPrefixBytes = 155, StarPrefixBytes = 131, TimeBytes = 12;
    private const int SparseMapOffset = 386, SparseMapEntries = 4, SparseMoreOffset = 482, RealSizeOffset = 483;
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

    /// <summary>Old GNU sparse: the size of the file with its holes, and the first entries of its map.</summary>
    internal long RealSize => Number(RealSizeOffset, TimeBytes, "real size");
    internal ReadOnlySpan<byte> SparseEntries => _block.Slice(SparseMapOffset, SparseMapEntries * SparseMap.OldEntryBytes);
    internal bool SparseGoesOn => _block[SparseMoreOffset] != 0;

    /// <summary>Device numbers came with ustar and GNU's format.</summary>
    internal bool HasDevices => _block.Slice(MagicOffset, 6).SequenceEqual("ustar\0"u8) || IsGnu;

    private bool IsUstar => _block.Slice(MagicOffset, 8).SequenceEqual("ustar\000"u8);
    internal bool IsGnu => _block.Slice(MagicOffset, 8).SequenceEqual("ustar  \0"u8);

    /// <summary>The name, joined with ustar's prefix field.</summary>
    /// <exception cref="FormatException">There is something like a prefix where the format has none: some programs would take it.</exception>
    internal byte[] Name
    {
        get
        {
            ReadOnlySpan<byte> name = Text(0, 100);
            bool isStar = IsUstar && _block[508..].SequenceEqual("tar\0"u8);
            ReadOnlySpan<byte> prefix = Text(PrefixOffset, isStar ? StarPrefixBytes : UstarPrefixBytes);
            if (prefix.IsEmpty)
            {
                return name.ToArray();
            }
            if (IsUstar)
            {
                return [.. prefix, (byte)'/', .. name];
            }
            return IsGnu && IsTime(PrefixOffset) && IsTime(PrefixOffset + TimeBytes) ? name.ToArray() : throw new FormatException("a name prefix in a header that is not ustar");
        }
    }

    /// <summary>Whether the checksum is right: the sum of all bytes, the field itself as blanks; some old tars summed signed bytes.</summary>
    internal bool ChecksumIsRight
    {
        get
        {
            const int Offset = 148, Length = 8;
            ReadOnlySpan<byte> sum = _block.Slice(Offset, Length);
            long blanks = (long)' ' * Length;
            if (!TryOctal(sum, out long stated))
            {
                return false;
            }
            if (stated == SumOf(_block) - SumOf(sum) + blanks)
            {
                return true;
            }
            long signed = blanks;
            for (int i = 0; i < BlockBytes; i++)
            {
                signed += i is >= Offset and < Offset + Length ? 0 : (sbyte)_block[i];
            }
            return stated == signed;
        }
    }

    // Eight bytes at a time, as four sums of sixteen bits: 64 times two bytes do not fill one.
    private static long SumOf(ReadOnlySpan<byte> bytes)
    {
        const ulong Even = 0x00FF00FF00FF00FF;
        ulong sums = 0;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            ulong eight = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            sums += (eight & Even) + ((eight >> 8) & Even);
        }
        return (long)((sums & 0xFFFF) + ((sums >> 16) & 0xFFFF) + ((sums >> 32) & 0xFFFF) + (sums >> 48));
    }

    /// <summary>Reads every number: some programs stop at one that is none though they do not need it.</summary>
    /// <exception cref="FormatException">One is none.</exception>
    internal void CheckNumbers() => _ = (Mode, Uid, Gid, Size, Modified, DeviceMajor, DeviceMinor);

    /// <summary>A number of a header or of an old GNU sparse map: octal, or base-256 where the top bit of the first byte is set.</summary>
    internal static bool TryNumber(ReadOnlySpan<byte> field, out long value) => (field[0] & 0x80) != 0 ? TryBase256(field, out value) : TryOctal(field, out value);

    private bool IsTime(int offset) => TryNumber(_block.Slice(offset, TimeBytes), out _);

    private ReadOnlySpan<byte> Text(int offset, int length)
    {
        ReadOnlySpan<byte> field = _block.Slice(offset, length);
        int end = field.IndexOf((byte)0);
        return end < 0 ? field : field[..end];
    }

    private long Number(int offset, int length, string name)
        => TryNumber(_block.Slice(offset, length), out long value) ? value : throw new FormatException($"the header's {name} is no number, or does not fit into 64 bits");

    // GNU: 0x80 marks a number in base 256, big endian, 0xFF a negative one in two's complement. With other bits in the first byte programs disagree.
    private static bool TryBase256(ReadOnlySpan<byte> field, out long value)
    {
        byte sign = field[0] == 0xFF ? (byte)0xFF : (byte)0;
        int spare = Math.Max(field.Length - sizeof(long), 1);
        value = sign == 0 ? 0 : -1;
        if (field[0] is not (0x80 or 0xFF) || field[1..spare].ContainsAnyExcept(sign))
        {
            return false;
        }
        foreach (byte b in field[spare..])
        {
            value = (value << 8) | b;
        }
        return (value < 0) == (sign != 0);
    }

    private static bool TryOctal(ReadOnlySpan<byte> field, out long value)
    {
        value = 0;
        field = field.TrimStart((byte)' ');
        if (field.StartsWith("\0"u8))
        {
            return !field.ContainsAnyExcept((byte)0, (byte)' '); // digits behind a NUL count for some programs and not for others
        }
        field = field.TrimEnd(" \0"u8);
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
