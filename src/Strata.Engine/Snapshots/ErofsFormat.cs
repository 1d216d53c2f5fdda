using System.Buffers.Binary;
using System.Numerics;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// EROFS on disk, as far as layers need it (Linux: fs/erofs/erofs_fs.h, Documentation/filesystems/erofs.rst). All numbers are little-endian.
/// <code>
/// an index file of this store (blocks of 512 bytes, so that what lies in a tar can be pointed at):
///     0  1,024 zeros
///  1024  superblock, 128 bytes; behind it a slot for each extra device: the plain tar, and pools of what it has in common with other layers
///  1536  data that the tar cannot give: files of layers below that a hard link brought up, files with odd holes
///     …  inodes, each at a multiple of 32 (its number, the nid, is that multiple, counted from the first), the root first;
///        each with its attributes, then: entries or a link's target where they fit into the block, or the chunks of a file
///     …  attributes that several inodes have
///     …  entries of directories, and targets of links, that fit into no block beside their inode
///
/// inode   compact (32 bytes): format 2, attributes 2, mode 2, links 2, size 4, time 4, union 4, number 4, uid 2, gid 2, unused 4
///         extended (64):      format 2, attributes 2, mode 2, unused 2, size 8, union 4, number 4, uid 4, gid 4, seconds 8, nanoseconds 4, links 4, unused 16
///         format = extended (bit 0) | layout (bits 1-3); union = first block | device number | chunk format
/// entry   nid 8, offset of the name in the block 2, type 1, unused 1; sorted by the bytes of the names, "." and ".." among them
/// chunk   unused 2, device 2, block 4; block 0xFFFFFFFF is a hole
/// </code>
/// </summary>
internal static class ErofsFormat
{
    internal const int BlockBits = 9, BlockBytes = 1 << BlockBits;
    internal const int SuperOffset = 1024, SuperBytes = 128, SlotBytes = 128, HeadBytes = 3 * BlockBytes;
    internal const uint Magic = 0xE0F5E1E2;
    internal const uint Features = ChecksumFeature | MtimeFeature, IncompatibleFeatures = ChunkedFeature | DevicesFeature;
    internal const int SlotUnit = (SuperOffset + SuperBytes) / SlotBytes;
    internal const int InodeSlotBits = 5, InodeSlotBytes = 1 << InodeSlotBits;
    internal const int CompactBytes = 32, ExtendedBytes = 64;
    internal const int LayoutPlain = 0, LayoutInline = 2, LayoutChunks = 4;
    internal const int ChunkBytes = 8, ChunkHasDevices = 0x20, ChunkBitsMask = 0x1F, MaxChunkBits = BlockBits + ChunkBitsMask;
    internal const uint Hole = uint.MaxValue;
    internal const int EntryBytes = 12, MaxNameBytes = 255;
    internal const int XattrHeadBytes = 12, XattrEntryBytes = 4, MaxSharedXattrs = 255, MaxXattrUnits = ushort.MaxValue;
    internal const int TarDevice = 1, MaxPools = 2, MaxDevices = TarDevice + MaxPools; // more slots do not fit into the block of the superblock
    private const uint ChecksumFeature = 1, MtimeFeature = 2, ChunkedFeature = 4, DevicesFeature = 8;
    private const int TypeShift = 12;

    // Names of attributes are kept without these; the number is the place in the list, and one (Lustre's) is not for us.
    private static readonly (string Prefix, byte Index, bool IsWhole)[] s_prefixes =
    [
        ("user.", 1, false), ("system.posix_acl_access", 2, true), ("system.posix_acl_default", 3, true), ("trusted.", 4, false), ("security.", 6, false),
    ];

    /// <summary>An attribute's name as the format has it; null where it has no way to say it.</summary>
    internal static (byte Index, byte[] Name)? SplitXattr(string name)
    {
        foreach ((string prefix, byte index, bool isWhole) in s_prefixes)
        {
            if (isWhole ? name == prefix : name.StartsWith(prefix, StringComparison.Ordinal) && name.Length > prefix.Length)
            {
                byte[] rest = LinuxPath.Encode(name[prefix.Length..]);
                return rest.Length <= MaxNameBytes ? (index, rest) : null;
            }
        }
        return null;
    }

    /// <summary>The whole name of an attribute; null where the number is not known.</summary>
    internal static string? JoinXattr(byte index, ReadOnlySpan<byte> name)
    {
        foreach ((string prefix, byte known, _) in s_prefixes)
        {
            if (known == index)
            {
                return prefix + LinuxPath.Decode(name);
            }
        }
        return null;
    }

