using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>
/// A directory that no name can leave: every path is resolved by openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, so <c>..</c>,
/// absolute paths and symbolic links end inside. All paths that came from an archive, a Dockerfile or a registry go through here.
/// Paths are relative to the root, with or without a leading slash; the empty path and "/" are the root itself. The last component is
/// not followed where it is a symbolic link, except where the method says so. Names are encoded by <see cref="LinuxPath"/>.
/// All methods throw <see cref="LinuxException"/> with the path as given. Not for several threads at once.
/// </summary>
public sealed unsafe class RootedDirectory : IDisposable
{
    private const ulong InRoot = Native.RESOLVE_IN_ROOT | Native.RESOLVE_NO_MAGICLINKS;
    private readonly SafeFileHandle _directory;

    // The directory last worked in: archives and walks list a directory's children one after another. Forgotten whenever a name that
    // could be on its way changes.
    private string? _parentPath;
    private SafeFileHandle? _parent;

    private RootedDirectory(SafeFileHandle directory) => _directory = directory;

    /// <summary>Opens a directory whose own path is trusted.</summary>
    /// <param name="path">The directory.</param>
    /// <param name="owners"><see cref="Owners"/>.</param>
    public static RootedDirectory Open(string path, IdRange? owners = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        fixed (byte* name = PathBytes.Of(path, "open"))
        {
            int fd = Native.openat(Native.AT_FDCWD, name, Native.O_RDONLY | Native.O_DIRECTORY | Native.O_CLOEXEC, 0);
            return fd >= 0 ? new RootedDirectory(fd.ToHandle()) { Owners = owners } : throw Native.Failure("open", path);
        }
    }

    /// <summary>The directory's own descriptor (O_RDONLY | O_DIRECTORY).</summary>
    public SafeFileHandle Handle => _directory;

    /// <summary>Whoever uses this does so on a thread with a umask of 0 (<see cref="Host.TryClearUmaskOfThread"/>), so a new file's mode needs no call of its own.</summary>
    public bool ModesAreExact { get; set; }

    /// <summary>
    /// The ids of a user namespace that owners are told and set in, as its own processes do; null: those of this process. An owner that is none of them is 65534, as the
    /// kernel tells it there (overflowuid).
    /// </summary>
    public IdRange? Owners { get; init; }

    /// <summary>Opens a directory below as a root of its own. Its last component may be a link inside.</summary>
    public RootedDirectory OpenDirectory(string path) => new(Resolve(path, Native.O_RDONLY | Native.O_DIRECTORY, "open")) { Owners = Owners };

    /// <summary>
    /// Opens a regular file to read. <paramref name="follow"/>: whether the last component may be a symbolic link (resolved inside the root).
    /// Never blocks on a FIFO (O_NONBLOCK); anything but a regular file is refused with EINVAL.
    /// </summary>
    public SafeFileHandle OpenFile(string path, bool follow = false)
    {
        SafeFileHandle file = Resolve(path, Native.O_RDONLY | Native.O_NONBLOCK | (follow ? 0 : Native.O_NOFOLLOW), "open");
        if (Files.GetStatus(file).Kind != FileKind.Regular)
        {
            file.Dispose();
            throw new LinuxException("open", path, Errno.EINVAL);
        }
        return file;
    }

    /// <summary>Creates a file for writing (O_CREAT | O_EXCL | O_NOFOLLOW); the mode is exact, whatever the umask.</summary>
    public SafeFileHandle CreateFile(string path, int mode)
    {
        int parent = Parent(path, "open", out byte[] name);
        fixed (byte* last = name)
        {
            int fd = Native.openat(parent, last, Native.O_RDWR | Native.O_CREAT | Native.O_EXCL | Native.O_NOFOLLOW | Native.O_CLOEXEC, ModesAreExact ? (uint)mode & 0xFFF : 0b110_000_000);
            if (fd < 0)
            {
                throw Native.Failure("open", path);
            }
            SafeFileHandle file = fd.ToHandle();
            if (!ModesAreExact && Native.fchmod(fd, (uint)mode & 0xFFF) != 0)
            {
                LinuxException failure = Native.Failure("fchmod", path);
                file.Dispose();
                throw failure;
            }
            return file;
        }
    }

    /// <summary>Creates a directory; fails with EEXIST where something is there. The mode is exact.</summary>
    public void CreateDirectory(string path, int mode)
    {
        int parent = Parent(path, "mkdir", out byte[] name);
        fixed (byte* last = name)
        {
            if (Native.mkdirat(parent, last, (uint)mode & 0x1FF) != 0)
            {
                throw Native.Failure("mkdir", path);
            }
            Chmod(parent, last, mode, path);
        }
    }

