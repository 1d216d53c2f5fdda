using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>
/// A directory that no name can leave: every path is resolved by openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, so <c>..</c>,
/// absolute paths and symbolic links end inside. All paths that came from an archive, a Dockerfile or a registry go through here.
/// Paths are relative to the root, with or without a leading slash; the empty path and "/" are the root itself. The last component is
/// not followed where it is a symbolic link, except where the method says so. Names are encoded by <see cref="LinuxPath"/>.
/// All methods throw <see cref="LinuxException"/> with the path as given.
/// </summary>
public sealed class RootedDirectory : IDisposable
{
    private readonly SafeFileHandle _directory;

    private RootedDirectory(SafeFileHandle directory) => _directory = directory;

    /// <summary>Opens a directory whose own path is trusted.</summary>
    public static RootedDirectory Open(string path) => throw new NotImplementedException(path);

    /// <summary>The directory's own descriptor (O_PATH or O_RDONLY | O_DIRECTORY).</summary>
    public SafeFileHandle Handle => _directory;

    /// <summary>Opens a directory below as a root of its own. Its last component may be a link inside.</summary>
    public RootedDirectory OpenDirectory(string path) => throw new NotImplementedException();

    /// <summary>Opens a regular file to read. <paramref name="follow"/>: whether the last component may be a symbolic link (resolved inside the root). Never blocks on a FIFO (O_NONBLOCK); anything but a regular file is refused with EINVAL.</summary>
    public SafeFileHandle OpenFile(string path, bool follow = false) => throw new NotImplementedException();

    /// <summary>Creates a file for writing (O_CREAT | O_EXCL | O_NOFOLLOW); the mode is exact, whatever the umask.</summary>
    public SafeFileHandle CreateFile(string path, int mode) => throw new NotImplementedException();

    /// <summary>Creates a directory; fails with EEXIST where something is there. The mode is exact.</summary>
    public void CreateDirectory(string path, int mode) => throw new NotImplementedException();

    /// <summary>Creates a symbolic link whose target is any text at all.</summary>
    public void CreateSymbolicLink(string path, string target) => throw new NotImplementedException();

    /// <summary>Creates a second name for what is at <paramref name="existing"/>, which is itself not followed.</summary>
    public void CreateHardLink(string path, string existing) => throw new NotImplementedException();

    /// <summary>Creates a device, FIFO or socket node (mknodat). The mode is exact.</summary>
    public void CreateNode(string path, FileKind kind, int mode, uint major = 0, uint minor = 0) => throw new NotImplementedException();

    /// <summary>The status of what is there, not followed; null where nothing is (ENOENT, ENOTDIR).</summary>
    public FileStatus? TryGetStatus(string path, bool follow = false) => throw new NotImplementedException();

    /// <summary>The target of a symbolic link.</summary>
    public string ReadLink(string path) => throw new NotImplementedException();

    /// <summary>The names in a directory, without "." and "..", unsorted.</summary>
    public IReadOnlyList<string> GetNames(string path) => throw new NotImplementedException();

    /// <summary>Removes what is there, with all that is below; crosses no mount point and follows no link. Nothing there is no error.</summary>
    public void Remove(string path) => throw new NotImplementedException();

    /// <summary>Renames inside the root (renameat2); <paramref name="replace"/> false is RENAME_NOREPLACE.</summary>
    public void Rename(string from, string to, bool replace = true) => throw new NotImplementedException();

    /// <summary>Changes the owner, not followed.</summary>
    public void SetOwner(string path, uint uid, uint gid) => throw new NotImplementedException();

    /// <summary>Changes permission bits (07777). Not for symbolic links.</summary>
    public void SetMode(string path, int mode) => throw new NotImplementedException();

    /// <summary>Sets atime and mtime, not followed.</summary>
    public void SetTimes(string path, FileTime modified) => throw new NotImplementedException();

    /// <summary>All extended attributes, not followed; empty where the file system has none.</summary>
    public IReadOnlyList<KeyValuePair<string, byte[]>> GetXattrs(string path) => throw new NotImplementedException();

    /// <summary>One extended attribute, not followed; null where it is not set.</summary>
    public byte[]? TryGetXattr(string path, string name) => throw new NotImplementedException();

    /// <summary>Sets an extended attribute, not followed.</summary>
    public void SetXattr(string path, string name, ReadOnlySpan<byte> value) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Dispose() => _directory.Dispose();
}