    /// <summary>S_IFMT bits with the permissions.</summary>
    internal static ushort ModeOf(FileKind kind, int mode) => (ushort)((TypeOf(kind) << TypeShift) | (mode & 0xFFF));

    /// <summary>What S_IFMT says; null for what no file is.</summary>
    internal static FileKind? KindOf(ushort mode) => (mode >> TypeShift) switch
    {
        1 => FileKind.Fifo,
        2 => FileKind.CharacterDevice,
        4 => FileKind.Directory,
        6 => FileKind.BlockDevice,
        8 => FileKind.Regular,
        10 => FileKind.SymbolicLink,
        12 => FileKind.Socket,
        _ => null,
    };

    /// <summary>FT_* of a directory's entry.</summary>
    internal static byte EntryTypeOf(FileKind kind) => kind switch
    {
        FileKind.Regular => 1,
        FileKind.Directory => 2,
        FileKind.CharacterDevice => 3,
        FileKind.BlockDevice => 4,
        FileKind.Fifo => 5,
        FileKind.Socket => 6,
        _ => 7,
    };

    /// <summary>A device number as the kernel writes it (new_encode_dev).</summary>
    internal static uint EncodeDevice(uint major, uint minor) => (minor & 0xFF) | (major << 8) | ((minor & ~0xFFu) << 12);

    internal static (uint Major, uint Minor) DecodeDevice(uint device) => ((device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & ~0xFFu));

    internal static long RoundUp(long value, int unit) => (value + unit - 1) / unit * unit;

    /// <summary>The superblock's own checksum: CRC-32C from the magic to the end of its block, the checksum counted as zero.</summary>
    internal static uint Checksum(ReadOnlySpan<byte> superblock)
    {
        uint crc = uint.MaxValue;
        for (int i = 0; i < BlockBytes; i++)
        {
            crc = BitOperations.Crc32C(crc, i is >= 4 and < 8 ? (byte)0 : superblock[i]);
        }
        return crc;
    }

    /// <summary>CRC-32C of a whole file.</summary>
    internal static long ChecksumOf(string path)
    {
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(path, options: FileOptions.SequentialScan);
        byte[] buffer = new byte[1 << 18];
        uint crc = uint.MaxValue;
        int read;
        for (long at = 0; (read = RandomAccess.Read(file, buffer, at)) > 0; at += read)
        {
            ReadOnlySpan<byte> bytes = buffer.AsSpan(0, read);
            for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            {
                crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            }
            foreach (byte b in bytes)
            {
                crc = BitOperations.Crc32C(crc, b);
            }
        }
        return crc;
    }

    /// <summary>Fills in the slots of the devices behind a superblock, and its checksum, which counts them. Each has a tag, of at most 64 letters, and a length.</summary>
    internal static void WriteDevices(Span<byte> superblock, IReadOnlyList<(Oci.Digest Tag, long Bytes)> devices)
    {
        const int TagBytes = 64;
        Write16(superblock, 86, devices.Count);
        Write16(superblock, 88, SlotUnit);
        for (int i = 0; i < devices.Count; i++)
        {
            Span<byte> slot = superblock.Slice(SuperBytes + (i * SlotBytes), SlotBytes);
            ReadOnlySpan<char> tag = devices[i].Tag.Hex;
            System.Text.Encoding.ASCII.GetBytes(tag[..Math.Min(TagBytes, tag.Length)], slot);
            Write32(slot, TagBytes, (uint)((devices[i].Bytes + BlockBytes - 1) / BlockBytes));
        }
        Write32(superblock, 4, Checksum(superblock));
    }

    internal static void Write16(Span<byte> at, int offset, int value) => BinaryPrimitives.WriteUInt16LittleEndian(at[offset..], (ushort)value);

    internal static void Write32(Span<byte> at, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(at[offset..], value);

    internal static void Write64(Span<byte> at, int offset, long value) => BinaryPrimitives.WriteInt64LittleEndian(at[offset..], value);

    internal static ushort Read16(ReadOnlySpan<byte> at, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(at[offset..]);

    internal static uint Read32(ReadOnlySpan<byte> at, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(at[offset..]);

    internal static long Read64(ReadOnlySpan<byte> at, int offset) => BinaryPrimitives.ReadInt64LittleEndian(at[offset..]);

    private static int TypeOf(FileKind kind) => kind switch
    {
        FileKind.Fifo => 1,
        FileKind.CharacterDevice => 2,
        FileKind.Directory => 4,
        FileKind.BlockDevice => 6,
        FileKind.Regular => 8,
        FileKind.SymbolicLink => 10,
        _ => 12,
    };
}
