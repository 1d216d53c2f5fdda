using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>One thing that a program does to a tree of files. The time it leaves on what it touched is part of it: three runs must not differ by the clock.</summary>
/// <param name="Name">What is done.</param>
/// <param name="Path">To what.</param>
/// <param name="Other">The second path: a new name, a target.</param>
/// <param name="Number">A mode, an owner, an offset, a seed of content.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Time">mtime of what was touched, and of the directory it is in.</param>
internal sealed record FileOperation(string Name, string Path, string Other, int Number, int Size, FileTime Time)
{
    public override string ToString() => $"{Name} «{Shown(Path)}»{(Other.Length > 0 ? $" «{Shown(Other)}»" : "")} {Number} {Size} @{Time.Seconds}.{Time.Nanoseconds}";

    /// <summary>Does it.</summary>
    public void Run(RootedDirectory root)
    {
        switch (Name)
        {
            case "file":
                using (SafeFileHandle file = root.CreateFile(Path, Number & 0b111_111_111_111))
                {
                    Files.Write(file, Content(), Path);
                }
                root.SetMode(Path, Number & 0b111_111_111_111); // writing has cleared set-user-id
                break;
            case "sparse":
                using (SafeFileHandle file = root.CreateFile(Path, 0b110_100_100))
                {
                    Files.SetLength(file, 1 << 16, Path);
                    RandomAccess.Write(file, Content(), Number % (1 << 15));
                }
                break;
            case "write":
                using (var file = new FileStream(OpenToWrite(root), FileAccess.Write, bufferSize: 0))
                {
                    file.Position = Number % (file.Length + 1);
                    file.Write(Content());
                }
                break;
            case "truncate":
                using (var file = new FileStream(OpenToWrite(root), FileAccess.Write, bufferSize: 0))
                {
                    file.SetLength(Size);
                }
                break;
            case "directory":
                root.CreateDirectory(Path, Number & 0b111_111_111_111);
                break;
            case "remove":
                root.Remove(Path);
                break;
            case "link":
                root.CreateSymbolicLink(Path, Other);
                break;
            case "hardlink":
                root.CreateHardLink(Other, Path);
                break;
            case "rename":
                root.Rename(Path, Other);
                break;
            case "move":
                Move(root, Path, Other);
                break;
            case "mode":
                root.SetMode(Path, Number & 0b111_111_111_111);
                break;
            case "owner":
                root.SetOwner(Path, (uint)Number & 0xffff, (uint)Number >> 16);
                break;
            case "attribute":
                root.SetXattr(Path, Other, Content());
                break;
            case "noattribute":
                foreach ((string name, _) in root.GetXattrs(Path))
                {
                    root.RemoveXattr(Path, name);
                }
                break;
            case "capability":
                root.SetXattr(Path, "security.capability", Convert.FromHexString("0100000200040000000000000000000000000000"));
                break;
            case "device":
                root.CreateNode(Path, (FileKind)Number, 0b110_100_000, 1, 3);
                break;
            case "touch":
                break;
            default:
                throw new System.Diagnostics.UnreachableException(Name);
        }
        string last = Name is "rename" or "move" or "hardlink" ? Other : Path;
        if (Name != "remove")
        {
            root.SetTimes(last, Time);
        }
        foreach (string changed in Name is "rename" or "move" ? [ParentOf(Path), ParentOf(last)] : new[] { ParentOf(last) })
        {
            if (changed.Length > 0 && Name is "file" or "sparse" or "directory" or "remove" or "link" or "hardlink" or "rename" or "move" or "device")
            {
                root.SetTimes(changed, Time);
            }
        }
    }

    internal static string ParentOf(string path) => path[..Math.Max(0, path.LastIndexOf('/'))];

    private static string Shown(string path) => string.Concat(path.Select(c => char.IsSurrogate(c) || char.IsControl(c) ? $"\\{(int)c:x4}" : c.ToString()));

    private byte[] Content()
    {
        byte[] bytes = new byte[Size];
        new Random(Number).NextBytes(bytes);
        return bytes;
    }

    private SafeFileHandle OpenToWrite(RootedDirectory root)
    {
        using SafeFileHandle read = root.OpenFile(Path);
        return File.OpenHandle(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{read.DangerousGetHandle()}"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
    }

    // As mv does it where the kernel says EXDEV: a copy that looks the same, each file one of its own.
    private static void Move(RootedDirectory root, string from, string to)
    {
        FileStatus status = root.TryGetStatus(from)!.Value;
        switch (status.Kind)
        {
            case FileKind.Directory:
                root.CreateDirectory(to, status.Mode);
                foreach (string name in root.GetNames(from))
                {
                    Move(root, $"{from}/{name}", $"{to}/{name}");
                }
                break;
            case FileKind.Regular:
                using (SafeFileHandle source = root.OpenFile(from))
                using (SafeFileHandle target = root.CreateFile(to, status.Mode))
                {
                    FileCopy.Copy(source, target);
                }
                break;
            case FileKind.SymbolicLink:
                root.CreateSymbolicLink(to, root.ReadLink(from));
                break;
            default:
                root.CreateNode(to, status.Kind, status.Mode, status.DeviceMajor, status.DeviceMinor);
                break;
        }
        root.SetOwner(to, status.Uid, status.Gid);
        if (status.Kind != FileKind.SymbolicLink)
        {
            root.SetMode(to, status.Mode);
        }
        foreach ((string name, byte[] value) in status.Kind is FileKind.Regular or FileKind.Directory ? root.GetXattrs(from) : [])
        {
            root.SetXattr(to, name, value);
        }
        root.SetTimes(to, status.Modified);
        root.Remove(from);
    }
}

/// <summary>Makes operations at random that are possible on a tree: the same seed and the same tree give the same ones.</summary>
/// <param name="random">The dice.</param>
internal sealed class FileScript(Random random)
{
    private static readonly string[] s_names = ["a", "b", "c", "d", "e", "file", "dir", "wh.x", "name with spaces ", "ünïcode", "\udcff\udcfe", "new\nline", "..x", "-", new string('n', 255)];
    private static readonly FileKind[] s_nodes = [FileKind.CharacterDevice, FileKind.BlockDevice, FileKind.Fifo, FileKind.Socket];
    private static readonly string[] s_targets = ["a", "../b", "/d/e", "nowhere", "..", "/", "\udc80", "./dir/./file"];

