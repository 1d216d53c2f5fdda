using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>statfs(2) and trees at trusted paths.</summary>
public static unsafe class FileSystems
{
    /// <summary>Space on the file system a path is on.</summary>
    public static FileSystemSpace GetSpace(string path)
    {
        // struct statfs, 64-bit: type, block size, blocks, free, available, files, free files (8 bytes each), …
        const int Words = 15;
        ulong* words = stackalloc ulong[Words];
        fixed (byte* name = PathBytes.Of(path, "statfs"))
        {
            if (Native.statfs(name, (byte*)words) != 0)
            {
                throw Native.Failure("statfs", path);
            }
        }
        long block = (long)words[1];
        return new FileSystemSpace(NameOf(words[0]), (long)words[2] * block, (long)words[4] * block, (long)words[5], (long)words[6]);
    }

    /// <summary>The status of a trusted path, not followed unless asked; null where nothing is there.</summary>
    public static FileStatus? TryGetStatus(string path, bool follow = false)
    {
        Native.Statx status;
        fixed (byte* name = PathBytes.Of(path, "stat"))
        {
            if (Native.statx(Native.AT_FDCWD, name, follow ? 0 : Native.AT_SYMLINK_NOFOLLOW, Native.STATX_BASIC_STATS, &status) == 0)
            {
                return Native.ToStatus(status);
            }
        }
        return Native.LastErrno is Errno.ENOENT or Errno.ENOTDIR ? null : throw Native.Failure("stat", path);
    }

    /// <summary>Sets the times of a trusted path's file to now, not followed. What is not there, or may not be written, stays as it is: false.</summary>
    public static bool Touch(string path)
    {
        fixed (byte* name = PathBytes.Of(path, "utimensat"))
        {
            return Native.utimensat(Native.AT_FDCWD, name, null, Native.AT_SYMLINK_NOFOLLOW) == 0
                || (Native.LastErrno is Errno.ENOENT or Errno.ENOTDIR or Errno.EROFS or Errno.EACCES or Errno.EPERM ? false : throw Native.Failure("utimensat", path));
        }
    }

    /// <summary>The names in a trusted directory, without "." and "..", unsorted; null where there is no such directory.</summary>
    public static IReadOnlyList<string>? TryGetNames(string path)
    {
        using SafeFileHandle? directory = TryOpen(path, Native.O_DIRECTORY);
        return directory is null ? null : DirectoryNames.Read(directory.Fd(), path);
    }

    /// <summary>
    /// The bytes of a trusted path's file; null where nothing is there. Of a file with more than <paramref name="limit"/> bytes, one byte more than
    /// that: so much is read of anything that is no record.
    /// </summary>
    public static byte[]? TryRead(string path, int limit)
    {
        const int FirstBytes = 4096; // almost every record
        using SafeFileHandle? file = TryOpen(path, 0);
        if (file is null)
        {
            return null;
        }
        byte[] content = new byte[Math.Min(FirstBytes, limit + 1L)];
        int length = 0;
        while (true)
        {
            nint read;
            fixed (byte* start = content)
            {
                read = Native.read(file.Fd(), start + length, content.Length - length);
            }
            if (read < 0 && Native.LastErrno is not Errno.EINTR)
            {
                throw Native.Failure("read", path);
            }
            length += (int)Math.Max(0, read);
            if (read == 0 || length > limit)
            {
                return content.AsSpan(0, length).ToArray();
            }
            if (length == content.Length)
            {
                Array.Resize(ref content, (int)Math.Min(Math.Min(content.Length * 4L, limit + 1L), Array.MaxLength));
            }
        }
    }

    private static SafeFileHandle? TryOpen(string path, int flags)
    {
        int fd;
        fixed (byte* name = PathBytes.Of(path, "open"))
        {
            do
            {
                fd = Native.openat(Native.AT_FDCWD, name, Native.O_RDONLY | Native.O_CLOEXEC | flags, 0);
            }
            while (fd < 0 && Native.LastErrno is Errno.EINTR);
        }
        return fd >= 0 ? fd.ToHandle() : Native.LastErrno is Errno.ENOENT or Errno.ENOTDIR ? null : throw Native.Failure("open", path);
    }

    /// <summary>What <c>du -s</c> says of a trusted path: allocated bytes, each inode once, no mount point crossed. Missing: 0.</summary>
    public static long GetDiskUsage(string path) => GetDiskUsage(path, []);

