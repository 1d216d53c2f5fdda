using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Images;

/// <summary>Writes a directory tree as the entries of one layer, in the order of the names' bytes.</summary>
internal static class TreeArchive
{
    /// <summary>Writes all below <paramref name="root"/>. Sockets are left out: they are nothing without their server.</summary>
    public static void Write(RootedDirectory root, LayerWriter writer, CancellationToken cancellationToken)
        => WriteChildren(root, "", writer, [], cancellationToken);

    /// <summary>Writes the union of a stack of layers, read without a mount. Links that another process still writes to are followed nowhere.</summary>
    public static void Write(LayerStack stack, LayerWriter writer, CancellationToken cancellationToken)
    {
        var links = new Dictionary<(ulong Device, ulong Inode), string>();
        foreach (LayerNode node in stack.Walk())
        {
            cancellationToken.ThrowIfCancellationRequested();
            FileStatus status = node.Status;
            if (status.Kind == FileKind.Socket)
            {
                continue;
            }
            EntryMetadata metadata = new(status.Mode, status.Uid, status.Gid, status.Modified,
                [.. stack.GetXattrs(node).OrderBy(x => x.Key, StringComparer.Ordinal).Select(x => KeyValuePair.Create(x.Key, ImmutableArray.Create(x.Value)))]);
            switch (status.Kind)
            {
                case FileKind.Directory:
                    writer.Write(new DirectoryEntry(node.Path, metadata));
                    break;
                case var _ when status.LinkCount > 1 && !links.TryAdd((status.Device, status.Inode), node.Path):
                    writer.Write(new HardLinkEntry(node.Path, metadata with { Xattrs = [] }, links[(status.Device, status.Inode)]));
                    break;
                case FileKind.SymbolicLink:
                    writer.Write(new SymbolicLinkEntry(node.Path, metadata, stack.ReadLink(node)));
                    break;
                case FileKind.Regular:
                    using (Stream content = stack.OpenFile(node))
                    {
                        writer.Write(new FileEntry(node.Path, metadata, content.Length), content);
                    }
                    break;
                default:
                    writer.Write(new DeviceEntry(node.Path, metadata, status.Kind, status.DeviceMajor, status.DeviceMinor));
                    break;
            }
        }
    }

    private static void WriteChildren(RootedDirectory root, string directory, LayerWriter writer, Dictionary<(ulong Device, ulong Inode), string> links, CancellationToken cancellationToken)
    {
        foreach (string name in root.GetNames(directory).Order(Comparer<string>.Create(LinuxPath.Compare)))
        {
            cancellationToken.ThrowIfCancellationRequested();
            string path = directory.Length == 0 ? name : directory + "/" + name;
            if (root.TryGetStatus(path) is not { } status || status.Kind == FileKind.Socket)
            {
                continue; // removed since its name was read, or a socket
            }
            EntryMetadata metadata = new(status.Mode, status.Uid, status.Gid, status.Modified,
                [.. root.GetXattrs(path).OrderBy(x => x.Key, StringComparer.Ordinal).Select(x => KeyValuePair.Create(x.Key, ImmutableArray.Create(x.Value)))]);
            if (status.LinkCount > 1 && status.Kind != FileKind.Directory && !links.TryAdd((status.Device, status.Inode), path))
            {
                writer.Write(new HardLinkEntry(path, metadata, links[(status.Device, status.Inode)]));
                continue;
            }
            switch (status.Kind)
            {
                case FileKind.Directory:
                    writer.Write(new DirectoryEntry(path, metadata));
                    WriteChildren(root, path, writer, links, cancellationToken);
                    break;
                case FileKind.SymbolicLink:
                    writer.Write(new SymbolicLinkEntry(path, metadata, root.ReadLink(path)));
                    break;
                case FileKind.Regular:
                    using (SafeFileHandle file = root.OpenFile(path))
                    using (var content = new FileStream(file, FileAccess.Read, bufferSize: 0))
                    {
                        writer.Write(new FileEntry(path, metadata, status.Size), content);
                    }
                    break;
                default:
                    writer.Write(new DeviceEntry(path, metadata, status.Kind, status.DeviceMajor, status.DeviceMinor));
                    break;
            }
        }
    }
}
