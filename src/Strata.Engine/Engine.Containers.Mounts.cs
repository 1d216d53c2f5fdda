using Strata.Containers;
using Strata.Content;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    private string MountRoot => Path.Combine(Runtime.Layout.Root, "mounts");

    /// <summary>
    /// Shows the file system of a container or an image as a directory of the host, until <see cref="UnmountAsync"/>. Read-only for images, and where asked for.
    /// A running container needs no mount: its directory is reached through its monitor, and goes with it.
    /// </summary>
    /// <returns>The directory.</returns>
    public async ValueTask<string> MountAsync(string containerOrImage, bool readOnly = false, CancellationToken cancellationToken = default)
    {
        if (TryGetContainer(containerOrImage) is { } container)
        {
            if (TryGetLiveRoot(container.Record) is { } live)
            {
                return live;
            }
            using FileLock held = await Containers.LockAsync(container.Record.Id, cancellationToken).ConfigureAwait(false);
            return MountAt(container.Record.Id, await OpenSnapshotAsync(container.Record, cancellationToken).ConfigureAwait(false), readOnly);
        }
        using StoreLease lease = Content.AcquireLease("mount");
        CommittedSnapshot snapshot = await UnpackImageAsync(await ResolveImageAsync(containerOrImage, cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false)
            ?? throw new StrataException(ErrorKind.Invalid, $"mount {containerOrImage}: the image has no layers");
        return MountAt(snapshot.ChainId.Hex.ToString(), snapshot, readOnly: true);
    }

    /// <summary>Ends what <see cref="MountAsync"/> began. Not mounted is no error.</summary>
    public async ValueTask UnmountAsync(string containerOrImage, CancellationToken cancellationToken = default)
    {
        if (TryGetContainer(containerOrImage) is { } container)
        {
            UnmountAt(container.Record.Id);
            return;
        }
        if (await UnpackImageAsync(await ResolveImageAsync(containerOrImage, cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false) is { } snapshot)
        {
            UnmountAt(snapshot.ChainId.Hex.ToString());
        }
    }

    /// <summary>What is mounted now: the container's id or the image's chain ID (without algorithm), and the directory.</summary>
    public IReadOnlyList<(string Name, string Path)> ListMounts()
        => [.. Mounts.ReadTable().Where(m => Path.GetDirectoryName(m.Target) == MountRoot).Select(m => (Path.GetFileName(m.Target), m.Target)).Distinct()];

    private string MountAt(string name, Snapshot snapshot, bool readOnly)
    {
        string target = Path.Combine(MountRoot, name);
        if (ListMounts().Any(m => m.Name == name))
        {
            return target;
        }
        if (UserNamespace.Current is not null)
        {
            throw new StrataException(ErrorKind.Unsupported, "what an ordinary user mounts is seen by the one process that mounts it") { Hint = "strata cp NAME:PATH ., strata export NAME, or strata unpack IMAGE FOLDER give the files" };
        }
        Directory.CreateDirectory(target);
        Bundle.MountAt(Snapshots, snapshot, target);
        if (readOnly)
        {
            Mounts.Mount(new MountSpec("", target, target, [], MountFlags.Bind | MountFlags.ReadOnly));
        }
        return target;
    }

    // A read-only mount is a second one over the first.
    private void UnmountAt(string name)
    {
        string target = Path.Combine(MountRoot, name);
        if (!Directory.Exists(target))
        {
            return;
        }
        for (int i = Mounts.ReadTable().Count(m => m.Target == target); i > 0; i--)
        {
            Mounts.Unmount(target, detach: true);
        }
        Directory.Delete(target);
    }
}