    /// <summary>Creates a symbolic link whose target is any text at all.</summary>
    public void CreateSymbolicLink(string path, string target)
    {
        int parent = Parent(path, "symlink", out byte[] name);
        fixed (byte* last = name)
        fixed (byte* to = PathBytes.Of(target, "symlink"))
        {
            if (Native.symlinkat(to, parent, last) != 0)
            {
                throw Native.Failure("symlink", path);
            }
        }
    }

    /// <summary>Creates a second name for what is at <paramref name="existing"/>, which is itself not followed.</summary>
    public void CreateHardLink(string path, string existing)
    {
        using SafeFileHandle source = Resolve(Directory(existing), Native.O_PATH | Native.O_DIRECTORY, "link");
        int parent = Parent(path, "link", out byte[] name);
        fixed (byte* last = name)
        fixed (byte* from = PathBytes.Of(LastName(existing, "link"), "link"))
        {
            if (Native.linkat(source.Fd(), from, parent, last, 0) != 0)
            {
                throw Native.Failure("link", path);
            }
        }
    }

    /// <summary>Creates a device, FIFO or socket node (mknodat). The mode is exact.</summary>
    public void CreateNode(string path, FileKind kind, int mode, uint major = 0, uint minor = 0)
    {
        // glibc's makedev: major and minor are split over the 64 bits.
        ulong device = ((major & 0xFFFFF000UL) << 32) | ((major & 0xFFFUL) << 8) | ((minor & 0xFFFFFF00UL) << 12) | (minor & 0xFFUL);
        int parent = Parent(path, "mknod", out byte[] name);
        fixed (byte* last = name)
        {
            if (Native.mknodat(parent, last, Native.TypeBits(kind) | ((uint)mode & 0x1FF), device) != 0)
            {
                throw Native.Failure("mknod", path);
            }
            Chmod(parent, last, mode, path);
        }
    }

    /// <summary>The status of what is there, not followed unless asked; null where nothing is (ENOENT, ENOTDIR).</summary>
    public FileStatus? TryGetStatus(string path, bool follow = false)
        => TryGetOwnStatus(path, follow) is not { } status ? null
            : Owners is { } owners ? status with { Uid = owners.ToInside(status.Uid), Gid = owners.ToInside(status.Gid) } : status;

    private FileStatus? TryGetOwnStatus(string path, bool follow)
    {
        ArgumentNullException.ThrowIfNull(path);
        Native.Statx status;
        if (follow || IsRoot(path) || HasDots(path))
        {
            fixed (byte* name = PathBytes.Of(IsRoot(path) ? "." : path, "stat"))
            {
                int fd = Native.OpenAt2(_directory.Fd(), name, Native.O_PATH | (follow ? 0 : Native.O_NOFOLLOW), 0, InRoot);
                if (fd < 0)
                {
                    return Native.LastErrno is Errno.ENOENT or Errno.ENOTDIR ? null : throw Native.Failure("stat", path);
                }
                using SafeFileHandle handle = fd.ToHandle();
                return Files.GetStatus(handle);
            }
        }
        if (TryParent(path, out int parent, out byte[] last) is { } error)
        {
            return error is Errno.ENOENT or Errno.ENOTDIR ? null : throw new LinuxException("stat", path, error);
        }
        fixed (byte* name = last)
        {
            if (Native.statx(parent, name, Native.AT_SYMLINK_NOFOLLOW, Native.STATX_BASIC_STATS, &status) != 0)
            {
                return Native.LastErrno is Errno.ENOENT or Errno.ENOTDIR ? null : throw Native.Failure("stat", path);
            }
        }
        return Native.ToStatus(status);
    }

    /// <summary>The target of a symbolic link.</summary>
    public string ReadLink(string path)
    {
        const int MaxTarget = 4096; // PATH_MAX: the kernel stores no longer one
        byte* buffer = stackalloc byte[MaxTarget];
        int parent = Parent(path, "readlink", out byte[] name);
        fixed (byte* last = name)
        {
            nint length = Native.readlinkat(parent, last, buffer, MaxTarget);
            return length >= 0 ? LinuxPath.Decode(new ReadOnlySpan<byte>(buffer, (int)length)) : throw Native.Failure("readlink", path);
        }
    }

