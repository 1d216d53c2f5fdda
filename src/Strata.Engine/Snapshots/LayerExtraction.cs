using System.Collections.Immutable;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>How a directory that a layer goes into says what the layer deletes.</summary>
internal enum WhiteoutForm
{
    /// <summary>Not at all: it is a file system of its own, which may have files, and what is deleted goes.</summary>
    Applied,
    /// <summary>As overlayfs reads it: character device 0:0, trusted.overlay.opaque.</summary>
    Overlay,
    /// <summary>By a list beside the files (<see cref="LayerMarks"/>): some file systems let nobody make overlayfs' whiteouts.</summary>
    Marks,
}

/// <summary>A layer has a hard link to a file that it does not have itself.</summary>
internal sealed class NeedsLayersBelowException() : Exception("the layer has hard links to files of the layers below");

/// <summary>
/// One layer on its way into a directory. The result is what unpacking entry by entry onto the layers below would give: the last entry of a name
/// wins, links on the way are followed inside, and a whiteout hides what is below and nothing of its own layer, wherever in the archive it stands
/// (image-spec/layer.md#whiteouts); so whiteouts are written at the end.
/// </summary>
internal sealed partial class LayerExtraction : IDisposable
{
    private const int SetGidBit = 0b10_000_000_000, SetIdBits = 0b110_000_000_000;
    private const int DefaultMode = 0b111_101_101;
    private readonly IExtractionTarget _target;
    private readonly ExtractOptions _options;
    private readonly LayerStack? _below;
    private readonly WhiteoutForm _form;
    private readonly bool _isLayer; // one of a stack, and no file system of its own
    private readonly Folder _root;
    private readonly HashSet<string> _copiedUp = new(StringComparer.Ordinal);
    private readonly HashSet<string> _own = new(StringComparer.Ordinal); // plain only: what a whiteout must not remove
    private string? _lastParent;
    private Folder? _lastFolder;
    private long _contentBytes;

    internal LayerExtraction(RootedDirectory target, ExtractOptions options, WhiteoutForm form, LayerStack? below) : this(new DirectoryTarget(target), options, form, below) { }

    /// <summary>The target is disposed with it.</summary>
    internal LayerExtraction(IExtractionTarget target, ExtractOptions options, WhiteoutForm form, LayerStack? below)
    {
        (_target, _options, _below, _form, _isLayer) = (target, options, below, form, form != WhiteoutForm.Applied);
        _root = new Folder(null, "", "") { IsMade = _isLayer };
        if (_isLayer)
        {
            Dress(_root);
        }
    }

    /// <summary>Puts one entry.</summary>
    internal void Put(LayerEntry entry, Stream content)
    {
        string path = _options.Prefix.Length == 0 ? entry.Path : entry.Path.Length == 0 ? _options.Prefix : _options.Prefix + "/" + entry.Path;
        if (entry is DirectoryEntry directory)
        {
            PutDirectory(path, directory.Metadata);
            return;
        }
        if (entry is OpaqueEntry)
        {
            PutOpaque(path);
            return;
        }
        Folder parent = ParentOf(path, out string name, out string real);
        if (entry is WhiteoutEntry)
        {
            PutWhiteout(parent, name, real);
            return;
        }
        if (!_isLayer)
        {
            if (!parent.IsMade)
            {
                Evict(parent, name, real);
            }
            _own.Add(real);
        }
        try
        {
            PutNode(parent, name, real, (NodeEntry)entry, content);
        }
        catch (LinuxException e) when (e.Errno is Errno.EEXIST)
        {
            // An archive that has a name twice, which is rare: asking before each of its entries would cost more.
            Evict(parent, name, real);
            PutNode(parent, name, real, (NodeEntry)entry, content);
        }
        if (parent is { IsMade: true, IsNamed: false })
        {
            parent.Time = Later(parent.Time, ((NodeEntry)entry).Metadata.Modified);
        }
    }

