using System.Globalization;
using System.Runtime.ExceptionServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>The mount API: fsopen, fsconfig, fsmount, open_tree, mount_setattr, move_mount; umount2(2).</summary>
public static unsafe partial class Mounts
{
    private const int CLONE_FS = 0x200, CLONE_NEWNS = 0x20000;
    [ThreadStatic]
    private static bool t_isPrivate;

    private const int MNT_DETACH = 2, UMOUNT_NOFOLLOW = 8;
    private const nuint MS_REC = 0x4000, MS_PRIVATE = 1 << 18, MS_SLAVE = 1 << 19, MS_SHARED = 1 << 20;
    private const int FSOPEN_CLOEXEC = 1, FSMOUNT_CLOEXEC = 1, OPEN_TREE_CLONE = 1, AT_RECURSIVE = 0x8000, MOVE_MOUNT_F_EMPTY_PATH = 4;
    private const int FSCONFIG_SET_FLAG = 0, FSCONFIG_SET_STRING = 1, FSCONFIG_CMD_CREATE = 6;

    /// <summary>Mounts <paramref name="mount"/>.</summary>
    /// <exception cref="LinuxException">The kernel refused; the message carries what fsconfig's log says.</exception>
    public static void Mount(MountSpec mount)
    {
        ArgumentNullException.ThrowIfNull(mount);
        if (mount.Lowers.Count > 0)
        {
            MountOnLowers(mount);
            return;
        }
        if (mount.Flags.HasFlag(MountFlags.Bind))
        {
            Bind(mount);
        }
        else if (mount.Type.Length > 0)
        {
            MountNew(mount);
        }
        SetPropagation(mount);
    }

    /// <summary>Unmounts what is mounted last at <paramref name="target"/>; <paramref name="detach"/> is MNT_DETACH. EINVAL: nothing is mounted there.</summary>
    public static void Unmount(string target, bool detach = false)
    {
        fixed (byte* name = PathBytes.Of(target, "umount"))
        {
            if (Native.umount2(name, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) != 0)
            {
                throw Native.Failure("umount", target);
            }
        }
    }

    /// <summary>The mounts this process sees (/proc/thread-self/mountinfo), in order.</summary>
    public static IReadOnlyList<MountEntry> ReadTable()
    {
        // proc_pid_mountinfo(5): id parent major:minor root target options [tags…] - type source super-options
        var entries = new List<MountEntry>();
        foreach (string line in File.ReadLines("/proc/thread-self/mountinfo"))
        {
            string[] fields = line.Split(' ');
            int dash = Array.IndexOf(fields, "-", 6);
            entries.Add(new MountEntry(int.Parse(fields[0], CultureInfo.InvariantCulture), Unescape(fields[4]), fields[dash + 1], Unescape(fields[dash + 2]), fields[5],
                fields.Length > dash + 3 ? fields[dash + 3] : "")
            {
                IsShared = fields[6..dash].Any(t => t.StartsWith("shared:", StringComparison.Ordinal)),
                IsFollower = fields[6..dash].Any(t => t.StartsWith("master:", StringComparison.Ordinal)),
            });
        }
        return entries;
    }

    /// <summary>The mount that an absolute path is in: of those on the way to it the deepest, and of those the last.</summary>
    public static MountEntry FindMount(string path)
        => ReadTable().Where(m => m.Target == "/" || path == m.Target || path.StartsWith(m.Target + "/", StringComparison.Ordinal)).OrderBy(m => m.Target.Length).LastOrDefault()
            ?? throw new LinuxException("mount", path, Errno.ENOENT, "in no mount");

    /// <summary>
    /// Runs <paramref name="action"/> on a thread of its own that has left this process's mount namespace for a copy of it (unshare(CLONE_NEWNS),
    /// propagation slave, so nothing mounted in it comes back). Processes started by the action live in that namespace, and what was mounted
    /// for them goes when they go: nothing leaks, not even by kill -9. The thread is never reused.
    /// </summary>
    public static T RunInPrivateNamespace<T>(Func<T> action) => RunInPrivateNamespace([], action);

