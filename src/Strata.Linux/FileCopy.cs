using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>Copies file content the cheapest way there is: FICLONE, copy_file_range(2), then read and write.</summary>
public static unsafe class FileCopy
{
    private const nuint FICLONE = 0x40049409;
    private const int SEEK_DATA = 3, SEEK_HOLE = 4;
    private const int BufferBytes = 1 << 20;

    /// <summary>Copies all of <paramref name="source"/> to the empty <paramref name="target"/>, holes as holes; returns the bytes copied.</summary>
    public static long Copy(SafeFileHandle source, SafeFileHandle target)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(target);
        FileStatus status = Files.GetStatus(source);
        if (status.Size == 0 || Native.ioctl(target.Fd(), FICLONE, source.Fd()) == 0)
        {
            return status.Size;
        }
        bool sparse = status.Blocks * 512 < status.Size;
        if (!sparse)
        {
            CopyRange(source, 0, target, 0, status.Size);
            return status.Size;
        }
        Files.SetLength(target, status.Size, "(copy)");
        for (long at = 0; at < status.Size;)
        {
            long data = Native.lseek(source.Fd(), at, SEEK_DATA);
            if (data < 0)
            {
                if (Native.LastErrno is Errno.ENXIO)
                {
                    break; // nothing but a hole is left
                }
                throw Native.Failure("lseek", "(copy)");
            }
            long hole = Native.lseek(source.Fd(), data, SEEK_HOLE);
            long end = hole < 0 ? status.Size : Math.Min(hole, status.Size);
            CopyRange(source, data, target, data, end - data);
            at = end;
        }
        return status.Size;
    }

    /// <summary>Copies a range without the bytes passing through this process where the kernel can.</summary>
    public static void CopyRange(SafeFileHandle source, long sourceOffset, SafeFileHandle target, long targetOffset, long length)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(target);
        while (length > 0)
        {
            nint copied = Native.copy_file_range(source.Fd(), &sourceOffset, target.Fd(), &targetOffset, (nint)Math.Min(length, 1 << 30), 0);
            if (copied > 0)
            {
                length -= copied;
                continue;
            }
            if (copied < 0 && Native.LastErrno is Errno.EINTR)
            {
                continue;
            }
            if (copied < 0 && Native.LastErrno is not (Errno.EXDEV or Errno.EINVAL or Errno.ENOTSUP or Errno.ENOSYS or Errno.EBADF))
            {
                throw Native.Failure("copy_file_range", "(copy)");
            }
            // 0 before the end happens on file systems that lie about sizes (procfs); reading says what is really there.
            ReadWrite(source, sourceOffset, target, targetOffset, length);
            return;
        }
    }

    private static void ReadWrite(SafeFileHandle source, long sourceOffset, SafeFileHandle target, long targetOffset, long length)
    {
        byte[] buffer = System.Buffers.ArrayPool<byte>.Shared.Rent((int)Math.Min(length, BufferBytes));
        try
        {
            while (length > 0)
            {
                int read = RandomAccess.Read(source, buffer.AsSpan(0, (int)Math.Min(length, buffer.Length)), sourceOffset);
                if (read == 0)
                {
                    throw new EndOfStreamException("the file became shorter while it was copied");
                }
                RandomAccess.Write(target, buffer.AsSpan(0, read), targetOffset);
                (sourceOffset, targetOffset, length) = (sourceOffset + read, targetOffset + read, length - read);
            }
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
