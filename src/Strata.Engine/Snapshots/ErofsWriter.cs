using System.Buffers;
using System.Numerics;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// Writes an index (<see cref="ErofsFormat"/>) for a tree of files whose bytes lie in a tar. The same tree and tar give the same bytes. First everything
/// gets its place, then it is written in order; in memory is the tree, and of what is written no more than a directory.
/// </summary>
internal sealed class ErofsWriter
{
    private readonly ErofsTree _tree;
    private readonly ErofsNodes _nodes;
    private readonly SafeFileHandle _file;
    private readonly List<int> _order = [];
    private readonly int[] _pairUses, _pairPlaces; // attributes that several inodes have: where in the area of those, in units of 4; or -1
    private readonly ArrayBufferWriter<byte> _directory = new();
    private FileTime _epoch;
    private long _metaStart, _metaEnd, _sharedStart, _sharedEnd, _blockStart, _blocks;

    private ErofsWriter(ErofsTree tree, SafeFileHandle file)
    {
        (_tree, _nodes, _file) = (tree, tree.Nodes, file);
        (_pairUses, _pairPlaces) = (new int[tree.Xattrs.Pairs.Count], new int[tree.Xattrs.Pairs.Count]);
    }

    /// <summary>Writes the index into the file that the tree has put data into already; returns the superblock's block, with which the file begins to be an index.</summary>
    internal static byte[] Write(ErofsTree tree, SafeFileHandle file, Digest diffId, long tarBytes)
    {
        var writer = new ErofsWriter(tree, file);
        writer.Order();
        writer.LayOut();
        writer.WriteInodes();
        writer.WriteShared();
        return writer.WriteHead(diffId, tarBytes);
    }

    /// <summary>The largest chunks by which a file's runs can be said.</summary>
    internal static int ChunkBitsOf(ReadOnlySpan<ErofsRun> runs, long size)
    {
        int all = Math.Clamp(64 - BitOperations.LeadingZeroCount((ulong)Math.Max(0, size - 1)), ErofsFormat.BlockBits, ErofsFormat.MaxChunkBits);
        foreach (ErofsRun run in runs)
        {
            long end = run.Offset + run.Length;
            all = Math.Min(all, BitOperations.TrailingZeroCount(run.Offset | (end == size ? 0 : end) | (1L << ErofsFormat.MaxChunkBits)));
        }
        return Math.Max(all, ErofsFormat.BlockBits);
    }

    // Inodes in the order in which a walk meets them: those of a directory beside each other, so that a listing reads few blocks.
    private void Order()
    {
        var open = new Stack<int>([ErofsTree.Root]);
        Meet(ErofsTree.Root);
        var below = new List<int>();
        (FileTime epoch, int votes) = (default, 0); // of most, where most have one: it stands in the superblock, and their inodes are half as large
        while (open.TryPop(out int directory))
        {
            _nodes.Sort(directory);
            below.Clear();
            uint folders = 0;
            for (int name = _nodes.Node(directory).FirstName; name != ErofsNodes.None; name = _nodes.Name(name).Next)
            {
                int node = _nodes.Name(name).Node;
                ref ErofsNode child = ref _nodes.Node(node);
                if (child.Links++ == 0)
                {
                    Meet(node);
                    (epoch, votes) = votes == 0 ? (child.Modified, 1) : (epoch, child.Modified == epoch ? votes + 1 : votes - 1);
                }
                if (child.Kind == FileKind.Directory)
                {
                    folders++;
                    below.Add(node);
                }
            }
            _nodes.Node(directory).Links = 2 + folders;
            for (int i = below.Count - 1; i >= 0; i--)
            {
                open.Push(below[i]);
            }
        }
        _epoch = epoch;
    }

    private void Meet(int node)
    {
        _order.Add(node);
        foreach (int pair in _tree.Xattrs.Set(_nodes.Node(node).Xattrs))
        {
            _pairUses[pair]++;
        }
    }

