using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>Calls on an open file: for those who create a file and dress it, one open is enough.</summary>
public static unsafe class Files
{
    /// <summary>fstat.</summary>
    public static FileStatus GetStatus(SafeFileHandle file)
    {
        ArgumentNullException.ThrowIfNull(file);
        Native.Statx status;
        byte empty = 0;
        return Native.statx(file.Fd(), &empty, Native.AT_EMPTY_PATH, Native.STATX_BASIC_STATS, &status) == 0 ? Native.ToStatus(status) : throw Native.Failure("statx", "(open file)");
    }

    /// <summary>Opens a file by a trusted path for reading and writing, and makes it where it is missing (0600). No link is followed; nothing is locked.</summary>
    public static SafeFileHandle OpenOrCreate(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        fixed (byte* name = PathBytes.Of(path, "open"))
        {
            int fd = Native.openat(Native.AT_FDCWD, name, Native.O_RDWR | Native.O_CREAT | Native.O_NOFOLLOW | Native.O_CLOEXEC, 0b110_000_000);
            return fd >= 0 ? fd.ToHandle() : throw Native.Failure("open", path);
        }
    }

    /// <summary>Opens an open file once more, for reading, with a position of its own; whatever became of its name.</summary>
    public static SafeFileHandle OpenAgain(SafeFileHandle file, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        fixed (byte* link = System.Text.Encoding.ASCII.GetBytes($"/proc/self/fd/{file.Fd()}\0"))
        {
            int fd = Native.openat(Native.AT_FDCWD, link, Native.O_RDONLY | Native.O_CLOEXEC, 0);
            return fd >= 0 ? fd.ToHandle() : throw Native.Failure("open", path);
        }
    }

    /// <summary>How much of a file is in the page cache, in bytes (cachestat(2)); null where the kernel cannot be asked (before Linux 6.5).</summary>
    public static long? TryGetCachedBytes(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        using SafeFileHandle file = File.OpenHandle(path);
        ulong* range = stackalloc ulong[2]; // from the start, to the end
        ulong* pages = stackalloc ulong[5]; // cached, dirty, in writeback, evicted, recently evicted
        (range[0], range[1]) = (0, 0);
        return Native.syscall(Native.SYS_cachestat, file.Fd(), (nint)range, (nint)pages, 0, 0, 0) == 0 ? (long)pages[0] * Environment.SystemPageSize : null;
    }

    /// <summary>Writes all of it at the file's position; <paramref name="path"/> is for the message.</summary>
    public static void Write(SafeFileHandle file, ReadOnlySpan<byte> bytes, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        fixed (byte* start = bytes)
        {
            for (nint done = 0; done < bytes.Length;)
            {
                nint written = Native.write(file.Fd(), start + done, bytes.Length - done);
                if (written < 0 && Native.LastErrno is not Errno.EINTR)
                {
                    throw Native.Failure("write", path);
                }
                done += Math.Max(0, written);
            }
        }
    }

    /// <summary>fchown. Clears set-uid and set-gid: set the mode after it.</summary>
    public static void SetOwner(SafeFileHandle file, uint uid, uint gid, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (Native.fchown(file.Fd(), uid, gid) != 0)
        {
            throw UserNamespace.OwnerFailure(path, uid, gid);
        }
    }

    /// <summary>fchmod (07777).</summary>
    public static void SetMode(SafeFileHandle file, int mode, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        Check(Native.fchmod(file.Fd(), (uint)mode & 0xFFF), "chmod", path);
    }

    /// <summary>Sets atime and mtime.</summary>
    public static void SetTimes(SafeFileHandle file, FileTime modified, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        Native.Timespec* times = stackalloc Native.Timespec[2];
        times[0] = times[1] = new Native.Timespec { Seconds = modified.Seconds, Nanoseconds = modified.Nanoseconds };
        Check(Native.futimens(file.Fd(), times), "utimens", path);
    }

    /// <summary>All extended attributes, ordered by name; empty where the file system has none.</summary>
    public static IReadOnlyList<KeyValuePair<string, byte[]>> GetXattrs(SafeFileHandle file, string path)
    {
        nint bytes = Native.flistxattr(file.Fd(), null, 0); // most files have none: one call
        return bytes == 0 || (bytes < 0 && Native.LastErrno is Errno.ENOTSUP) ? [] : Xattrs.List(file.Fd(), path);
    }

    /// <summary>Sets an extended attribute.</summary>
    public static void SetXattr(SafeFileHandle file, string name, ReadOnlySpan<byte> value, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        fixed (byte* key = PathBytes.Of(name, "setxattr"))
        fixed (byte* start = value)
        {
            Check(Native.fsetxattr(file.Fd(), key, start, value.Length, 0), "setxattr", path);
        }
    }

