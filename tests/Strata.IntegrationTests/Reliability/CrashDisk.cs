using Strata.Linux;

namespace Strata.IntegrationTests.Reliability;

/// <summary>Small ext4 file systems in image files, mounted through loop devices below the scene's folder.</summary>
internal static class CrashDisk
{
    private const long Bytes = 96L << 20;
    // EXT4_IOC_SHUTDOWN, _IOR('X', 125, u32), with EXT4_GOING_FLAGS_NOLOGFLUSH: what is not on the disk yet never will be.
    private const string Shutdown = "import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

    /// <summary>Makes an image with a copy of the template at <c>/store</c>, cleanly unmounted.</summary>
    internal static async Task MakeAsync(CrashScene scene, string image, long bytes = Bytes)
    {
        await using (FileStream file = File.Create(image))
        {
            file.SetLength(bytes);
        }
        (await Programs.RunAsync("mkfs.ext4", [], "-q", "-F", "-b", "4096", "-m", "0", image)).Ok();
        string mount = image + ".mnt";
        await MountAsync(image, mount);
        (await Programs.RunAsync("cp", [], "-a", scene.Template, Path.Combine(mount, "store"))).Ok();
        await UnmountAsync(mount);
    }

    /// <summary>Copies an image; holes stay holes.</summary>
    internal static async Task CopyAsync(string from, string to) => (await Programs.RunAsync("cp", [], "--sparse=always", from, to)).Ok();

    /// <summary>Mounts an image or a block device; the journal is replayed.</summary>
    internal static async Task MountAsync(string image, string mount)
    {
        Directory.CreateDirectory(mount);
        (await Programs.RunAsync("mount", [], image.StartsWith("/dev/", StringComparison.Ordinal) ? [image, mount] : ["-o", "loop", image, mount])).Ok();
    }

    /// <summary>Unmounts it, and with it goes its loop device. Somebody may still be letting go of a file.</summary>
    internal static async Task UnmountAsync(string mount)
    {
        for (int i = 0; ; i++)
        {
            try
            {
                Mounts.Unmount(mount);
                break;
            }
            catch (LinuxException e) when (e.Errno is Errno.EBUSY && i < 200)
            {
                await Task.Delay(25);
            }
        }
        Directory.Delete(mount);
    }

    /// <summary>Cuts the power of a mounted ext4: nothing is written any more, and what was not flushed is lost.</summary>
    internal static async Task CutAsync(string mount) => (await Programs.RunAsync("python3", [], "-c", Shutdown, mount)).Ok();
}
