using System.Collections.Immutable;
using System.Numerics;
using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// A layer's files on their way into an EROFS index: what is where, in memory; the bytes of files stay where they are in the tar. Those that are
/// in no tar, or lie there so that no block can point at them, go into the index file at once.
/// </summary>
/// <param name="index">The index file, empty.</param>
internal sealed class ErofsTree(SafeFileHandle index) : IExtractionTarget
{
    // A file with few bytes in large holes: so many chunks for a piece of data are too many. Larger chunks are fewer, and take a copy of what little there is.
    private const int MaxChunks = 1 << 12, ChunksForPiece = 64;
    private const int PieceBytes = 1 << 12, CopyBytes = 1 << 18;
    private const int MaxTargetBytes = 4_095; // PATH_MAX without its NUL
    private readonly ErofsNodes _nodes = MakeRoot();
    private readonly List<ErofsRun[]> _runs = [[]];
    private readonly ErofsXattrs _xattrs = new();
    private string? _lastParent;
    private int _lastDirectory;
    private byte[]? _copy;

    internal const int Root = 0;

    internal ErofsNodes Nodes => _nodes;

    internal ErofsXattrs Xattrs => _xattrs;

    /// <summary>Where the index file's own data ends: at a block.</summary>
    internal long DataEnd { get; private set; } = ErofsFormat.HeadBytes;

    internal ErofsRun[] RunsOf(in ErofsNode node) => node.Runs != 0 ? _runs[node.Runs] : node.Size > 0 ? [new ErofsRun(0, node.Size, node.Place)] : [];

    public void Dispose() { }

    public void Settle(string path) { }

    public void Drain() { }

    public FileStatus? TryGetStatus(string path)
    {
        int node = Find(path);
        if (node == ErofsNodes.None)
        {
            return null;
        }
        ref ErofsNode found = ref _nodes.Node(node);
        return new FileStatus(found.Kind, found.Mode, found.Uid, found.Gid, found.Size, 0, (ulong)node, 0, 0, 0, 1, found.Modified, found.Modified);
    }

    public string ReadLink(string path)
    {
        ref ErofsNode node = ref _nodes.Node(Existing(path, "readlink"));
        return node.Kind == FileKind.SymbolicLink ? TargetOf(node) : throw new LinuxException("readlink", path, Errno.EINVAL);
    }

    public IReadOnlyList<string> GetNames(string path)
    {
        var names = new List<string>();
        for (int name = _nodes.Node(Existing(path, "open")).FirstName; name != ErofsNodes.None; name = _nodes.Name(name).Next)
        {
            if (_nodes.Name(name).Node != ErofsNodes.None)
            {
                names.Add(LinuxPath.Decode(_nodes.TextOf(name)));
            }
        }
        return names;
    }

    public void Remove(string path)
    {
        (int directory, byte[] name) = Split(path, "unlink");
        if (_nodes.Find(directory, name) is var found && found != ErofsNodes.None)
        {
            _nodes.RemoveName(found);
            _lastParent = null;
        }
    }

    public void CreateDirectory(string path, int mode)
    {
        int node = Add(path, "mkdir", FileKind.Directory, mode);
        _nodes.Node(node).FirstName = ErofsNodes.None;
    }

    public void CreateSymbolicLink(string path, string target)
    {
        byte[] bytes = LinuxPath.Encode(target);
        if (bytes.Length is 0 or > MaxTargetBytes)
        {
            throw new LinuxException("symlink", path, bytes.Length == 0 ? Errno.ENOENT : Errno.ENAMETOOLONG);
        }
        int node = Add(path, "symlink", FileKind.SymbolicLink, 0b111_111_111);
        ref ErofsNode made = ref _nodes.Node(node);
        (made.Size, made.Place) = (bytes.Length, _nodes.AddText(bytes));
    }

    public void CreateHardLink(string path, string existing)
    {
        int node = Existing(existing, "link");
        if (_nodes.Node(node).Kind == FileKind.Directory)
        {
            throw new LinuxException("link", existing, Errno.EPERM);
        }
        (int directory, byte[] name) = Free(path, "link");
        _nodes.AddName(directory, name, node);
    }

    public void CreateNode(string path, FileKind kind, int mode, uint major, uint minor)
        => _nodes.Node(Add(path, "mknod", kind, mode)).Place = ErofsFormat.EncodeDevice(major, minor);

    public void SetOwner(string path, uint uid, uint gid)
    {
        ref ErofsNode node = ref _nodes.Node(Existing(path, "chown"));
        (node.Uid, node.Gid) = (uid, gid);
    }

    public void SetMode(string path, int mode) => _nodes.Node(Existing(path, "chmod")).Mode = mode;

    public void SetTimes(string path, FileTime modified) => _nodes.Node(Existing(path, "utimensat")).Modified = modified;