    /// <summary>One operation for what is in <paramref name="root"/> now; null where the dice fell on nothing that goes.</summary>
    /// <param name="root">The tree.</param>
    /// <param name="frozen">Files with several names since before: overlayfs without an index makes them several files when one is changed, so they stay as they are.</param>
    public FileOperation? Next(RootedDirectory root, HashSet<ulong> frozen)
    {
        List<(string Path, FileStatus Status)> all = [.. Walk(root, "")];
        (string Path, FileStatus Status)[] free = [.. all.Where(n => n.Status.Kind == FileKind.Directory || !frozen.Contains(n.Status.Inode))];
        (string Path, FileStatus Status)[] files = [.. free.Where(n => n.Status.Kind == FileKind.Regular)];
        string? fresh = FreshPath(root, all), node = Pick(free), file = Pick(files), dressed = Pick([.. free.Where(n => n.Status.Kind is FileKind.Regular or FileKind.Directory)]);
        int number = random.Next();
        return random.Next(20) switch
        {
            0 or 1 or 2 => Of("file", fresh, number & 0b110_111_111_111, random.Next(3000)),
            3 => Of("sparse", fresh, number, 10),
            4 or 5 => Of("write", file, number, random.Next(1, 500)),
            6 => Of("truncate", file, 0, random.Next(2000)),
            7 or 8 => Of("directory", fresh, number & 0b11_111_111_111),
            9 => Of("link", fresh, 0, 0, s_targets[random.Next(s_targets.Length)]),
            10 => fresh is null ? null : Of("hardlink", file, 0, 0, fresh),
            11 => Rename(root, free, fresh),
            12 => Of("mode", dressed, number),
            13 => Of("owner", node, number),
            14 => Of("attribute", dressed, number, random.Next(1, 40), random.Next(2) == 0 ? "user.note" : "trusted.note"),
            15 => random.Next(2) == 0 ? Of("noattribute", dressed) : Of("capability", file),
            16 => Of("device", fresh, (int)s_nodes[random.Next(s_nodes.Length)]),
            17 => Of("touch", node),
            _ => Of("remove", Pick([.. all])),
        };
    }

    private FileOperation? Rename(RootedDirectory root, (string Path, FileStatus Status)[] free, string? fresh)
    {
        if (Pick(free) is not { } from || fresh is null || fresh.StartsWith(from + "/", StringComparison.Ordinal))
        {
            return null;
        }
        if (root.TryGetStatus(from) is { Kind: FileKind.Directory })
        {
            return Of("move", from, 0, 0, fresh);
        }
        // Onto another file as often as to a new name.
        (string Path, FileStatus Status)[] others = [.. free.Where(n => n.Status.Kind != FileKind.Directory && n.Path != from)];
        return Of("rename", from, 0, 0, random.Next(2) == 0 ? fresh : Pick(others) ?? fresh);
    }

    private FileOperation? Of(string name, string? path, int number = 0, int size = 0, string other = "")
        => path is null ? null : new FileOperation(name, path, other, number, size, new FileTime(random.NextInt64(-1_000_000, 4_000_000_000), random.Next(1_000_000_000)));

    private string? Pick((string Path, FileStatus Status)[] nodes) => nodes.Length == 0 ? null : nodes[random.Next(nodes.Length)].Path;

    private string? FreshPath(RootedDirectory root, List<(string Path, FileStatus Status)> all)
    {
        string[] directories = ["", .. all.Where(n => n.Status.Kind == FileKind.Directory && n.Path.Count(c => c == '/') < 5).Select(n => n.Path)];
        string directory = directories[random.Next(directories.Length)], name = s_names[random.Next(s_names.Length)];
        string path = directory.Length == 0 ? name : directory + "/" + name;
        return root.TryGetStatus(path) is null ? path : null;
    }

    internal static IEnumerable<(string Path, FileStatus Status)> Walk(RootedDirectory root, string directory)
    {
        foreach (string name in root.GetNames(directory).Order(Comparer<string>.Create(LinuxPath.Compare)))
        {
            string path = directory.Length == 0 ? name : directory + "/" + name;
            FileStatus status = root.TryGetStatus(path)!.Value;
            yield return (path, status);
            foreach ((string Path, FileStatus Status) below in status.Kind == FileKind.Directory ? Walk(root, path) : [])
            {
                yield return below;
            }
        }
    }
}
