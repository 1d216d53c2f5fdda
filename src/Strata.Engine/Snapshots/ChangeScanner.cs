using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Reads an overlay's upper directory: what changed against the layers below, as a list or as a layer.</summary>
internal sealed class ChangeScanner : IDisposable
{
    private const int DefaultMode = 0b111_101_101;
    private readonly RootedDirectory _upper;
    private readonly LayerStack _lower;
    private readonly Dictionary<(ulong Device, ulong Inode), string> _links = [];

    internal ChangeScanner(string upper, LayerStack lower) => (_upper, _lower) = (RootedDirectory.Open(upper), lower);

    public void Dispose()
    {
        _upper.Dispose();
        _lower.Dispose();
    }

    /// <summary>Docker's list: C for what was there below, A for what was not, D for what is hidden; a directory before what is in it.</summary>
    internal List<Change> List()
    {
        var changes = new List<Change>();
        if (RootLooksOther())
        {
            changes.Add(new Change(ChangeKind.Modified, "/"));
        }
        foreach (Item item in Walk())
        {
            if (item.Status is null || LayerStack.IsWhiteout(item.Status.Value))
            {
                if (item.Below is not null)
                {
                    changes.Add(new Change(ChangeKind.Deleted, "/" + item.Path));
                }
                continue;
            }
            changes.Add(new Change(item.Below is not null ? ChangeKind.Modified : ChangeKind.Added, "/" + item.Path));
        }
        return changes;
    }

