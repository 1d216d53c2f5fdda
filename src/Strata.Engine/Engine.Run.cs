using Strata.Containers;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    private ContainerStore? _containers;
    private Volumes? _volumes;
    private ContainerRunner? _runner;

    /// <summary>The records of containers.</summary>
    public ContainerStore Containers => _containers ??= new ContainerStore(Layout) { Time = _options.Time };

    /// <summary>The volumes.</summary>
    public Volumes Volumes => _volumes ??= new Volumes(Layout);

    private ContainerRunner Runner => _runner ??= new ContainerRunner(Snapshots, Runtime, new Conmon("conmon"), Containers, Volumes, Nets, _options.Time, _options.Program is { } program ? [.. program, "container", "cleanup"] : null);

    /// <summary>Creates a container from an image that is here; does not start it. It is there for good when this returns.</summary>
    /// <exception cref="StrataException">NotFound: no such image; Conflict: the name is taken; Invalid: the options make no container; Unsupported: the image wants a newer kernel.</exception>
    public async ValueTask<ContainerRecord> CreateContainerAsync(ContainerOptions options, CancellationToken cancellationToken = default)
    {
        (ContainerRecord record, _, FileLock held) = await PrepareContainerAsync(options, durable: true, cancellationToken).ConfigureAwait(false);
        held.Dispose();
        return record;
    }

    /// <summary>
    /// Creates a container, starts it, passes its streams, waits for its end, and removes it where the options say so.
    /// <paramref name="started"/> is called once it runs, to resize its terminal and pass it signals.
    /// </summary>
    /// <returns>Its exit code; 128 + the signal that ended it.</returns>
    /// <exception cref="ContainerStartException">It could not be started.</exception>
    public async ValueTask<int> RunContainerAsync(ContainerOptions options, ContainerStreams streams, Action<ContainerSession>? started = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(streams);
        (ContainerRecord record, ActiveSnapshot snapshot, FileLock held) = await PrepareContainerAsync(options, durable: !options.Remove, cancellationToken).ConfigureAwait(false);
        return await RunHeldAsync(record, snapshot, streams, held, started, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Creates a container, starts it, and leaves it running under its monitor.</summary>
    /// <exception cref="ContainerStartException">It could not be started; it is there all the same, unless it was to be removed at its end.</exception>
    public async ValueTask<ContainerRecord> RunDetachedAsync(ContainerOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        (ContainerRecord record, ActiveSnapshot snapshot, FileLock held) = await PrepareContainerAsync(options, durable: !options.Remove, cancellationToken).ConfigureAwait(false);
        using (held)
        {
            try
            {
                (await Runner.StartAsync(record, snapshot, streams: null, cancellationToken).ConfigureAwait(false)).Dispose();
                WatchHealth(record);
                return record;
            }
            catch when (record.Remove)
            {
                await RemoveHeldAsync(record.Id, record, removeVolumes: true, CancellationToken.None).ConfigureAwait(false);
                throw;
            }
        }
    }

    /// <summary>Starts a container that was created or is over, passes its streams, and waits for its end.</summary>
    /// <returns>Its exit code.</returns>
    public async ValueTask<int> StartContainerAsync(string nameOrId, ContainerStreams streams, Action<ContainerSession>? started = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(streams);
        (ContainerRecord record, ActiveSnapshot snapshot, FileLock held) = await OpenToStartAsync(nameOrId, cancellationToken).ConfigureAwait(false);
        return await RunHeldAsync(record, snapshot, streams, held, started, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Starts a container and leaves it running under its monitor.</summary>
    public async ValueTask<ContainerRecord> StartContainerAsync(string nameOrId, CancellationToken cancellationToken = default)
    {
        (ContainerRecord record, ActiveSnapshot snapshot, FileLock held) = await OpenToStartAsync(nameOrId, cancellationToken).ConfigureAwait(false);
        using (held)
        {
            ContainerSession session = await Runner.StartAsync(record, snapshot, streams: null, cancellationToken).ConfigureAwait(false);
            session.Dispose();
            WatchHealth(record);
            return record;
        }
    }

    // While it runs others may stop, kill and remove it: the lock is free then, and taken again to clean up. Who tidies up sees that its end is waited for.
    private async ValueTask<int> RunHeldAsync(ContainerRecord record, ActiveSnapshot snapshot, ContainerStreams streams, FileLock held, Action<ContainerSession>? started, CancellationToken cancellationToken)
    {
        using FileLock? watched = Containers.TryWatch(record.Id);
        bool detached = false;
        try
        {
            using ContainerSession session = await Runner.StartAsync(record, snapshot, record.Input ? streams : streams with { Input = null }, cancellationToken).ConfigureAwait(false);
            held.Dispose();
            started?.Invoke(session);
            WatchHealth(record);
            int exitCode = await session.WaitAsync(cancellationToken).ConfigureAwait(false);
            detached = session.IsDetached;
            if (detached || session.KeepsMonitor)
            {
                LeaveBehind(record, detached && !session.KeepsMonitor);
                return exitCode;
            }
            Containers.NoteEnd(record, exitCode);
            using FileLock? again = record.Remove ? null : await Containers.TryLockAsync(record.Id, cancellationToken).ConfigureAwait(false);
            if (again is not null)
            {
                await Runner.CleanUpAsync(record.Id, cancellationToken).ConfigureAwait(false);
            }
            return exitCode;
        }
        finally
        {
            if (record.Remove && !detached)
            {
                await RemoveHeldAsync(record.Id, record, removeVolumes: true, CancellationToken.None).ConfigureAwait(false);
            }
            held.Dispose();
        }
    }

    private async ValueTask<(ContainerRecord Record, ActiveSnapshot Snapshot, FileLock Held)> OpenToStartAsync(string nameOrId, CancellationToken cancellationToken)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        FileLock held = await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        try
        {
            ContainerState state = Containers.GetState(record);
            if (state.Status == ContainerStatus.Running)
            {
                throw new StrataException(ErrorKind.Conflict, $"container {record.Name}: runs already");
            }
            if (state.Status == ContainerStatus.Exited)
            {
                Containers.NoteEnd(record, state.ExitCode); // whoever should have has not come to it yet
            }
            await Runner.CleanUpAsync(record.Id, cancellationToken).ConfigureAwait(false);
            Containers.ClearStopped(record.Id);
            Containers.WriteRestarts(record.Id, 0);
            UnmountAt(record.Id); // two mounts of one upper directory would not see each other's writes
            return (record, await OpenSnapshotAsync(record, cancellationToken).ConfigureAwait(false), held);
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    // The files of a container that never ran are nothing yet: where a power cut took them they are made again.
    private async ValueTask<ActiveSnapshot> OpenSnapshotAsync(ContainerRecord record, CancellationToken cancellationToken)
    {
        if (await Snapshots.TryOpenActiveAsync(record.Id, cancellationToken).ConfigureAwait(false) is { } snapshot)
        {
            return snapshot;
        }
        if (Containers.GetState(record).Status != ContainerStatus.Created)
        {
            throw new StrataException(ErrorKind.Corrupt, $"container {record.Name}: its file system is gone") { Hint = $"strata rm -f {record.ShortId}" };
        }
        ImageManifest manifest = OciJson.ParseManifest(await Content.ReadAsync(record.Manifest, cancellationToken).ConfigureAwait(false), record.Manifest.MediaType);
        ImageConfig config = OciJson.ParseConfig(await Content.ReadAsync(manifest.Config, cancellationToken).ConfigureAwait(false));
        CommittedSnapshot? parent = await ImageUnpacker.UnpackAsync(Content, manifest, config, Snapshots, cancellationToken).ConfigureAwait(false);
        await Snapshots.RemoveAsync(new ActiveSnapshot(record.Id, parent), cancellationToken).ConfigureAwait(false);
        return await PrepareSnapshotAsync(record, parent, durable: !record.Remove, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<ActiveSnapshot> PrepareSnapshotAsync(ContainerRecord record, CommittedSnapshot? parent, bool durable, CancellationToken cancellationToken)
    {
        ActiveSnapshot snapshot = await Snapshots.PrepareAsync(record.Id, parent, ContainerRunner.MountPoints(record), durable, cancellationToken).ConfigureAwait(false);
        if (record.Life.StorageBytes is { } bytes)
        {
            await Snapshots.LimitAsync(snapshot, bytes, cancellationToken).ConfigureAwait(false);
        }
        return snapshot;
    }

    // Order: lock, snapshot, name, record. Killed in between, it leaves a directory without a record, whose lock is free: nobody's, and prune takes it.
    private async ValueTask<(ContainerRecord Record, ActiveSnapshot Snapshot, FileLock Held)> PrepareContainerAsync(ContainerOptions options, bool durable, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        using StoreLease lease = Content.AcquireLease("run");
        LocalImage image = await ResolveImageAsync(options.Image, cancellationToken).ConfigureAwait(false);
        Images.NoteUse(image.Reference, image.Record.Manifest.Digest);
        string id = ContainerStore.CreateId();
        ContainerRecord record = ContainerPlan.Resolve(options, image.Config, image.Descriptor, image.Manifest.Config.Digest, id, name: "", _options.Time.GetUtcNow());
        ContainerPlan.CheckKernel(options.Image, record.Labels, Host.KernelRelease);
        CommittedSnapshot? parent = await UnpackImageAsync(image, cancellationToken).ConfigureAwait(false);
        FileLock held = await Containers.CreateDirectoryAsync(id, cancellationToken).ConfigureAwait(false);
        try
        {
            string name = await Containers.TakeNameAsync(options.Name, id, durable, cancellationToken).ConfigureAwait(false);
            record = record with { Name = name };
            ActiveSnapshot snapshot = await PrepareSnapshotAsync(record, parent, durable, cancellationToken).ConfigureAwait(false);
            Containers.Write(record, durable);
            Containers.Note("create", record);
            return (record, snapshot, held);
        }
        catch
        {
            await RemoveHeldAsync(id, record, removeVolumes: true, CancellationToken.None).ConfigureAwait(false);
            held.Dispose();
            throw;
        }
    }
}
