using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>What can be seen of a file system, a line for each path, so that two can be compared and a difference can be read.</summary>
internal static class SeenTree
{
    /// <summary>All below a directory. Times of directories are left out where asked: they change with what is made in them.</summary>
    public static List<string> OfDirectory(string path, bool directoryTimes = true)
    {
        using RootedDirectory root = RootedDirectory.Open(path);
        var lines = new List<string> { Line("", root.TryGetStatus("")!.Value, Xattrs(root.GetXattrs("")), "", directoryTimes) };
        Add(root, "", lines, [], directoryTimes);
        return lines;
    }

    /// <summary>The same of a stack that is not mounted.</summary>
    public static List<string> OfStack(LayerStack stack, bool directoryTimes = true)
    {
        var lines = new List<string>();
        var links = new Dictionary<(int, ulong), string>();
        foreach (LayerNode node in (IEnumerable<LayerNode>)[stack.TryFind("")!, .. stack.Walk()])
        {
            string detail = node.Status.Kind switch
            {
                FileKind.SymbolicLink => stack.ReadLink(node),
                FileKind.Regular => HashAll(stack.OpenFile(node)),
                _ => Device(node.Status),
            };
            detail += LinkOf(links, (node.Layer, node.Status.Inode), node.Path, node.Status);
            lines.Add(Line(node.Path, node.Status, Xattrs(stack.GetXattrs(node)), detail, directoryTimes));
        }
        return lines;
    }

    private static void Add(RootedDirectory root, string directory, List<string> lines, Dictionary<(int, ulong), string> links, bool directoryTimes)
    {
        foreach (string name in root.GetNames(directory).Order(Comparer<string>.Create(LinuxPath.Compare)))
        {
            string path = directory.Length == 0 ? name : directory + "/" + name;
            if (root.TryGetStatus(path) is not { } status)
            {
                lines.Add($"{path} is listed and not there");
                continue;
            }
            string detail = status.Kind switch
            {
                FileKind.SymbolicLink => root.ReadLink(path),
                FileKind.Regular => Hash(root.OpenFile(path)),
                _ => Device(status),
            };
            detail += LinkOf(links, (0, status.Inode), path, status);
            lines.Add(Line(path, status, Xattrs(root.GetXattrs(path)), detail, directoryTimes));
            if (status.Kind == FileKind.Directory)
            {
                Add(root, path, lines, links, directoryTimes);
            }
        }
    }

    private static string Hash(SafeFileHandle file) => HashAll(new FileStream(file, FileAccess.Read));

    private static string HashAll(Stream content)
    {
        using Stream stream = content;
        return Convert.ToHexStringLower(SHA256.HashData(stream))[..16];
    }

    private static string Device(FileStatus status) => status.Kind is FileKind.CharacterDevice or FileKind.BlockDevice ? $"{status.DeviceMajor}:{status.DeviceMinor}" : "";

    private static string LinkOf(Dictionary<(int, ulong), string> links, (int, ulong) inode, string path, FileStatus status)
        => status.Kind == FileKind.Directory || status.LinkCount < 2 || links.TryAdd(inode, path) ? "" : $" = {links[inode]}";

    private static string Line(string path, FileStatus status, string xattrs, string detail, bool directoryTimes)
    {
        bool isDirectory = status.Kind == FileKind.Directory;
        string time = isDirectory && !directoryTimes ? "" : $"{status.Modified.Seconds}.{status.Modified.Nanoseconds:D9}";
        string mode = status.Kind == FileKind.SymbolicLink ? "" : Convert.ToString(status.Mode, 8);
        string size = status.Kind == FileKind.Regular ? status.Size.ToString(CultureInfo.InvariantCulture) : "";
        return string.Join(' ', "/" + string.Concat(path.Select(c => char.IsSurrogate(c) ? $"\\{(int)c:x4}" : c.ToString())), status.Kind, mode, $"{status.Uid}:{status.Gid}", size, time, xattrs, detail);
    }

    private static string Xattrs(IEnumerable<KeyValuePair<string, byte[]>> xattrs)
        => string.Join(',', xattrs.Where(x => !x.Key.StartsWith("trusted.overlay.", StringComparison.Ordinal)).Select(x => $"{x.Key}={Convert.ToHexStringLower(x.Value)}"));
}
