using System.Collections.Immutable;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>
/// The user namespace of a container that has users of its own (--userns auto): its root is nobody on the host. The ids are taken for each start and are nowhere on a disk:
/// layers, what the container writes and its volumes are mounted with their owners mapped (ID-mapped mounts), so that diff, commit, cp and other containers find them as they
/// would be without. Until the container's first process is in the namespace a helper holds it, which ends with this object or with this process.
/// <code>
/// /run/strata.users/           0711: on the way to it the container's root is nobody who may see the rest of /run/strata
///   lock
///   FIRST/                     0711: the block of host ids that begins with FIRST is taken
///     owner                    link to the bundle of the container that has it; void when that is gone
///     root, m0, m1, …          where root and mounts are shown to the runtime, in its own mount namespace only
/// </code>
/// </summary>
internal sealed class ContainerUsers : IDisposable
{
    /// <summary>The mode: a block of its own, found at each start.</summary>
    internal const string Auto = "auto";

    private const string Machine = UserPlaces.RootsRuntimeRoot + ".users", OwnerLink = "owner", SubordinateName = "containers";
    // As many as an image knows: those of a system's own users are below 2^16.
    private const uint BlockIds = 1 << 16;
    // Where nobody said which ids are for containers (podman has the same name for it): from here on adduser and useradd give none out.
    private const uint DefaultFirst = 1u << 31, DefaultIds = (1u << 31) - (2 * BlockIds);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private readonly ChildProcess _holder;
    private readonly SafeFileHandle _lifeline;
    private readonly string _place;
    private int _mounts;

    private ContainerUsers(ChildProcess holder, SafeFileHandle lifeline, SafeFileHandle userNamespace, string place, IdRange range)
    {
        (_holder, _lifeline, _place, Range) = (holder, lifeline, place, range);
        Mapping = new IdMapping(userNamespace, Path.Combine(place, "lower"));
    }

    /// <summary>Its ids, and which they are on the host.</summary>
    internal IdRange Range { get; }

    /// <summary>How its mounts are mapped.</summary>
    internal IdMapping Mapping { get; }

    /// <summary>Where another program finds the namespace, as long as this is not disposed of.</summary>
    internal string NamespacePath => string.Create(CultureInfo.InvariantCulture, $"/proc/{_holder.Id}/ns/user");

    /// <summary>A network namespace that belongs to it: its root is root there, and may look at it by sysfs.</summary>
    internal SafeFileHandle OpenNetwork() => NetworkNamespace.OfProcess(_holder.Id);

    /// <summary>Takes a block of ids for the container whose bundle this is, and makes the namespace.</summary>
    /// <exception cref="StrataException">Conflict: all blocks are taken; Unsupported: the kernel makes none.</exception>
    internal static async ValueTask<ContainerUsers> MakeAsync(string bundle, CancellationToken cancellationToken)
    {
        MakeTraversable(Machine);
        using FileLock held = await FileLock.AcquireAsync(Path.Combine(Machine, "lock"), exclusive: true, cancellationToken).ConfigureAwait(false);
        uint first = TakeBlock(bundle);
        string place = PlaceOf(first);
        try
        {
            return Make(place, new IdRange(0, first, BlockIds));
        }
        catch
        {
            FileSystems.RemoveTree(place);
            throw;
        }
    }

    /// <summary>Gives back the block of a container that does not run any more. None is no error.</summary>
    internal static void Release(string bundle)
    {
        if (UserNamespace.Current is not null)
        {
            return; // an ordinary user has none of these, and may not look at those of root
        }
        foreach (string name in FileSystems.TryGetNames(Machine) ?? [])
        {
            string place = Path.Combine(Machine, name);
            if (OwnerOf(place) == bundle)
            {
                FileSystems.RemoveTree(place);
            }
        }
    }

