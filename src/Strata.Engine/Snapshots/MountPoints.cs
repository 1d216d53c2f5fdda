using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// What must exist because something will be mounted on it, and does not: made in a directory of its own that lies between image and
/// container. Folders on the way look as they do in the image, because in the union the upper of two directories decides how it looks.
/// </summary>
internal static class MountPoints
{
    /// <summary>Makes the missing ones; true where there is such a directory now (with <paramref name="always"/>, in any case).</summary>
    internal static bool Make(string folder, LayerStack image, IReadOnlyList<MountPoint> points, bool always)
    {
        List<(MountPoint Point, string Path)> missing = [.. points.Select(p => (p, Locate(image, p.Path))).Where(p => p.Item2 is not null).Select(p => (p.p, p.Item2!))];
        if (missing.Count == 0 && !always)
        {
            return false;
        }
        Directory.CreateDirectory(folder);
        using RootedDirectory root = RootedDirectory.Open(folder);
        UpCopier.Dress(image, "", root);
        foreach ((MountPoint point, string path) in missing)
        {
            string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
            for (int i = 1; i < parts.Length + (point.IsDirectory ? 1 : 0); i++)
            {
                MakeDirectory(image, root, string.Join('/', parts[..i]));
            }
            if (!point.IsDirectory && root.TryGetStatus(path) is null)
            {
                root.CreateFile(path, 0b110_100_100).Dispose();
            }
        }
        return true;
    }

    // Null where it is there. Links on the way are followed inside the image; what they lead to is where the point is made.
    private static string? Locate(LayerStack image, string path)
    {
        if (image.Count == 0)
        {
            return path.Trim('/');
        }
        if (image.TryFind(path, follow: true) is not null)
        {
            return null;
        }
        string trimmed = path.Trim('/');
        int slash = trimmed.LastIndexOf('/');
        if (slash < 0)
        {
            return trimmed;
        }
        string parent = trimmed[..slash];
        string real = image.TryFind(parent, follow: true) is { } directory ? directory.Path : Locate(image, parent) ?? parent;
        return real.Length == 0 ? trimmed[(slash + 1)..] : real + trimmed[slash..];
    }

    private static void MakeDirectory(LayerStack image, RootedDirectory root, string path)
    {
        if (root.TryGetStatus(path) is null)
        {
            root.CreateDirectory(path, 0b111_101_101);
            UpCopier.Dress(image, path, root);
        }
    }
}

/// <summary>Brings things of a stack up into a directory, looking as they do.</summary>
internal static class UpCopier
{
    /// <summary>Copies one file, link or device with the folders on its way.</summary>
    internal static void Copy(LayerStack stack, string path, RootedDirectory target)
    {
        LayerNode node = stack.TryFind(path) ?? throw new StrataException(ErrorKind.Invalid, $"layer: a hard link to «{path}», which no layer has");
        string[] parts = path.Split('/');
        for (int i = 1; i < parts.Length; i++)
        {
            string parent = string.Join('/', parts[..i]);
            if (target.TryGetStatus(parent) is null)
            {
                target.CreateDirectory(parent, 0b111_101_101);
                Dress(stack, parent, target);
            }
        }
        switch (node.Status.Kind)
        {
            case FileKind.Regular:
                using (SafeFileHandle source = stack.OpenFile(node))
                using (SafeFileHandle copy = target.CreateFile(path, node.Status.Mode))
                {
                    FileCopy.Copy(source, copy);
                }
                break;
            case FileKind.SymbolicLink:
                target.CreateSymbolicLink(path, stack.ReadLink(node));
                break;
            case FileKind.Directory:
                return; // the caller refuses a link to it
            default:
                target.CreateNode(path, node.Status.Kind, node.Status.Mode, node.Status.DeviceMajor, node.Status.DeviceMinor);
                break;
        }
        Dress(stack, path, target);
    }

    /// <summary>Gives what is at a path in the target the looks of what is there in the stack; nothing where the stack has nothing.</summary>
    internal static void Dress(LayerStack stack, string path, RootedDirectory target)
    {
        if (stack.TryFind(path) is not { } node)
        {
            if (path.Length == 0)
            {
                target.SetMode("", 0b111_101_101);
            }
            return;
        }
        target.SetOwner(path, node.Status.Uid, node.Status.Gid);
        if (node.Status.Kind != FileKind.SymbolicLink)
        {
            target.SetMode(path, node.Status.Mode);
            foreach ((string name, byte[] value) in stack.GetXattrs(node))
            {
                target.SetXattr(path, name, value);
            }
        }
        target.SetTimes(path, node.Status.Modified);
    }
}
