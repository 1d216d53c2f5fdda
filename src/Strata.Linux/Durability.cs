using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>
/// The calls that make things last, with their errors (the base library hides EIO, ENOSPC and EDQUOT from fsync, cannot sync directories,
/// and replaces on rename). A file whose sync failed is lost: do not sync it again, write it anew.
/// </summary>
public static unsafe class Durability
{
    /// <summary>fsync(2) of a file.</summary>
    public static void SyncFile(SafeFileHandle file, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (Native.fsync(file.Fd()) != 0)
        {
            throw Native.Failure("fsync", path);
        }
    }

    /// <summary>
    /// fsync(2) of the file at a path. It asks for no lock, as the base library's own way to open a file does (flock(2), shared): that would fail while
    /// somebody holds the file alone, be it a child process that has not yet become its program.
    /// </summary>
    public static void SyncFile(string path)
    {
        using SafeFileHandle file = Open(path, "fsync", 0);
        SyncFile(file, path);
    }

    /// <summary>
    /// Begins to bring a part of a file to the disk, without waiting: the fsync(2) that has to follow finds less to do. Nothing lasts by it, and where the
    /// file system cannot do it nothing happens (sync_file_range(2) with SYNC_FILE_RANGE_WRITE; failures of writing are left for fsync to tell).
    /// </summary>
    public static void BeginWriteback(SafeFileHandle file, long offset, long bytes)
    {
        const uint SYNC_FILE_RANGE_WRITE = 2;
        _ = Native.sync_file_range(file.Fd(), offset, bytes, SYNC_FILE_RANGE_WRITE);
    }

    /// <summary>fsync(2) of a directory: makes the names in it last.</summary>
    public static void SyncDirectory(string path)
    {
        using SafeFileHandle directory = OpenDirectory(path, "fsync");
        SyncFile(directory, path);
    }

    /// <summary>syncfs(2) of the file system a path is on: one call for a whole tree.</summary>
    public static void SyncFileSystem(string path)
    {
        using SafeFileHandle directory = OpenDirectory(path, "syncfs");
        if (Native.syncfs(directory.Fd()) != 0)
        {
            throw Native.Failure("syncfs", path);
        }
    }

    /// <summary>renameat2(2). <paramref name="replace"/> false is RENAME_NOREPLACE: EEXIST where the target is there.</summary>
    public static void Rename(string from, string to, bool replace)
    {
        fixed (byte* source = PathBytes.Of(from, "rename"))
        fixed (byte* target = PathBytes.Of(to, "rename"))
        {
            if (Native.renameat2(Native.AT_FDCWD, source, Native.AT_FDCWD, target, replace ? 0u : 1u) != 0)
            {
                throw Native.Failure("rename", $"{from} -> {to}");
            }
        }
    }

    /// <summary>Gives two things each other's names in one step (renameat2(2), RENAME_EXCHANGE).</summary>
    public static void Exchange(string one, string other)
    {
        const uint Exchange = 2;
        fixed (byte* first = PathBytes.Of(one, "rename"))
        fixed (byte* second = PathBytes.Of(other, "rename"))
        {
            if (Native.renameat2(Native.AT_FDCWD, first, Native.AT_FDCWD, second, Exchange) != 0)
            {
                throw Native.Failure("rename", $"{one} <-> {other}");
            }
        }
    }

    private static SafeFileHandle OpenDirectory(string path, string call) => Open(path, call, Native.O_DIRECTORY);

    private static SafeFileHandle Open(string path, string call, int flags)
    {
        fixed (byte* name = PathBytes.Of(path, call))
        {
            int fd = Native.openat(Native.AT_FDCWD, name, Native.O_RDONLY | Native.O_CLOEXEC | flags, 0);
            return fd >= 0 ? fd.ToHandle() : throw Native.Failure(call, path);
        }
    }
}
