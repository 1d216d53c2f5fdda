using Strata.Containers;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Copies a file or tree of the host into a container: to a path, or into a directory that is there, as <c>docker cp</c> has it.</summary>
    /// <exception cref="StrataException">NotFound, Invalid, Conflict: source and target do not fit.</exception>
    public async ValueTask CopyIntoContainerAsync(string source, string nameOrId, string target, CopyFilesOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        options ??= new();
        (string directory, string name) = Split(source);
        using RootedDirectory host = RootedDirectory.Open(directory);
        await InRootAsync(nameOrId, writes: true, root =>
        {
            new FileTransfer(host, root, options.Archive ? null : (0, 0), cancellationToken).Copy(name, target, options.FollowLink);
            return true;
        }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Copies a file or tree of a container to the host.</summary>
    /// <exception cref="StrataException">NotFound, Invalid, Conflict: source and target do not fit.</exception>
    public async ValueTask CopyFromContainerAsync(string nameOrId, string source, string target, CopyFilesOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(target);
        options ??= new();
        (string directory, string name) = Split(target);
        using RootedDirectory host = OpenTarget(directory, target);
        await InRootAsync(nameOrId, writes: false, root =>
        {
            new FileTransfer(root, host, options.Archive ? null : (Host.EffectiveUserId, Host.EffectiveGroupId), cancellationToken).Copy(source, name, options.FollowLink);
            return true;
        }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes a file or tree of a container as a tar.</summary>
    public async ValueTask CopyFromContainerAsync(string nameOrId, string source, Stream tar, CopyFilesOptions? options = null, CancellationToken cancellationToken = default)
    {
        await InRootAsync(nameOrId, writes: false, root =>
        {
            using var writer = new LayerWriter(tar);
            FileTransfer.WriteTar(root, source, options?.FollowLink ?? false, writer, cancellationToken);
            writer.Finish();
            return true;
        }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Puts a tar, plain or compressed by gzip or zstd, into a directory of a container.</summary>
    public async ValueTask CopyIntoContainerAsync(Stream tar, string nameOrId, string target, CopyFilesOptions? options = null, CancellationToken cancellationToken = default)
    {
        await InRootAsync(nameOrId, writes: true, root =>
        {
            FileTransfer.ReadTar(tar, root, target, options is { Archive: true } ? null : (0, 0), cancellationToken);
            return true;
        }, cancellationToken).ConfigureAwait(false);
    }

    private static RootedDirectory OpenTarget(string directory, string target)
    {
        try
        {
            return RootedDirectory.Open(directory);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.ENOTDIR)
        {
            throw new StrataException(ErrorKind.NotFound, $"{target}: no such directory", e);
        }
    }

    // The host's path is who copies' own: its directory is opened as he names it, and only what is below it goes through the closed way. A directory
    // that is named by itself is the root of that.
    private static (string Directory, string Name) Split(string path)
    {
        string full = LinuxPath.GetFull(path.TrimEnd('/') is { Length: > 0 } trimmed ? trimmed : "/");
        string end = path.EndsWith("/.", StringComparison.Ordinal) || path == "." ? "/." : path.EndsWith('/') ? "/" : "";
        if (full == "/")
        {
            return ("/", ".");
        }
        int slash = full.LastIndexOf('/');
        string name = full[(slash + 1)..];
        string directory = slash == 0 ? "/" : full[..slash];
        // A link to a directory elsewhere: what it leads to, as cp(1) goes by it.
        bool isLink = FileSystems.TryGetStatus(full) is { Kind: FileKind.SymbolicLink } && FileSystems.TryGetStatus(full, follow: true) is { Kind: FileKind.Directory };
        return isLink && end.Length > 0 ? (full, ".") : (directory, name + end);
    }

    // The root as the container sees it: of one that runs, that of its first process; of another one, mounted with its volumes where only we see it.
    private async ValueTask InRootAsync(string nameOrId, bool writes, Func<RootedDirectory, bool> action, CancellationToken cancellationToken)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        if (Containers.GetState(record).Status == ContainerStatus.Running && Containers.ReadStart(record.Id) is { } start)
        {
            using RootedDirectory root = ExecRunner.OpenRoot(start, record);
            if (writes && root.Owners is { } owners)
            {
                // What is made there belongs to the container's root, whom its file system knows; ours it does not.
                Mounts.RunInPrivateNamespace(() =>
                {
                    Host.SetFileOwnerOfThread(owners.Outside, owners.Outside);
                    return action(root);
                });
                return;
            }
            action(root);
            return;
        }
        if (writes && record.Isolation.ReadOnlyRoot)
        {
            throw new StrataException(ErrorKind.Invalid, $"container {record.Name}: its root file system is read-only");
        }
        using FileLock held = await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        ActiveSnapshot snapshot = await OpenSnapshotAsync(record, cancellationToken).ConfigureAwait(false);
        string place = Path.Combine(Runtime.Layout.Root, "cp-" + ContainerStore.CreateId()[..16]);
        Directory.CreateDirectory(place, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        try
        {
            Mounts.RunInPrivateNamespace(() =>
            {
                Bundle.MountAt(Snapshots, snapshot, place);
                MountVolumes(record, place);
                using RootedDirectory root = RootedDirectory.Open(place);
                return action(root);
            });
        }
        finally
        {
            Directory.Delete(place);
        }
    }

    private void MountVolumes(ContainerRecord record, string place)
    {
        using RootedDirectory root = RootedDirectory.Open(place);
        foreach (ContainerMount mount in record.Mounts.Where(m => m.Kind is ContainerMountKind.Bind or ContainerMountKind.Volume).OrderBy(m => m.Target.Count(c => c == '/')))
        {
            string source = mount.Kind == ContainerMountKind.Volume ? Volumes.PathOf(mount.Source) : mount.Source;
            if (FileSystems.TryGetStatus(source, follow: true) is null || root.TryGetStatus(mount.Target, follow: true) is null)
            {
                continue; // a volume that no start has made yet
            }
            Mounts.Mount(new MountSpec("", source, Bundle.ResolvePath(root, place, mount.Target), [], MountFlags.Bind | MountFlags.Recursive | (mount.ReadOnly ? MountFlags.ReadOnly : MountFlags.None)));
        }
    }
}
