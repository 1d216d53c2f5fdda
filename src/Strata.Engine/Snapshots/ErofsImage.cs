using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// Reads an index that <see cref="ErofsWriter"/> wrote, and the tar and pools it points into, without a mount. Only what is asked for is read. What does not
/// hold together is refused (Corrupt); a number in the file is believed only as far as the file goes.
/// </summary>
internal sealed class ErofsImage : ILayerFiles
{
    private const int PageBits = 12, PageBytes = 1 << PageBits, CachedPages = 64;
    private static readonly LayerLimits s_limits = new();
    private readonly string _what;
    private readonly SafeFileHandle _index;
    private readonly Func<int, SafeFileHandle> _openDevice;
    private readonly SafeFileHandle?[] _devices;
    private readonly byte[]?[] _pages = new byte[CachedPages][];
    private readonly long[] _pageNumbers = new long[CachedPages];
    private readonly ulong _device;
    private readonly long _length, _metaStart, _sharedStart;
    private readonly FileTime _epoch;
    private readonly Inode _root;
    private string? _lastParent;
    private Inode? _lastDirectory;

    private ErofsImage(string what, SafeFileHandle index, Func<int, SafeFileHandle> openDevice)
    {
        (_what, _index, _openDevice) = (what, index, openDevice);
        FileStatus status = Files.GetStatus(index);
        _length = status.Size;
        _device = (1UL << 63) | status.Inode; // no device of the host's: equal numbers of inodes in two layers are two files
        byte[] head = new byte[ErofsFormat.HeadBytes];
        if (_length < head.Length)
        {
            throw Corrupt("it is cut");
        }
        ReadExactly(_index, head, 0);
        ReadOnlySpan<byte> super = head.AsSpan(ErofsFormat.SuperOffset);
        if (ErofsFormat.Read32(super, 0) != ErofsFormat.Magic || super[12] != ErofsFormat.BlockBits || ErofsFormat.Read32(super, 80) != ErofsFormat.IncompatibleFeatures
            || ErofsFormat.Read32(super, 4) != ErofsFormat.Checksum(super))
        {
            throw Corrupt("its superblock is not what was written here");
        }
        int devices = ErofsFormat.Read16(super, 86);
        _devices = new SafeFileHandle[devices is >= ErofsFormat.TarDevice and <= ErofsFormat.MaxDevices ? devices : throw Corrupt($"it has {devices} devices")];
        _epoch = new FileTime(ErofsFormat.Read64(super, 24), (int)ErofsFormat.Read32(super, 32));
        _metaStart = (long)ErofsFormat.Read32(super, 40) * ErofsFormat.BlockBytes;
        _sharedStart = (long)ErofsFormat.Read32(super, 44) * ErofsFormat.BlockBytes;
        _root = ReadInode(ErofsFormat.Read16(super, 14));
    }

    /// <summary>Opens an index and, when a file's bytes are asked for, the device they are on: 1 is the tar, then come pools.</summary>
    internal static ErofsImage Open(string indexPath, Func<int, string> devicePath)
    {
        SafeFileHandle index = File.OpenHandle(indexPath);
        try
        {
            return new ErofsImage(indexPath, index, number => File.OpenHandle(devicePath(number)));
        }
        catch
        {
            index.Dispose();
            throw;
        }
    }

    /// <summary>The same of files that are open; they are disposed with it.</summary>
    internal static ErofsImage Open(string what, SafeFileHandle index, SafeFileHandle tar) => new(what, index, _ => tar);

    /// <summary>How many inodes there are, by the superblock.</summary>
    internal long InodeCount
    {
        get
        {
            byte[] count = new byte[sizeof(long)];
            ReadExactly(_index, count, ErofsFormat.SuperOffset + 16);
            return ErofsFormat.Read64(count, 0);
        }
    }

    public void Dispose()
    {
        _index.Dispose();
        foreach (SafeFileHandle? device in _devices)
        {
            device?.Dispose();
        }
    }

