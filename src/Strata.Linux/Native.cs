using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>The C library, and system calls by number where it has no function for them. Paths are zero-terminated bytes made by <see cref="PathBytes"/>.</summary>
internal static unsafe partial class Native
{
    internal const int AT_FDCWD = -100;
    internal const int AT_SYMLINK_NOFOLLOW = 0x100, AT_REMOVEDIR = 0x200, AT_EMPTY_PATH = 0x1000;
    internal const int O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0x40, O_EXCL = 0x80, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000, O_PATH = 0x200000;

    // Two flags have other values on ARM (asm/fcntl.h).
    internal static readonly int O_DIRECTORY = IsArm ? 0x4000 : 0x10000;
    internal static readonly int O_NOFOLLOW = IsArm ? 0x8000 : 0x20000;

    // The same on every architecture since Linux 5.1 numbers new calls alike.
    internal const long SYS_open_tree = 428, SYS_move_mount = 429, SYS_fsopen = 430, SYS_fsconfig = 431, SYS_fsmount = 432, SYS_pidfd_open = 434, SYS_openat2 = 437,
        SYS_mount_setattr = 442, SYS_cachestat = 451, SYS_fchmodat2 = 452, SYS_pidfd_send_signal = 424;

    internal static readonly long SYS_getdents64 = IsArm ? 61 : 217;

    private static bool IsArm => RuntimeInformation.ProcessArchitecture == Architecture.Arm64;

    internal static Errno LastErrno => (Errno)Marshal.GetLastPInvokeError();

    [StructLayout(LayoutKind.Sequential)]
    internal struct OpenHow
    {
        internal ulong Flags, Mode, Resolve;
    }

    internal const ulong RESOLVE_NO_XDEV = 1, RESOLVE_NO_MAGICLINKS = 2, RESOLVE_NO_SYMLINKS = 4, RESOLVE_BENEATH = 8, RESOLVE_IN_ROOT = 16;

    [StructLayout(LayoutKind.Sequential)]
    internal struct Timespec
    {
        internal long Seconds, Nanoseconds;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct StatxTime
    {
        internal long Seconds;
        internal uint Nanoseconds;
        internal int Reserved;
    }

    // include/uapi/linux/stat.h, struct statx: 256 bytes.
    [StructLayout(LayoutKind.Sequential, Size = 256)]
    internal struct Statx
    {
        internal uint Mask, BlockSize;
        internal ulong Attributes;
        internal uint LinkCount, Uid, Gid;
        internal ushort Mode, Spare0;
        internal ulong Inode, Size, Blocks, AttributesMask;
        internal StatxTime Accessed, Born, Changed, Modified;
        internal uint RdevMajor, RdevMinor, DevMajor, DevMinor;
        internal ulong MountId;
    }

    internal const uint STATX_BASIC_STATS = 0x7FF, STATX_MNT_ID = 0x1000;

    // By the name that the loader knows it by: "libc" is looked for as libc.so and liblibc.so first.
    private const string Library = "libc.so.6";

    [LibraryImport(Library)]
    internal static partial byte* getenv(byte* name);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint syscall(long number, nint a, nint b, nint c, nint d, nint e, nint f);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int statx(int directory, byte* path, int flags, uint mask, Statx* buffer);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int close(int fd);

    [LibraryImport(Library)]
    internal static partial int posix_fadvise(int fd, long offset, long bytes, int advice);