    private void LayOut()
    {
        int units = 0;
        for (int pair = 0; pair < _pairUses.Length; pair++)
        {
            bool isShared = _pairUses[pair] > 1;
            _pairPlaces[pair] = isShared ? units : -1;
            units += isShared ? _tree.Xattrs.Pairs[pair].Bytes / ErofsFormat.XattrEntryBytes : 0;
        }
        _metaStart = _tree.DataEnd;
        long at = 0;
        foreach (int index in _order)
        {
            ref ErofsNode node = ref _nodes.Node(index);
            at = Place(ref node, index, ErofsFormat.RoundUp(at, ErofsFormat.InodeSlotBytes));
        }
        _metaEnd = _metaStart + at;
        _sharedStart = ErofsFormat.RoundUp(_metaEnd, ErofsFormat.BlockBytes);
        _sharedEnd = _sharedStart + ((long)units * ErofsFormat.XattrEntryBytes);
        _blockStart = ErofsFormat.RoundUp(_sharedEnd, ErofsFormat.BlockBytes) / ErofsFormat.BlockBytes;
    }

    // Gives an inode its place, at or behind a position; returns where it ends.
    private long Place(ref ErofsNode node, int index, long at)
    {
        int head = HeadOf(node);
        long payload = node.Kind switch
        {
            FileKind.Directory => node.Size = DirectoryBytes(index),
            FileKind.SymbolicLink => node.Size,
            FileKind.Regular when node.Size > 0 => ((node.Size - 1) >> ChunkBitsOf(node)) + 1,
            _ => 0,
        };
        if (node.Kind == FileKind.Regular)
        {
            node.Layout = payload > 0 ? (byte)ErofsFormat.LayoutChunks : (byte)ErofsFormat.LayoutPlain;
            node.Nid = at >> ErofsFormat.InodeSlotBits;
            return payload == 0 ? at + head : ErofsFormat.RoundUp(at + head, ErofsFormat.ChunkBytes) + (payload * ErofsFormat.ChunkBytes);
        }
        // Beside the inode, and with it in one block: kernels before 6.12 want a link's inode there, too.
        int tail = (int)(payload % ErofsFormat.BlockBytes);
        bool isInline = tail > 0 && head + tail <= ErofsFormat.BlockBytes && (node.Kind == FileKind.Directory || payload == tail);
        if (isInline && (at % ErofsFormat.BlockBytes) + head + tail > ErofsFormat.BlockBytes)
        {
            at = ErofsFormat.RoundUp(at, ErofsFormat.BlockBytes);
        }
        (node.Nid, node.Layout) = (at >> ErofsFormat.InodeSlotBits, isInline ? (byte)ErofsFormat.LayoutInline : (byte)ErofsFormat.LayoutPlain);
        node.Block = (uint)_blocks;
        _blocks += (payload - (isInline ? tail : 0) + ErofsFormat.BlockBytes - 1) / ErofsFormat.BlockBytes;
        return at + head + (isInline ? tail : 0);
    }

    private int HeadOf(in ErofsNode node) => (IsCompact(node) ? ErofsFormat.CompactBytes : ErofsFormat.ExtendedBytes) + XattrBytes(node);

    private bool IsCompact(in ErofsNode node)
        => node.Modified == _epoch && node.Uid <= ushort.MaxValue && node.Gid <= ushort.MaxValue && node.Links <= ushort.MaxValue && node.Size <= uint.MaxValue;

    private int XattrBytes(in ErofsNode node)
    {
        if (node.Xattrs == 0)
        {
            return 0;
        }
        int bytes = ErofsFormat.XattrHeadBytes, shared = 0;
        foreach (int pair in _tree.Xattrs.Set(node.Xattrs))
        {
            bytes += IsShared(pair, ref shared) ? sizeof(uint) : _tree.Xattrs.Pairs[pair].Bytes;
        }
        return bytes;
    }

    private bool IsShared(int pair, ref int shared) => _pairPlaces[pair] >= 0 && shared++ < ErofsFormat.MaxSharedXattrs;

    private int ChunkBitsOf(in ErofsNode node) => ChunkBitsOf(node.Runs == 0 ? [] : _tree.RunsOf(node), node.Size);

    // "." and ".." stand where the order of bytes puts them.
    private long DirectoryBytes(int directory)
    {
        long full = 0;
        int used = 0;
        void Count(int length)
        {
            if (used + ErofsFormat.EntryBytes + length > ErofsFormat.BlockBytes)
            {
                full += ErofsFormat.BlockBytes;
                used = 0;
            }
            used += ErofsFormat.EntryBytes + length;
        }
        int dots = 0;
        for (int name = _nodes.Node(directory).FirstName; name != ErofsNodes.None; name = _nodes.Name(name).Next)
        {
            for (; dots < 2 && IsBehindDots(_nodes.TextOf(name), dots); dots++)
            {
                Count(dots + 1);
            }
            Count(_nodes.Name(name).Length);
        }
        for (; dots < 2; dots++)
        {
            Count(dots + 1);
        }
        return full + used;
    }

