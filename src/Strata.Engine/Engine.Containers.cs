using Strata.Containers;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    private const int KillSignal = 9;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    /// <summary>All containers and how they are, newest first.</summary>
    public IReadOnlyList<Container> ListContainers() => Containers.List();

    /// <summary>A container by name, id or beginning of an id, and how it is.</summary>
    /// <exception cref="StrataException">NotFound; Invalid: several.</exception>
    public Container GetContainer(string nameOrId)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        return new Container(record, Containers.GetState(record));
    }

    /// <summary>The same, null where there is none of this name.</summary>
    /// <exception cref="StrataException">Invalid: several.</exception>
    public Container? TryGetContainer(string nameOrId) => Containers.TryGet(nameOrId) is { } record ? new Container(record, Containers.GetState(record)) : null;

    /// <summary>Sends a signal to the first process of a running container.</summary>
    /// <exception cref="StrataException">Conflict: it does not run.</exception>
    public ContainerRecord KillContainer(string nameOrId, int signal = KillSignal)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        if (Containers.GetState(record).Status != ContainerStatus.Running || Containers.ReadStart(record.Id) is not { } start)
        {
            throw new StrataException(ErrorKind.Conflict, $"kill {record.Name}: it does not run");
        }
        if (signal == KillSignal || signal == record.StopSignal)
        {
            Containers.MarkStopped(record.Id); // as Docker has it: who kills it does not want it back
        }
        LiveProcess.Signal(start.Pid, start.PidStarted, signal);
        Containers.Note("kill", record, key: "signal", value: signal.ToString(System.Globalization.CultureInfo.InvariantCulture));
        return record;
    }

    /// <summary>Asks a container to stop by its stop signal, and kills it after <paramref name="patience"/>. Not running is no error.</summary>
    public ValueTask<ContainerRecord> StopContainerAsync(string nameOrId, TimeSpan? patience = null, CancellationToken cancellationToken = default)
        => StopContainerAsync(nameOrId, patience, signal: null, cancellationToken);

    /// <summary>
    /// Asks a container to stop by its stop signal (or <paramref name="signal"/>), and kills it after <paramref name="patience"/> (null: what it was created with,
    /// or 10 seconds; below zero: without end). Not running is no error.
    /// </summary>
    public async ValueTask<ContainerRecord> StopContainerAsync(string nameOrId, TimeSpan? patience, int? signal, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        Containers.MarkStopped(record.Id);
        if (Containers.GetState(record).Status != ContainerStatus.Running)
        {
            // It may be about to run (again): who starts it has its lock until it does, and may have looked before the mark was there.
            using FileLock? settled = await Containers.TryLockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        }
        if (Containers.ReadStart(record.Id) is { } start && Containers.GetState(record) is { Status: ContainerStatus.Running } state)
        {
            LiveProcess.Signal(start.Pid, start.PidStarted, signal ?? record.StopSignal);
            if (state.IsPaused)
            {
                HostCgroups.Thaw(record.Cgroup); // a signal is taken when it goes on
            }
            TimeSpan limit = patience ?? TimeSpan.FromSeconds(record.Life.StopTimeout ?? 10);
            using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            using ITimer timer = _options.Time.CreateTimer(_ => timeout.Cancel(), null, limit < TimeSpan.Zero ? Timeout.InfiniteTimeSpan : limit, Timeout.InfiniteTimeSpan);
            try
            {
                await LiveProcess.WaitAsync(start.Pid, start.PidStarted, timeout.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                LiveProcess.Signal(start.Pid, start.PidStarted, KillSignal);
            }
            await WaitForEndAsync(record.Id, start, cancellationToken).ConfigureAwait(false);
            Containers.NoteEnd(record, Conmon.TryReadExit(Containers.DirectoryOf(record.Id))?.Code);
            Containers.Note("stop", record);
        }
        return record;
    }

    /// <summary>Waits until a container does not run; returns its exit code, null where nobody saw it.</summary>
    public async ValueTask<int?> WaitContainerAsync(string nameOrId, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        while (true)
        {
            ContainerState state = Containers.GetState(record);
            if (state.Status == ContainerStatus.Exited)
            {
                return state.ExitCode;
            }
            if (state.Status == ContainerStatus.Running && Containers.ReadStart(record.Id) is { } start)
            {
                await WaitForEndAsync(record.Id, start, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), _options.Time, cancellationToken).ConfigureAwait(false); // created: until somebody starts it
            }
        }
    }

    /// <summary>Removes a container with all it wrote. A running one only by <paramref name="force"/>, which kills it; that works from any state, and where its record is damaged.</summary>
    /// <exception cref="StrataException">Conflict: it runs; NotFound; Corrupt: its record is damaged, and not by force.</exception>
    public async ValueTask<string> RemoveContainerAsync(string nameOrId, bool force = false, bool removeVolumes = false, CancellationToken cancellationToken = default)
    {
        if (force && Containers.TryFind(nameOrId) is { } id && Containers.IsDamaged(id))
        {
            using FileLock damaged = await Containers.LockAsync(id, cancellationToken).ConfigureAwait(false);
            await RemoveHeldAsync(id, record: null, removeVolumes: false, cancellationToken).ConfigureAwait(false);
            return id;
        }
        ContainerRecord record = Containers.Get(nameOrId);
        using FileLock held = force ? await TakeAsync(record, cancellationToken).ConfigureAwait(false) : await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        if (!force && Containers.GetState(record).Status == ContainerStatus.Running)
        {
            throw new StrataException(ErrorKind.Conflict, $"rm {record.Name}: it runs") { Hint = $"strata stop {record.Name}, or strata rm -f {record.Name}" };
        }
        await RemoveHeldAsync(record.Id, record, removeVolumes, cancellationToken).ConfigureAwait(false);
        return record.Id;
    }

    // Who starts or removes it has a moment to come to an end; then what runs in it is killed, so that he does. What still holds on is said, not waited for.
    private async ValueTask<FileLock> TakeAsync(ContainerRecord record, CancellationToken cancellationToken)
    {
        for (int attempt = 0; attempt < 2; attempt++)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(s_patience);
            try
            {
                return await Containers.LockAsync(record.Id, limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                await HostCgroups.RemoveAsync(record.Cgroup, cancellationToken).ConfigureAwait(false);
            }
        }
        throw new StrataException(ErrorKind.Conflict, $"rm {record.Name}: another process is starting or removing it, and does not come to an end") { Hint = "find it: it names the container's lock in lsof or /proc/locks" };
    }

    // A stopped container goes; not one that somebody has started since, is starting or removing, or waits for: its answer is in it. False where it stays.
    private async ValueTask<bool> TryRemoveStoppedAsync(string id, CancellationToken cancellationToken)
    {
        using FileLock? held = Containers.TryLock(id);
        if (held is null || Containers.TryRead(id) is not { } record || Containers.GetState(record).Status == ContainerStatus.Running || Containers.IsWatched(id))
        {
            return false;
        }
        await RemoveHeldAsync(id, record, removeVolumes: false, cancellationToken).ConfigureAwait(false);
        return true;
    }

    /// <summary>
    /// Removes what is nobody's: containers whose creation was cut, and bundles and runtime states of containers that are gone.
    /// </summary>
    /// <returns>How many were removed.</returns>
    public async ValueTask<int> SweepContainersAsync(CancellationToken cancellationToken = default)
    {
        int count = 0;
        foreach (string id in Containers.ListIds().Where(id => !Containers.HasRecord(id)))
        {
            using FileLock? free = Containers.TryLock(id);
            if (free is not null && !Containers.HasRecord(id) && !Containers.IsWatched(id)) // its maker may have let go of it since
            {
                await RemoveHeldAsync(id, record: null, removeVolumes: false, cancellationToken).ConfigureAwait(false);
                count++;
            }
        }
        await Containers.SweepNamesAsync(cancellationToken).ConfigureAwait(false);
        // Those that run before those that are known: one that is made between the two is in both or in none.
        IReadOnlyList<string> running = Runtime.ListContainerIds();
        HashSet<string> known = [.. Containers.ListIds()];
        foreach (string id in running.Where(id => id.Length == 64 && !known.Contains(id)))
        {
            await Runner.CleanUpAsync(id, cancellationToken).ConfigureAwait(false);
            count++;
        }
        await Nets.SweepAsync(cancellationToken).ConfigureAwait(false);
        return count;
    }

    /// <summary>What a container changed against its image.</summary>
    public async ValueTask<IReadOnlyList<Change>> GetContainerChangesAsync(string nameOrId, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        return await Snapshots.GetChangesAsync(await OpenSnapshotAsync(record, cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>What a container wrote, oldest first.</summary>
    public IAsyncEnumerable<LogLine> ReadContainerLogAsync(string nameOrId, LogOptions? options = null, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        return ContainerLog.ReadAsync(Containers.LogOf(record.Id), options ?? new LogOptions(), () => Containers.GetState(record).Status != ContainerStatus.Running, _options.Time, cancellationToken);
    }

    // First the processes, then what they used, then the record; each step is no error where its thing is gone.
    private async ValueTask RemoveHeldAsync(string id, ContainerRecord? record, bool removeVolumes, CancellationToken cancellationToken, bool isMonitors = false)
    {
        if (!isMonitors && Containers.ReadStart(id) is { } start && start.BootId == LiveProcess.BootId)
        {
            LiveProcess.Signal(start.Pid, start.PidStarted, KillSignal);
            if (record is not null)
            {
                HostCgroups.Thaw(record.Cgroup); // what is frozen does not die on every kernel
            }
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(s_patience);
            try
            {
                await WaitForEndAsync(id, start, limit.Token).ConfigureAwait(false);
                KillMonitor(start);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new StrataException(ErrorKind.Conflict, $"container {id[..12]}: its process {start.Pid} was killed and does not end") { Hint = "it waits for a device or a file system (state D in ps)" };
            }
        }
        await Runner.CleanUpAsync(id, cancellationToken).ConfigureAwait(false);
        UnmountAt(id);
        // By its key alone: what a cut creation left has no record to open.
        await Snapshots.RemoveAsync(new ActiveSnapshot(id, parent: null), cancellationToken).ConfigureAwait(false);
        if (removeVolumes)
        {
            foreach (ContainerMount mount in record?.Mounts.Where(m => m.Anonymous) ?? [])
            {
                Volumes.Remove(mount.Source);
            }
        }
        Nets.Release(id);
        if (record is not null && Containers.ReadStart(id) is not null)
        {
            Containers.NoteEnd(record, Conmon.TryReadExit(Containers.DirectoryOf(id))?.Code);
        }
        Containers.Remove(id, record?.Name);
        if (record is not null)
        {
            Containers.Note("destroy", record);
        }
    }

    // The process, then what its monitor has to write; a monitor that does not write it is killed after two seconds. It may have a command to run
    // when it has written, which is not waited for.
    private async ValueTask WaitForEndAsync(string id, ContainerStart start, CancellationToken cancellationToken)
    {
        await LiveProcess.WaitAsync(start.Pid, start.PidStarted, cancellationToken).ConfigureAwait(false);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using ITimer timer = _options.Time.CreateTimer(_ => timeout.Cancel(), null, TimeSpan.FromSeconds(2), Timeout.InfiniteTimeSpan);
        try
        {
            while (Conmon.TryReadExit(Containers.DirectoryOf(id)) is null && LiveProcess.IsSame(start.MonitorPid, start.MonitorStarted))
            {
                await Task.Delay(TimeSpan.FromMilliseconds(1), timeout.Token).ConfigureAwait(false);
            }
            if (_options.Program is null)
            {
                await LiveProcess.WaitAsync(start.MonitorPid, start.MonitorStarted, timeout.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            LiveProcess.Signal(start.MonitorPid, start.MonitorStarted, KillSignal);
        }
    }

    // What it runs at the end would only wait for us, and then find nothing.
    private static void KillMonitor(ContainerStart start)
    {
        if (!LiveProcess.IsSame(start.MonitorPid, start.MonitorStarted))
        {
            return;
        }
        foreach (int child in LiveProcess.ChildrenOf(start.MonitorPid))
        {
            if (child != Environment.ProcessId && LiveProcess.TryGetStart(child) is { } started)
            {
                LiveProcess.Signal(child, started, KillSignal);
            }
        }
        LiveProcess.Signal(start.MonitorPid, start.MonitorStarted, KillSignal);
    }
}