    /// <summary>Writes whiteouts, and last the times of directories: what was put into them changed those.</summary>
    internal ExtractedTree Finish()
    {
        _target.Drain();
        List<string> implied = [], hiding = [];
        var pending = new Stack<(Folder Folder, bool Left)>();
        pending.Push((_root, false));
        while (pending.TryPop(out (Folder Folder, bool Left) at))
        {
            Folder folder = at.Folder;
            if (at.Left)
            {
                if (folder.Time is { } time)
                {
                    _target.SetTimes(folder.Path, time);
                }
                continue;
            }
            bool seesBelow = SeesBelow(folder);
            if (_isLayer && seesBelow && WriteWhiteouts(folder))
            {
                hiding.Add(folder.Path);
            }
            if (folder is { IsMade: true, IsNamed: false } && seesBelow)
            {
                implied.Add(folder.Path);
            }
            if (_isLayer && folder.IsOpaque && folder.Parent is not null)
            {
                SetOpaque(folder.Path);
            }
            pending.Push((folder, true));
            foreach (Folder child in folder.Children.Values)
            {
                pending.Push((child, false));
            }
        }
        return new ExtractedTree(_contentBytes, _root.IsOpaque, implied, hiding, new LayerMarks(_whiteouts, _opaques));
    }

    /// <inheritdoc/>
    public void Dispose() => _target.Dispose();

    private void PutNode(Folder parent, string name, string path, NodeEntry entry, Stream content)
    {
        if (entry is FileEntry file)
        {
            bool mayWait = (_isLayer || parent.IsMade) && !parent.Children.ContainsKey(name);
            _target.PutFile(path, file, OwnerToSet(parent, file.Metadata), content, mayWait);
            _contentBytes += file.Size;
            return;
        }
        _target.Settle(path);
        switch (entry)
        {
            case SymbolicLinkEntry link:
                _target.CreateSymbolicLink(path, link.Target);
                SetAttributes(parent, path, link.Metadata, hasMode: false);
                break;
            case HardLinkEntry link:
                PutHardLink(path, link);
                break;
            case DeviceEntry { Kind: FileKind.BlockDevice or FileKind.CharacterDevice } when UserNamespace.Current is not null:
                break; // nobody but root makes devices: left out, as other engines do for a user
            case DeviceEntry device:
                _target.CreateNode(path, device.Kind, device.Metadata.Mode, device.Major, device.Minor);
                SetAttributes(parent, path, device.Metadata, hasMode: true);
                break;
            default:
                throw new System.Diagnostics.UnreachableException(entry.GetType().Name);
        }
    }

    private void PutDirectory(string path, EntryMetadata metadata)
    {
        Folder folder = path.Trim('/').Length == 0 ? _root : NamedFolder(path, metadata);
        (uint Uid, uint Gid)? owner = folder.IsFresh ? OwnerToSet(folder.Parent, metadata) : Owner(metadata);
        if (owner is { } other)
        {
            _target.SetOwner(folder.Path, other.Uid, other.Gid);
        }
        if (!folder.IsFresh)
        {
            _target.SetMode(folder.Path, metadata.Mode);
        }
        foreach ((string name, ImmutableArray<byte> value) in metadata.Xattrs)
        {
            _target.SetXattr(folder.Path, name, value.AsSpan());
        }
        (folder.IsFresh, folder.IsNamed, folder.Time, folder.SetsGid) = (false, true, metadata.Modified, (metadata.Mode & SetGidBit) != 0);
        if (folder.Parent is { IsMade: true, IsNamed: false } parent)
        {
            parent.Time = Later(parent.Time, metadata.Modified);
        }
    }

    private Folder NamedFolder(string path, EntryMetadata metadata)
    {
        Folder parent = ParentOf(path, out string name, out string real);
        if (parent.Children.TryGetValue(name, out Folder? known))
        {
            return known;
        }
        if (!_isLayer && _target.TryGetStatus(real) is { Kind: FileKind.Directory })
        {
            return parent.Add(name);
        }
        bool replaces = false;
        if (!_isLayer && !parent.IsMade)
        {
            Evict(parent, name, real);
        }
        _target.Settle(real);
        try
        {
            _target.CreateDirectory(real, metadata.Mode);
        }
        catch (LinuxException e) when (e.Errno is Errno.EEXIST)
        {
            Evict(parent, name, real);
            _target.CreateDirectory(real, metadata.Mode);
            replaces = true; // what was there hid what is below
        }
        Folder folder = parent.Add(name);
        (folder.IsMade, folder.IsFresh, folder.IsOpaque) = (true, true, replaces);
        return folder;
    }

