using System.Collections.Immutable;
using Strata.Containers.Networks;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Containers;

/// <summary>Starts containers. The caller holds the container's lock.</summary>
internal sealed class ContainerRunner(ISnapshotter snapshots, OciRuntime runtime, Conmon conmon, ContainerStore store, Volumes volumes, ContainerNetworks networks, TimeProvider time, IReadOnlyList<string>? exitCommand)
{
    /// <summary>What a container's snapshot needs to have, for the mounts of this container.</summary>
    public static IReadOnlyList<MountPoint> MountPoints(ContainerRecord record) =>
    [
        .. RuntimeSpec.StandardMountPoints.Select(path => new MountPoint(path, true)),
        .. ContainerFiles.Targets.Select(path => new MountPoint(path, false)),
        .. record.Mounts.Select(mount => new MountPoint(mount.Target, !mount.IsFile)),
    ];

    /// <summary>
    /// Creates the container's process, attaches <paramref name="streams"/> where given, lets the process go. When it returns the container runs
    /// (or ran: it may be over already).
    /// </summary>
    /// <exception cref="ContainerStartException">It could not be started; nothing of it is left but the container itself, as it was.</exception>
    public async ValueTask<ContainerSession> StartAsync(ContainerRecord record, ActiveSnapshot snapshot, ContainerStreams? streams, CancellationToken cancellationToken)
    {
        IReadOnlyList<string> shared = ContainerMounts.FindShared(record);
        IReadOnlyList<string>? atEnd = exitCommand is not null && (streams is null || record.Life.Restart.Kind != RestartKind.No) ? [.. exitCommand, record.Id] : null;
        store.ForgetRun(record.Id);
        string bundle = runtime.Layout.CreateBundle(record.Id);
        ContainerUsers? users = null;
        StartingNetwork? network = null;
        ConmonProcess? monitor = null;
        AttachedStreams? attached = null;
        try
        {
            users = record.Isolation.UserMode is null ? null : await ContainerUsers.MakeAsync(bundle, cancellationToken).ConfigureAwait(false);
            network = await networks.BeginAsync(record, users, cancellationToken).ConfigureAwait(false);
            monitor = Mounts.RunInPrivateNamespace(shared, () => StartMonitor(record, snapshot, bundle, streams, network, users, atEnd));
            int pid = monitor.ReadCreated(record.Arguments[0], cancellationToken);
            await network.Ready.ConfigureAwait(false);
            if (streams is not null)
            {
                attached = AttachedStreams.Connect(Conmon.AttachSocket(bundle), streams);
            }
            var start = new ContainerStart(LiveProcess.BootId, monitor.Process.Id, LiveProcess.TryGetStart(monitor.Process.Id) ?? 0, pid, LiveProcess.TryGetStart(pid) ?? 0, time.GetUtcNow());
            store.WriteStart(record.Id, start);
            await runtime.StartAsync(record.Id, cancellationToken).ConfigureAwait(false);
            store.Note("start", record);
            return new ContainerSession(record, start, bundle, store.DirectoryOf(record.Id), monitor, attached) { KeepsMonitor = atEnd is not null };
        }
        catch
        {
            attached?.Dispose();
            if (network is not null)
            {
                await network.SettleAsync().ConfigureAwait(false);
            }
            await AbandonAsync(record, monitor).ConfigureAwait(false);
            throw;
        }
        finally
        {
            network?.Dispose();
            users?.Dispose();
        }
    }

    /// <summary>Removes what the last run left in memory: the runtime's state, the cgroup, the bundle.</summary>
    public async ValueTask CleanUpAsync(string id, CancellationToken cancellationToken)
    {
        await runtime.DeleteAsync(id, cancellationToken).ConfigureAwait(false);
        await networks.DownAsync(id, cancellationToken).ConfigureAwait(false);
        FileSystems.RemoveTree(runtime.Layout.Bundle(id));
        ContainerUsers.Release(runtime.Layout.Bundle(id));
        runtime.Layout.RemoveExecs(id);
    }

    private static bool JoinsOthers(IsolationOptions isolation) => isolation is { PidMode: not null } or { IpcMode: not null };