    /// <summary>
    /// What their removal would give back of the disk: of a file with names in other places, too, nothing.
    /// <paramref name="names"/> counts over several calls how many of its names were met.
    /// </summary>
    public static long GetFreedBytes(string path, Dictionary<(ulong Device, ulong Inode), uint> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        return Walk(path, status =>
        {
            if (status.Kind == FileKind.Directory || status.LinkCount < 2)
            {
                return true;
            }
            uint met = names.GetValueOrDefault((status.Device, status.Inode)) + 1;
            names[(status.Device, status.Inode)] = met;
            return met == status.LinkCount;
        });
    }

    /// <summary>The same over several trees: files that <paramref name="seen"/> has are not counted again, and those met are added to it.</summary>
    public static long GetDiskUsage(string path, HashSet<(ulong Device, ulong Inode)> seen)
    {
        ArgumentNullException.ThrowIfNull(seen);
        return Walk(path, status => seen.Add((status.Device, status.Inode)));
    }

    private static long Walk(string path, Func<FileStatus, bool> counts)
    {
        if (TryGetStatus(path) is not { } top || !counts(top))
        {
            return 0;
        }
        long blocks = top.Blocks;
        if (top.Kind != FileKind.Directory)
        {
            return blocks * 512;
        }
        using RootedDirectory? root = TryOpen(path);
        var pending = new Stack<string>();
        pending.Push("");
        while (root is not null && pending.TryPop(out string? directory))
        {
            foreach (string name in NamesIn(root, directory))
            {
                string child = directory.Length == 0 ? name : directory + "/" + name;
                if (root.TryGetStatus(child) is not { } status || status.Device != top.Device || !counts(status))
                {
                    continue;
                }
                blocks += status.Blocks;
                if (status.Kind == FileKind.Directory)
                {
                    pending.Push(child);
                }
            }
        }
        return blocks * 512;
    }

    // What is removed while it is counted costs nothing.
    private static RootedDirectory? TryOpen(string path)
    {
        try
        {
            return RootedDirectory.Open(path);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return null;
        }
    }

    private static IReadOnlyList<string> NamesIn(RootedDirectory root, string directory)
    {
        try
        {
            return root.GetNames(directory);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return [];
        }
    }

    /// <summary>Removes a trusted path with all below it; crosses no mount point, follows no link. Nothing there is no error.</summary>
    public static void RemoveTree(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        string parent = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(path)) ?? throw new LinuxException("unlink", path, Errno.EBUSY);
        fixed (byte* name = PathBytes.Of(parent.Length == 0 ? "." : parent, "open"))
        {
            int fd = Native.openat(Native.AT_FDCWD, name, Native.O_PATH | Native.O_DIRECTORY | Native.O_CLOEXEC, 0);
            if (fd < 0)
            {
                if (Native.LastErrno is Errno.ENOENT)
                {
                    return;
                }
                throw Native.Failure("open", parent);
            }
            using SafeFileHandle directory = fd.ToHandle();
            TreeRemover.Remove(fd, PathBytes.Of(Path.GetFileName(Path.TrimEndingDirectorySeparator(path)), "unlink"), path);
        }
    }

    /// <summary>Removes an empty trusted directory. Nothing there is no error; false where something is in it, or holds it (EBUSY: a control group that is not over yet).</summary>
    public static bool TryRemoveDirectory(string path)
    {
        fixed (byte* name = PathBytes.Of(path, "rmdir"))
        {
            return Native.unlinkat(Native.AT_FDCWD, name, Native.AT_REMOVEDIR) == 0 || Native.LastErrno switch
            {
                Errno.ENOENT or Errno.ENOTDIR => true,
                Errno.EBUSY or Errno.ENOTEMPTY => false,
                _ => throw Native.Failure("rmdir", path),
            };
        }
    }

    // include/uapi/linux/magic.h
    private static string NameOf(ulong type) => (uint)type switch
    {
        0xEF53 => "ext4",
        0x58465342 => "xfs",
        0x9123683E => "btrfs",
        0x01021994 => "tmpfs",
        0x794C7630 => "overlay",
        0x2FC12FC1 => "zfs",
        0xF2F52010 => "f2fs",
        0x6969 => "nfs",
        0xE0F5E1E2 => "erofs",
        0x65735546 => "fuse",
        0xCA451A4E => "bcachefs",
        uint other => "0x" + other.ToString("x", CultureInfo.InvariantCulture),
    };
}

/// <summary>Space, in bytes and inodes, for unprivileged users; and the name of the file system type, e.g. <c>ext4</c>.</summary>
public sealed record FileSystemSpace(string Type, long TotalBytes, long FreeBytes, long TotalInodes, long FreeInodes);
