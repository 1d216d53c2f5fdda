using Strata.Containers;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>
    /// What is left to do when a container is over that nobody waited for: to start it again, or to tidy up, or to remove it, as it was created. Its
    /// monitor calls the program for this, in its own mount namespace.
    /// </summary>
    /// <returns>Whether it runs again.</returns>
    public async ValueTask<bool> FinishContainerAsync(string id, CancellationToken cancellationToken = default)
    {
        if (Containers.TryRead(id) is not { } record)
        {
            return false;
        }
        UnmountBelow(Runtime.Layout.Bundle(id));
        UnmountBelow(Path.Combine(Layout.Active, id)); // this namespace has the container's files mounted: what is removed next must not be these
        using FileLock? held = await Containers.TryLockAsync(id, cancellationToken).ConfigureAwait(false);
        if (held is null || Containers.GetState(record) is not { Status: ContainerStatus.Exited } state)
        {
            return false; // removed, or somebody else has started it already
        }
        Containers.NoteEnd(record, state.ExitCode);
        bool isMonitors = EndMonitor(id);
        int restarts = Containers.ReadRestarts(id);
        if (record.Life.Restart.Wants(state.ExitCode, restarts) && !Containers.IsMarkedStopped(id))
        {
            // One that ran for ten seconds has not failed in a row, as Docker counts.
            restarts = state.FinishedAt - state.StartedAt > s_patience ? 0 : restarts;
            return await RestartAfterAsync(record, held, restarts, cancellationToken).ConfigureAwait(false);
        }
        if (record.Remove)
        {
            await RemoveHeldAsync(id, record, removeVolumes: true, cancellationToken, isMonitors).ConfigureAwait(false);
            return false;
        }
        await Runner.CleanUpAsync(id, cancellationToken).ConfigureAwait(false);
        return false;
    }

    /// <summary>Starts what is to run again after a boot: containers whose policy says so and that do not run.</summary>
    /// <returns>The containers that were started.</returns>
    public async ValueTask<IReadOnlyList<ContainerRecord>> StartAtBootAsync(CancellationToken cancellationToken = default)
    {
        var started = new List<ContainerRecord>();
        foreach (Container container in ListContainers().Where(c => c.State.Status != ContainerStatus.Running).Reverse())
        {
            ContainerRecord record = container.Record;
            bool wanted = record.Life.Restart.Kind == RestartKind.Always || (record.Life.Restart.Kind == RestartKind.UnlessStopped && !Containers.IsMarkedStopped(record.Id));
            if (!wanted || container.State.Status == ContainerStatus.Created)
            {
                continue;
            }
            try
            {
                started.Add(await StartContainerAsync(record.Id, cancellationToken).ConfigureAwait(false));
            }
            catch (StrataException e)
            {
                _options.Notify?.Invoke($"{record.Name}: {e.Message}"); // the others are started all the same
            }
        }
        return started;
    }

    // Others may stop or remove it while it waits for its next start: then it is not started. It counts as watched, so that nobody tidies it away.
    private async ValueTask<bool> RestartAfterAsync(ContainerRecord record, FileLock held, int restarts, CancellationToken cancellationToken)
    {
        using FileLock? watched = Containers.TryWatch(record.Id);
        await Runner.CleanUpAsync(record.Id, cancellationToken).ConfigureAwait(false);
        held.Dispose();
        DateTimeOffset due = _options.Time.GetUtcNow() + RestartPolicy.DelayBefore(restarts);
        while (_options.Time.GetUtcNow() < due)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(20), _options.Time, cancellationToken).ConfigureAwait(false);
            if (Containers.IsMarkedStopped(record.Id) || Containers.TryRead(record.Id) is null)
            {
                return false;
            }
        }
        using FileLock? again = await Containers.TryLockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        if (again is null || Containers.IsMarkedStopped(record.Id) || Containers.TryRead(record.Id) is not { } latest || Containers.GetState(latest).Status == ContainerStatus.Running)
        {
            return false;
        }
        Containers.WriteRestarts(record.Id, restarts + 1);
        ActiveSnapshot snapshot = await OpenSnapshotAsync(latest, cancellationToken).ConfigureAwait(false);
        (await Runner.StartAsync(latest, snapshot, streams: null, cancellationToken).ConfigureAwait(false)).Dispose();
        WatchHealth(latest);
        return true;
    }

    // Where this process is what a monitor runs at the end: the monitor has nothing more to do, and would wait for whatever is started here.
    private bool EndMonitor(string id)
    {
        if (Containers.ReadStart(id) is not { } start || !LiveProcess.IsSame(start.MonitorPid, start.MonitorStarted) || !LiveProcess.ChildrenOf(start.MonitorPid).Contains(Environment.ProcessId))
        {
            return false;
        }
        LiveProcess.Signal(start.MonitorPid, start.MonitorStarted, KillSignal);
        return true;
    }

    private static void UnmountBelow(string bundle)
    {
        foreach (MountEntry mount in Mounts.ReadTable().Where(m => m.Target.StartsWith(bundle + "/", StringComparison.Ordinal)).Reverse())
        {
            Mounts.Unmount(mount.Target, detach: true);
        }
    }

    // A container that runs on when we go. Its monitor sees to its end where it was told to; else a process of ours waits for it.
    private void LeaveBehind(ContainerRecord record, bool needsWaiter)
    {
        if (!needsWaiter || _options.Program is not { } program || (!record.Remove && record.Life.Restart.Kind == RestartKind.No))
        {
            return;
        }
        ChildProcess.Start(new ChildStart { Program = program[0], Arguments = [.. program.Skip(1), "container", "cleanup", "--wait", record.Id], NewSession = true, WorkingDirectory = "/" }).Dispose();
    }
}