    /// <summary>The names in a directory, without "." and "..", unsorted.</summary>
    public IReadOnlyList<string> GetNames(string path)
    {
        using SafeFileHandle directory = Resolve(path, Native.O_RDONLY | Native.O_DIRECTORY, "open");
        return DirectoryNames.Read(directory.Fd(), path);
    }

    /// <summary>Removes what is there, with all that is below; crosses no mount point and follows no link. Nothing there is no error.</summary>
    public void Remove(string path)
    {
        Forget();
        if (TryParent(path, out int parent, out byte[] name) is { } error)
        {
            if (error is Errno.ENOENT or Errno.ENOTDIR)
            {
                return;
            }
            throw new LinuxException("unlink", path, error);
        }
        TreeRemover.Remove(parent, name, path);
        Forget();
    }

    /// <summary>Renames inside the root (renameat2); <paramref name="replace"/> false is RENAME_NOREPLACE.</summary>
    public void Rename(string from, string to, bool replace = true)
    {
        Forget();
        using SafeFileHandle source = Resolve(Directory(from), Native.O_PATH | Native.O_DIRECTORY, "rename");
        int parent = Parent(to, "rename", out byte[] name);
        fixed (byte* last = name)
        fixed (byte* old = PathBytes.Of(LastName(from, "rename"), "rename"))
        {
            if (Native.renameat2(source.Fd(), old, parent, last, replace ? 0u : 1u) != 0)
            {
                throw Native.Failure("rename", from);
            }
        }
        Forget();
    }

    /// <summary>Changes the owner, not followed.</summary>
    public void SetOwner(string path, uint uid, uint gid) => OnNode(path, "chown", (directory, name)
        => Native.fchownat(directory, (byte*)name, Owners?.ToOutside(uid) ?? uid, Owners?.ToOutside(gid) ?? gid, Native.AT_SYMLINK_NOFOLLOW) == 0 ? 0
            : throw UserNamespace.OwnerFailure(path, uid, gid));

    /// <summary>Changes permission bits (07777). Not for symbolic links.</summary>
    public void SetMode(string path, int mode) => OnNode(path, "chmod", (directory, name) =>
    {
        Chmod(directory, (byte*)name, mode, path);
        return 0;
    });

    /// <summary>Sets atime and mtime, not followed.</summary>
    public void SetTimes(string path, FileTime modified) => OnNode(path, "utimensat", (directory, name) =>
    {
        Native.Timespec* times = stackalloc Native.Timespec[2];
        times[0] = times[1] = new Native.Timespec { Seconds = modified.Seconds, Nanoseconds = modified.Nanoseconds };
        return Native.utimensat(directory, (byte*)name, times, Native.AT_SYMLINK_NOFOLLOW);
    });

    /// <summary>All extended attributes, not followed; empty where the file system has none.</summary>
    public IReadOnlyList<KeyValuePair<string, byte[]>> GetXattrs(string path) => Xattrs.List(ProcPath(path), path);

    /// <summary>One extended attribute, not followed; null where it is not set.</summary>
    public byte[]? TryGetXattr(string path, string name) => Xattrs.TryGet(ProcPath(path), name, path);

    /// <summary>Sets an extended attribute, not followed.</summary>
    public void SetXattr(string path, string name, ReadOnlySpan<byte> value) => Xattrs.Set(ProcPath(path), name, value, path);