    private void PutHardLink(string path, HardLinkEntry link)
    {
        string existing = _options.Prefix.Length == 0 ? link.Target : _options.Prefix + "/" + link.Target;
        _target.Drain(); // the way there may have links
        FileStatus? status = _target.TryGetStatus(existing);
        if (status is { Kind: FileKind.Directory })
        {
            throw Refused(link, "a directory");
        }
        if (status is not null)
        {
            if (existing == path)
            {
                throw Refused(link, "itself");
            }
            _target.CreateHardLink(path, existing);
            return;
        }
        if (_isLayer && _below is null)
        {
            throw new NeedsLayersBelowException();
        }
        LayerNode node = _below?.TryFind(link.Target) ?? throw Refused(link, "which is not there");
        if (node.Status.Kind == FileKind.Directory)
        {
            throw Refused(link, "a directory");
        }
        // Both names in this layer, so that they stay one file; except where this layer took the old name away: that was a rename.
        Folder folder = ParentOf(node.Path, out string name, out string real);
        if (real == path || folder.Hides(name) || _target.TryGetStatus(real) is not null)
        {
            _target.CopyUp(_below, node, path);
            return;
        }
        _target.CopyUp(_below, node, real);
        _copiedUp.Add(real);
        _target.CreateHardLink(path, real);
    }

    private static StrataException Refused(HardLinkEntry link, string why) => new(ErrorKind.Invalid, $"layer: «{link.Path}» is a hard link to «{link.Target}», {why}");

    // Whether an entry of this archive is the directory, or is in it.
    private bool IsMadeHere(string path) => Find(path) is { } folder && (folder.IsMade || folder.IsNamed || folder.Children.Count > 0);

