using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;

namespace Strata.IntegrationTests.Interop;

/// <summary>
/// The files of an image as anybody's tool unpacked them: a line for each path, so that two can be compared and a difference can be read.
/// Without times (not every tool keeps fractions of seconds) and without the root directory itself, which layers need not name: docker then gives
/// it 0755, podman and buildah 0555.
/// </summary>
internal static class ImageTree
{
    /// <summary>All below a directory: kind, mode, owner, size, content or target or device, extended attributes, names of the same file.</summary>
    internal static SortedDictionary<string, string> OfDirectory(string path)
    {
        using RootedDirectory root = RootedDirectory.Open(path);
        var lines = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var links = new Dictionary<ulong, SortedSet<string>>();
        Add(root, "", lines, links);
        foreach (SortedSet<string> names in links.Values.Where(n => n.Count > 1))
        {
            foreach (string name in names)
            {
                lines[name] += " = " + string.Join(" = ", names);
            }
        }
        return lines;
    }

    /// <summary>The same of a tar of a root file system, which GNU tar unpacks.</summary>
    internal static SortedDictionary<string, string> OfTar(string tar, string folder)
    {
        Directory.CreateDirectory(folder);
        SeedStore.Exec("tar", null, "--xattrs", "--xattrs-include=*", "--same-owner", "--numeric-owner", "-xpf", tar, "-C", folder).Ok();
        return OfDirectory(folder);
    }

    /// <summary>What differs, a line each: <c>path: ours | theirs</c>.</summary>
    internal static List<string> Differences(SortedDictionary<string, string> ours, SortedDictionary<string, string> theirs)
        => [.. ours.Keys.Union(theirs.Keys).Order(StringComparer.Ordinal)
            .Where(p => ours.GetValueOrDefault(p) != theirs.GetValueOrDefault(p))
            .Select(p => $"{p}: {ours.GetValueOrDefault(p, "nothing")} | {theirs.GetValueOrDefault(p, "nothing")}")];

    private static void Add(RootedDirectory root, string directory, SortedDictionary<string, string> lines, Dictionary<ulong, SortedSet<string>> links)
    {
        foreach (string name in root.GetNames(directory))
        {
            string path = directory.Length == 0 ? name : directory + "/" + name;
            FileStatus status = root.TryGetStatus(path)!.Value;
            string shown = "/" + string.Concat(path.Select(c => char.IsSurrogate(c) ? $"\\{(int)c:x4}" : c.ToString()));
            lines[shown] = Line(root, path, status);
            if (status.Kind == FileKind.Directory)
            {
                Add(root, path, lines, links);
            }
            else if (status.LinkCount > 1)
            {
                (links.TryGetValue(status.Inode, out SortedSet<string>? names) ? names : links[status.Inode] = new(StringComparer.Ordinal)).Add(shown);
            }
        }
    }

    private static string Line(RootedDirectory root, string path, FileStatus status)
    {
        string detail = status.Kind switch
        {
            FileKind.Regular => $"{status.Size} {Hash(root.OpenFile(path))}",
            FileKind.SymbolicLink => "-> " + root.ReadLink(path),
            FileKind.CharacterDevice or FileKind.BlockDevice => $"{status.DeviceMajor}:{status.DeviceMinor}",
            _ => "",
        };
        string mode = status.Kind == FileKind.SymbolicLink ? "" : Convert.ToString(status.Mode & 0xFFF, 8);
        IEnumerable<string> xattrs = root.GetXattrs(path).Where(x => !x.Key.StartsWith("trusted.overlay.", StringComparison.Ordinal))
            .OrderBy(x => x.Key, StringComparer.Ordinal).Select(x => $"{x.Key}={Convert.ToHexStringLower(x.Value)}");
        return string.Join(' ', ((string[])[status.Kind.ToString(), mode, $"{status.Uid}:{status.Gid}", detail, .. xattrs]).Where(p => p.Length > 0));
    }

    private static string Hash(SafeFileHandle file)
    {
        using var stream = new FileStream(file, FileAccess.Read);
        return Convert.ToHexStringLower(SHA256.HashData(stream))[..16];
    }
}
