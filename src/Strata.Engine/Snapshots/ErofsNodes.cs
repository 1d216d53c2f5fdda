using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>An inode of an index that is being made.</summary>
internal struct ErofsNode
{
    internal FileKind Kind;
    internal int Mode;
    internal uint Uid, Gid;
    internal FileTime Modified;
    /// <summary>Directories: the first name in it; then the others by <see cref="ErofsName.Next"/>.</summary>
    internal int FirstName;
    /// <summary>Directories: the directory it is in; the root is in itself.</summary>
    internal int Parent;
    /// <summary>Regular files, links: bytes.</summary>
    internal long Size;
    /// <summary>Regular files: where the bytes begin, in the tar or (negative: -1 - position) in the index. Links: the target among the texts. Devices: the number.</summary>
    internal long Place;
    /// <summary>Files with holes: which list of runs; 0 is none.</summary>
    internal int Runs;
    /// <summary>Which set of attributes; 0 is none.</summary>
    internal int Xattrs;
    /// <summary>Set when the index is laid out.</summary>
    internal uint Links;
    internal long Nid;
    /// <summary>First block of what does not fit beside the inode. Relative to the area of such blocks.</summary>
    internal uint Block;
    internal byte Layout;
}

/// <summary>A name in a directory.</summary>
internal struct ErofsName
{
    internal int Directory, Node, Next, Text;
    internal uint Hash;
    internal byte Length;
}

/// <summary>A piece of a file that has data; what lies between such pieces is a hole.</summary>
/// <param name="Offset">In the file.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Place">As of <see cref="ErofsNode.Place"/>.</param>
/// <param name="Device">On which of the devices, where it is not in the index.</param>
internal readonly record struct ErofsRun(long Offset, long Length, long Place, int Device = ErofsFormat.TarDevice);

/// <summary>A regular file of an index whose bytes lie in one piece on a device.</summary>
/// <param name="Chunks">Where in the index its chunks are.</param>
/// <param name="ChunkBits">What of the file each of them has, as a power of two.</param>
/// <param name="Size">In bytes.</param>
/// <param name="Device">Which device.</param>
/// <param name="Place">Where there.</param>
internal readonly record struct ErofsFile(long Chunks, int ChunkBits, long Size, int Device, long Place);

/// <summary>
/// Inodes, names, and the table by which a name is found: in arrays without a reference in them, about 130 bytes an entry, so that a million
/// entries are 130 MB and nothing for the collector to look through.
/// </summary>
internal sealed class ErofsNodes
{
    private const int PieceBits = 12, PieceSize = 1 << PieceBits, PieceMask = PieceSize - 1;
    private const int TextBits = 16, TextSize = 1 << TextBits, TextMask = TextSize - 1;
    private readonly List<ErofsNode[]> _nodes = [];
    private readonly List<ErofsName[]> _names = [];
    private readonly List<byte[]> _texts = [];
    private int[] _table = new int[1 << 10]; // name + 1; never more than half full
    private int _textEnd;

    internal const int None = -1;

    internal int NodeCount { get; private set; }

    internal int NameCount { get; private set; }

    internal ref ErofsNode Node(int index) => ref _nodes[index >> PieceBits][index & PieceMask];

    internal ref ErofsName Name(int index) => ref _names[index >> PieceBits][index & PieceMask];

    internal ReadOnlySpan<byte> TextOf(int name)
    {
        ref ErofsName entry = ref Name(name);
        return Text(entry.Text, entry.Length);
    }

    internal ReadOnlySpan<byte> Text(int place, int length) => _texts[place >> TextBits].AsSpan(place & TextMask, length);

    internal int AddNode(FileKind kind, int mode)
    {
        if ((NodeCount & PieceMask) == 0)
        {
            _nodes.Add(new ErofsNode[PieceSize]);
        }
        ref ErofsNode node = ref Node(NodeCount);
        (node.Kind, node.Mode, node.FirstName, node.Parent) = (kind, mode, None, None);
        return NodeCount++;
    }

    /// <summary>Keeps bytes, at most 64 KiB.</summary>
    internal int AddText(ReadOnlySpan<byte> text)
    {
        if (_texts.Count == 0 || TextSize - (_textEnd & TextMask) < text.Length || (_textEnd & TextMask) == 0)
        {
            _texts.Add(GC.AllocateUninitializedArray<byte>(TextSize));
            _textEnd = (_texts.Count - 1) << TextBits;
        }
        int place = _textEnd;
        text.CopyTo(_texts[^1].AsSpan(place & TextMask));
        _textEnd += text.Length;
        return place;
    }

    /// <summary>The name's place in the names, or <see cref="None"/>.</summary>
    internal int Find(int directory, ReadOnlySpan<byte> name)
    {
        uint hash = HashOf(directory, name);
        for (int slot = (int)hash & (_table.Length - 1); _table[slot] != 0; slot = (slot + 1) & (_table.Length - 1))
        {
            ref ErofsName entry = ref Name(_table[slot] - 1);
            if (entry.Hash == hash && entry.Directory == directory && entry.Node != None && TextOf(_table[slot] - 1).SequenceEqual(name))
            {
                return _table[slot] - 1;
            }
        }
        return None;
    }

    internal void AddName(int directory, ReadOnlySpan<byte> name, int node)
    {
        if ((NameCount & PieceMask) == 0)
        {
            _names.Add(new ErofsName[PieceSize]);
        }
        if (NameCount * 2 >= _table.Length)
        {
            Grow();
        }
        ref ErofsName entry = ref Name(NameCount);
        ref ErofsNode parent = ref Node(directory);
        entry = new ErofsName { Directory = directory, Node = node, Next = parent.FirstName, Text = AddText(name), Hash = HashOf(directory, name), Length = (byte)name.Length };
        parent.FirstName = NameCount;
        Insert(NameCount++);
    }

    /// <summary>Takes a name away; what is below a directory goes with it, since nothing leads there any more.</summary>
    internal void RemoveName(int name) => Name(name).Node = None;

    /// <summary>Orders the names of a directory by their bytes, and leaves out those that were removed; returns how many there are.</summary>
    internal int Sort(int directory)
    {
        var live = new List<int>();
        for (int name = Node(directory).FirstName; name != None; name = Name(name).Next)
        {
            if (Name(name).Node != None)
            {
                live.Add(name);
            }
        }
        live.Sort((a, b) => TextOf(a).SequenceCompareTo(TextOf(b)));
        int next = None;
        for (int i = live.Count - 1; i >= 0; i--)
        {
            Name(live[i]).Next = next;
            next = live[i];
        }
        Node(directory).FirstName = next;
        return live.Count;
    }

    private void Grow()
    {
        _table = new int[_table.Length * 4];
        for (int i = 0; i < NameCount; i++)
        {
            if (Name(i).Node != None)
            {
                Insert(i);
            }
        }
    }

    private void Insert(int name)
    {
        int slot = (int)Name(name).Hash & (_table.Length - 1);
        while (_table[slot] != 0)
        {
            slot = (slot + 1) & (_table.Length - 1);
        }
        _table[slot] = name + 1;
    }

    // Not one that an archive's author can foresee: a table full of equal hashes would be slow.
    private static uint HashOf(int directory, ReadOnlySpan<byte> name)
    {
        var hash = new HashCode();
        hash.Add(directory);
        hash.AddBytes(name);
        return (uint)hash.ToHashCode();
    }
}