    public FileStatus? TryGetStatus(string path)
    {
        if (Find(path) is not { } inode)
        {
            return null;
        }
        bool isDevice = inode.Kind is FileKind.CharacterDevice or FileKind.BlockDevice;
        (uint major, uint minor) = isDevice ? ErofsFormat.DecodeDevice(inode.Union) : (0, 0);
        return new FileStatus(inode.Kind, inode.Mode, inode.Uid, inode.Gid, inode.Size, (inode.Size + 511) / 512, (ulong)inode.Nid, _device, major, minor, inode.Links, inode.Modified, inode.Modified);
    }

    public IReadOnlyList<string> GetNames(string path)
    {
        if (path.AsSpan().Count('/') > s_limits.MaxPathDepth)
        {
            throw Corrupt("a directory is in itself"); // no layer goes so deep
        }
        Inode directory = Existing(path);
        if (directory.Kind != FileKind.Directory)
        {
            throw new LinuxException("open", path, Errno.ENOTDIR);
        }
        var names = new List<string>();
        ForEachEntry(directory, (name, _) =>
        {
            if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
            {
                names.Add(LinuxPath.Decode(name));
            }
            return true;
        });
        return names;
    }

    public string ReadLink(string path)
    {
        Inode link = Existing(path);
        return link.Kind == FileKind.SymbolicLink ? TargetOf(link) : throw new LinuxException("readlink", path, Errno.EINVAL);
    }

    public Stream OpenFile(string path)
    {
        Inode file = Existing(path);
        return file.Kind == FileKind.Regular ? new ErofsContent(file.Size, ReadRuns(file), _index, Device) : throw new LinuxException("open", path, Errno.EINVAL);
    }

    public IReadOnlyList<KeyValuePair<string, byte[]>> GetXattrs(string path)
    {
        Inode inode = Existing(path);
        var xattrs = new List<KeyValuePair<string, byte[]>>();
        if (inode.XattrBytes == 0)
        {
            return xattrs;
        }
        byte[] body = Read(inode.End, inode.XattrBytes);
        int shared = body[4], at = ErofsFormat.XattrHeadBytes + (shared * sizeof(uint));
        if (at > body.Length)
        {
            throw Corrupt("an inode's attributes leave it");
        }
        for (int i = 0; i < shared; i++)
        {
            long place = _sharedStart + ((long)ErofsFormat.Read32(body, ErofsFormat.XattrHeadBytes + (i * sizeof(uint))) * ErofsFormat.XattrEntryBytes);
            byte[] head = Read(place, ErofsFormat.XattrEntryBytes);
            xattrs.Add(ParseXattr(Read(place, BytesOf(head))));
        }
        while (at + ErofsFormat.XattrEntryBytes <= body.Length)
        {
            int bytes = BytesOf(body.AsSpan(at));
            xattrs.Add(bytes <= body.Length - at ? ParseXattr(body.AsSpan(at, bytes)) : throw Corrupt("an inode's attributes leave it"));
            at += (int)ErofsFormat.RoundUp(bytes, ErofsFormat.XattrEntryBytes);
        }
        xattrs.Sort((a, b) => string.CompareOrdinal(a.Key, b.Key));
        return xattrs;
    }

    public byte[]? TryGetXattr(string path, string name)
    {
        foreach ((string key, byte[] value) in GetXattrs(path))
        {
            if (key == name)
            {
                return value;
            }
        }
        return null;
    }

    private static int BytesOf(ReadOnlySpan<byte> entry) => ErofsFormat.XattrEntryBytes + entry[0] + ErofsFormat.Read16(entry, 2);

    private KeyValuePair<string, byte[]> ParseXattr(ReadOnlySpan<byte> entry)
    {
        ReadOnlySpan<byte> name = entry.Slice(ErofsFormat.XattrEntryBytes, entry[0]);
        return new(ErofsFormat.JoinXattr(entry[1], name) ?? throw Corrupt($"an attribute of kind {entry[1]}"), entry[(ErofsFormat.XattrEntryBytes + entry[0])..].ToArray());
    }

    /// <summary>A device, by its number from 1.</summary>
    internal SafeFileHandle Device(int number) => _devices[number - 1] ??= _openDevice(number);

