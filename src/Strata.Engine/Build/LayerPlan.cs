using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Containers;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Build;

/// <summary>
/// A layer in the making, as a tree in memory over the layers below: what is copied into it is read once, when the layer is written. Nothing is mounted, no
/// file is made, and the bytes are those that the same copy into an overlay would give: directories on the way to a change are in the layer as they are
/// below. Not for several threads at once.
/// </summary>
/// <param name="below">The layers below; the caller's.</param>
internal sealed class LayerPlan(LayerStack below) : ICopyTarget
{
    private const int DefaultMode = 0b111_101_101, SetGidBit = 0b10_000_000_000, LinkMode = 0b111_111_111;
    private const int MaxUserFileBytes = 1 << 20; // as UserLookup reads them from a directory
    private const int BufferBytes = 1 << 20; // one read for most source files

    private readonly Node _root = below.Count > 0 ? new Node(null, below.Root()) : new Node(null, FileKind.Directory) { Mode = DefaultMode };
    private string? _lastParent; // files come one after another from a directory
    private Node? _lastFolder;
    private byte[]? _buffer;

    public void Dispose() => _buffer = null;

    public void Drain()
    {
        // nothing is on its way
    }

    public FileStatus? TryGetStatus(string path, bool follow) => Find(path, follow)?.Status;

    public string ReadLink(string path) => LinkOf(Existing(path, "readlink"));

    public ResolvedUser ResolveUser(string user) => UserLookup.Resolve(user, () => TryReadText("etc/passwd"), () => TryReadText("etc/group"));

    public void Remove(string path)
    {
        Node folder = ParentOf(path, "unlink", out string name);
        if (Child(folder, name) is not { } node)
        {
            return;
        }
        if (node.Kind == FileKind.Directory)
        {
            throw new LinuxException("unlink", path, Errno.EISDIR);
        }
        bool isBelow = folder.Below is { Status.Kind: FileKind.Directory } level && below.Step(level, name) is not null;
        folder.Set(name, isBelow ? new Node(folder, FileKind.Regular) { IsWhiteout = true } : null);
        MarkWritten(folder);
    }

    public void CreateDirectory(string path, int mode)
    {
        Node folder = ParentOf(path, "mkdir", out string name);
        // A set-gid directory gives its group; the mode is exact.
        Add(folder, name, new Node(folder, FileKind.Directory) { Mode = mode, Gid = (folder.Mode & SetGidBit) != 0 ? folder.Gid : 0 }, path, "mkdir");
    }

    public void CreateHardLink(string path, string existing)
    {
        Node node = Existing(existing, "link");
        Node first = node.Content as Node ?? node;
        first.HasLinks = true;
        Put(path, "link", new Node(null, FileKind.Regular) { Mode = first.Mode, Uid = first.Uid, Gid = first.Gid, Modified = first.Modified, Content = first });
    }

    public void PutFile(string path, CopiedFile file, EntryMetadata metadata, bool mayWait) => Put(path, "open", Dressed(new Node(null, FileKind.Regular) { Content = file }, metadata), file.Name);

    public void PutBytes(string path, ReadOnlySpan<byte> content, EntryMetadata metadata) => Put(path, "open", Dressed(new Node(null, FileKind.Regular) { Content = content.ToArray() }, metadata));

    public void PutNode(string path, FileStatus status, string? link, EntryMetadata metadata)
        => Put(path, "mknod", Dressed(new Node(null, status.Kind) { Content = link ?? (object)new DeviceNumbers(status.DeviceMajor, status.DeviceMinor) }, link is null ? metadata : metadata with { Mode = LinkMode, Xattrs = [] }));

    public void SetOwner(string path, uint uid, uint gid)
    {
        Node node = Existing(path, "chown");
        (node.Uid, node.Gid) = (uid, gid);
        MarkWritten(node);
    }

