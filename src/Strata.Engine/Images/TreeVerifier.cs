using System.Collections.Immutable;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Images;

/// <summary>
/// Compares a layer's archive with its digest, and with the files that were unpacked from it: each entry is there as it was written, and nothing
/// else is. Times are not compared: reading changes some of them.
/// </summary>
internal static class TreeVerifier
{
    private const int BufferBytes = 1 << 17;
    private const string Advice = "the unpacked files were changed on disk: strata system check --deep --repair unpacks them again, and so does strata load of the image";

    internal static List<StoreProblem> Verify(Stream blob, Digest diffId, string? tree, string layer)
    {
        if (tree is not null && ErofsTrees.TryFolderOf(tree) is { } folder)
        {
            return VerifyTar(blob, diffId, folder, layer);
        }
        using RootedDirectory? root = tree is null ? null : RootedDirectory.Open(tree);
        LayerMarks? marks = tree is null ? null : LayerMarks.TryRead(tree); // where the files do not say what is deleted
        using var reader = new LayerReader(blob);
        var comparison = new Comparison(root, marks);
        while (reader.Read() is { } entry)
        {
            comparison.Add(entry, entry is FileEntry ? reader.Content : Stream.Null);
        }
        List<StoreProblem> problems = [.. comparison.Finish().Select(p => new StoreProblem($"{layer} /{p.Path}", p.What, Advice))];
        if (reader.DiffId != diffId)
        {
            problems.Add(new StoreProblem(layer, $"its plain tar is {reader.DiffId}, not {diffId}", "pull or build the image again"));
        }
        return problems;
    }

    // A layer that is kept as its tar is whole where the tar's digest is; no file needs to be looked at.
    private static List<StoreProblem> VerifyTar(Stream blob, Digest diffId, string folder, string layer)
    {
        List<StoreProblem> problems = Verify(blob, diffId, tree: null, layer);
        if (ErofsTrees.FindDamage(folder, diffId) is { } damage)
        {
            problems.Add(new StoreProblem(layer, damage, Advice));
        }
        return problems;
    }

    private sealed class Comparison(RootedDirectory? root, LayerMarks? marks)
    {
        // What the archive says about each path, and what is wrong with it on disk. The last entry of a name wins, as it does when unpacking.
        private readonly SortedDictionary<string, (LayerEntry Entry, string? Problem)> _entries = new(StringComparer.Ordinal);
        private readonly HashSet<string> _linked = new(StringComparer.Ordinal); // files of lower layers are brought up for a link to them

        internal void Add(LayerEntry entry, Stream content)
        {
            if (root is null)
            {
                return;
            }
            bool isKnown = _entries.TryGetValue(entry.Path, out (LayerEntry Entry, string? Problem) before);
            if (entry is WhiteoutEntry && isKnown && before.Entry is NodeEntry)
            {
                return; // a layer's own file wins over its whiteout
            }
            if (isKnown && before.Entry is DirectoryEntry && entry is NodeEntry and not DirectoryEntry)
            {
                string below = entry.Path + "/";
                foreach (string gone in _entries.Keys.Where(k => k.StartsWith(below, StringComparison.Ordinal)).ToList())
                {
                    _entries.Remove(gone);
                }
            }
            if (entry is OpaqueEntry)
            {
                // Says something about a folder, which may have an entry of its own.
                string? problem = IsOpaque(entry.Path) ? null : "it does not hide the folder below it any more";
                if (!isKnown || problem is not null)
                {
                    _entries[entry.Path] = (isKnown ? before.Entry : entry, problem);
                }
                return;
            }
            if (entry is HardLinkEntry link)
            {
                _linked.Add(link.Target);
            }
            _entries[entry.Path] = (entry, entry is WhiteoutEntry && marks?.IsWhiteout(entry.Path) == true ? null : Differs(root, entry, content));
        }