    /// <summary>Moves the file's position forward: what is written next leaves a hole of <paramref name="bytes"/> before it.</summary>
    public static void Skip(SafeFileHandle file, long bytes, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        const int SEEK_CUR = 1;
        if (Native.lseek(file.Fd(), bytes, SEEK_CUR) < 0)
        {
            throw Native.Failure("lseek", path);
        }
    }

    /// <summary>Makes a file as long as this; what is added reads as zeros and takes no space.</summary>
    public static void SetLength(SafeFileHandle file, long length, string path)
    {
        ArgumentNullException.ThrowIfNull(file);
        Check(Native.ftruncate(file.Fd(), length), "ftruncate", path);
    }

    private static void Check(int result, string call, string path)
    {
        if (result != 0)
        {
            throw Native.Failure(call, path);
        }
    }
}

/// <summary>Extended attributes by path, never followed. The path is zero-terminated; <c>shown</c> is for the message.</summary>
internal static unsafe class Xattrs
{
    private const int MaxTries = 8; // a list that grows between two calls is asked for again

    internal static List<KeyValuePair<string, byte[]>> List(byte[] path, string shown)
    {
        byte[] names = ReadAll("listxattr", shown, (buffer, size) =>
        {
            fixed (byte* bytes = path)
            {
                return Native.llistxattr(bytes, (byte*)buffer, size);
            }
        }) ?? [];
        return List(names, name => TryGet(path, name, shown));
    }

    internal static List<KeyValuePair<string, byte[]>> List(int file, string shown)
    {
        byte[] names = ReadAll("listxattr", shown, (buffer, size) => Native.flistxattr(file, (byte*)buffer, size)) ?? [];
        return List(names, name =>
        {
            byte[] key = PathBytes.Of(name, "getxattr");
            return ReadAll("getxattr", shown, (buffer, size) =>
            {
                fixed (byte* keyBytes = key)
                {
                    return Native.fgetxattr(file, keyBytes, (byte*)buffer, size);
                }
            });
        });
    }

    private static List<KeyValuePair<string, byte[]>> List(byte[] names, Func<string, byte[]?> tryGet)
    {
        var result = new List<KeyValuePair<string, byte[]>>();
        ReadOnlySpan<byte> rest = names;
        while (!rest.IsEmpty)
        {
            int end = rest.IndexOf((byte)0);
            string name = LinuxPath.Decode(rest[..end]);
            if (tryGet(name) is { } value)
            {
                result.Add(new(name, value));
            }
            rest = rest[(end + 1)..];
        }
        result.Sort((a, b) => string.CompareOrdinal(a.Key, b.Key));
        return result;
    }

    internal static byte[]? TryGet(byte[] path, string name, string shown)
    {
        byte[] key = PathBytes.Of(name, "getxattr");
        return ReadAll("getxattr", shown, (buffer, size) =>
        {
            fixed (byte* bytes = path)
            fixed (byte* keyBytes = key)
            {
                return Native.lgetxattr(bytes, keyBytes, (byte*)buffer, size);
            }
        });
    }

    internal static void Set(byte[] path, string name, ReadOnlySpan<byte> value, string shown)
    {
        fixed (byte* bytes = path)
        fixed (byte* key = PathBytes.Of(name, "setxattr"))
        fixed (byte* start = value)
        {
            if (Native.lsetxattr(bytes, key, start, value.Length, 0) != 0)
            {
                throw Native.Failure("setxattr", shown);
            }
        }
    }

    internal static void Remove(byte[] path, string name, string shown)
    {
        fixed (byte* bytes = path)
        fixed (byte* key = PathBytes.Of(name, "removexattr"))
        {
            if (Native.lremovexattr(bytes, key) != 0 && Native.LastErrno is not (Errno.ENODATA or Errno.ENOTSUP))
            {
                throw Native.Failure("removexattr", shown);
            }
        }
    }

    // Null where there is none: not set, or a file system without attributes.
    private static byte[]? ReadAll(string call, string shown, Func<nint, nint, nint> read)
    {
        for (int tries = 0; tries < MaxTries; tries++)
        {
            nint size = read(0, 0);
            if (size <= 0)
            {
                return size == 0 ? [] : Native.LastErrno is Errno.ENODATA or Errno.ENOTSUP ? null : throw Native.Failure(call, shown);
            }
            byte[] buffer = new byte[size];
            fixed (byte* start = buffer)
            {
                nint got = read((nint)start, size);
                if (got >= 0)
                {
                    return got == size ? buffer : buffer[..(int)got];
                }
            }
            if (Native.LastErrno is not Errno.ERANGE)
            {
                throw Native.Failure(call, shown);
            }
        }
        throw new LinuxException(call, shown, Errno.ERANGE);
    }
}
