using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>pipe2(2), close-on-exec.</summary>
public static unsafe class Pipes
{
    /// <summary>A pipe.</summary>
    public static (SafeFileHandle Read, SafeFileHandle Write) Create()
    {
        int* ends = stackalloc int[2];
        return Native.pipe2(ends, Native.O_CLOEXEC) == 0 ? (ends[0].ToHandle(), ends[1].ToHandle()) : throw Native.Failure("pipe2", "(pipe)");
    }

    /// <summary>Waits until something can be read, or the other end is closed; false where that did not come within <paramref name="patience"/>.</summary>
    public static bool WaitReadable(SafeFileHandle pipe, TimeSpan patience)
    {
        const short POLLIN = 1;
        var request = new Native.PollFd { Fd = pipe.Fd(), Events = POLLIN };
        int ready = Native.poll(&request, 1, (int)patience.TotalMilliseconds);
        return ready > 0 || (ready < 0 && Native.LastErrno is not Errno.EINTR ? throw Native.Failure("poll", "(pipe)") : false);
    }

    /// <summary>Reads what is there; 0 at the end.</summary>
    public static int Read(SafeFileHandle pipe, Span<byte> buffer)
    {
        while (true)
        {
            fixed (byte* start = buffer)
            {
                nint read = Native.read(pipe.Fd(), start, buffer.Length);
                if (read >= 0)
                {
                    return (int)read;
                }
            }
            if (Native.LastErrno is not Errno.EINTR)
            {
                throw Native.Failure("read", "(pipe)");
            }
        }
    }

    /// <summary>Opens a FIFO that somebody has open for reading, takes its name away, and writes a byte. Null where there is no such FIFO; false where nobody reads it.</summary>
    public static bool? TryRelease(string fifo)
    {
        fixed (byte* name = PathBytes.Of(fifo, "open"))
        {
            int fd = Native.openat(Native.AT_FDCWD, name, Native.O_WRONLY | Native.O_NONBLOCK | Native.O_CLOEXEC, 0);
            if (fd < 0)
            {
                return Native.LastErrno switch
                {
                    Errno.ENOENT => null,
                    Errno.ENXIO => false,
                    _ => throw Native.Failure("open", fifo),
                };
            }
            using SafeFileHandle end = fd.ToHandle();
            byte word = 0;
            return Native.unlinkat(Native.AT_FDCWD, name, 0) == 0 && Native.write(fd, &word, 1) == 1 ? true : throw Native.Failure("write", fifo);
        }
    }
}