    public void SetXattr(string path, string name, ReadOnlySpan<byte> value)
    {
        ref ErofsNode node = ref _nodes.Node(Existing(path, "setxattr"));
        node.Xattrs = _xattrs.With(node.Xattrs, path, name, value);
    }

    public void PutFile(string path, FileEntry file, (uint Uid, uint Gid)? owner, Stream content, bool mayWait)
    {
        (int directory, byte[] name) = Free(path, "open");
        int node = _nodes.AddNode(FileKind.Regular, file.Metadata.Mode);
        ref ErofsNode made = ref _nodes.Node(node);
        (made.Uid, made.Gid) = owner ?? (0, 0);
        (made.Size, made.Modified) = (file.Size, file.Metadata.Modified);
        foreach ((string key, ImmutableArray<byte> value) in file.Metadata.Xattrs)
        {
            made.Xattrs = _xattrs.With(made.Xattrs, path, key, value.AsSpan());
        }
        if (content is not EntryContent inTar)
        {
            SetRuns(ref made, CopyIn(content, file.Size));
        }
        else if (inTar.Map is null)
        {
            made.Place = inTar.PlainOffset;
        }
        else
        {
            SetRuns(ref made, RunsOf(inTar.Map, inTar.PlainOffset, file.Size) ?? CopyIn(content, file.Size));
        }
        _nodes.AddName(directory, name, node); // last: a file whose content broke off is not there
    }

    public void CopyUp(LayerStack below, LayerNode node, string path)
    {
        switch (node.Status.Kind)
        {
            case FileKind.Regular:
                using (Stream content = below.OpenFile(node))
                {
                    PutFile(path, new FileEntry(path, new EntryMetadata(node.Status.Mode, node.Status.Uid, node.Status.Gid, node.Status.Modified), node.Status.Size), (node.Status.Uid, node.Status.Gid), content, mayWait: false);
                }
                break;
            case FileKind.SymbolicLink:
                CreateSymbolicLink(path, below.ReadLink(node));
                break;
            case FileKind.Directory:
                throw new ArgumentException("a directory is not copied", nameof(node));
            default:
                CreateNode(path, node.Status.Kind, node.Status.Mode, node.Status.DeviceMajor, node.Status.DeviceMinor);
                break;
        }
        DressAs(below, node, path);
    }

    public void DressAs(LayerStack below, LayerNode node, string path)
    {
        SetOwner(path, node.Status.Uid, node.Status.Gid);
        if (node.Status.Kind != FileKind.SymbolicLink)
        {
            SetMode(path, node.Status.Mode);
            foreach ((string name, byte[] value) in below.GetXattrs(node))
            {
                SetXattr(path, name, value);
            }
        }
        SetTimes(path, node.Status.Modified);
    }

    internal string TargetOf(in ErofsNode link) => LinuxPath.Decode(_nodes.Text((int)link.Place, (int)link.Size));

    private static ErofsNodes MakeRoot()
    {
        var nodes = new ErofsNodes();
        nodes.Node(nodes.AddNode(FileKind.Directory, 0b111_101_101)).Parent = Root;
        return nodes;
    }

    // What the map says, where blocks can say it too; null where they cannot, or only in very many of them.
    private static ErofsRun[]? RunsOf(IReadOnlyList<SparseExtent> map, long place, long size)
    {
        var runs = new List<ErofsRun>();
        foreach (SparseExtent extent in map)
        {
            if (extent.Length == 0)
            {
                continue;
            }
            if (extent.Offset % ErofsFormat.BlockBytes != 0 || place % ErofsFormat.BlockBytes != 0 || (extent.Length % ErofsFormat.BlockBytes != 0 && extent.Offset + extent.Length != size))
            {
                return null;
            }
            runs.Add(new ErofsRun(extent.Offset, extent.Length, place));
            place += extent.Length;
        }
        ErofsRun[] all = [.. runs];
        long pieces = all.Sum(r => (r.Length + PieceBytes - 1) / PieceBytes);
        return size >> ErofsWriter.ChunkBitsOf(all, size) > Math.Max(MaxChunks, pieces * ChunksForPiece) ? null : all;
    }

    private void SetRuns(ref ErofsNode node, ErofsRun[] runs)
    {
        if (runs is [{ Offset: 0 } only] && only.Length == node.Size)
        {
            node.Place = only.Place;
            return;
        }
        if (node.Size > 0)
        {
            node.Runs = _runs.Count;
            _runs.Add(runs);
        }
    }

