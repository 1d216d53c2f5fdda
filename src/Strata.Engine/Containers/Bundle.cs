using System.Globalization;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Containers;

/// <summary>
/// A bundle directory with the root file system mounted at rootfs/. All methods are called inside <see cref="Mounts.RunInPrivateNamespace{T}(Func{T})"/>:
/// no other process sees these mounts, and they end with the processes started there.
/// </summary>
internal static class Bundle
{
    /// <summary>Mounts the snapshot, and shows the runtime a cgroup tree that it can work with. Returns the root's path.</summary>
    public static string Mount(ISnapshotter snapshots, Snapshot snapshot, string bundle, bool isKept, IdMapping? owners = null)
    {
        string root = Path.Combine(bundle, "rootfs");
        MountAt(snapshots, snapshot, root, isKept, owners);
        HostCgroups.HideHybrid();
        return root;
    }

    /// <summary>Mounts a snapshot.</summary>
    /// <param name="snapshots">Whose it is.</param>
    /// <param name="snapshot">The snapshot.</param>
    /// <param name="target">Where.</param>
    /// <param name="isKept">
    /// Whether what is written there may be asked for after a power cut. Where not, nobody waits for the disk: no fsync of a program that runs there, and none of the kernel's
    /// own when a file is copied up (overlayfs' volatile).
    /// </param>
    /// <param name="owners">How the owners of its files are mapped; null: not at all.</param>
    public static void MountAt(ISnapshotter snapshots, Snapshot snapshot, string target, bool isKept = true, IdMapping? owners = null)
    {
        const int MaxTries = 3;
        for (int tries = 1; ; tries++)
        {
            IReadOnlyList<MountSpec> mounts = snapshots.GetMounts(snapshot, target);
            try
            {
                foreach (MountSpec mount in mounts)
                {
                    // Where the work directory is in a file system that comes with the mount (a limit), the mark could not be taken away again: there it waits as ever.
                    bool isVolatile = !isKept && TryGetWork(mount) is { } work && Directory.Exists(work);
                    Mounts.Mount(isVolatile || owners is not null ? mount with { Owners = owners, Options = isVolatile ? [.. mount.Options, "volatile"] : mount.Options } : mount);
                }
                return;
            }
            catch (LinuxException e) when (tries < MaxTries && e.Errno is Errno.ENOENT)
            {
                // A layer's files were exchanged for others between the look and the mount (ErofsDedupe): those have other names.
            }
            catch (LinuxException e) when (tries < MaxTries && e.Errno is Errno.EINVAL && TryForgetVolatile(mounts))
            {
                // It was mounted so before, and what was written then is whole unless the power was cut: it was nothing to be kept.
            }
        }
    }

    private static string? TryGetWork(MountSpec mount)
    {
        const string Key = "workdir=";
        foreach (string option in mount.Options)
        {
            if (option.StartsWith(Key, StringComparison.Ordinal))
            {
                return option[Key.Length..];
            }
        }
        return null;
    }

    // overlayfs leaves this mark, and refuses to mount over it (Documentation/filesystems/overlayfs.rst, "Volatile mount").
    private static bool TryForgetVolatile(IReadOnlyList<MountSpec> mounts)
    {
        bool found = false;
        foreach (MountSpec mount in mounts)
        {
            if (TryGetWork(mount) is { } work && Path.Combine(work, "work", "incompat") is var mark && Directory.Exists(mark))
            {
                FileSystems.RemoveTree(mark);
                found = true;
            }
        }
        return found;
    }

    /// <summary>
    /// Sees that what the runtime mounts /proc, /dev and /sys on are directories. crun 1.8 makes its links and nodes in /dev by that name before the
    /// container's root is its own: where an image has a symbolic link there, it would make them on the host, wherever the link leads.
    /// </summary>
    /// <exception cref="ContainerStartException">One is something else.</exception>
    public static void CheckMountPoints(RootedDirectory root)
    {
        foreach (string point in RuntimeSpec.StandardMountPoints)
        {
            if (root.TryGetStatus(point) is { Kind: not FileKind.Directory } status)
            {
                throw new ContainerStartException(125, $"{point} of the image is no directory but a {(status.Kind == FileKind.SymbolicLink ? "symbolic link" : "file")}: nothing can be mounted on it");
            }
        }
    }

    /// <summary>Writes config.json.</summary>
    public static void WriteSpec(string bundle, RuntimeSpecDocument spec)
        => File.WriteAllBytes(Path.Combine(bundle, "config.json"), RuntimeSpecJson.Serialize(spec));

    /// <summary>
    /// The working directory inside the root, made where it is missing (owner root, 0755), with its links resolved: what the runtime then enters is
    /// a plain path. Nothing below /proc is a working directory: /proc/self/fd/N would be the runtime's own open directory on the host.
    /// </summary>
    /// <exception cref="ContainerStartException">It is no directory, or leads where it must not.</exception>
    public static string PrepareWorkingDirectory(RootedDirectory root, string rootPath, string path)
    {
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (!path.StartsWith('/') || path.Contains('\0', StringComparison.Ordinal) || parts.Contains(".."))
        {
            throw new ContainerStartException(125, $"working directory '{path}': not an absolute path without ..");
        }
        if (parts is [] or [_] and (["proc"] or ["dev"] or ["sys"]))
        {
            return "/" + string.Concat(parts);
        }
        if (parts[0] is "dev" or "sys")
        {
            return "/" + string.Join('/', parts); // below a mount of the runtime's own, which is not there yet
        }
        try
        {
            string at = "";
            foreach (string part in parts)
            {
                at += "/" + part;
                if (root.TryGetStatus(at) is null)
                {
                    root.CreateDirectory(at, 0b111_101_101);
                }
            }
            string resolved = ResolveDirectory(root, at);
            string inside = resolved.Length == rootPath.Length ? "/" : resolved[rootPath.Length..];
            if (parts[0] != "proc" && inside != "/proc" && !inside.StartsWith("/proc/", StringComparison.Ordinal))
            {
                return inside;
            }
        }
        catch (LinuxException e)
        {
            throw new ContainerStartException(125, $"working directory '{path}': {e.Message}");
        }
        throw new ContainerStartException(125, $"working directory '{path}': below /proc is no place to work in");
    }

    /// <summary>
    /// The plain path of a file or directory below <paramref name="root"/>, for a program that will open it by that path: nothing else runs in this
    /// file system yet, so it cannot change in between. A link as last component leads to a directory only.
    /// </summary>
    /// <exception cref="ContainerStartException">Nothing is there.</exception>
    public static string ResolvePath(RootedDirectory root, string rootPath, string path)
    {
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        string clean = string.Join('/', parts);
        if (parts.Length == 0)
        {
            return rootPath;
        }
        switch (root.TryGetStatus(clean, follow: true))
        {
            case { Kind: FileKind.Directory }:
                return ResolveDirectory(root, clean);
            case { Kind: FileKind.Regular } when parts[^1] != ".." && root.TryGetStatus(clean) is { Kind: FileKind.Regular }:
                return ResolveDirectory(root, string.Join('/', parts[..^1])) + "/" + parts[^1];
            default:
                throw new ContainerStartException(125, $"mount of '{path}': no file or directory there");
        }
    }

    private static string ResolveDirectory(RootedDirectory root, string path)
    {
        using RootedDirectory directory = root.OpenDirectory(path);
        return File.ResolveLinkTarget(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{directory.Handle.DangerousGetHandle()}"), returnFinalTarget: false)!.FullName;
    }
}
