using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>
/// File systems that are mounted already in the private namespaces of others (<see cref="Mounts.RunInPrivateNamespace{T}(Func{T})"/>), so that one that is mounted out
/// of a file is the same for all its users: one superblock, each page of it in memory once. Nothing is written down: the kernel knows which namespaces there
/// are and what is mounted in them (NS_MNT_GET_NEXT, Linux 6.12), so nobody has to let go, and after kill -9 or a start of the machine nothing is wrong. Where
/// it cannot be asked, everybody mounts for himself. Only namespaces whose root is ours are looked at.
/// </summary>
internal sealed unsafe class MountsElsewhere : IDisposable
{
    private const int CLONE_FS = 0x200, CLONE_NEWNS = 0x20000, OPEN_TREE_CLONE = 1;
    private const nuint NS_MNT_GET_NEXT = 0x8010B70B, NS_MNT_GET_PREV = 0x8010B70C; // linux/nsfs.h
    private const int MaxNamespaces = 1_000; // looked at: behind so many, a mount of one's own is cheaper
    private const string Type = "erofs";
    private readonly Dictionary<string, SafeFileHandle> _found = new(StringComparer.Ordinal);

    private MountsElsewhere() { }

    /// <summary>Nothing was looked for.</summary>
    internal static MountsElsewhere None { get; } = new();

    /// <summary>Looks for mounts at the targets in all other namespaces. What is found is a mount of its own that is nowhere yet.</summary>
    internal static MountsElsewhere Find(IReadOnlyList<MountSpec> mounts)
    {
        List<string> targets = [.. mounts.Where(m => m.Type == Type).Select(m => m.Target)];
        if (targets.Count == 0)
        {
            return None;
        }
        var elsewhere = new MountsElsewhere();
        // A thread of its own: it goes to other namespaces and does not come back.
        var thread = new Thread(() => elsewhere.Look(targets)) { IsBackground = true };
        thread.Start();
        thread.Join();
        return elsewhere;
    }

    /// <summary>The mount that was found for a target, which the caller disposes; null where there is none.</summary>
    internal SafeFileHandle? TryTake(string target) => _found.Remove(target, out SafeFileHandle? found) ? found : null;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SafeFileHandle tree in _found.Values)
        {
            tree.Dispose();
        }
        _found.Clear();
    }

    // Every call may fail, of a kernel that does not know it or for lack of rights: then nothing is found.
    private void Look(List<string> targets)
    {
        byte[] own = PathBytes.Of("/proc/thread-self/ns/mnt", "open");
        int start;
        fixed (byte* path = own)
        {
            start = Native.openat(Native.AT_FDCWD, path, Native.O_RDONLY | Native.O_CLOEXEC, 0);
        }
        if (start < 0)
        {
            return;
        }
        using SafeFileHandle here = start.ToHandle();
        if (FileSystems.TryGetStatus("/") is not { } root || Native.unshare(CLONE_FS) != 0)
        {
            return;
        }
        foreach (nuint step in (nuint[])[NS_MNT_GET_PREV, NS_MNT_GET_NEXT])
        {
            SafeFileHandle? at = null;
            for (int looked = 0; looked < MaxNamespaces && targets.Count > 0; looked++)
            {
                int next = Native.ioctl((at ?? here).Fd(), step, 0);
                at?.Dispose();
                at = null;
                if (next < 0)
                {
                    break;
                }
                at = next.ToHandle();
                // A container's own root is somebody else's: a link in it could lead from a layer's place to any file system that is mounted there.
                if (Native.setns(at.Fd(), CLONE_NEWNS) == 0 && FileSystems.TryGetStatus("/") is { } seen && (seen.Device, seen.Inode) == (root.Device, root.Inode))
                {
                    targets.RemoveAll(TryClone);
                }
            }
            at?.Dispose();
        }
    }

    private bool TryClone(string target)
    {
        int fd;
        fixed (byte* path = PathBytes.Of(target, "mount"))
        {
            // Without a copy first: that would be one of whatever file system the empty folder is on.
            if (!IsMounted(path))
            {
                return false;
            }
            fd = (int)Native.syscall(Native.SYS_open_tree, Native.AT_FDCWD, (nint)path, OPEN_TREE_CLONE | Native.O_CLOEXEC, 0, 0, 0);
        }
        if (fd < 0)
        {
            return false;
        }
        _found[target] = fd.ToHandle();
        return true;
    }

    private static bool IsMounted(byte* path)
    {
        const int Words = 15;
        const ulong Magic = 0xE0F5E1E2;
        ulong* words = stackalloc ulong[Words];
        return Native.statfs(path, (byte*)words) == 0 && words[0] == Magic;
    }
}