    private static bool IsBehindDots(ReadOnlySpan<byte> name, int dots) => name.SequenceCompareTo(dots == 0 ? "."u8 : ".."u8) > 0;

    private void WriteInodes()
    {
        using var meta = new BlockOutput(_file, _metaStart);
        using var blocks = new BlockOutput(_file, _blockStart * ErofsFormat.BlockBytes);
        int number = 0;
        foreach (int index in _order)
        {
            ref ErofsNode node = ref _nodes.Node(index);
            meta.PadTo(_metaStart + (node.Nid << ErofsFormat.InodeSlotBits));
            WriteHead(meta, node, (uint)++number);
            WriteXattrs(meta, node);
            switch (node.Kind)
            {
                case FileKind.Regular when node.Size > 0:
                    meta.PadTo(ErofsFormat.RoundUp(meta.Position, ErofsFormat.ChunkBytes));
                    WriteChunks(meta, node);
                    break;
                case FileKind.Directory:
                    WritePayload(meta, blocks, node, FillDirectory(index));
                    break;
                case FileKind.SymbolicLink:
                    WritePayload(meta, blocks, node, _nodes.Text((int)node.Place, (int)node.Size));
                    break;
            }
        }
        meta.PadTo(_sharedStart);
    }

    private void WriteHead(BlockOutput output, in ErofsNode node, uint number)
    {
        bool isCompact = IsCompact(node);
        Span<byte> bytes = output.Take(isCompact ? ErofsFormat.CompactBytes : ErofsFormat.ExtendedBytes);
        ErofsFormat.Write16(bytes, 0, (isCompact ? 0 : 1) | (node.Layout << 1));
        int xattrs = XattrBytes(node);
        ErofsFormat.Write16(bytes, 2, xattrs == 0 ? 0 : ((xattrs - ErofsFormat.XattrHeadBytes) / sizeof(uint)) + 1);
        ErofsFormat.Write16(bytes, 4, ErofsFormat.ModeOf(node.Kind, node.Mode));
        ErofsFormat.Write32(bytes, 16, node.Kind switch
        {
            FileKind.Directory or FileKind.SymbolicLink => (uint)(_blockStart + node.Block),
            FileKind.Regular => node.Size > 0 ? (uint)(ErofsFormat.ChunkHasDevices | (ChunkBitsOf(node) - ErofsFormat.BlockBits)) : 0,
            _ => (uint)node.Place,
        });
        ErofsFormat.Write32(bytes, 20, number);
        if (isCompact)
        {
            ErofsFormat.Write16(bytes, 6, (int)node.Links);
            ErofsFormat.Write32(bytes, 8, (uint)node.Size);
            ErofsFormat.Write16(bytes, 24, (int)node.Uid);
            ErofsFormat.Write16(bytes, 26, (int)node.Gid);
            return;
        }
        ErofsFormat.Write64(bytes, 8, node.Size);
        ErofsFormat.Write32(bytes, 24, node.Uid);
        ErofsFormat.Write32(bytes, 28, node.Gid);
        ErofsFormat.Write64(bytes, 32, node.Modified.Seconds);
        ErofsFormat.Write32(bytes, 40, (uint)node.Modified.Nanoseconds);
        ErofsFormat.Write32(bytes, 44, node.Links);
    }

    private void WriteXattrs(BlockOutput output, in ErofsNode node)
    {
        if (node.Xattrs == 0)
        {
            return;
        }
        int[] pairs = _tree.Xattrs.Set(node.Xattrs);
        int count = 0;
        int[] shared = [.. pairs.Where(p => IsShared(p, ref count))];
        output.Take(ErofsFormat.XattrHeadBytes)[4] = (byte)shared.Length;
        foreach (int pair in shared)
        {
            ErofsFormat.Write32(output.Take(sizeof(uint)), 0, (uint)_pairPlaces[pair]);
        }
        foreach (int pair in pairs.Except(shared))
        {
            _tree.Xattrs.Pairs[pair].Write(output.Take(_tree.Xattrs.Pairs[pair].Bytes));
        }
    }