    /// <summary>The ids of a running container, by the kernel's account; null where it has the host's.</summary>
    internal static IdRange? TryReadRange(int pid, ContainerRecord record)
        => record.Isolation.UserMode is null ? null : IdRange.ParseMap(File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/uid_map"))) is [var range] ? range : null;

    /// <summary>Refuses what a container with users of its own cannot share with others.</summary>
    /// <exception cref="StrataException">Invalid or Unsupported: names both options.</exception>
    internal static IsolationOptions Check(IsolationOptions isolation)
    {
        if (isolation.UserMode is null)
        {
            return isolation;
        }
        if (UserNamespace.Current is not null)
        {
            throw new StrataException(ErrorKind.Unsupported, $"--userns {isolation.UserMode}: an ordinary user's containers are in that user's namespace already") { Hint = "leave --userns away, or use strata as root" };
        }
        string? other = isolation switch
        {
            { PidMode: { } pid } => $"--pid {pid}",
            { IpcMode: { } ipc } => $"--ipc {ipc}",
            { CgroupMode: { } cgroup } => $"--cgroupns {cgroup}",
            { Network: NetworkMode.Container } => "--network container:NAME",
            _ => null,
        };
        return other is null ? isolation
            : throw new StrataException(ErrorKind.Invalid, $"--userns {isolation.UserMode} and {other}: what belongs to others cannot be mounted by a root who is nobody outside") { Hint = "leave one of the two away" };
    }

    /// <summary>Makes something whose files are to be the container's: they belong to its root. On a thread of its own, as all that mounts.</summary>
    internal static T Own<T>(ContainerUsers? users, Func<T> make)
    {
        if (users is null)
        {
            return make();
        }
        Host.SetFileOwnerOfThread(users.Range.Outside, users.Range.Outside);
        try
        {
            return make();
        }
        finally
        {
            Host.SetFileOwnerOfThread(0, 0);
        }
    }

    /// <summary>The root file system, shown where the container's root may go.</summary>
    internal string ShowRoot(string mounted) => Show(mounted, "root", isDirectory: true, mapped: false);

    /// <summary>The mounts with sources where the container's root may go, and their owners mapped where they are to be (<see cref="ContainerMounts.Mapped"/>).</summary>
    internal ImmutableArray<SpecMount> Show(ImmutableArray<SpecMount> mounts) => [.. mounts.Select(m => m.Type == "bind" && !ContainerMounts.IsPassedOn(m.Options) ? Show(m) : m)];

    private SpecMount Show(SpecMount mount)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"m{_mounts++}");
        return mount with
        {
            Source = Show(mount.Source, name, Directory.Exists(mount.Source), mount.Options.Contains(ContainerMounts.Mapped)),
            Options = mount.Options.Remove(ContainerMounts.Mapped),
        };
    }

    private string Show(string source, string name, bool isDirectory, bool mapped)
    {
        string shown = Path.Combine(_place, name);
        if (isDirectory)
        {
            MakeTraversable(shown);
        }
        else
        {
            File.WriteAllBytes(shown, []);
        }
        Mounts.Mount(new MountSpec("", source, shown, [], MountFlags.Bind | MountFlags.Recursive) { Owners = mapped ? Mapping : null });
        return shown;
    }

    private const UnixFileMode Traversable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    // Whatever the umask.
    private static void MakeTraversable(string directory)
    {
        Directory.CreateDirectory(directory);
        File.SetUnixFileMode(directory, Traversable);
    }

    private static string PlaceOf(uint first) => Path.Combine(Machine, first.ToString(CultureInfo.InvariantCulture));

    private static string? OwnerOf(string place) => new FileInfo(Path.Combine(place, OwnerLink)).LinkTarget;

    private static uint TakeBlock(string bundle)
    {
        foreach (uint first in Blocks())
        {
            string place = PlaceOf(first);
            if (Directory.Exists(place))
            {
                if (OwnerOf(place) is { } owner && owner != bundle && Directory.Exists(owner))
                {
                    continue;
                }
                FileSystems.RemoveTree(place);
            }
            MakeTraversable(place);
            File.CreateSymbolicLink(Path.Combine(place, OwnerLink), bundle);
            return first;
        }
        throw new StrataException(ErrorKind.Conflict, $"--userns {Auto}: no block of {BlockIds} ids is free") { Hint = $"more of them: a line {SubordinateName}:FIRST:COUNT in /etc/subuid and in /etc/subgid" };
    }

    private static IEnumerable<uint> Blocks()
    {
        (uint Start, uint Count)[] users = Subordinate("/etc/subuid"), groups = Subordinate("/etc/subgid");
        foreach ((uint start, uint count) in users)
        {
            for (uint offset = 0; count - offset >= BlockIds; offset += BlockIds)
            {
                uint first = start + offset;
                if (Array.Exists(groups, g => first >= g.Start && first - g.Start <= g.Count && g.Count - (first - g.Start) >= BlockIds))
                {
                    yield return first;
                }
            }
        }
    }

    private static (uint Start, uint Count)[] Subordinate(string file)
        => (File.Exists(file) ? SubordinateIds.Parse(File.ReadAllText(file), SubordinateName, uint.MaxValue) : []) is { Count: > 0 } said ? [.. said] : [(DefaultFirst, DefaultIds)];

    // cat(1) ends when we do: its input is a pipe that nobody else has.
    private static ContainerUsers Make(string place, IdRange range)
    {
        string unshare = ChildProcess.FindProgram("unshare") ?? throw Missing("unshare"), cat = ChildProcess.FindProgram("cat") ?? throw Missing("cat");
        (SafeFileHandle input, SafeFileHandle lifeline) = Pipes.Create();
        (SafeFileHandle answer, SafeFileHandle output) = Pipes.Create();
        ChildProcess holder;
        using (input)
        using (output)
        {
            holder = ChildProcess.Start(new ChildStart
            {
                Program = unshare,
                Arguments = ["--user", "--net", "--", cat],
                WorkingDirectory = "/",
                Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [0] = input, [1] = output },
            });
        }
        using (answer)
        {
            try
            {
                // What it says back it says from inside.
                Files.Write(lifeline, [0], "(pipe)");
                if (!Pipes.WaitReadable(answer, s_patience) || Pipes.Read(answer, stackalloc byte[1]) != 1)
                {
                    throw new StrataException(ErrorKind.Unsupported, "no user namespace could be made: the kernel refused it (unshare --user --net says why)") { Hint = "sysctl user.max_user_namespaces" };
                }
                string process = string.Create(CultureInfo.InvariantCulture, $"/proc/{holder.Id}/");
                File.WriteAllText(process + "uid_map", range.ToString());
                File.WriteAllText(process + "gid_map", range.ToString());
                return new ContainerUsers(holder, lifeline, File.OpenHandle(process + "ns/user"), place, range);
            }
            catch
            {
                lifeline.Dispose();
                holder.Wait();
                holder.Dispose();
                throw;
            }
        }
    }

    private static StrataException Missing(string program) => new(ErrorKind.Unsupported, $"{program}: needed for a user namespace, and not installed") { Hint = "apt-get install util-linux coreutils" };

    /// <inheritdoc/>
    public void Dispose()
    {
        _lifeline.Dispose();
        _holder.Wait();
        _holder.Dispose();
        Mapping.UserNamespace.Dispose();
    }
}