    public void Dress(string path, EntryMetadata metadata)
    {
        Node node = Existing(path, "chmod");
        ImmutableArray<KeyValuePair<string, ImmutableArray<byte>>> before = XattrsOf(node);
        FileTime modified = node.Modified;
        Dressed(node, metadata);
        node.Modified = modified;
        // What the directory has stays, but for what is set anew.
        node.Xattrs = [.. before.Where(b => !metadata.Xattrs.Any(x => x.Key == b.Key)), .. metadata.Xattrs];
        MarkWritten(node);
    }

    public void SetTimes(string path, FileTime modified)
    {
        Node node = Existing(path, "utimensat");
        node.Modified = modified;
        MarkWritten(node);
    }

    /// <summary>How many things were put into it.</summary>
    internal int Count { get; private set; }

    /// <summary>Writes the layer, once: a folder that is written is forgotten. False (and nothing written) where there is nothing in it.</summary>
    /// <exception cref="EndOfStreamException">A large file became shorter while it was read.</exception>
    internal bool Write(Stream tar, FileTime? clamp, CancellationToken cancellationToken)
    {
        using var layer = new LayerWriter(tar);
        // The root looks as it does below, its time aside: it is in no layer for that.
        bool any = WriteChildren(_root, "", layer, clamp, new Dictionary<Node, string>(ReferenceEqualityComparer.Instance), cancellationToken);
        if (any)
        {
            layer.Finish();
        }
        return any;
    }

    private bool WriteChildren(Node folder, string path, LayerWriter layer, FileTime? clamp, Dictionary<Node, string> links, CancellationToken cancellationToken)
    {
        bool any = false;
        foreach ((string name, Node node) in folder.WrittenChildren())
        {
            cancellationToken.ThrowIfCancellationRequested();
            string own = path.Length == 0 ? name : path + "/" + name;
            any = true;
            if (node.IsWhiteout)
            {
                layer.Write(new WhiteoutEntry(own));
                continue;
            }
            WriteNode(node, own, layer, clamp, links);
            if (node.Kind == FileKind.Directory)
            {
                WriteChildren(node, own, layer, clamp, links, cancellationToken);
            }
        }
        folder.ForgetChildren();
        return any;
    }

    private void WriteNode(Node node, string path, LayerWriter layer, FileTime? clamp, Dictionary<Node, string> links)
    {
        var metadata = new EntryMetadata(node.Mode, node.Uid, node.Gid, ChangeScanner.Clamp(node.Modified, clamp), XattrsOf(node));
        Node data = node.Content as Node ?? node;
        if (data.HasLinks && !links.TryAdd(data, path))
        {
            layer.Write(new HardLinkEntry(path, metadata with { Xattrs = [] }, links[data]));
            return;
        }
        switch (data.Content)
        {
            case CopiedFile file:
                WriteFile(file, path, metadata, layer);
                break;
            case byte[] bytes:
                layer.Write(new FileEntry(path, metadata, bytes.Length), new MemoryStream(bytes));
                break;
            case string target:
                layer.Write(new SymbolicLinkEntry(path, metadata, target));
                break;
            case DeviceNumbers device:
                ChangeScanner.RefuseWhiteout(path, node.Kind, device.Major, device.Minor);
                layer.Write(new DeviceEntry(path, metadata, node.Kind, device.Major, device.Minor));
                break;
            case null when node.Kind == FileKind.Directory:
                layer.Write(new DirectoryEntry(path, metadata));
                break;
            default:
                throw new System.Diagnostics.UnreachableException($"{node.Kind} {path}"); // files of the layers below are never touched
        }
    }

    // What a file has beyond the size it was found with is not in the layer; one that became shorter is as it is now.
    private void WriteFile(CopiedFile file, string path, EntryMetadata metadata, LayerWriter layer)
    {
        using SafeFileHandle input = file.Open();
        metadata = metadata with { Xattrs = CopiedFile.Kept(Files.GetXattrs(input, file.Path)) };
        if (file.Size > BufferBytes)
        {
            using var content = new FileStream(input, FileAccess.Read, bufferSize: 0);
            layer.Write(new FileEntry(path, metadata, file.Size), content);
            return;
        }
        _buffer ??= new byte[BufferBytes];
        int length = 0;
        for (int read; length < file.Size && (read = RandomAccess.Read(input, _buffer.AsSpan(length, (int)file.Size - length), length)) > 0;)
        {
            length += read;
        }
        layer.Write(new FileEntry(path, metadata, length), _buffer.AsSpan(0, length));
    }

