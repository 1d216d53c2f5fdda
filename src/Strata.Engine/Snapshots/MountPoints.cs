using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// What must exist because something will be mounted on it, and does not: made in a directory of its own that lies between image and
/// container. Folders on the way look as they do in the image, because in the union the upper of two directories decides how it looks.
/// </summary>
internal static class MountPoints
{
    private const int DirectoryMode = 0b111_101_101, FileMode = 0b110_100_100;

    /// <summary>Makes the missing ones; true where there is such a directory now (with <paramref name="always"/>, in any case).</summary>
    /// <exception cref="StrataException">Invalid: a file of the image is in the way.</exception>
    internal static bool Make(string folder, LayerStack image, IReadOnlyList<MountPoint> points, bool always)
    {
        string?[] missing = new string?[points.Count];
        bool any = false;
        for (int i = 0; i < missing.Length; i++)
        {
            missing[i] = Locate(image, points[i].Path);
            any |= missing[i] is not null;
        }
        if (!any && !always)
        {
            return false;
        }
        Directory.CreateDirectory(folder);
        using RootedDirectory root = RootedDirectory.Open(folder);
        var made = new List<(string Path, FileTime Time)>();
        MakeDirectory(image, root, "", made);
        for (int point = 0; point < missing.Length; point++)
        {
            if (missing[point] is not { } path)
            {
                continue;
            }
            string[] parts = path.Split('/');
            for (int i = 1; i < parts.Length + (points[point].IsDirectory ? 1 : 0); i++)
            {
                MakeDirectory(image, root, string.Join('/', parts[..i]), made);
            }
            if (!points[point].IsDirectory && root.TryGetStatus(path) is null)
            {
                root.CreateFile(path, FileMode).Dispose();
            }
        }
        foreach ((string path, FileTime time) in made)
        {
            root.SetTimes(path, time); // what was made in them changed it
        }
        return true;
    }

    // Null where it is there. Links are followed inside the image, also the last one: a mount would follow it, and /etc/resolv.conf often is one.
    private static string? Locate(LayerStack image, string path)
    {
        try
        {
            string real = image.ResolvePath(path);
            return real.Length == 0 || image.TryFind(real) is not null ? null : real;
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOTDIR or Errno.ELOOP)
        {
            throw new StrataException(ErrorKind.Invalid, $"mount point {path}: {(e.Errno is Errno.ELOOP ? "its links go round in the image" : "a file of the image is in the way")}", e);
        }
    }

    private static void MakeDirectory(LayerStack image, RootedDirectory root, string path, List<(string Path, FileTime Time)> made)
    {
        if (path.Length > 0)
        {
            if (root.TryGetStatus(path) is { } there)
            {
                if (there.Kind != FileKind.Directory)
                {
                    throw new StrataException(ErrorKind.Invalid, $"mount point /{path}: wanted as a file, and as a directory");
                }
                return;
            }
            root.CreateDirectory(path, DirectoryMode);
        }
        if (image.TryFind(path) is { } node)
        {
            UpCopier.Dress(image, node, path, root);
            made.Add((path, node.Status.Modified));
        }
        else if (path.Length == 0)
        {
            root.SetMode("", DirectoryMode);
        }
    }
}