    /// <summary>The same, but for the trees at some paths: what is mounted in one of those, here or there, is mounted in both.</summary>
    public static T RunInPrivateNamespace<T>(IReadOnlyList<string> shared, Func<T> action)
    {
        ArgumentNullException.ThrowIfNull(shared);
        ArgumentNullException.ThrowIfNull(action);
        T? result = default;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
#pragma warning disable CA1031 // whatever it is, it is thrown again on the caller's thread
            try
            {
                if (Native.unshare(CLONE_FS | CLONE_NEWNS) != 0)
                {
                    throw Native.Failure("unshare", "(mount namespace)");
                }
                t_isPrivate = true;
                FollowOnly(shared);
                result = action();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
#pragma warning restore CA1031
        })
        { IsBackground = true };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result!;
    }

    // A tree that is taken out of the namespace stays what it is, whatever becomes of the rest.
    private static void FollowOnly(IReadOnlyList<string> butFor)
    {
        var trees = new List<(SafeFileHandle Tree, string Path)>(butFor.Count);
        try
        {
            foreach (string path in butFor)
            {
                trees.Add((Clone(path, recursive: true, path), path));
            }
            SetPropagation(new MountSpec("", "", "/", [], MountFlags.Slave | MountFlags.Recursive));
            trees.ForEach(t => Move(t.Tree, t.Path));
        }
        finally
        {
            trees.ForEach(t => t.Tree.Dispose());
        }
    }

    // What was mounted keeps its lowers whether they can still be found by name or not: so in our own namespace they lose those at once, and nothing is left when it goes.
    private static void MountOnLowers(MountSpec mount)
    {
        var mounted = new Stack<string>();
        bool isMounted = false;
        try
        {
            using SafeFileHandle? turn = t_isPrivate ? TakeTurn(Path.GetDirectoryName(mount.Lowers[0].Source)!) : null;
            using MountsElsewhere elsewhere = t_isPrivate ? MountsElsewhere.Find(mount.Lowers) : MountsElsewhere.None;
            foreach (MountSpec lower in mount.Lowers)
            {
                if (elsewhere.TryTake(lower.Target) is { } shared)
                {
                    using SafeFileHandle tree = shared;
                    Move(tree, lower.Target);
                    ForgetDevices(lower);
                }
                else
                {
                    Mount(lower);
                }
                mounted.Push(lower.Target);
            }
            Mount(mount with { Lowers = [] });
            isMounted = true;
        }
        finally
        {
            while (!(isMounted && t_isPrivate) && mounted.TryPop(out string? target))
            {
                Unmount(target, detach: true);
            }
        }
    }

    // Who mounts the same layers at the same time waits for his turn, and then finds them mounted. It ends with the handle, or with its holder.
    private static SafeFileHandle? TakeTurn(string folder)
    {
        const int Exclusive = 2;
        int fd;
        fixed (byte* path = PathBytes.Of(folder, "open"))
        {
            fd = Native.openat(Native.AT_FDCWD, path, Native.O_RDONLY | Native.O_CLOEXEC, 0);
        }
        if (fd < 0)
        {
            return null; // the mount will tell
        }
        SafeFileHandle file = fd.ToHandle();
        while (Native.flock(file.Fd(), Exclusive) != 0 && Native.LastErrno is Errno.EINTR)
        {
        }
        return file;
    }

    // What is read through a file system out of a file is in memory twice: as its page and as the file's. While the file system has several users its own pages stay,
    // and those of the file are given back (POSIX_FADV_DONTNEED); with one user they stay too, for who comes after its end. So do those of a file with several names:
    // other file systems are filled from it.
    private static void ForgetDevices(MountSpec lower)
    {
        const string Device = "device=";
        const int DontNeed = 4;
        foreach (string option in lower.Options)
        {
            if (!option.StartsWith(Device, StringComparison.Ordinal))
            {
                continue;
            }
            fixed (byte* path = PathBytes.Of(option[Device.Length..], "open"))
            {
                int fd = Native.openat(Native.AT_FDCWD, path, Native.O_RDONLY | Native.O_CLOEXEC, 0);
                if (fd >= 0)
                {
                    using SafeFileHandle file = fd.ToHandle();
                    _ = Files.GetStatus(file).LinkCount > 1 ? 0 : Native.posix_fadvise(file.Fd(), 0, 0, DontNeed);
                }
            }
        }
    }

    /// <summary>Mounts a file system nowhere: what it holds is below the path that <see cref="PathOf"/> gives, for this process, as long as the handle is open.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public static SafeFileHandle MountNowhere(MountSpec mount)
    {
        ArgumentNullException.ThrowIfNull(mount);
        return TryMake(mount) ?? throw new LinuxException("mount", mount.Source, Errno.EINVAL);
    }

    /// <summary>The directory of an open mount or directory, by a name that this process's threads all can use.</summary>
    public static string PathOf(SafeFileHandle mount)
    {
        ArgumentNullException.ThrowIfNull(mount);
        return string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{mount.Fd()}");
    }

    // overlayfs is no file system whose owners can be mapped (FS_ALLOW_IDMAP), but what it lies on is: each directory is shown to it a second time, mapped. Who mounts it
    // must be known in the map himself, for what it makes in its work directory is his (Host.SetFileOwnerOfThread).
    private static void MountOnMapped(MountSpec mount, IdMapping owners)
    {
        const string Lower = "lowerdir+=", Upper = "upperdir=", Work = "workdir=";
        var places = new Dictionary<string, string>();
        try
        {
            MountNew(mount with { Owners = null, Options = [.. mount.Options.Select(Show)] });
        }
        finally
        {
            foreach (string place in places.Values)
            {
                Unmount(place, detach: true); // the overlay has clones of its own
            }
        }

        string Show(string option)
        {
            foreach (string key in (ReadOnlySpan<string>)[Lower, Upper, Work])
            {
                if (option.StartsWith(key, StringComparison.Ordinal))
                {
                    // The upper and the work directory have to be in one mount: that of the directory above both.
                    string path = option[key.Length..], shown = key == Lower ? path : Path.GetDirectoryName(path)!;
                    return key + Place(shown) + path[shown.Length..];
                }
            }
            return option;
        }

        string Place(string directory)
        {
            if (!places.TryGetValue(directory, out string? place))
            {
                place = Path.Combine(owners.Folder, places.Count.ToString(CultureInfo.InvariantCulture));
                Directory.CreateDirectory(place);
                Bind(new MountSpec("", directory, place, [], MountFlags.Bind) { Owners = owners });
                places.Add(directory, place);
            }
            return place;
        }
    }

    private static void MountNew(MountSpec mount)
    {
        if (mount.Owners is { } owners)
        {
            MountOnMapped(mount, owners);
            return;
        }
        if (TryMake(mount) is { } made)
        {
            using (made)
            {
                Move(made, mount.Target);
            }
            return;
        }
        // Kernels before 6.5 know no lowerdir+: the layers go into one option, as long as they fit.
        MountOld(Joined(mount));
    }

    private static SafeFileHandle? TryMake(MountSpec mount)
    {
        using SafeFileHandle context = Open(mount);
        try
        {
            Configure(context, mount, FSCONFIG_SET_STRING, "source", mount.Source);
            foreach (string option in mount.Options)
            {
                int equals = option.IndexOf('=', StringComparison.Ordinal);
                Configure(context, mount, equals < 0 ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, equals < 0 ? option : option[..equals], equals < 0 ? null : option[(equals + 1)..]);
            }
            Configure(context, mount, FSCONFIG_CMD_CREATE, null, null);
        }
        catch (LinuxException e) when (e.Errno is Errno.EINVAL && mount.Options.Any(o => o.StartsWith("lowerdir+=", StringComparison.Ordinal)) && !e.Message.Contains("overlay", StringComparison.Ordinal))
        {
            return null;
        }
        int fd = (int)Native.syscall(Native.SYS_fsmount, context.Fd(), FSMOUNT_CLOEXEC, (nint)Attributes(mount.Flags), 0, 0, 0);
        if (fd < 0)
        {
            throw Failure("fsmount", mount, context);
        }
        return fd.ToHandle();
    }

    private static SafeFileHandle Open(MountSpec mount)
    {
        fixed (byte* type = PathBytes.Of(mount.Type, "fsopen"))
        {
            int fd = (int)Native.syscall(Native.SYS_fsopen, (nint)type, FSOPEN_CLOEXEC, 0, 0, 0, 0);
            return fd >= 0 ? fd.ToHandle() : throw new LinuxException("mount", mount.Target, Native.LastErrno, $"file system type {mount.Type}");
        }
    }

    private static void Configure(SafeFileHandle context, MountSpec mount, int command, string? key, string? value)
    {
        fixed (byte* keyBytes = key is null ? null : PathBytes.Of(key, "fsconfig"))
        fixed (byte* valueBytes = value is null ? null : PathBytes.Of(value, "fsconfig"))
        {
            if (Native.syscall(Native.SYS_fsconfig, context.Fd(), command, (nint)keyBytes, (nint)valueBytes, 0, 0) != 0)
            {
                throw Failure(key, mount, context);
            }
        }
    }

    // The context is also a log: each read gives one message, as "e overlay: …".
    private static LinuxException Failure(string? option, MountSpec mount, SafeFileHandle context)
    {
        Errno error = Native.LastErrno;
        const int MessageBytes = 1024;
        byte* buffer = stackalloc byte[MessageBytes];
        var messages = new List<string>();
        nint read;
        while (messages.Count < 8 && (read = Native.read(context.Fd(), buffer, MessageBytes)) > 0)
        {
            string message = Encoding.UTF8.GetString(buffer, (int)read).Trim();
            messages.Add(message.Length > 2 && message[1] == ' ' ? message[2..] : message);
        }
        string detail = messages.Count > 0 ? string.Join("; ", messages) : option is null ? "" : $"option {option}";
        return new LinuxException("mount", mount.Target, error, detail);
    }

    private static void Bind(MountSpec mount)
    {
        bool recursive = mount.Flags.HasFlag(MountFlags.Recursive);
        using SafeFileHandle tree = Clone(mount.Source, recursive, mount.Target);
        if ((Attributes(mount.Flags) is var attributes && attributes != 0) || mount.Owners is not null)
        {
            SetAttributes(tree, attributes, recursive, mount.Target, mount.Owners?.UserNamespace);
        }
        Move(tree, mount.Target);
    }

    private static SafeFileHandle Clone(string path, bool recursive, string target)
    {
        fixed (byte* source = PathBytes.Of(path, "mount"))
        {
            int fd = (int)Native.syscall(Native.SYS_open_tree, Native.AT_FDCWD, (nint)source, OPEN_TREE_CLONE | Native.O_CLOEXEC | (recursive ? AT_RECURSIVE : 0), 0, 0, 0);
            return fd >= 0 ? fd.ToHandle() : throw new LinuxException("mount", target, Native.LastErrno, $"bind of {path}");
        }
    }

    private static void SetAttributes(SafeFileHandle tree, ulong attributes, bool recursive, string target, SafeFileHandle? owners)
    {
        const ulong MOUNT_ATTR_IDMAP = 0x100000;
        // struct mount_attr: set, clear, propagation, user namespace
        ulong* request = stackalloc ulong[4] { attributes | (owners is null ? 0 : MOUNT_ATTR_IDMAP), 0, 0, owners is null ? 0 : (ulong)owners.Fd() };
        byte empty = 0;
        if (Native.syscall(Native.SYS_mount_setattr, tree.Fd(), (nint)(&empty), Native.AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), (nint)request, sizeof(ulong) * 4, 0) != 0)
        {
            throw Native.Failure("mount_setattr", target);
        }
    }

    private static void Move(SafeFileHandle made, string target)
    {
        byte empty = 0;
        fixed (byte* to = PathBytes.Of(target, "mount"))
        {
            if (Native.syscall(Native.SYS_move_mount, made.Fd(), (nint)(&empty), Native.AT_FDCWD, (nint)to, MOVE_MOUNT_F_EMPTY_PATH, 0) != 0)
            {
                throw Native.Failure("mount", target);
            }
        }
    }

    private static void SetPropagation(MountSpec mount)
    {
        nuint kind = mount.Flags.HasFlag(MountFlags.Private) ? MS_PRIVATE : mount.Flags.HasFlag(MountFlags.Slave) ? MS_SLAVE : mount.Flags.HasFlag(MountFlags.Shared) ? MS_SHARED : 0;
        if (kind == 0)
        {
            return;
        }
        fixed (byte* target = PathBytes.Of(mount.Target, "mount"))
        {
            if (Native.mount(null, target, null, kind | (mount.Flags.HasFlag(MountFlags.Recursive) ? MS_REC : 0), null) != 0)
            {
                throw Native.Failure("mount", mount.Target);
            }
        }
    }

    private static MountSpec Joined(MountSpec mount)
    {
        const string Key = "lowerdir+=";
        IEnumerable<string> lowers = mount.Options.Where(o => o.StartsWith(Key, StringComparison.Ordinal)).Select(o => Escape(o[Key.Length..]));
        IEnumerable<string> others = mount.Options.Where(o => !o.StartsWith(Key, StringComparison.Ordinal)).Select(o => o.Replace(",", "\\,", StringComparison.Ordinal));
        return mount with { Options = ["lowerdir=" + string.Join(':', lowers), .. others] };

        static string Escape(string path) => path.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(":", "\\:", StringComparison.Ordinal).Replace(",", "\\,", StringComparison.Ordinal);
    }

    private static void MountOld(MountSpec mount)
    {
        string data = string.Join(',', mount.Options);
        if (Encoding.UTF8.GetByteCount(data) >= Environment.SystemPageSize)
        {
            throw new LinuxException("mount", mount.Target, Errno.E2BIG, "this kernel takes one page of mount options: too many layers (Linux 6.5 takes 500)");
        }
        fixed (byte* source = PathBytes.Of(mount.Source, "mount"))
        fixed (byte* target = PathBytes.Of(mount.Target, "mount"))
        fixed (byte* type = PathBytes.Of(mount.Type, "mount"))
        fixed (byte* options = PathBytes.Of(data, "mount"))
        {
            // The four attributes have the same values here as in mount(2): MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC.
            if (Native.mount(source, target, type, (nuint)Attributes(mount.Flags), options) != 0)
            {
                throw Native.Failure("mount", mount.Target);
            }
        }
    }

    // MOUNT_ATTR_RDONLY 1, NOSUID 2, NODEV 4, NOEXEC 8: the enum's own values.
    private static ulong Attributes(MountFlags flags) => (ulong)(flags & (MountFlags.ReadOnly | MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec));

    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
        {
            return text;
        }
        var result = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length)
            {
                result.Append((char)(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) | (text[i + 3] - '0')));
                i += 3;
            }
            else
            {
                result.Append(text[i]);
            }
        }
        return result.ToString();
    }
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
public sealed record MountSpec(string Type, string Source, string Target, IReadOnlyList<string> Options, MountFlags Flags = MountFlags.None)
{
    /// <summary>What has to be mounted for this mount to be made. Where others would see it, it is unmounted right after: what was made of it keeps it.</summary>
    public IReadOnlyList<MountSpec> Lowers { get; init; } = [];
    /// <summary>How the owners of files are mapped: those of a bind, or of what an overlay lies on. Null: they are as on the disk.</summary>
    public IdMapping? Owners { get; init; }
}

/// <summary>The owners that files are shown with, and set to, in a mount (mount_setattr(2), "ID-mapped mounts").</summary>
/// <param name="UserNamespace">Its map is taken.</param>
/// <param name="Folder">An empty directory, where what a mount lies on is shown mapped while it is made.</param>
public sealed record IdMapping(SafeFileHandle UserNamespace, string Folder);

/// <summary>A line of /proc/self/mountinfo.</summary>
public sealed record MountEntry(int Id, string Target, string Type, string Source, string Options, string SuperOptions)
{
    /// <summary>Whether what is mounted below it is mounted in other places too.</summary>
    public bool IsShared { get; init; }
    /// <summary>Whether what is mounted below another one is mounted below it.</summary>
    public bool IsFollower { get; init; }
}