        internal IEnumerable<(string Path, string What)> Finish()
        {
            foreach ((string path, (_, string? problem)) in _entries)
            {
                if (problem is not null)
                {
                    yield return (path, problem);
                }
            }
            if (root is null)
            {
                yield break;
            }
            // Folders on the way to an entry need none of their own.
            var ways = new HashSet<string>(StringComparer.Ordinal) { "" };
            foreach (string path in _entries.Keys.Concat(_linked))
            {
                for (int slash = path.LastIndexOf('/'); slash > 0 && ways.Add(path[..slash]); slash = path.LastIndexOf('/', slash - 1))
                {
                }
            }
            var pending = new Stack<string>();
            pending.Push("");
            while (pending.TryPop(out string? directory))
            {
                foreach (string name in root.GetNames(directory))
                {
                    string path = directory.Length == 0 ? name : directory + "/" + name;
                    bool isDirectory = root.TryGetStatus(path) is { Kind: FileKind.Directory };
                    if (!_entries.ContainsKey(path) && !_linked.Contains(path) && !(isDirectory && ways.Contains(path)))
                    {
                        yield return (path, "it is not in the layer");
                    }
                    else if (isDirectory)
                    {
                        pending.Push(path);
                    }
                }
            }
        }

        private bool IsOpaque(string path) => path.Length == 0 || marks?.IsOpaque(path) == true || (root!.TryGetStatus(path) is { Kind: FileKind.Directory } && root.TryGetXattr(path, OverlayXattrs.Opaque) is [(byte)'y']);
    }

    private static string? Differs(RootedDirectory root, LayerEntry entry, Stream content)
    {
        if (entry is DeviceEntry { Kind: FileKind.BlockDevice or FileKind.CharacterDevice } && UserNamespace.Current is not null)
        {
            return null; // left out for a user, who can make no devices
        }
        if (root.TryGetStatus(entry.Path) is not { } found)
        {
            return "it is not there";
        }
        return entry switch
        {
            WhiteoutEntry => found is { Kind: FileKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 } ? null : "the mark that it is deleted is not there",
            FileEntry file => found.Kind != FileKind.Regular ? OtherKind(found) : found.Size != file.Size ? $"it has {found.Size} bytes, not {file.Size}"
                : SameContent(root, entry.Path, content) ? DressDiffers(root, file, found) : "its content was changed",
            DirectoryEntry directory => found.Kind == FileKind.Directory ? DressDiffers(root, directory, found) : OtherKind(found),
            SymbolicLinkEntry link => found.Kind != FileKind.SymbolicLink ? OtherKind(found) : root.ReadLink(entry.Path) == link.Target ? DressDiffers(root, link, found) : "it links elsewhere",
            HardLinkEntry link => root.TryGetStatus(link.Target) is { } target && target.Inode == found.Inode ? null : $"it is no link to /{link.Target} any more",
            DeviceEntry device => found.Kind != device.Kind ? OtherKind(found)
                : (found.DeviceMajor, found.DeviceMinor) == (device.Major, device.Minor) ? DressDiffers(root, device, found) : "it is another device",
            _ => throw new System.Diagnostics.UnreachableException(entry.GetType().Name),
        };
    }

    private static string OtherKind(FileStatus found) => $"it is a {found.Kind} now";

    private static string? DressDiffers(RootedDirectory root, NodeEntry node, FileStatus found)
    {
        EntryMetadata expected = node.Metadata;
        if (node is not SymbolicLinkEntry && found.Mode != expected.Mode)
        {
            return "its mode was changed";
        }
        if ((found.Uid, found.Gid) != (expected.Uid, expected.Gid))
        {
            return "its owner was changed";
        }
        foreach ((string name, ImmutableArray<byte> value) in expected.Xattrs)
        {
            if (root.TryGetXattr(node.Path, name) is not { } actual || !actual.AsSpan().SequenceEqual(value.AsSpan()))
            {
                return $"its attribute {name} was changed";
            }
        }
        return null;
    }

    private static bool SameContent(RootedDirectory root, string path, Stream content)
    {
        using var file = new FileStream(root.OpenFile(path), FileAccess.Read, bufferSize: 0);
        byte[] expected = new byte[BufferBytes], actual = new byte[BufferBytes];
        int read;
        while ((read = content.ReadAtLeast(expected, BufferBytes, throwOnEndOfStream: false)) > 0)
        {
            if (file.ReadAtLeast(actual.AsSpan(0, read), read, throwOnEndOfStream: false) != read || !expected.AsSpan(0, read).SequenceEqual(actual.AsSpan(0, read)))
            {
                return false;
            }
        }
        return true;
    }
}
