using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Reads an overlay's upper directory: what changed against the layers below, as a list or as a layer.</summary>
internal sealed class ChangeScanner : IDisposable
{
    private readonly RootedDirectory _upper;
    private readonly LayerStack _lower;
    private readonly Dictionary<(ulong Device, ulong Inode), string> _links = [];

    internal ChangeScanner(string upper, IReadOnlyList<string> lowers) => (_upper, _lower) = (RootedDirectory.Open(upper), new LayerStack(lowers));

    public void Dispose()
    {
        _upper.Dispose();
        _lower.Dispose();
    }

    /// <summary>Whether there is anything at all.</summary>
    internal bool IsEmpty => _upper.GetNames("").Count == 0;

    /// <summary>Docker's list: C for what was there below, A for what was not, D for whiteouts; a directory before what is in it.</summary>
    internal List<Change> List()
    {
        var changes = new List<Change>();
        foreach ((string path, FileStatus status) in Walk())
        {
            bool below = _lower.Count > 0 && _lower.TryFind(path) is not null;
            if (LayerStack.IsWhiteout(status))
            {
                if (below)
                {
                    changes.Add(new Change(ChangeKind.Deleted, "/" + path));
                }
                continue;
            }
            changes.Add(new Change(below ? ChangeKind.Modified : ChangeKind.Added, "/" + path));
            if (status.Kind == FileKind.Directory && below && IsOpaque(path))
            {
                AddHidden(path, changes);
            }
        }
        return changes;
    }

    /// <summary>Writes the changes as a layer. Sockets are left out: there is nothing of them to keep.</summary>
    internal void Write(LayerWriter layer, SnapshotDiffOptions options, CancellationToken cancellationToken)
    {
        foreach ((string path, FileStatus status) in Walk())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (LayerStack.IsWhiteout(status))
            {
                layer.Write(new WhiteoutEntry(path));
                continue;
            }
            WriteNode(layer, path, status, options);
        }
    }

    private void WriteNode(LayerWriter layer, string path, FileStatus status, SnapshotDiffOptions options)
    {
        EntryMetadata metadata = MetadataOf(path, status, options);
        switch (status.Kind)
        {
            case FileKind.Directory:
                layer.Write(new DirectoryEntry(path, metadata));
                if (IsOpaque(path))
                {
                    layer.Write(new OpaqueEntry(path));
                }
                break;
            case FileKind.Regular when status.LinkCount > 1 && !_links.TryAdd((status.Device, status.Inode), path):
                layer.Write(new HardLinkEntry(path, metadata with { Xattrs = [] }, _links[(status.Device, status.Inode)]));
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
            case FileKind.Socket:
                break;
            default:
                layer.Write(new DeviceEntry(path, metadata, status.Kind, status.DeviceMajor, status.DeviceMinor));
                break;
        }
    }

    private EntryMetadata MetadataOf(string path, FileStatus status, SnapshotDiffOptions options)
    {
        FileTime modified = status.Modified;
        if (options.ClampModified is { } latest && (modified.Seconds, modified.Nanoseconds).CompareTo((latest.Seconds, latest.Nanoseconds)) > 0)
        {
            // On disk too, so that the files that stay are the files of the layer.
            _upper.SetTimes(path, modified = latest);
        }
        // Attributes of a link cannot be set by users, and of what can be set on others overlayfs' own stay out.
        IReadOnlyList<KeyValuePair<string, byte[]>> xattrs = status.Kind == FileKind.SymbolicLink ? [] : _upper.GetXattrs(path);
        return new EntryMetadata(status.Mode, status.Uid, status.Gid, modified,
            [.. xattrs.Where(x => !x.Key.StartsWith(OverlayXattrs.Prefix, StringComparison.Ordinal)).Select(x => KeyValuePair.Create(x.Key, ImmutableArray.Create(x.Value)))]);
    }

    private bool IsOpaque(string path) => _upper.TryGetXattr(path, OverlayXattrs.Opaque) is [(byte)'y'];

    // What an opaque directory hides without naming it.
    private void AddHidden(string directory, List<Change> changes)
    {
        if (_lower.TryFind(directory) is not { Status.Kind: FileKind.Directory } below)
        {
            return;
        }
        foreach (string name in _lower.GetNames(below))
        {
            string path = directory + "/" + name;
            if (_upper.TryGetStatus(path) is null)
            {
                changes.Add(new Change(ChangeKind.Deleted, "/" + path));
            }
        }
    }

    private IEnumerable<(string Path, FileStatus Status)> Walk()
    {
        var open = new Stack<IEnumerator<string>>();
        open.Push(Names(""));
        while (open.TryPeek(out IEnumerator<string>? names))
        {
            if (!names.MoveNext())
            {
                open.Pop().Dispose();
                continue;
            }
            string path = names.Current;
            if (_upper.TryGetStatus(path) is not { } status)
            {
                continue; // a running container took it away meanwhile
            }
            yield return (path, status);
            if (status.Kind == FileKind.Directory)
            {
                open.Push(Names(path));
            }
        }
    }

    private IEnumerator<string> Names(string directory)
    {
        string prefix = directory.Length == 0 ? "" : directory + "/";
        return _upper.GetNames(directory).Order(Comparer<string>.Create(LinuxPath.Compare)).Select(name => prefix + name).GetEnumerator();
    }
}