    /// <summary>The regular files that lie in one piece on a device, each inode once: of those in the tar, the ones of at least so many bytes.</summary>
    internal List<ErofsFile> ListFiles(long minimumBytes)
    {
        var files = new List<ErofsFile>();
        var met = new HashSet<long>();
        var open = new Stack<Inode>([_root]);
        while (open.TryPop(out Inode? directory))
        {
            ForEachEntry(directory, (name, nid) =>
            {
                if (name.SequenceEqual("."u8) || name.SequenceEqual(".."u8))
                {
                    return true;
                }
                Inode inode = ReadInode(nid);
                if (inode.Kind == FileKind.Directory)
                {
                    open.Push(met.Add(nid) ? inode : throw Corrupt("a directory is in itself"));
                }
                else if (inode.Kind == FileKind.Regular && (inode.Size >= minimumBytes || _devices.Length > ErofsFormat.TarDevice) && (inode.Links == 1 || met.Add(nid))
                    && ReadRuns(inode) is [{ Offset: 0, Place: >= 0 } run] && run.Length == inode.Size && (inode.Size >= minimumBytes || run.Device > ErofsFormat.TarDevice))
                {
                    files.Add(new ErofsFile(ChunksOf(inode), ChunkBitsOf(inode), inode.Size, run.Device, run.Place));
                }
                return true;
            });
        }
        return files;
    }

    private static long ChunksOf(Inode file) => ErofsFormat.RoundUp(file.End + file.XattrBytes, ErofsFormat.ChunkBytes);

    private static int ChunkBitsOf(Inode file) => ErofsFormat.BlockBits + (int)(file.Union & ErofsFormat.ChunkBitsMask);

    private string TargetOf(Inode link) => LinuxPath.Decode(ReadPayload(link));

    private Inode Existing(string path) => Find(path) ?? throw new LinuxException("open", path, Errno.ENOENT);

    // A walk asks for a directory's children one after another.
    private Inode? Find(string path)
    {
        int slash = path.LastIndexOf('/');
        ReadOnlySpan<char> parent = path.AsSpan(0, Math.Max(0, slash)), name = path.AsSpan(slash + 1);
        if (name is "" or "." or "..")
        {
            return Walk(path, followLast: false);
        }
        if (_lastParent is null || !parent.SequenceEqual(_lastParent))
        {
            string text = parent.ToString();
            if (Walk(text, followLast: true) is not { Kind: FileKind.Directory } directory)
            {
                return null;
            }
            (_lastParent, _lastDirectory) = (text, directory);
        }
        return Lookup(_lastDirectory!, LinuxPath.Encode(name.ToString()));
    }

    private Inode? Walk(string path, bool followLast)
    {
        var way = new List<Inode> { _root };
        var rest = new Stack<string>(path.Split('/').Reverse());
        for (int links = 0; rest.TryPop(out string? name);)
        {
            if (name is "" or ".")
            {
                continue;
            }
            if (way[^1].Kind != FileKind.Directory)
            {
                return null;
            }
            if (name == "..")
            {
                way.RemoveRange(Math.Max(1, way.Count - 1), way.Count > 1 ? 1 : 0);
                continue;
            }
            if (Lookup(way[^1], LinuxPath.Encode(name)) is not { } next)
            {
                return null;
            }
            if (next.Kind != FileKind.SymbolicLink || (!followLast && rest.Count == 0))
            {
                way.Add(next);
                continue;
            }
            if (++links > LayerStack.MaxLinks)
            {
                throw new LinuxException("open", path, Errno.ELOOP);
            }
            string target = TargetOf(next);
            if (target.StartsWith('/'))
            {
                way.RemoveRange(1, way.Count - 1);
            }
            foreach (string part in target.Split('/').Reverse())
            {
                rest.Push(part);
            }
        }
        return way[^1];
    }

    // By halves over the blocks (each begins with its smallest name), then through one.
    private Inode? Lookup(Inode directory, byte[] name)
    {
        long low = 0, high = (directory.Size + ErofsFormat.BlockBytes - 1) / ErofsFormat.BlockBytes;
        while (high - low > 1)
        {
            long middle = (low + high) / 2;
            byte[] block = ReadDirectoryBlock(directory, middle);
            (low, high) = EntryName(block, 0, EntryCount(block)).SequenceCompareTo(name) <= 0 ? (middle, high) : (low, middle);
        }
        if (high == 0)
        {
            return null;
        }
        byte[] last = ReadDirectoryBlock(directory, low);
        int count = EntryCount(last);
        for (int i = 0; i < count; i++)
        {
            if (EntryName(last, i, count).SequenceEqual(name))
            {
                return ReadInode(ErofsFormat.Read64(last, i * ErofsFormat.EntryBytes));
            }
        }
        return null;
    }

