using System.Buffers.Binary;
using System.Collections;
using System.Security.Cryptography;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

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

    private readonly StoreLayout? _layout;
    private readonly string? _path;
    private readonly TimeProvider _time;
    private readonly ArraySegment<byte> _entries;
    private readonly BitArray _seen;
    private int[] _table = new int[1 << 10]; // those of this run by device and inode: number in the blocks + 1; never more than half full
    private readonly List<byte[]> _blocks = [];
    private readonly List<bool> _ripe = [];
    private readonly Lock _lock = new();

    private StatCache(StoreLayout? layout, string? path, TimeProvider time, ArraySegment<byte> entries)
        => (_layout, _path, _time, _entries, _seen) = (layout, path, time, entries, new BitArray(entries.Count / EntryBytes));

    /// <summary>One that remembers nothing: for files that are not the same ones next time.</summary>
    internal static StatCache CreateEmpty(TimeProvider time) => new(null, null, time, ArraySegment<byte>.Empty);

    /// <summary>That of a folder. What is damaged counts as nothing.</summary>
    internal static StatCache Open(StoreLayout layout, RootedDirectory folder, TimeProvider time)
    {
        FileStatus status = folder.TryGetStatus("") ?? default;
        string path = Path.Combine(layout.Cache, "stats", string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{status.Device:x}-{status.Inode:x}"));
        byte[]? bytes = FileSystems.TryRead(path, MaxBytes);
        bool isWhole = bytes is not null && bytes.Length >= MagicBytes + DigestBytes && (bytes.Length - MagicBytes - DigestBytes) % EntryBytes == 0 && bytes.AsSpan().StartsWith(Magic)
            && Digest.Of(bytes.AsSpan(0, bytes.Length - DigestBytes)) == Digest.FromSha256(bytes.AsSpan(bytes.Length - DigestBytes));
        return new StatCache(layout, path, time, isWhole ? new ArraySegment<byte>(bytes!, MagicBytes, bytes!.Length - MagicBytes - DigestBytes) : ArraySegment<byte>.Empty);
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
            if (_table[SlotOf((status.Device, status.Inode))] - 1 is var number and >= 0 && IsOf(EntryOf(number), status))
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
            int slot = SlotOf((status.Device, status.Inode)), number = _table[slot] - 1;
            if (number < 0)
            {
                number = _ripe.Count;
                _ripe.Add(false);
                if (number % BlockEntries == 0)
                {
                    _blocks.Add(new byte[BlockEntries * EntryBytes]);
                }
                _table[slot] = number + 1;
            }
            _ripe[number] = isRipe;
            Span<byte> entry = EntryOf(number);
            Write(entry, status);
            digest.CopyTo(entry[DigestOffset..]);
            if (_ripe.Count * 2 >= _table.Length)
            {
                GrowTable();
            }
        }
    }

    // Where a file's number is in the table, or is to be: its own slot or the next free one.
    private int SlotOf((ulong Device, ulong Inode) key)
    {
        int slot = key.GetHashCode() & (_table.Length - 1);
        while (_table[slot] != 0 && ReadKey(EntryOf(_table[slot] - 1)) != key)
        {
            slot = (slot + 1) & (_table.Length - 1);
        }
        return slot;
    }

    private void GrowTable()
    {
        _table = new int[_table.Length * 2];
        for (int number = 0; number < _ripe.Count; number++)
        {
            _table[SlotOf(ReadKey(EntryOf(number)))] = number + 1;
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
                .. Enumerable.Range(0, _seen.Length).Where(i => (_seen[i] || keepsUnseen) && !(_table[SlotOf(KeyOf(i))] - 1 is var number and >= 0 && _ripe[number])).Select(i => ~i)];
            kept.Sort((a, b) => Compare(KeptOf(a), ReadKey(KeptOf(b))));
            string temporary = _layout!.NewIngestPath("stats"); // gone with this process, should that be killed
            Write(temporary, kept);
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            File.Move(temporary, _path, overwrite: true);
        }
    }

    private void Write(string path, List<int> kept)
    {
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 1 << 16);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Put(Magic);
        foreach (int number in kept)
        {
            Put(KeptOf(number));
        }
        file.Write(hash.GetHashAndReset());

        void Put(ReadOnlySpan<byte> bytes)
        {
            hash.AppendData(bytes);
            file.Write(bytes);
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