    private static Node Dressed(Node node, EntryMetadata metadata)
    {
        (node.Mode, node.Uid, node.Gid, node.Modified, node.Xattrs) = (metadata.Mode, metadata.Uid, metadata.Gid, metadata.Modified, metadata.Xattrs);
        return node;
    }

    private ImmutableArray<KeyValuePair<string, ImmutableArray<byte>>> XattrsOf(Node node)
        => !node.Xattrs.IsDefault ? node.Xattrs
            : node.Below is not { } level ? []
            : [.. below.GetXattrs(LayerStack.NodeOf(level)).Select(x => KeyValuePair.Create(x.Key, ImmutableArray.Create(x.Value)))];

    private string LinkOf(Node node)
        => node is { Kind: FileKind.SymbolicLink } ? node.Content as string ?? below.ReadLink(LayerStack.NodeOf(node.Below!)) : throw new LinuxException("readlink", "", Errno.EINVAL);

    private string? TryReadText(string path)
    {
        if (below.TryFind(path, follow: true) is not { Status.Kind: FileKind.Regular } node)
        {
            return null;
        }
        using Stream file = below.OpenFile(node);
        byte[] bytes = new byte[(int)Math.Min(MaxUserFileBytes, node.Status.Size)];
        return System.Text.Encoding.UTF8.GetString(bytes.AsSpan(0, file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)));
    }

    // A name that somebody holds already, as most copied files' are, is not held a second time.
    private void Put(string path, string call, Node node, string held = "")
    {
        Node folder = ParentOf(path, call, out string name);
        Add(folder, name == held ? held : name, node, path, call);
    }

    private void Add(Node folder, string name, Node node, string path, string call)
    {
        if (name.Length == 0 || Child(folder, name) is not null)
        {
            throw new LinuxException(call, path, Errno.EEXIST);
        }
        if (node.Kind == FileKind.SymbolicLink)
        {
            _lastParent = null; // a name that was looked up may lead elsewhere now
        }
        node.IsWritten = true;
        folder.Set(name, node);
        MarkWritten(folder);
        Count++;
    }

    private static void MarkWritten(Node node)
    {
        for (Node? at = node; at is { IsWritten: false }; at = at.Parent)
        {
            at.IsWritten = true;
        }
    }

    private Node Existing(string path, string call) => Find(path, follow: false) ?? throw new LinuxException(call, path, Errno.ENOENT);

    private Node ParentOf(string path, string call, out string name)
    {
        int slash = path.LastIndexOf('/');
        name = path[(slash + 1)..];
        ReadOnlySpan<char> parent = slash < 0 ? "" : path.AsSpan(0, slash);
        if (_lastParent is null || !parent.SequenceEqual(_lastParent))
        {
            string text = parent.ToString();
            Node folder = Find(text, follow: true) ?? throw new LinuxException(call, path, Errno.ENOENT);
            if (folder.Kind != FileKind.Directory)
            {
                throw new LinuxException(call, path, Errno.ENOTDIR);
            }
            (_lastParent, _lastFolder) = (text, folder);
        }
        return _lastFolder!;
    }

    private Node? Find(string path, bool follow)
    {
        int slash = path.LastIndexOf('/');
        if (!follow && _lastParent is not null && path.Length > 0 && path.AsSpan(0, Math.Max(0, slash)).SequenceEqual(_lastParent) && path.AsSpan(slash + 1) is not ("" or "." or ".."))
        {
            return Child(_lastFolder!, path[(slash + 1)..]);
        }
        Node at = _root;
        var rest = new Stack<string>(path.Split('/').Reverse());
        for (int links = 0; rest.TryPop(out string? name);)
        {
            if (name is "" or ".")
            {
                continue;
            }
            if (at.Kind != FileKind.Directory)
            {
                return null;
            }
            if (name == "..")
            {
                at = at.Parent ?? at;
                continue;
            }
            if (Child(at, name) is not { } next)
            {
                return null;
            }
            if (next.Kind != FileKind.SymbolicLink || (!follow && rest.All(r => r is "")))
            {
                at = next;
                continue;
            }
            if (++links > LayerStack.MaxLinks)
            {
                throw new LinuxException("open", path, Errno.ELOOP);
            }
            string target = LinkOf(next);
            at = target.StartsWith('/') ? _root : at;
            foreach (string part in target.Split('/').Reverse())
            {
                rest.Push(part);
            }
        }
        return at;
    }

    private Node? Child(Node folder, string name)
    {
        if (folder.TryGet(name, out Node? known))
        {
            return known;
        }
        if (folder.Below is not { Status.Kind: FileKind.Directory } level || below.Step(level, name) is not { } found)
        {
            return null;
        }
        var node = new Node(folder, found);
        folder.Set(name, node);
        return node;
    }

    private sealed record DeviceNumbers(uint Major, uint Minor);

    /// <summary>Something that is there, or a whiteout. Children that nobody asked for are not known.</summary>
    private sealed class Node(Node? parent, FileKind kind)
    {
        private Dictionary<string, Node>? _children;

        internal Node(Node? parent, LayerStack.Level level) : this(parent, level.Status.Kind)
            => (Below, Mode, Uid, Gid, Modified) = (level, level.Status.Mode, level.Status.Uid, level.Status.Gid, level.Status.Modified);

        internal FileKind Kind { get; } = kind;
        /// <summary>Of directories.</summary>
        internal Node? Parent { get; } = parent;
        /// <summary>What the layers below have there, as long as nothing takes its place.</summary>
        internal LayerStack.Level? Below { get; }
        internal int Mode { get; set; }
        internal uint Uid { get; set; }
        internal uint Gid { get; set; }
        internal FileTime Modified { get; set; }
        /// <summary>Default: as below.</summary>
        internal ImmutableArray<KeyValuePair<string, ImmutableArray<byte>>> Xattrs { get; set; }
        /// <summary>A <see cref="CopiedFile"/>, bytes, a link's target, a device's numbers, or the node of which this is another name.</summary>
        internal object? Content { get; init; }
        internal bool HasLinks { get; set; }
        /// <summary>Whether it is in the layer.</summary>
        internal bool IsWritten { get; set; }
        internal bool IsWhiteout { get; init; }

        internal FileStatus Status => new(Kind, Mode, Uid, Gid, (Content as CopiedFile)?.Size ?? Below?.Status.Size ?? 0, 0, 0, 0, 0, 0, 1, Modified, Modified);

        /// <summary>Whether a name is known: as something, or as nothing.</summary>
        internal bool TryGet(string name, out Node? node)
        {
            bool isKnown = false;
            node = null;
            if (_children is not null && _children.TryGetValue(name, out Node? found))
            {
                (isKnown, node) = (true, found.IsWhiteout ? null : found);
            }
            return isKnown;
        }

        internal void Set(string name, Node? node)
        {
            _children ??= new Dictionary<string, Node>(StringComparer.Ordinal);
            if (node is null)
            {
                _children.Remove(name);
            }
            else
            {
                _children[name] = node;
            }
        }

        internal void ForgetChildren() => _children = null;

        /// <summary>Those that are in the layer, in the order of bytes.</summary>
        internal List<KeyValuePair<string, Node>> WrittenChildren()
        {
            var children = new List<KeyValuePair<string, Node>>(_children?.Count ?? 0);
            foreach (KeyValuePair<string, Node> child in _children ?? [])
            {
                if (child.Value.IsWritten || child.Value.IsWhiteout)
                {
                    children.Add(child);
                }
            }
            children.Sort((a, b) => LinuxPath.Compare(a.Key, b.Key));
            return children;
        }
    }
}
