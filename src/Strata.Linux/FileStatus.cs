namespace Strata.Linux;

/// <summary>What kind of thing a directory entry is (S_IFMT).</summary>
public enum FileKind
{
#pragma warning disable CS1591
    Regular, Directory, SymbolicLink, CharacterDevice, BlockDevice, Fifo, Socket,
#pragma warning restore CS1591
}

/// <summary>A point in time as files carry it: seconds since 1970 and nanoseconds (0 to 999,999,999).</summary>
public readonly record struct FileTime(long Seconds, int Nanoseconds)
{
    /// <summary>From a date, with its 100 ns resolution.</summary>
    public static FileTime From(DateTimeOffset time) => new(time.ToUnixTimeSeconds(), (int)(time.UtcTicks % TimeSpan.TicksPerSecond) * 100);

    /// <summary>Whether it is later.</summary>
    public bool IsAfter(FileTime other) => Seconds > other.Seconds || (Seconds == other.Seconds && Nanoseconds > other.Nanoseconds);

    /// <summary>As a date; null before year 1 and after 9999.</summary>
    public DateTimeOffset? ToDate()
        => Seconds >= DateTimeOffset.MinValue.ToUnixTimeSeconds() && Seconds <= DateTimeOffset.MaxValue.ToUnixTimeSeconds()
            ? DateTimeOffset.FromUnixTimeSeconds(Seconds).AddTicks(Nanoseconds / 100) : null;
}

/// <summary>The answer of statx(2).</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Mode">Permission bits including set-uid, set-gid and sticky (07777); no type bits.</param>
/// <param name="Uid">Owner.</param>
/// <param name="Gid">Group.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Blocks">Allocated, in units of 512 bytes: what <c>du</c> counts.</param>
/// <param name="Inode">Inode number.</param>
/// <param name="Device">The file system's device number, major in the high 32 bits.</param>
/// <param name="DeviceMajor">For devices.</param>
/// <param name="DeviceMinor">For devices.</param>
/// <param name="LinkCount">Hard links.</param>
/// <param name="Modified">mtime.</param>
/// <param name="Changed">ctime.</param>
public readonly record struct FileStatus(FileKind Kind, int Mode, uint Uid, uint Gid, long Size, long Blocks, ulong Inode, ulong Device,
    uint DeviceMajor, uint DeviceMinor, uint LinkCount, FileTime Modified, FileTime Changed);
