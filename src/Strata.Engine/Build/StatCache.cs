using System.Buffers.Binary;
using System.Collections;
using System.Security.Cryptography;
using Strata.Content;
using Strata.Linux;

namespace Strata.Build;

/// <summary>
/// Digests of a folder's files by what the kernel says of each: device, inode, size, ctime and mtime to the nanosecond. A file of which all that is as it
/// was has its content, and is not read again. One small file for each context, sorted, so that the one of 200,000 files takes 16 MB and is searched as it is.
/// <code>
/// cache/stats/DEVICE-INODE of the folder
///   "STRSTAT1"   then for each file, by device and inode, 80 bytes, little-endian:
///   device u64, inode u64, size i64, ctime s i64, mtime s i64, ctime ns i32, mtime ns i32, SHA-256
///   SHA-256 of all before
/// </code>
/// </summary>
internal sealed class StatCache
{
    private const int EntryBytes = 80, DigestOffset = 48, DigestBytes = 32, MagicBytes = 8;
    private const int BlockEntries = 1024; // 80 KiB: below what the collector calls large
    private const int MaxBytes = 1 << 28; // three million files: more than that is read anew
    private static readonly TimeSpan s_ripe = TimeSpan.FromSeconds(2); // the coarsest clock of a file system (FAT): two changes within it may look alike
    private static ReadOnlySpan<byte> Magic => "STRSTAT1"u8;

    private readonly string? _path;
    private readonly TimeProvider _time;
    private readonly ArraySegment<byte> _entries;
    private readonly BitArray _seen;
    private readonly Dictionary<(ulong Device, ulong Inode), int> _new = []; // to its number in the blocks
    private readonly List<byte[]> _blocks = [];
    private readonly List<bool> _ripe = [];
    private readonly Lock _lock = new();

    private StatCache(string? path, TimeProvider time, ArraySegment<byte> entries) => (_path, _time, _entries, _seen) = (path, time, entries, new BitArray(entries.Count / EntryBytes));

    /// <summary>One that remembers nothing: for files that are not the same ones next time.</summary>
    internal static StatCache CreateEmpty(TimeProvider time) => new(null, time, ArraySegment<byte>.Empty);

