using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>
/// A file as a block device (loop(4)). It is let go by the kernel when nobody has it open or mounted any more, so none can be left behind. A file is
/// attached once, however many use it: two devices over one file would not see each other's writes.
/// </summary>
public sealed unsafe class LoopDevice : IDisposable
{
    private const nuint LOOP_CONFIGURE = 0x4C0A, LOOP_GET_STATUS64 = 0x4C05, LOOP_CTL_GET_FREE = 0x4C82;
    private const uint LO_FLAGS_AUTOCLEAR = 4;

    // struct loop_info64: device, inode, rdevice, offset, size limit (8 bytes each), number, two of encryption, flags (4 each), names and keys.
    private const int InfoBytes = 232, InodeOffset = 8, FlagsOffset = 52;
    // struct loop_config: descriptor, block size (4 bytes each), loop_info64, eight words.
    private const int ConfigBytes = 8 + InfoBytes + 64, ConfigInfoOffset = 8;
    private const int MaxTries = 100; // others take free devices too
    private readonly SafeFileHandle _device;

    private LoopDevice(SafeFileHandle device, string path) => (_device, Path) = (device, path);

    /// <summary>/dev/loopN; this file's for as long as this object, or a mount of it, is there.</summary>
    public string Path { get; }

    /// <summary>The device that a trusted path's file has, or a new one. The caller sees that nobody else asks for the same file at once.</summary>
    /// <exception cref="LinuxException">The kernel refused: ENOENT, where it has no loop devices.</exception>
    public static LoopDevice Attach(string file)
    {
        using SafeFileHandle content = OpenDevice(file) ?? throw Native.Failure("open", file);
        FileStatus status = Files.GetStatus(content);
        for (int tries = 1; ; tries++)
        {
            if (TryFind(status) is { } there)
            {
                return there;
            }
            if (TryConfigure(content, file, lastTry: tries == MaxTries) is { } made)
            {
                return made;
            }
        }
    }

    private static LoopDevice? TryFind(FileStatus file)
    {
        // huge_encode_dev of linux/kdev_t.h
        uint major = (uint)(file.Device >> 32), minor = (uint)file.Device;
        ulong device = (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
        byte* info = stackalloc byte[InfoBytes];
        foreach (string name in FileSystems.TryGetNames("/sys/block") ?? [])
        {
            if (!name.StartsWith("loop", StringComparison.Ordinal) || FileSystems.TryGetStatus($"/sys/block/{name}/loop/backing_file") is null)
            {
                continue;
            }
            string path = "/dev/" + name;
            SafeFileHandle? open = OpenDevice(path);
            // ENXIO: it has been let go in between.
            if (open is not null && Native.ioctl(open.Fd(), LOOP_GET_STATUS64, (nint)info) == 0)
            {
                var words = new ReadOnlySpan<byte>(info, InfoBytes);
                if (BinaryPrimitives.ReadUInt64LittleEndian(words) == device && BinaryPrimitives.ReadUInt64LittleEndian(words[InodeOffset..]) == file.Inode)
                {
                    return new LoopDevice(open, path);
                }
            }
            open?.Dispose();
        }
        return null;
    }

    private static LoopDevice? TryConfigure(SafeFileHandle content, string file, bool lastTry)
    {
        const string Control = "/dev/loop-control";
        using SafeFileHandle control = OpenDevice(Control) ?? throw Native.Failure("open", Control);
        int number = Native.ioctl(control.Fd(), LOOP_CTL_GET_FREE, 0);
        if (number < 0)
        {
            throw Native.Failure("ioctl", Control);
        }
        string path = string.Create(CultureInfo.InvariantCulture, $"/dev/loop{number}");
        SafeFileHandle device = OpenDevice(path) ?? throw Native.Failure("open", path);
        byte* config = stackalloc byte[ConfigBytes];
        var words = new Span<byte>(config, ConfigBytes);
        words.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(words, content.Fd());
        BinaryPrimitives.WriteUInt32LittleEndian(words[(ConfigInfoOffset + FlagsOffset)..], LO_FLAGS_AUTOCLEAR);
        if (Native.ioctl(device.Fd(), LOOP_CONFIGURE, (nint)config) == 0)
        {
            return new LoopDevice(device, path);
        }
        LinuxException failure = Native.Failure("ioctl", $"{path} for {file}");
        device.Dispose();
        return failure.Errno is Errno.EBUSY && !lastTry ? null : throw failure; // somebody else has taken it
    }

    private static SafeFileHandle? OpenDevice(string path)
    {
        fixed (byte* name = PathBytes.Of(path, "open"))
        {
            int fd = Native.openat(Native.AT_FDCWD, name, Native.O_RDWR | Native.O_CLOEXEC, 0);
            return fd >= 0 ? fd.ToHandle() : null;
        }
    }

    /// <summary>Lets go of it; the kernel does when the last user has.</summary>
    public void Dispose() => _device.Dispose();
}