    private delegate bool OnEntry(ReadOnlySpan<byte> name, long nid);

    private void ForEachEntry(Inode directory, OnEntry action)
    {
        for (long i = 0; i * ErofsFormat.BlockBytes < directory.Size; i++)
        {
            byte[] block = ReadDirectoryBlock(directory, i);
            int count = EntryCount(block);
            for (int entry = 0; entry < count; entry++)
            {
                if (!action(EntryName(block, entry, count), ErofsFormat.Read64(block, entry * ErofsFormat.EntryBytes)))
                {
                    return;
                }
            }
        }
    }

    private int EntryCount(byte[] block)
    {
        int names = block.Length < ErofsFormat.EntryBytes ? 0 : ErofsFormat.Read16(block, 8);
        return names >= ErofsFormat.EntryBytes && names % ErofsFormat.EntryBytes == 0 && names <= block.Length ? names / ErofsFormat.EntryBytes : throw Corrupt("a directory's block has no entries");
    }

    private ReadOnlySpan<byte> EntryName(byte[] block, int entry, int count)
    {
        int start = ErofsFormat.Read16(block, (entry * ErofsFormat.EntryBytes) + 8);
        int end = entry + 1 < count ? ErofsFormat.Read16(block, ((entry + 1) * ErofsFormat.EntryBytes) + 8) : block.Length;
        if (start < count * ErofsFormat.EntryBytes || end <= start || end > block.Length)
        {
            throw Corrupt("a directory's entry leaves its block");
        }
        ReadOnlySpan<byte> name = block.AsSpan(start, end - start);
        int zero = entry + 1 < count ? -1 : name.IndexOf((byte)0);
        return zero < 0 ? name : name[..zero];
    }

    private byte[] ReadDirectoryBlock(Inode directory, long block)
    {
        long offset = block * ErofsFormat.BlockBytes;
        return ReadPayload(directory, offset, (int)Math.Min(ErofsFormat.BlockBytes, directory.Size - offset));
    }

    private byte[] ReadPayload(Inode inode) => ReadPayload(inode, 0, inode.Size <= PageBytes ? (int)inode.Size : throw Corrupt("a link's target has no end"));

    // Whole blocks apart, the rest beside the inode.
    private byte[] ReadPayload(Inode inode, long offset, int length)
    {
        long apart = inode.Layout == ErofsFormat.LayoutInline ? inode.Size / ErofsFormat.BlockBytes * ErofsFormat.BlockBytes : inode.Size;
        return offset >= apart && inode.Layout == ErofsFormat.LayoutInline
            ? Read(inode.End + inode.XattrBytes + offset - apart, length)
            : Read(((long)inode.Union * ErofsFormat.BlockBytes) + offset, length);
    }

    private Inode ReadInode(long nid)
    {
        long at = _metaStart + (nid << ErofsFormat.InodeSlotBits);
        if (nid < 0 || nid > _length >> ErofsFormat.InodeSlotBits)
        {
            throw Corrupt($"there is no inode {nid}");
        }
        byte[] head = Read(at, ErofsFormat.CompactBytes);
        int format = ErofsFormat.Read16(head, 0), xattrs = ErofsFormat.Read16(head, 2);
        bool isExtended = (format & 1) != 0;
        byte[] all = isExtended ? Read(at, ErofsFormat.ExtendedBytes) : head;
        ushort mode = ErofsFormat.Read16(head, 4);
        return new Inode
        {
            Nid = nid,
            Layout = format >> 1,
            Kind = ErofsFormat.KindOf(mode) ?? throw Corrupt($"inode {nid} is no file"),
            Mode = mode & 0xFFF,
            Union = ErofsFormat.Read32(head, 16),
            End = at + all.Length,
            XattrBytes = xattrs == 0 ? 0 : ErofsFormat.XattrHeadBytes + ((xattrs - 1) * sizeof(uint)),
            Size = isExtended ? ErofsFormat.Read64(all, 8) : ErofsFormat.Read32(all, 8),
            Uid = isExtended ? ErofsFormat.Read32(all, 24) : ErofsFormat.Read16(all, 24),
            Gid = isExtended ? ErofsFormat.Read32(all, 28) : ErofsFormat.Read16(all, 26),
            Links = isExtended ? ErofsFormat.Read32(all, 44) : ErofsFormat.Read16(all, 6),
            Modified = isExtended ? new FileTime(ErofsFormat.Read64(all, 32), (int)ErofsFormat.Read32(all, 40)) : _epoch,
        };
    }