    /// <summary>Removes an extended attribute, not followed. Not set is no error.</summary>
    public void RemoveXattr(string path, string name) => Xattrs.Remove(ProcPath(path), name, path);

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        _directory.Dispose();
    }

    private delegate int NodeCall(int directory, nint name);

    private void OnNode(string path, string call, NodeCall action)
    {
        if (IsRoot(path))
        {
            fixed (byte* dot = "."u8)
            {
                if (action(_directory.Fd(), (nint)dot) != 0)
                {
                    throw Native.Failure(call, path);
                }
            }
            return;
        }
        int parent = Parent(path, call, out byte[] name);
        fixed (byte* last = name)
        {
            if (action(parent, (nint)last) != 0)
            {
                throw Native.Failure(call, path);
            }
        }
    }

    // chmod(2) follows links and fchmodat(2) has no flag against it before 6.6: where fchmodat2 is missing, by way of an O_PATH descriptor.
    private static void Chmod(int directory, byte* name, int mode, string path)
    {
        if (Native.syscall(Native.SYS_fchmodat2, directory, (nint)name, mode & 0xFFF, Native.AT_SYMLINK_NOFOLLOW, 0, 0) == 0)
        {
            return;
        }
        if (Native.LastErrno is not (Errno.ENOSYS or Errno.EPERM))
        {
            throw Native.Failure("chmod", path);
        }
        int fd = Native.openat(directory, name, Native.O_PATH | Native.O_NOFOLLOW | Native.O_CLOEXEC, 0);
        if (fd < 0)
        {
            throw Native.Failure("chmod", path);
        }
        using SafeFileHandle handle = fd.ToHandle();
        fixed (byte* link = Encoding.ASCII.GetBytes($"/proc/self/fd/{fd}\0"))
        {
            if (Native.fchmodat(Native.AT_FDCWD, link, (uint)mode & 0xFFF, 0) != 0)
            {
                throw Native.Failure("chmod", path);
            }
        }
    }

    // The *xattr calls have no *at form before 6.13: the way through /proc names the parent by its descriptor and the last component as it is.
    private byte[] ProcPath(string path)
    {
        if (IsRoot(path))
        {
            return Encoding.ASCII.GetBytes($"/proc/self/fd/{_directory.Fd()}/.\0");
        }
        int parent = Parent(path, "xattr", out byte[] name);
        return [.. Encoding.ASCII.GetBytes($"/proc/self/fd/{parent}/"), .. name];
    }

    private SafeFileHandle Resolve(string path, int flags, string call)
    {
        ArgumentNullException.ThrowIfNull(path);
        fixed (byte* name = PathBytes.Of(IsRoot(path) ? "." : path, call))
        {
            int fd = Native.OpenAt2(_directory.Fd(), name, flags, 0, InRoot);
            return fd >= 0 ? fd.ToHandle() : throw Native.Failure(call, path);
        }
    }

    private int Parent(string path, string call, out byte[] name)
        => TryParent(path, out int parent, out name) is { } error ? throw new LinuxException(call, path, error) : parent;

    private Errno? TryParent(string path, out int parent, out byte[] name)
    {
        ArgumentNullException.ThrowIfNull(path);
        string last = LastName(path, "open");
        name = PathBytes.Of(last, "open");
        string directory = Directory(path);
        parent = -1;
        if (_parent is not null && directory == _parentPath)
        {
            parent = _parent.Fd();
            return null;
        }
        if (directory.Length == 0)
        {
            parent = _directory.Fd();
            return null;
        }
        fixed (byte* bytes = PathBytes.Of(directory, "open"))
        {
            int fd = Native.OpenAt2(_directory.Fd(), bytes, Native.O_PATH | Native.O_DIRECTORY, 0, InRoot);
            if (fd < 0)
            {
                return Native.LastErrno;
            }
            Forget();
            (_parentPath, _parent) = (directory, fd.ToHandle());
            parent = fd;
            return null;
        }
    }

    /// <summary>Lets go of the directory last worked in: somebody else has changed names meanwhile.</summary>
    public void Forget()
    {
        _parent?.Dispose();
        (_parent, _parentPath) = (null, null);
    }

    private static bool IsRoot(string path) => path.AsSpan().Trim('/').IsEmpty;

    private static bool HasDots(string path)
    {
        ReadOnlySpan<char> last = path.AsSpan().TrimEnd('/');
        last = last[(last.LastIndexOf('/') + 1)..];
        return last is "." or "..";
    }

    private static string Directory(string path)
    {
        ReadOnlySpan<char> trimmed = path.AsSpan().Trim('/');
        int slash = trimmed.LastIndexOf('/');
        return slash < 0 ? "" : trimmed[..slash].ToString();
    }

    private static string LastName(string path, string call)
    {
        ReadOnlySpan<char> trimmed = path.AsSpan().Trim('/');
        string last = trimmed[(trimmed.LastIndexOf('/') + 1)..].ToString();
        return last is "" or "." or ".." ? throw new LinuxException(call, path, Errno.EINVAL) : last;
    }
}

/// <summary>Reads directories as bytes: getdents64(2).</summary>
internal static unsafe class DirectoryNames
{
    private const int BufferBytes = 1 << 16;

    // struct linux_dirent64, zero behind the name: inode 8, offset 8, record length 2, type 1, name
    private const int LengthOffset = 16, NameOffset = 19;