    private void WriteChunks(BlockOutput output, in ErofsNode node)
    {
        int bits = ChunkBitsOf(node);
        long chunks = ((node.Size - 1) >> bits) + 1, chunk = 0;
        foreach (ErofsRun run in _tree.RunsOf(node))
        {
            for (; chunk < run.Offset >> bits; chunk++)
            {
                WriteChunk(output, 0, ErofsFormat.Hole);
            }
            long place = run.Place < 0 ? -1 - run.Place : run.Place;
            for (; chunk << bits < run.Offset + run.Length; chunk++)
            {
                WriteChunk(output, run.Place < 0 ? 0 : ErofsFormat.TarDevice, (uint)((place + (chunk << bits) - run.Offset) / ErofsFormat.BlockBytes));
            }
        }
        for (; chunk < chunks; chunk++)
        {
            WriteChunk(output, 0, ErofsFormat.Hole);
        }
    }

    private static void WriteChunk(BlockOutput output, int device, uint block)
    {
        Span<byte> bytes = output.Take(ErofsFormat.ChunkBytes);
        ErofsFormat.Write16(bytes, 0, block == ErofsFormat.Hole ? ushort.MaxValue : 0); // kernels before 6.15 look at the second half only
        ErofsFormat.Write16(bytes, 2, device);
        ErofsFormat.Write32(bytes, 4, block);
    }

    // Whole blocks apart, the rest beside the inode where that was found to fit.
    private void WritePayload(BlockOutput meta, BlockOutput blocks, in ErofsNode node, ReadOnlySpan<byte> payload)
    {
        int tail = node.Layout == ErofsFormat.LayoutInline ? payload.Length % ErofsFormat.BlockBytes : 0;
        ReadOnlySpan<byte> apart = payload[..(payload.Length - tail)];
        if (!apart.IsEmpty)
        {
            blocks.PadTo((_blockStart + node.Block) * ErofsFormat.BlockBytes);
            blocks.Write(apart);
            blocks.PadTo(ErofsFormat.RoundUp(blocks.Position, ErofsFormat.BlockBytes));
        }
        meta.Write(payload[(payload.Length - tail)..]);
    }

    private ReadOnlySpan<byte> FillDirectory(int directory)
    {
        _directory.Clear();
        ref ErofsNode own = ref _nodes.Node(directory);
        var block = new DirectoryBlock();
        int dots = 0;
        for (int name = own.FirstName; name != ErofsNodes.None; name = _nodes.Name(name).Next)
        {
            for (; dots < 2 && IsBehindDots(_nodes.TextOf(name), dots); dots++)
            {
                AddDots(ref block, own, dots);
            }
            ref ErofsNode child = ref _nodes.Node(_nodes.Name(name).Node);
            block.Add(_directory, child.Nid, child.Kind, _nodes.TextOf(name));
        }
        for (; dots < 2; dots++)
        {
            AddDots(ref block, own, dots);
        }
        block.Flush(_directory, isLast: true);
        return _directory.WrittenSpan;
    }

    private void AddDots(ref DirectoryBlock block, in ErofsNode own, int dots)
        => block.Add(_directory, dots == 0 ? own.Nid : _nodes.Node(own.Parent).Nid, FileKind.Directory, dots == 0 ? "."u8 : ".."u8);

    private void WriteShared()
    {
        using var output = new BlockOutput(_file, _sharedStart);
        for (int pair = 0; pair < _pairPlaces.Length; pair++)
        {
            if (_pairPlaces[pair] >= 0)
            {
                _tree.Xattrs.Pairs[pair].Write(output.Take(_tree.Xattrs.Pairs[pair].Bytes));
            }
        }
        output.PadTo(_blockStart * ErofsFormat.BlockBytes);
    }