    private async ValueTask AbandonAsync(ContainerRecord record, ConmonProcess? monitor)
    {
        await runtime.DeleteAsync(record.Id, CancellationToken.None).ConfigureAwait(false);
        if (monitor is not null)
        {
            monitor.KillAll();
            await monitor.Process.WaitAsync(CancellationToken.None).ConfigureAwait(false);
            monitor.Dispose();
        }
        await networks.DownAsync(record.Id, CancellationToken.None).ConfigureAwait(false);
        FileSystems.RemoveTree(runtime.Layout.Bundle(record.Id));
        ContainerUsers.Release(runtime.Layout.Bundle(record.Id));
        store.ForgetRun(record.Id);
    }

    // The monitor is started first: it loads its libraries on one processor while its container's files are mounted and written down by the other.
    private ConmonProcess StartMonitor(ContainerRecord record, ActiveSnapshot snapshot, string bundle, ContainerStreams? streams, StartingNetwork network, ContainerUsers? users, IReadOnlyList<string>? atEnd)
    {
        ConmonProcess monitor = conmon.Start(runtime, new ConmonStart(record.Id, bundle, store.DirectoryOf(record.Id))
        {
            LogFile = store.LogOf(record.Id),
            Terminal = record.Terminal,
            Input = record.Input,
            LeaveInputOpen = record.Input && (streams is null || record.Terminal),
            ExitCommand = atEnd,
            Held = network.Ports?.Handles ?? [],
        });
        try
        {
            MakeBundle(record, snapshot, bundle, streams?.TerminalSize, network, users);
            monitor.Go();
            return monitor;
        }
        catch
        {
            monitor.KillAll();
            monitor.Process.Wait();
            monitor.Dispose();
            throw;
        }
    }

    private void MakeBundle(ContainerRecord record, ActiveSnapshot snapshot, string bundle, (int Rows, int Columns)? terminalSize, StartingNetwork network, ContainerUsers? users)
    {
        string rootPath = ContainerUsers.Own(users, () => Bundle.Mount(snapshots, snapshot, bundle, isKept: !record.Remove, users?.Mapping));
        using RootedDirectory root = RootedDirectory.Open(rootPath, users?.Range);
        Bundle.CheckMountPoints(root);
        ResolvedUser user = UserLookup.Resolve(record.User, root);
        if (!record.Life.Groups.IsEmpty)
        {
            user = UserLookup.AddGroups(user, record.Life.Groups, root);
        }
        string workingDirectory = ContainerUsers.Own(users, () => Bundle.PrepareWorkingDirectory(root, rootPath, record.WorkingDirectory));
        foreach (ContainerMount mount in record.Mounts)
        {
            if (mount.Kind == ContainerMountKind.Volume)
            {
                volumes.Create(new VolumeRecord(mount.Source, time.GetUtcNow()) { Labels = mount.VolumeLabels, Options = mount.VolumeOptions });
                if (mount.CopyUp)
                {
                    volumes.CopyUp(mount.Source, root, mount.Target);
                }
            }
        }
        ImmutableArray<string> arguments = record.Life.Init ? InitProcess.Wrap(record.Arguments) : record.Arguments;
        ImmutableArray<SpecMount> files = network.FilesOf is { } other ? ContainerFiles.Share(bundle, record.Hostname, runtime.Layout.Bundle(other))
            : ContainerUsers.Own(users, () => ContainerFiles.Write(bundle, record.Hostname, network.Hosts, network.Resolv));
        ImmutableArray<SpecMount> mounts = [.. files, .. record.Mounts.Select(m => ContainerMounts.ToSpec(m, volumes, users is not null)), .. record.Life.Init ? InitProcess.Mounts() : []];
        var process = new ProcessSpec(arguments, ContainerPlan.Merge(["HOME=" + user.Home, .. record.Environment]), workingDirectory, user)
        {
            Terminal = record.Terminal,
            TerminalSize = terminalSize,
        };
        IsolationOptions isolation = (JoinsOthers(record.Isolation) ? NamespacePaths.Resolve(record.Isolation, store) : record.Isolation) with { NetworkPath = network.NamespacePath, Users = users };
        RuntimeSpecDocument spec = RuntimeSpec.Create(users?.ShowRoot(rootPath) ?? rootPath, record.Hostname, process, isolation, users?.Show(mounts) ?? mounts, record.Cgroup, HostCgroups.Read());
        Bundle.WriteSpec(bundle, record.Life.Annotations.IsEmpty ? spec : spec with { Annotations = record.Life.Annotations.SetItems(spec.Annotations ?? record.Life.Annotations) });
    }
}
