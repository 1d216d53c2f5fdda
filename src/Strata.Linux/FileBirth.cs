namespace Strata.Linux;

/// <summary>When a file was made (statx(2), stx_btime). A record that is replaced by rename is a new file.</summary>
public static unsafe class FileBirth
{
    private const uint STATX_BTIME = 0x800;

    /// <summary>Null: no such file, or its file system does not keep the time.</summary>
    public static FileTime? TryGet(string path)
    {
        Native.Statx status;
        fixed (byte* name = PathBytes.Of(path, "statx"))
        {
            int result = Native.statx(Native.AT_FDCWD, name, Native.AT_SYMLINK_NOFOLLOW, STATX_BTIME, &status);
            return result == 0 && (status.Mask & STATX_BTIME) != 0 ? new FileTime(status.Born.Seconds, (int)status.Born.Nanoseconds) : null;
        }
    }
}