    /// <summary>That of a folder. What is damaged counts as nothing.</summary>
    internal static StatCache Open(StoreLayout layout, RootedDirectory folder, TimeProvider time)
    {
        FileStatus status = folder.TryGetStatus("") ?? default;
        string path = Path.Combine(layout.Cache, "stats", string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{status.Device:x}-{status.Inode:x}"));
        byte[]? bytes = FileSystems.TryRead(path, MaxBytes);
        bool isWhole = bytes is not null && bytes.Length >= MagicBytes + DigestBytes && (bytes.Length - MagicBytes - DigestBytes) % EntryBytes == 0 && bytes.AsSpan().StartsWith(Magic)
            && SHA256.HashData(bytes.AsSpan(0, bytes.Length - DigestBytes)).AsSpan().SequenceEqual(bytes.AsSpan(bytes.Length - DigestBytes));
        return new StatCache(path, time, isWhole ? new ArraySegment<byte>(bytes!, MagicBytes, bytes!.Length - MagicBytes - DigestBytes) : ArraySegment<byte>.Empty);
    }

    /// <summary>The digest of a file that has this status, where it is known.</summary>
    internal bool TryGet(in FileStatus status, Span<byte> digest)
    {
        lock (_lock)
        {
            int at = Find(status.Device, status.Inode);
            if (at >= 0 && IsOf(_entries.AsSpan(at * EntryBytes), status))
            {
                _seen[at] = true;
                _entries.AsSpan((at * EntryBytes) + DigestOffset, DigestBytes).CopyTo(digest);
                return true;
            }
            // Of this run: also those that are too young to be remembered. A change meanwhile is one that the build does not see.
            if (_new.TryGetValue((status.Device, status.Inode), out int number) && IsOf(EntryOf(number), status))
            {
                EntryOf(number)[DigestOffset..].CopyTo(digest);
                return true;
            }
            return false;
        }
    }

    /// <summary>Notes a digest. The status is from before the file was read: who writes while we read changes its times.</summary>
    internal void Add(in FileStatus status, ReadOnlySpan<byte> digest)
    {
        bool isRipe = status.Changed.ToDate() is { } changed && _time.GetUtcNow() - changed > s_ripe;
        lock (_lock)
        {
            if (!_new.TryGetValue((status.Device, status.Inode), out int number))
            {
                number = _ripe.Count;
                _new[(status.Device, status.Inode)] = number;
                _ripe.Add(false);
                if (number % BlockEntries == 0)
                {
                    _blocks.Add(new byte[BlockEntries * EntryBytes]);
                }
            }
            _ripe[number] = isRipe;
            Span<byte> entry = EntryOf(number);
            Write(entry, status);
            digest.CopyTo(entry[DigestOffset..]);
        }
    }

    private Span<byte> EntryOf(int number) => _blocks[number / BlockEntries].AsSpan(number % BlockEntries * EntryBytes, EntryBytes);

    /// <summary>Keeps what is new. Not synced: what is lost is read again.</summary>
    internal void Save()
    {
        lock (_lock)
        {
            int added = _ripe.Count(r => r);
            if (_path is null || added == 0)
            {
                return;
            }
            int seen = _seen.Cast<bool>().Count(s => s);
            // Files that nobody asked for may be those of another Dockerfile, or gone. Once they are the most, they go.
            bool keepsUnseen = _seen.Length - seen <= seen + added;
            // Numbers in place of entries: at and above zero those of this run, below those that were there.
            List<int> kept = [.. Enumerable.Range(0, _ripe.Count).Where(n => _ripe[n]),
                .. Enumerable.Range(0, _seen.Length).Where(i => (_seen[i] || keepsUnseen) && !(_new.TryGetValue(KeyOf(i), out int number) && _ripe[number])).Select(i => ~i)];
            kept.Sort((a, b) => Compare(KeptOf(a), ReadKey(KeptOf(b))));
            byte[] file = new byte[MagicBytes + (kept.Count * EntryBytes) + DigestBytes];
            Magic.CopyTo(file);
            for (int i = 0; i < kept.Count; i++)
            {
                KeptOf(kept[i]).CopyTo(file.AsSpan(MagicBytes + (i * EntryBytes)));
            }
            SHA256.HashData(file.AsSpan(0, file.Length - DigestBytes), file.AsSpan(file.Length - DigestBytes));
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            AtomicFile.Write(_path, file, durable: false);
        }
    }

    private ReadOnlySpan<byte> KeptOf(int number) => number >= 0 ? EntryOf(number) : _entries.AsSpan(~number * EntryBytes, EntryBytes);

    private int Find(ulong device, ulong inode)
    {
        int low = 0, high = (_entries.Count / EntryBytes) - 1;
        while (low <= high)
        {
            int middle = (low + high) >> 1, order = Compare(_entries.AsSpan(middle * EntryBytes), (device, inode));
            if (order == 0)
            {
                return middle;
            }
            (low, high) = order < 0 ? (middle + 1, high) : (low, middle - 1);
        }
        return -1;
    }

    private (ulong, ulong) KeyOf(int index) => ReadKey(_entries.AsSpan(index * EntryBytes));

    private static (ulong, ulong) ReadKey(ReadOnlySpan<byte> entry) => (BinaryPrimitives.ReadUInt64LittleEndian(entry), BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]));

    private static int Compare(ReadOnlySpan<byte> entry, (ulong Device, ulong Inode) key)
    {
        (ulong device, ulong inode) = ReadKey(entry);
        return device != key.Device ? device.CompareTo(key.Device) : inode.CompareTo(key.Inode);
    }

    private static bool IsOf(ReadOnlySpan<byte> entry, in FileStatus status)
    {
        Span<byte> expected = stackalloc byte[DigestOffset];
        Write(expected, status);
        return entry[..DigestOffset].SequenceEqual(expected);
    }

    private static void Write(Span<byte> entry, in FileStatus status)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(entry, status.Device);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], status.Inode);
        BinaryPrimitives.WriteInt64LittleEndian(entry[16..], status.Size);
        BinaryPrimitives.WriteInt64LittleEndian(entry[24..], status.Changed.Seconds);
        BinaryPrimitives.WriteInt64LittleEndian(entry[32..], status.Modified.Seconds);
        BinaryPrimitives.WriteInt32LittleEndian(entry[40..], status.Changed.Nanoseconds);
        BinaryPrimitives.WriteInt32LittleEndian(entry[44..], status.Modified.Nanoseconds);
    }
}