    private byte[] WriteHead(Digest diffId, long tarBytes)
    {
        byte[] head = new byte[ErofsFormat.HeadBytes];
        Span<byte> super = head.AsSpan(ErofsFormat.SuperOffset);
        ErofsFormat.Write32(super, 0, ErofsFormat.Magic);
        ErofsFormat.Write32(super, 8, ErofsFormat.Features);
        super[12] = ErofsFormat.BlockBits;
        ErofsFormat.Write64(super, 16, _order.Count);
        ErofsFormat.Write64(super, 24, _epoch.Seconds);
        ErofsFormat.Write32(super, 32, (uint)_epoch.Nanoseconds);
        ErofsFormat.Write32(super, 36, (uint)(_blockStart + _blocks));
        ErofsFormat.Write32(super, 40, (uint)(_metaStart / ErofsFormat.BlockBytes));
        ErofsFormat.Write32(super, 44, (uint)(_sharedStart / ErofsFormat.BlockBytes));
        Convert.FromHexString(diffId.Hex[..32]).CopyTo(super[48..]);
        ErofsFormat.Write32(super, 80, ErofsFormat.IncompatibleFeatures);
        ErofsFormat.WriteDevices(super, [(diffId, tarBytes)]);
        long end = (_blockStart + _blocks) * ErofsFormat.BlockBytes;
        if (end / ErofsFormat.BlockBytes >= ErofsFormat.Hole || tarBytes / ErofsFormat.BlockBytes >= ErofsFormat.Hole)
        {
            throw new StrataException(ErrorKind.Invalid, $"layer: {Math.Max(end, tarBytes)} bytes; an EROFS index counts to 2 TiB") { Hint = "use it with: strata --snapshotter overlay …" };
        }
        Files.SetLength(_file, end, "(index)");
        RandomAccess.Write(_file, head, 0);
        return head;
    }

    /// <summary>A block of a directory: all entries, then all names.</summary>
    private struct DirectoryBlock()
    {
        private readonly byte[] _entries = new byte[ErofsFormat.BlockBytes], _names = new byte[ErofsFormat.BlockBytes];
        private int _count, _nameBytes;

        internal void Add(ArrayBufferWriter<byte> output, long nid, FileKind kind, ReadOnlySpan<byte> name)
        {
            if (((_count + 1) * ErofsFormat.EntryBytes) + _nameBytes + name.Length > ErofsFormat.BlockBytes)
            {
                Flush(output, isLast: false);
            }
            Span<byte> entry = _entries.AsSpan(_count++ * ErofsFormat.EntryBytes, ErofsFormat.EntryBytes);
            ErofsFormat.Write64(entry, 0, nid);
            ErofsFormat.Write16(entry, 8, _nameBytes); // the entries before it are added when their number is known
            (entry[10], entry[11]) = (ErofsFormat.EntryTypeOf(kind), 0);
            name.CopyTo(_names.AsSpan(_nameBytes));
            _nameBytes += name.Length;
        }

        internal void Flush(ArrayBufferWriter<byte> output, bool isLast)
        {
            int entries = _count * ErofsFormat.EntryBytes, bytes = isLast ? entries + _nameBytes : ErofsFormat.BlockBytes;
            Span<byte> block = output.GetSpan(bytes)[..bytes];
            block.Clear(); // behind a block's last name are zeros, which end it
            _entries.AsSpan(0, entries).CopyTo(block);
            for (int i = 0; i < entries; i += ErofsFormat.EntryBytes)
            {
                ErofsFormat.Write16(block[i..], 8, entries + ErofsFormat.Read16(block[i..], 8));
            }
            _names.AsSpan(0, _nameBytes).CopyTo(block[entries..]);
            output.Advance(bytes);
            (_count, _nameBytes) = (0, 0);
        }
    }

    /// <summary>Writes from a position on, through a buffer.</summary>
    private sealed class BlockOutput(SafeFileHandle file, long start) : IDisposable
    {
        private const int BufferBytes = 1 << 18;
        private readonly byte[] _buffer = new byte[BufferBytes];
        private long _written = start;
        private int _used;

        internal long Position => _written + _used;

        /// <summary>Zeros to be filled in, at most a buffer.</summary>
        internal Span<byte> Take(int bytes)
        {
            if (bytes > BufferBytes - _used)
            {
                Flush();
            }
            Span<byte> span = _buffer.AsSpan(_used, bytes);
            span.Clear();
            _used += bytes;
            return span;
        }

        internal void Write(ReadOnlySpan<byte> bytes)
        {
            while (!bytes.IsEmpty)
            {
                int step = Math.Min(bytes.Length, BufferBytes);
                bytes[..step].CopyTo(Take(step));
                bytes = bytes[step..];
            }
        }

        internal void PadTo(long position)
        {
            while (Position < position)
            {
                Take((int)Math.Min(BufferBytes, position - Position));
            }
        }

        public void Dispose() => Flush();

        private void Flush()
        {
            RandomAccess.Write(file, _buffer.AsSpan(0, _used), _written);
            _written += _used;
            _used = 0;
        }
    }
}
