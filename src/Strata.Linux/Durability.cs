using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>
/// The calls that make things last, with their errors (the base library hides EIO, ENOSPC and EDQUOT from fsync, cannot sync directories,
/// and replaces on rename). A file whose sync failed is lost: do not sync it again, write it anew.
/// </summary>
public static class Durability
{
    /// <summary>fsync(2) of a file.</summary>
    public static void SyncFile(SafeFileHandle file, string path) => throw new NotImplementedException();

    /// <summary>fsync(2) of a directory: makes the names in it last.</summary>
    public static void SyncDirectory(string path) => throw new NotImplementedException();

    /// <summary>syncfs(2) of the file system a path is on: one call for a whole tree.</summary>
    public static void SyncFileSystem(string path) => throw new NotImplementedException();

    /// <summary>renameat2(2). <paramref name="replace"/> false is RENAME_NOREPLACE: EEXIST where the target is there.</summary>
    public static void Rename(string from, string to, bool replace) => throw new NotImplementedException();
}