    /// <summary>
    /// Writes the changes as a layer; null (and nothing written) where there are none. Sockets are left out: they are nothing without their server.
    /// So are whiteouts that hide nothing.
    /// </summary>
    internal ChangesRecord? Write(LayerWriter layer, SnapshotDiffOptions options, CancellationToken cancellationToken)
    {
        List<string> leftOut = [], hiding = [];
        bool any = false, rootIsWritten = RootLooksOther();
        if (rootIsWritten)
        {
            layer.Write(new DirectoryEntry("", MetadataOf("", _upper.TryGetStatus("")!.Value, options)));
            any = true;
        }
        foreach (Item item in Walk())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (item.Status is not { } status)
            {
                continue; // its directory's opaque marker says it
            }
            if (LayerStack.IsWhiteout(status) ? item.Below is null || item.IsInOpaque : status.Kind == FileKind.Socket)
            {
                leftOut.Add(item.Path);
                continue;
            }
            any = true;
            if (!LayerStack.IsWhiteout(status))
            {
                WriteNode(layer, item, status, options);
                continue;
            }
            layer.Write(new WhiteoutEntry(item.Path));
            string parent = item.Path[..Math.Max(0, item.Path.LastIndexOf('/'))];
            if (hiding.Count == 0 || hiding[^1] != parent)
            {
                hiding.Add(parent);
            }
        }
        return any ? new ChangesRecord(layer.ContentBytes, TreeRecord.Encode(leftOut), rootIsWritten ? [] : [[]], TreeRecord.Encode([.. hiding.Distinct()]), options.ClampModified) : null;
    }

    /// <summary>Makes the directory what its layer says: without what was left out, with the times that were clamped.</summary>
    internal void Settle(ChangesRecord changes)
    {
        foreach (byte[] path in changes.LeftOut)
        {
            _upper.Remove(LinuxPath.Decode(path));
        }
        FileTime newest = default;
        var clamped = new List<(string Path, FileTime Time)>();
        foreach (Item item in Walk())
        {
            if (item.Status is not { } status || LayerStack.IsWhiteout(status))
            {
                continue;
            }
            FileTime time = Clamp(status.Modified, changes.Clamp);
            // All again, last to first: what is removed or set above has changed the times of directories.
            if (changes.Clamp is not null || changes.LeftOut.Length > 0)
            {
                clamped.Add((item.Path, time));
            }
            newest = !item.Path.Contains('/', StringComparison.Ordinal) && Compare(time, newest) > 0 ? time : newest;
        }
        clamped.Reverse();
        clamped.ForEach(c => _upper.SetTimes(c.Path, c.Time));
        if (changes.Implied.Length > 0)
        {
            _upper.SetTimes("", newest); // no entry says it: as extracting the layer would set it
        }
    }

    private void WriteNode(LayerWriter layer, Item item, FileStatus status, SnapshotDiffOptions options)
    {
        string path = item.Path;
        EntryMetadata metadata = MetadataOf(path, status, options);
        if (status.Kind != FileKind.Directory && status.LinkCount > 1 && !_links.TryAdd((status.Device, status.Inode), path))
        {
            layer.Write(new HardLinkEntry(path, metadata with { Xattrs = [] }, _links[(status.Device, status.Inode)]));
            return;
        }
        switch (status.Kind)
        {
            case FileKind.Directory:
                layer.Write(new DirectoryEntry(path, metadata));
                // The kernel marks every new directory opaque, to look no further. In a layer it is said where there is something to hide.
                if (item.Below is { Status.Kind: FileKind.Directory } && IsOpaque(path))
                {
                    layer.Write(new OpaqueEntry(path));
                }
                break;
            case FileKind.Regular:
                using (SafeFileHandle file = _upper.OpenFile(path))
                using (var content = new FileStream(file, FileAccess.Read, bufferSize: 0))
                {
                    layer.Write(new FileEntry(path, metadata, status.Size), content);
                }
                break;
            case FileKind.SymbolicLink:
                layer.Write(new SymbolicLinkEntry(path, metadata, _upper.ReadLink(path)));
                break;
            default:
                layer.Write(new DeviceEntry(path, metadata, status.Kind, status.DeviceMajor, status.DeviceMinor));
                break;
        }
    }

    private EntryMetadata MetadataOf(string path, FileStatus status, SnapshotDiffOptions options)
        => new(status.Mode, status.Uid, status.Gid, Clamp(status.Modified, options.ClampModified),
            [.. Xattrs(_upper.GetXattrs(path)).Select(x => KeyValuePair.Create(x.Key, ImmutableArray.Create(x.Value)))]);

    // All but overlayfs' own, which are how it keeps its books and nothing of the file.
    private static IEnumerable<KeyValuePair<string, byte[]>> Xattrs(IReadOnlyList<KeyValuePair<string, byte[]>> all)
        => all.Where(x => !x.Key.StartsWith(OverlayXattrs.Prefix, StringComparison.Ordinal));

    private static FileTime Clamp(FileTime time, FileTime? latest) => latest is { } limit && Compare(time, limit) > 0 ? limit : time;

    private static int Compare(FileTime left, FileTime right) => (left.Seconds, left.Nanoseconds).CompareTo((right.Seconds, right.Nanoseconds));

    // Time aside: that changes with everything that is made in it.
    private bool RootLooksOther()
    {
        FileStatus upper = _upper.TryGetStatus("")!.Value;
        if (_lower.TryFind("") is not { } lower)
        {
            return (upper.Mode, upper.Uid, upper.Gid) != (DefaultMode, 0u, 0u) || Xattrs(_upper.GetXattrs("")).Any();
        }
        return (upper.Mode, upper.Uid, upper.Gid) != (lower.Status.Mode, lower.Status.Uid, lower.Status.Gid)
            || !Xattrs(_upper.GetXattrs("")).SequenceEqual(_lower.GetXattrs(lower), XattrComparer.Instance);
    }

    private bool IsOpaque(string path) => _upper.TryGetXattr(path, OverlayXattrs.Opaque) is [(byte)'y'];

    /// <summary>A path of the upper directory, or (status null) one that an opaque directory hides; and what is there below.</summary>
    private sealed record Item(string Path, FileStatus? Status, LayerStack.Level? Below, bool IsInOpaque);

    // Goes down in the layers below at the same time: a name costs one look, and none where its directory is new.
    private IEnumerable<Item> Walk()
    {
        var open = new Stack<(IEnumerator<string> Names, LayerStack.Level? Below, bool IsOpaque)>();
        open.Push(Names("", _lower.Count > 0 ? _lower.Root() : null, isOpaque: false));
        while (open.TryPeek(out (IEnumerator<string> Names, LayerStack.Level? Below, bool IsOpaque) at))
        {
            if (!at.Names.MoveNext())
            {
                open.Pop().Names.Dispose();
                continue;
            }
            string path = at.Names.Current;
            LayerStack.Level? below = at.Below is null ? null : _lower.Step(at.Below, path[(path.LastIndexOf('/') + 1)..]);
            FileStatus? status = _upper.TryGetStatus(path);
            if (status is null && !at.IsOpaque)
            {
                continue; // a running container took it away meanwhile
            }
            yield return new Item(path, status, below, at.IsOpaque);
            if (status is { Kind: FileKind.Directory })
            {
                LayerStack.Level? joined = below is { Status.Kind: FileKind.Directory } ? below : null;
                open.Push(Names(path, joined, joined is not null && IsOpaque(path)));
            }
        }
    }

    private (IEnumerator<string> Names, LayerStack.Level? Below, bool IsOpaque) Names(string directory, LayerStack.Level? below, bool isOpaque)
    {
        string prefix = directory.Length == 0 ? "" : directory + "/";
        IEnumerable<string> names = _upper.GetNames(directory);
        if (isOpaque)
        {
            names = names.Union(_lower.GetNames(below!), StringComparer.Ordinal);
        }
        return (names.Order(Comparer<string>.Create(LinuxPath.Compare)).Select(name => prefix + name).GetEnumerator(), below, isOpaque);
    }
}