    private List<ErofsRun> ReadRuns(Inode file)
    {
        var runs = new List<ErofsRun>();
        if (file.Size == 0)
        {
            return runs;
        }
        if (file.Layout != ErofsFormat.LayoutChunks || (file.Union & ~ErofsFormat.ChunkBitsMask) != ErofsFormat.ChunkHasDevices || file.Size < 0)
        {
            throw Corrupt($"inode {file.Nid} is laid out in no way that is written here");
        }
        int bits = ChunkBitsOf(file);
        long table = ChunksOf(file);
        for (long chunk = 0; chunk << bits < file.Size; chunk++)
        {
            byte[] entry = Read(table + (chunk * ErofsFormat.ChunkBytes), ErofsFormat.ChunkBytes);
            uint block = ErofsFormat.Read32(entry, 4);
            if (block == ErofsFormat.Hole)
            {
                continue;
            }
            long offset = chunk << bits, place = (long)block * ErofsFormat.BlockBytes;
            int device = ErofsFormat.Read16(entry, 2);
            place = device == 0 ? -1 - place : device <= _devices.Length ? place : throw Corrupt($"inode {file.Nid} is on a device that it has not");
            long length = Math.Min(1L << bits, file.Size - offset);
            if (runs.Count > 0 && runs[^1] is var last && last.Offset + last.Length == offset && (place < 0 || last.Device == device) && last.Place + (last.Place < 0 ? -last.Length : last.Length) == place)
            {
                runs[^1] = last with { Length = last.Length + length };
            }
            else
            {
                runs.Add(new ErofsRun(offset, length, place, device));
            }
        }
        return runs;
    }

    private byte[] Read(long at, int length)
    {
        if (at < 0 || length < 0 || at > _length - length)
        {
            throw Corrupt("it points behind its end");
        }
        byte[] bytes = new byte[length];
        for (int done = 0; done < length;)
        {
            long position = at + done;
            byte[] page = PageAt(position >> PageBits);
            int offset = (int)(position & (PageBytes - 1)), step = Math.Min(length - done, PageBytes - offset);
            page.AsSpan(offset, step).CopyTo(bytes.AsSpan(done));
            done += step;
        }
        return bytes;
    }

    private byte[] PageAt(long number)
    {
        int slot = (int)(number % CachedPages);
        if (_pages[slot] is { } cached && _pageNumbers[slot] == number)
        {
            return cached;
        }
        byte[] page = _pages[slot] ??= new byte[PageBytes];
        _pageNumbers[slot] = -1;
        long start = number << PageBits;
        ReadExactly(_index, page.AsSpan(0, (int)Math.Min(PageBytes, _length - start)), start);
        _pageNumbers[slot] = number;
        return page;
    }

    private void ReadExactly(SafeFileHandle file, Span<byte> buffer, long at)
    {
        while (!buffer.IsEmpty)
        {
            int read = RandomAccess.Read(file, buffer, at);
            if (read == 0)
            {
                throw Corrupt("it became shorter");
            }
            buffer = buffer[read..];
            at += read;
        }
    }

    private StrataException Corrupt(string why) => new(ErrorKind.Corrupt, $"{_what}: {why}") { Hint = "strata system check --deep --repair makes it again" };

    private sealed class Inode
    {
        internal long Nid, End, Size;
        internal int Layout, Mode, XattrBytes;
        internal FileKind Kind;
        internal uint Union, Uid, Gid, Links;
        internal FileTime Modified;
    }
}