    // Into the index file, in few chunks; what is zeros there is a hole of that file.
    private ErofsRun[] CopyIn(Stream content, long size)
    {
        byte[] buffer = _copy ??= new byte[CopyBytes];
        long chunk = Math.Max(PieceBytes, (long)BitOperations.RoundUpToPowerOf2((ulong)((size + MaxChunks - 1) / MaxChunks)));
        var runs = new List<ErofsRun>();
        long start = -1, place = 0; // of the chunk that is written to
        int read;
        for (long offset = 0; (read = content.ReadAtLeast(buffer, CopyBytes, throwOnEndOfStream: false)) > 0; offset += read)
        {
            for (int at = 0; at < read; at += PieceBytes)
            {
                ReadOnlySpan<byte> piece = buffer.AsSpan(at, Math.Min(PieceBytes, read - at));
                if (!piece.ContainsAnyExcept((byte)0))
                {
                    continue;
                }
                if (start != (offset + at) / chunk * chunk)
                {
                    (start, place) = ((offset + at) / chunk * chunk, DataEnd);
                    AddRun(runs, new ErofsRun(start, Math.Min(chunk, size - start), -1 - place));
                    DataEnd = ErofsFormat.RoundUp(DataEnd + runs[^1].Offset + runs[^1].Length - start, ErofsFormat.BlockBytes);
                }
                RandomAccess.Write(index, piece, place + offset + at - start);
            }
        }
        return [.. runs];
    }

    private static void AddRun(List<ErofsRun> runs, ErofsRun run)
    {
        if (runs.Count > 0 && runs[^1] is var last && last.Offset + last.Length == run.Offset && last.Place - last.Length == run.Place)
        {
            runs[^1] = last with { Length = last.Length + run.Length };
        }
        else
        {
            runs.Add(run);
        }
    }

    private int Add(string path, string call, FileKind kind, int mode)
    {
        (int directory, byte[] name) = Free(path, call);
        int node = _nodes.AddNode(kind, mode);
        _nodes.Node(node).Parent = directory;
        _nodes.AddName(directory, name, node);
        return node;
    }

    private (int Directory, byte[] Name) Free(string path, string call)
    {
        (int directory, byte[] name) = Split(path, call);
        return name.Length > ErofsFormat.MaxNameBytes ? throw new LinuxException(call, path, Errno.ENAMETOOLONG)
            : name.Length == 0 || _nodes.Find(directory, name) != ErofsNodes.None ? throw new LinuxException(call, path, Errno.EEXIST) : (directory, name);
    }

    private int Existing(string path, string call) => Find(path) is var node && node != ErofsNodes.None ? node : throw new LinuxException(call, path, Errno.ENOENT);

    // Archives and walks list a directory's children one after another, so the directory last worked in is kept.
    private (int Directory, byte[] Name) Split(string path, string call)
    {
        int slash = path.LastIndexOf('/');
        ReadOnlySpan<char> parent = slash < 0 ? "" : path.AsSpan(0, slash);
        if (_lastParent is null || !parent.SequenceEqual(_lastParent))
        {
            string text = parent.ToString();
            int directory = Walk(text, followLast: true);
            if (directory == ErofsNodes.None || _nodes.Node(directory).Kind != FileKind.Directory)
            {
                throw new LinuxException(call, path, directory == ErofsNodes.None ? Errno.ENOENT : Errno.ENOTDIR);
            }
            (_lastParent, _lastDirectory) = (text, directory);
        }
        return (_lastDirectory, LinuxPath.Encode(path[(slash + 1)..]));
    }

    private int Find(string path)
    {
        int slash = path.LastIndexOf('/');
        if (_lastParent is not null && path.Length > 0 && path.AsSpan(0, Math.Max(0, slash)).SequenceEqual(_lastParent) && path.AsSpan(slash + 1) is not ("" or "." or ".."))
        {
            int name = _nodes.Find(_lastDirectory, LinuxPath.Encode(path[(slash + 1)..]));
            return name == ErofsNodes.None ? name : _nodes.Name(name).Node;
        }
        return Walk(path, followLast: false);
    }

    private int Walk(string path, bool followLast)
    {
        int at = Root;
        var rest = new Stack<string>(path.Split('/').Reverse());
        for (int links = 0; rest.TryPop(out string? name);)
        {
            if (name is "" or ".")
            {
                continue;
            }
            if (_nodes.Node(at).Kind != FileKind.Directory)
            {
                return ErofsNodes.None;
            }
            if (name == "..")
            {
                at = _nodes.Node(at).Parent;
                continue;
            }
            int found = _nodes.Find(at, LinuxPath.Encode(name));
            if (found == ErofsNodes.None)
            {
                return found;
            }
            int node = _nodes.Name(found).Node;
            ref ErofsNode next = ref _nodes.Node(node);
            if (next.Kind != FileKind.SymbolicLink || (!followLast && rest.Count == 0))
            {
                at = node;
                continue;
            }
            if (++links > LayerStack.MaxLinks)
            {
                throw new LinuxException("open", path, Errno.ELOOP);
            }
            string target = TargetOf(next);
            at = target.StartsWith('/') ? Root : at;
            foreach (string part in target.Split('/').Reverse())
            {
                rest.Push(part);
            }
        }
        return at;
    }
}