    internal static List<string> Read(int directory, string path)
    {
        var names = new List<string>();
        // Rented from the system, not from the base library's pool, which a short program would build for this alone.
        byte* buffer = (byte*)System.Runtime.InteropServices.NativeMemory.Alloc(BufferBytes);
        try
        {
            while (true)
            {
                nint read = Native.syscall(Native.SYS_getdents64, directory, (nint)buffer, BufferBytes, 0, 0, 0);
                if (read < 0 && Native.LastErrno is Errno.ENOENT)
                {
                    return names; // it was removed after it was opened: nothing is in it
                }
                if (read < 0)
                {
                    throw Native.Failure("getdents64", path);
                }
                if (read == 0)
                {
                    return names;
                }
                for (byte* at = buffer; at < buffer + read; at += *(ushort*)(at + LengthOffset))
                {
                    byte* name = at + NameOffset;
                    int length = 0;
                    while (name[length] != 0)
                    {
                        length++;
                    }
                    bool isSelfOrParent = name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'));
                    if (!isSelfOrParent)
                    {
                        names.Add(LinuxPath.Decode(new ReadOnlySpan<byte>(name, length)));
                    }
                }
            }
        }
        finally
        {
            System.Runtime.InteropServices.NativeMemory.Free(buffer);
        }
    }
}

/// <summary>Removes trees by descriptor: nothing outside can be reached, whatever happens to the names meanwhile.</summary>
internal static unsafe class TreeRemover
{
    internal static void Remove(int parent, byte[] name, string path)
    {
        fixed (byte* last = name)
        {
            if (Native.unlinkat(parent, last, 0) == 0 || Native.LastErrno is Errno.ENOENT)
            {
                return;
            }
            if (Native.LastErrno is not (Errno.EISDIR or Errno.EPERM or Errno.ENOTEMPTY))
            {
                throw Native.Failure("unlink", path);
            }
        }
        RemoveDirectory(parent, name, path);
    }

    // Depth first with a stack of open directories; a tree deeper than what a process may open fails with EMFILE, cleanly.
    private static void RemoveDirectory(int parent, byte[] name, string path)
    {
        var open = new Stack<(SafeFileHandle Directory, byte[] Name, Queue<string> Children)>();
        try
        {
            if (Enter(parent, name, path) is not { } first)
            {
                return;
            }
            open.Push((first, name, new Queue<string>(DirectoryNames.Read(first.Fd(), path))));
            while (open.TryPeek(out (SafeFileHandle Directory, byte[] Name, Queue<string> Children) top))
            {
                if (top.Children.TryDequeue(out string? child))
                {
                    byte[] childName = PathBytes.Of(child, "unlink");
                    if (!TryUnlink(top.Directory.Fd(), childName, path) && Enter(top.Directory.Fd(), childName, path) is { } directory)
                    {
                        open.Push((directory, childName, new Queue<string>(DirectoryNames.Read(directory.Fd(), path))));
                    }
                    continue;
                }
                open.Pop();
                top.Directory.Dispose();
                int above = open.TryPeek(out (SafeFileHandle Directory, byte[] Name, Queue<string> Children) next) ? next.Directory.Fd() : parent;
                fixed (byte* last = top.Name)
                {
                    if (Native.unlinkat(above, last, Native.AT_REMOVEDIR) != 0 && Native.LastErrno is not Errno.ENOENT)
                    {
                        throw Native.Failure("rmdir", path);
                    }
                }
            }
        }
        finally
        {
            foreach ((SafeFileHandle directory, _, _) in open)
            {
                directory.Dispose();
            }
        }
    }

    private static bool TryUnlink(int directory, byte[] name, string path)
    {
        fixed (byte* last = name)
        {
            if (Native.unlinkat(directory, last, 0) == 0 || Native.LastErrno is Errno.ENOENT)
            {
                return true;
            }
            return Native.LastErrno is Errno.EISDIR or Errno.EPERM ? false : throw Native.Failure("unlink", path);
        }
    }

    // A mount point is refused (EXDEV becomes EBUSY): what is mounted there is somebody's.
    private static SafeFileHandle? Enter(int parent, byte[] name, string path)
    {
        fixed (byte* last = name)
        {
            int fd = Native.OpenAt2(parent, last, Native.O_RDONLY | Native.O_DIRECTORY | Native.O_NOFOLLOW, 0, Native.RESOLVE_NO_XDEV | Native.RESOLVE_NO_SYMLINKS);
            return fd >= 0 ? fd.ToHandle() : Native.LastErrno switch
            {
                Errno.ENOENT => null,
                Errno.EXDEV => throw new LinuxException("unlink", path, Errno.EBUSY),
                _ => throw Native.Failure("open", path),
            };
        }
    }
}