    private Folder? Find(string path)
    {
        Folder? at = _root;
        foreach (string name in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!at.Children.TryGetValue(name, out at))
            {
                return null;
            }
        }
        return at;
    }

    private void Forget(string path)
    {
        if (Find(path) is { Parent: { } parent } folder)
        {
            parent.Children.Remove(folder.Name);
        }
        (_lastParent, _lastFolder) = (null, null);
    }

    private Folder ParentOf(string path, out string name, out string real)
    {
        ReadOnlySpan<char> trimmed = path.AsSpan().Trim('/');
        int slash = trimmed.LastIndexOf('/');
        name = trimmed[(slash + 1)..].ToString();
        ReadOnlySpan<char> parent = slash < 0 ? "" : trimmed[..slash];
        if (_lastFolder is null || !parent.SequenceEqual(_lastParent))
        {
            string text = parent.ToString();
            Folder folder = Enter(text);
            (_lastParent, _lastFolder) = (text, folder);
        }
        real = _lastFolder.PathOf(name);
        return _lastFolder;
    }

    // The directory a path leads to: links are followed inside, what is missing is made, and a file in the way goes, as it would one layer onto another.
    private Folder Enter(string path)
    {
        Folder at = _root;
        var rest = new Stack<string>(path.Split('/').Reverse());
        for (int links = 0; rest.TryPop(out string? name);)
        {
            if (name is "" or ".")
            {
                continue;
            }
            if (name == "..")
            {
                at = at.Parent ?? at;
                continue;
            }
            if (at.Children.TryGetValue(name, out Folder? child))
            {
                at = child;
                continue;
            }
            if (LinkTarget(at, name) is not { } target)
            {
                at = EnterUnknown(at, name);
                continue;
            }
            if (++links > LayerStack.MaxLinks)
            {
                throw new StrataException(ErrorKind.Invalid, $"layer: the way to «{path}» goes round in links");
            }
            at = target.StartsWith('/') ? _root : at;
            foreach (string part in target.Split('/').Reverse())
            {
                rest.Push(part);
            }
        }
        return at;
    }

    private string? LinkTarget(Folder at, string name)
    {
        string path = at.PathOf(name);
        _target.Settle(path);
        if (_target.TryGetStatus(path) is { } own)
        {
            return own.Kind == FileKind.SymbolicLink ? _target.ReadLink(path) : null;
        }
        return Below(at, name) is { Status.Kind: FileKind.SymbolicLink } link ? _below!.ReadLink(link) : null;
    }

    private Folder EnterUnknown(Folder at, string name)
    {
        string path = at.PathOf(name);
        FileStatus? own = _target.TryGetStatus(path);
        if (own is { Kind: FileKind.Directory } there)
        {
            Folder known = at.Add(name); // only a plain target has directories that were not made here
            known.SetsGid = (there.Mode & SetGidBit) != 0;
            return known;
        }
        LayerNode? below = Below(at, name);
        if (own is not null)
        {
            Evict(at, name, path);
        }
        _target.CreateDirectory(path, DefaultMode);
        Folder made = at.Add(name);
        (made.IsMade, made.IsOpaque) = (true, own is not null || below is { Status.Kind: not FileKind.Directory });
        Dress(made);
        return made;
    }

    // A directory that no entry names looks as it does below; where that is not known or not there, as root would make it.
    private void Dress(Folder folder)
    {
        LayerNode? below = folder.IsOpaque ? null : folder.Parent is null ? _below?.TryFind("") : Below(folder.Parent, folder.Name);
        if (below is { Status.Kind: FileKind.Directory })
        {
            _target.DressAs(_below!, below, folder.Path);
            (folder.Time, folder.SetsGid) = (below.Status.Modified, (below.Status.Mode & SetGidBit) != 0);
            return;
        }
        _target.SetOwner(folder.Path, 0, 0);
        _target.SetMode(folder.Path, DefaultMode);
        folder.Time = default(FileTime);
    }

    // What the stack below shows at a name, as far as this layer lets see it.
    private LayerNode? Below(Folder at, string name)
    {
        if (_below is null || at.Hides(name) || !SeesBelow(at))
        {
            return null;
        }
        string path = at.PathOf(name);
        return _below.TryFind(path) is { } node && node.Path == path ? node : null;
    }

    private static bool SeesBelow(Folder folder)
    {
        for (Folder? at = folder; at is not null; at = at.Parent)
        {
            if (at.IsOpaque || at.Parent?.Hides(at.Name) == true)
            {
                return false;
            }
        }
        return true;
    }

    private void Evict(Folder parent, string name, string path)
    {
        _target.Drain();
        if (parent.Children.Remove(name))
        {
            (_lastParent, _lastFolder) = (null, null);
        }
        _target.Remove(path);
    }

    private void SetAttributes(Folder parent, string path, EntryMetadata metadata, bool hasMode)
    {
        if (OwnerToSet(parent, metadata) is { } other)
        {
            _target.SetOwner(path, other.Uid, other.Gid);
            if (hasMode && (metadata.Mode & SetIdBits) != 0)
            {
                _target.SetMode(path, metadata.Mode);
            }
        }
        foreach ((string name, ImmutableArray<byte> value) in metadata.Xattrs)
        {
            _target.SetXattr(path, name, value.AsSpan());
        }
        _target.SetTimes(path, metadata.Modified);
    }

    private (uint Uid, uint Gid) Owner(EntryMetadata metadata) => _options.Owner ?? (metadata.Uid, metadata.Gid);

    // Null: what root makes is root's, except in a set-gid directory, which gives its group to what is made in it. Of a directory that was there nothing is known.
    private (uint Uid, uint Gid)? OwnerToSet(Folder? parent, EntryMetadata metadata)
    {
        (uint Uid, uint Gid) owner = Owner(metadata);
        bool isRoots = owner is { Uid: 0, Gid: 0 } && parent is { SetsGid: false } && (_isLayer || parent.IsMade);
        return isRoots ? null : owner;
    }

    private static FileTime Later(FileTime? one, FileTime other)
        => one is { } time && (time.Seconds, time.Nanoseconds).CompareTo((other.Seconds, other.Nanoseconds)) >= 0 ? time : other;

    /// <summary>A directory that entries were put into.</summary>
    private sealed class Folder(Folder? parent, string name, string path)
    {
        private Dictionary<string, Folder>? _children;

        internal Folder? Parent { get; } = parent;
        internal string Name { get; } = name;
        internal string Path { get; } = path;
        internal Dictionary<string, Folder> Children => _children ??= new(StringComparer.Ordinal);

        /// <summary>Names that whiteouts hide, in the order they came.</summary>
        internal HashSet<string>? Whiteouts { get; private set; }

        /// <summary>Made by this extraction; and just so, with its mode and without its owner.</summary>
        internal bool IsMade { get; set; }
        internal bool IsFresh { get; set; }

        /// <summary>An entry says how it looks.</summary>
        internal bool IsNamed { get; set; }
        internal bool IsOpaque { get; set; }
        internal bool SetsGid { get; set; }

        /// <summary>To be set at the end; null for a directory that was there and is not named.</summary>
        internal FileTime? Time { get; set; }

        internal void Hide(string child) => (Whiteouts ??= new(StringComparer.Ordinal)).Add(child);

        internal bool Hides(string child) => Whiteouts?.Contains(child) == true;

        internal string PathOf(string child) => Path.Length == 0 ? child : Path + "/" + child;

        internal Folder Add(string child)
        {
            var folder = new Folder(this, child, PathOf(child));
            Children.Add(child, folder);
            return folder;
        }
    }
}