    [LibraryImport(Library)]
    internal static partial int sync_file_range(int fd, long offset, long bytes, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int openat(int directory, byte* path, int flags, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int mkdirat(int directory, byte* path, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int symlinkat(byte* target, int directory, byte* path);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int linkat(int fromDirectory, byte* from, int toDirectory, byte* to, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int mknodat(int directory, byte* path, uint mode, ulong device);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int unlinkat(int directory, byte* path, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int renameat2(int fromDirectory, byte* from, int toDirectory, byte* to, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint readlinkat(int directory, byte* path, byte* buffer, nint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fchownat(int directory, byte* path, uint uid, uint gid, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fchown(int fd, uint uid, uint gid);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fchmod(int fd, uint mode);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fchmodat(int directory, byte* path, uint mode, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int utimensat(int directory, byte* path, Timespec* times, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int futimens(int fd, Timespec* times);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint llistxattr(byte* path, byte* list, nint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint lgetxattr(byte* path, byte* name, byte* value, nint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int lsetxattr(byte* path, byte* name, byte* value, nint size, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int lremovexattr(byte* path, byte* name);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint flistxattr(int fd, byte* list, nint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint fgetxattr(int fd, byte* name, byte* value, nint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fsetxattr(int fd, byte* name, byte* value, nint size, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint write(int fd, byte* buffer, nint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint read(int fd, byte* buffer, nint size);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fsync(int fd);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int syncfs(int fd);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int flock(int fd, int operation);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint copy_file_range(int from, long* fromOffset, int to, long* toOffset, nint length, uint flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int ioctl(int fd, nuint request, nint argument);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial long lseek(int fd, long offset, int whence);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int ftruncate(int fd, long length);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int statfs(byte* path, byte* buffer);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int mount(byte* source, byte* target, byte* type, nuint flags, byte* data);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int umount2(byte* target, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int unshare(int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int execve(byte* path, byte** arguments, byte** environment);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int socket(int domain, int type, int protocol);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial uint if_nametoindex(byte* name);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int setns(int fd, int type);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int pipe2(int* fds, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int kill(int pid, int signal);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int waitid(int type, uint id, byte* info, int options, nint usage);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int poll(PollFd* fds, nuint count, int timeout);

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollFd
    {
        internal int Fd;
        internal short Events, Returned;
    }

    [LibraryImport(Library)]
    internal static partial uint geteuid();

    [LibraryImport(Library)]
    internal static partial uint getegid();

    [LibraryImport(Library)]
    internal static partial uint umask(uint mask);

    [LibraryImport(Library)]
    internal static partial uint setfsuid(uint uid);

    [LibraryImport(Library)]
    internal static partial uint setfsgid(uint gid);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int prctl(int option, nuint argument2, nuint argument3, nuint argument4, nuint argument5);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int uname(byte* buffer);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int getrlimit(int resource, ulong* limits);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int isatty(int fd);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int tcgetattr(int fd, byte* termios);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int tcsetattr(int fd, int actions, byte* termios);

    [LibraryImport(Library)]
    internal static partial void cfmakeraw(byte* termios);

    [LibraryImport(Library)]
    internal static partial int posix_spawn(int* pid, byte* path, byte* actions, byte* attributes, byte** arguments, byte** environment);

    [LibraryImport(Library)]
    internal static partial int posix_spawn_file_actions_init(byte* actions);

    [LibraryImport(Library)]
    internal static partial int posix_spawn_file_actions_destroy(byte* actions);

    [LibraryImport(Library)]
    internal static partial int posix_spawn_file_actions_adddup2(byte* actions, int from, int to);

    [LibraryImport(Library)]
    internal static partial int posix_spawn_file_actions_addchdir_np(byte* actions, byte* path);

    [LibraryImport(Library)]
    internal static partial int posix_spawnattr_init(byte* attributes);

    [LibraryImport(Library)]
    internal static partial int posix_spawnattr_destroy(byte* attributes);

    [LibraryImport(Library)]
    internal static partial int posix_spawnattr_setflags(byte* attributes, short flags);

    [LibraryImport(Library)]
    internal static partial int posix_spawnattr_setsigdefault(byte* attributes, byte* set);

    [LibraryImport(Library)]
    internal static partial int posix_spawnattr_setsigmask(byte* attributes, byte* set);

    /// <summary>Throws what the last call left in errno.</summary>
    internal static LinuxException Failure(string call, string path) => new(call, path, LastErrno);

    /// <summary>openat2(2), again where a rename raced with the walk (EAGAIN) or a signal came.</summary>
    internal static int OpenAt2(int directory, byte* path, int flags, uint mode, ulong resolve)
    {
        const int MaxTries = 64; // EAGAIN comes only while somebody renames on the path; this many in a row is no accident
        var how = new OpenHow { Flags = (ulong)(uint)(flags | O_CLOEXEC), Mode = mode, Resolve = resolve };
        for (int tries = 0; ; tries++)
        {
            int fd = (int)syscall(SYS_openat2, directory, (nint)path, (nint)(&how), sizeof(OpenHow), 0, 0);
            if (fd >= 0 || (LastErrno is not (Errno.EAGAIN or Errno.EINTR)) || tries == MaxTries)
            {
                return fd;
            }
        }
    }

    internal static FileStatus ToStatus(in Statx x) => new(KindOf(x.Mode), x.Mode & 0xFFF, x.Uid, x.Gid, (long)x.Size, (long)x.Blocks, x.Inode,
        ((ulong)x.DevMajor << 32) | x.DevMinor, x.RdevMajor, x.RdevMinor, x.LinkCount,
        new FileTime(x.Modified.Seconds, (int)x.Modified.Nanoseconds), new FileTime(x.Changed.Seconds, (int)x.Changed.Nanoseconds));

    internal static FileKind KindOf(int mode) => (mode & 0xF000) switch
    {
        0x8000 => FileKind.Regular,
        0x4000 => FileKind.Directory,
        0xA000 => FileKind.SymbolicLink,
        0x2000 => FileKind.CharacterDevice,
        0x6000 => FileKind.BlockDevice,
        0x1000 => FileKind.Fifo,
        _ => FileKind.Socket,
    };

    internal static uint TypeBits(FileKind kind) => kind switch
    {
        FileKind.Regular => 0x8000,
        FileKind.Directory => 0x4000,
        FileKind.SymbolicLink => 0xA000,
        FileKind.CharacterDevice => 0x2000,
        FileKind.BlockDevice => 0x6000,
        FileKind.Fifo => 0x1000,
        _ => 0xC000,
    };
}

/// <summary>A path as the kernel takes it: zero-terminated bytes on the stack where short, pinned on the heap else. A NUL inside is refused.</summary>
internal static unsafe class PathBytes
{
    /// <summary>The bytes of a path with a zero behind them.</summary>
    internal static byte[] Of(string path, string call)
    {
        byte[] bytes = LinuxPath.Encode(path + '\0');
        for (int i = 0; i < bytes.Length - 1; i++)
        {
            if (bytes[i] == 0)
            {
                throw new LinuxException(call, path.Replace("\0", "\\0", StringComparison.Ordinal), Errno.EINVAL);
            }
        }
        return bytes;
    }
}

/// <summary>Descriptors by number, for the length of a call.</summary>
internal static class HandleExtensions
{
    internal static int Fd(this SafeHandle handle) => (int)handle.DangerousGetHandle();

    internal static SafeFileHandle ToHandle(this int fd) => new(fd, ownsHandle: true);
}
