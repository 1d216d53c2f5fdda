namespace Strata.Linux;

/// <summary>statfs(2), uname(2) and other facts about where we are.</summary>
public static class FileSystems
{
    /// <summary>Space on the file system a path is on.</summary>
    public static FileSystemSpace GetSpace(string path) => throw new NotImplementedException(path);

    /// <summary>The status of a trusted path, not followed; null where nothing is there.</summary>
    public static FileStatus? TryGetStatus(string path, bool follow = false) => throw new NotImplementedException(path);

    /// <summary>What <c>du -s</c> says of a trusted path: allocated bytes, each inode once, no mount point crossed. Missing: 0.</summary>
    public static long GetDiskUsage(string path) => throw new NotImplementedException(path);

    /// <summary>Removes a trusted path with all below it; crosses no mount point, follows no link. Nothing there is no error.</summary>
    public static void RemoveTree(string path) => throw new NotImplementedException(path);
}

/// <summary>Space, in bytes and inodes, for unprivileged users; and the name of the file system type, e.g. <c>ext4</c>.</summary>
public sealed record FileSystemSpace(string Type, long TotalBytes, long FreeBytes, long TotalInodes, long FreeInodes);
