using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>What a writable directory changed against the layers below, as a list or as a layer. How that is found out is the subclasses' part.</summary>
internal abstract class ChangeScanner : IDisposable
{
    private const int DefaultMode = 0b111_101_101;
    private readonly RootedDirectory _upper;
    private readonly LayerStack _lower;
    private readonly Dictionary<(ulong Device, ulong Inode), string> _links = [];

    private protected ChangeScanner(string upper, LayerStack lower) => (_upper, _lower) = (RootedDirectory.Open(upper), lower);

    private protected RootedDirectory Upper => _upper;

    private protected LayerStack Lower => _lower;

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
            if (item.IsDeletion)
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
    /// Writes the changes as a layer; null (and nothing written) where there are none. Sockets are left out: they are nothing without their server; one that
    /// took the place of something leaves a whiteout. So are whiteouts that hide nothing.
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
            bool isSocket = !item.IsDeletion && item.Status!.Value.Kind == FileKind.Socket;
            if (isSocket || (item.IsDeletion && !Hides(item) && item.Status is not null)) // with no status its directory's opaque marker says it
            {
                leftOut.Add(item.Path);
            }
            if (!item.IsDeletion && !isSocket)
            {
                WriteNode(layer, item, item.Status!.Value, options);
                any = true;
                continue;
            }
            if (!Hides(item))
            {
                continue;
            }
            any = true;
            layer.Write(new WhiteoutEntry(item.Path));
            string parent = item.Path[..Math.Max(0, item.Path.LastIndexOf('/'))];
            if (hiding.Count == 0 || hiding[^1] != parent)
            {
                hiding.Add(parent);
            }
        }
        return any ? new ChangesRecord(layer.ContentBytes, TreeRecord.Encode(leftOut), rootIsWritten ? [] : [[]], TreeRecord.Encode([.. hiding.Distinct()]), options.ClampModified) : null;
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
                RefuseWhiteout(path, status.Kind, status.DeviceMajor, status.DeviceMinor);
                layer.Write(new DeviceEntry(path, metadata, status.Kind, status.DeviceMajor, status.DeviceMinor));
                break;
        }
    }

    /// <exception cref="StrataException">Invalid: a device would be read as a deletion.</exception>
    internal static void RefuseWhiteout(string path, FileKind kind, uint major, uint minor)
    {
        if (kind == FileKind.CharacterDevice && major == 0 && minor == 0)
        {
            throw new StrataException(ErrorKind.Invalid, $"write layer: «{path}»: character device 0:0 is overlayfs' whiteout: no layer can have it") { Hint = $"remove it: rm '/{path}'" };
        }
    }

    private EntryMetadata MetadataOf(string path, FileStatus status, SnapshotDiffOptions options)
        => new(status.Mode, status.Uid, status.Gid, Clamp(status.Modified, options.ClampModified),
            [.. Xattrs(_upper.GetXattrs(path)).Select(x => KeyValuePair.Create(x.Key, ImmutableArray.Create(x.Value)))]);

    // All but overlayfs' own, which are how it keeps its books and nothing of the file.
    private protected static IEnumerable<KeyValuePair<string, byte[]>> Xattrs(IReadOnlyList<KeyValuePair<string, byte[]>> all)
        => all.Where(x => !x.Key.StartsWith(OverlayXattrs.Prefix, StringComparison.Ordinal));

    internal static FileTime Clamp(FileTime time, FileTime? latest) => latest is { } limit && Compare(time, limit) > 0 ? limit : time;

    private protected static int Compare(FileTime left, FileTime right) => (left.Seconds, left.Nanoseconds).CompareTo((right.Seconds, right.Nanoseconds));

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

    /// <summary>Whether a whiteout in the item's place would hide something.</summary>
    private protected static bool Hides(Item item) => item.Below is not null && !item.IsInOpaque;

    /// <summary>Whether a directory hides all that the layers below have in it.</summary>
    private protected abstract bool IsOpaque(string path);

    /// <summary>All that changed, a directory before what is in it, in the order of bytes; directories on the way to a change, too.</summary>
    private protected abstract IEnumerable<Item> Walk();

    /// <summary>A path with what is there, and with what is there below. Status null: nothing is.</summary>
    /// <param name="Path">Relative.</param>
    /// <param name="Status">Of the writable directory.</param>
    /// <param name="Below">Of the layers below.</param>
    /// <param name="IsDeletion">It says that nothing is there.</param>
    /// <param name="IsInOpaque">Its directory hides what is below anyway.</param>
    private protected sealed record Item(string Path, FileStatus? Status, LayerStack.Level? Below, bool IsDeletion, bool IsInOpaque = false);
}
