namespace Strata.Linux;

/// <summary>The mount API: fsopen, fsconfig, fsmount, open_tree, mount_setattr, move_mount; mount(2) where the kernel is older; umount2(2).</summary>
public static class Mounts
{
    /// <summary>Mounts <paramref name="mount"/>.</summary>
    /// <exception cref="LinuxException">The kernel refused; the message carries what fsconfig's log says.</exception>
    public static void Mount(MountSpec mount) => throw new NotImplementedException(mount.ToString());

    /// <summary>Unmounts what is mounted last at <paramref name="target"/>; <paramref name="detach"/> is MNT_DETACH. EINVAL: nothing is mounted there.</summary>
    public static void Unmount(string target, bool detach = false) => throw new NotImplementedException(target);

    /// <summary>The mounts this process sees (/proc/self/mountinfo), in order.</summary>
    public static IReadOnlyList<MountEntry> ReadTable() => throw new NotImplementedException();

    /// <summary>
    /// Runs <paramref name="action"/> on a thread of its own that has left this process's mount namespace for a copy of it (unshare(CLONE_NEWNS),
    /// propagation slave, so nothing mounted in it comes back). Processes started by the action live in that namespace, and what was mounted
    /// for them goes when they go: nothing leaks, not even by kill -9. The thread is never reused.
    /// </summary>
    public static T RunInPrivateNamespace<T>(Func<T> action) => throw new NotImplementedException(action.ToString());
}

/// <summary>Flags of a mount (MOUNT_ATTR_*), and bind and propagation kinds.</summary>
[Flags]
public enum MountFlags
{
#pragma warning disable CS1591
    None = 0, ReadOnly = 1, NoSuid = 2, NoDev = 4, NoExec = 8, Bind = 16, Recursive = 32, Private = 64, Slave = 128, Shared = 256,
#pragma warning restore CS1591
}

/// <summary>
/// One mount: what the snapshotters produce and the container runtime consumes.
/// Options are <c>key=value</c> or <c>flag</c>, passed to fsconfig one by one; <c>lowerdir+=PATH</c> may come many times, top layer first.
/// </summary>
public sealed record MountSpec(string Type, string Source, string Target, IReadOnlyList<string> Options, MountFlags Flags = MountFlags.None);

/// <summary>A line of /proc/self/mountinfo.</summary>
public sealed record MountEntry(int Id, string Target, string Type, string Source, string Options, string SuperOptions);
