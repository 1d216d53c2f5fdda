using Strata.Containers;
using Strata.Linux;

namespace Strata;

public sealed partial class Engine
{
    private ExecRunner? _execs;

    private ExecRunner Execs => _execs ??= new ExecRunner(Runtime, new Conmon("conmon"), _options.Time);

    /// <summary>Runs a further process in a running container, passes its streams, and waits for its end.</summary>
    /// <returns>Its exit code; 128 + the signal that ended it. 0 where it was detached from.</returns>
    /// <exception cref="ContainerStartException">It could not be started: 127 not there, 126 cannot be executed.</exception>
    /// <exception cref="StrataException">Conflict: the container does not run, or is paused.</exception>
    public async ValueTask<int> ExecAsync(string nameOrId, ExecOptions options, ContainerStreams streams, Action<ContainerSession>? started = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(streams);
        (ContainerRecord record, ContainerStart start) = GetToExec(nameOrId);
        using ContainerSession session = await Execs.StartAsync(record, start, options, streams, cancellationToken).ConfigureAwait(false);
        Containers.Note("exec_start: " + string.Join(' ', options.Arguments), record);
        started?.Invoke(session);
        try
        {
            int code = await session.WaitAsync(cancellationToken).ConfigureAwait(false);
            Containers.Note("exec_die", record, code);
            return code;
        }
        finally
        {
            if (!session.IsDetached)
            {
                ExecRunner.CleanUp(session);
            }
        }
    }

    /// <summary>Runs a further process in a running container, and does not wait for it.</summary>
    /// <exception cref="ContainerStartException">It could not be started.</exception>
    public async ValueTask ExecDetachedAsync(string nameOrId, ExecOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        (ContainerRecord record, ContainerStart start) = GetToExec(nameOrId);
        (await Execs.StartAsync(record, start, options, streams: null, cancellationToken).ConfigureAwait(false)).Dispose();
        Containers.Note("exec_start: " + string.Join(' ', options.Arguments), record);
    }

    /// <summary>Passes the streams of a running container, from now on, until it is over or the detach keys are typed.</summary>
    /// <returns>Its exit code; 0 where it was detached from.</returns>
    public async ValueTask<int> AttachContainerAsync(string nameOrId, ContainerStreams streams, Action<ContainerSession>? started = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(streams);
        ContainerRecord record = Containers.Get(nameOrId);
        ContainerStart start = GetRunning(record, "attach").Start;
        string bundle = Runtime.Layout.Bundle(record.Id);
        AttachedStreams attached = AttachedStreams.Connect(Conmon.AttachSocket(bundle), streams);
        using var session = new ContainerSession(record, start, bundle, Containers.DirectoryOf(record.Id), monitor: null, attached);
        Containers.Note("attach", record);
        if (streams.TerminalSize is (int rows, int columns))
        {
            session.Resize(rows, columns);
        }
        started?.Invoke(session);
        int code = await session.WaitAsync(cancellationToken).ConfigureAwait(false);
        if (session.IsDetached)
        {
            Containers.Note("detach", record);
        }
        return code;
    }

    private (ContainerRecord Record, ContainerStart Start) GetToExec(string nameOrId)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        (ContainerStart start, ContainerState state) = GetRunning(record, "exec");
        return state.IsPaused
            ? throw new StrataException(ErrorKind.Conflict, $"container {record.Name} is paused") { Hint = $"strata unpause {record.Name}" }
            : (record, start);
    }

    private (ContainerStart Start, ContainerState State) GetRunning(ContainerRecord record, string act)
        => Containers.GetState(record) is { Status: ContainerStatus.Running } state && Containers.ReadStart(record.Id) is { } start ? (start, state)
            : throw new StrataException(ErrorKind.Conflict, $"{act} {record.Name}: it is not running") { Hint = $"strata start {record.Name}" };

    /// <summary>Stops a container, where it runs, and starts it again.</summary>
    public async ValueTask<ContainerRecord> RestartContainerAsync(string nameOrId, TimeSpan? patience = null, int? signal = null, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = await StopContainerAsync(nameOrId, patience, signal, cancellationToken).ConfigureAwait(false);
        ContainerRecord started = await StartContainerAsync(record.Id, cancellationToken).ConfigureAwait(false);
        Containers.Note("restart", started);
        return started;
    }

    /// <summary>Holds all processes of a running container where they are.</summary>
    /// <exception cref="StrataException">Conflict: it does not run, or is paused already.</exception>
    public async ValueTask PauseContainerAsync(string nameOrId, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        using FileLock held = await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        UserLimits.CheckForUser("pause");
        if (GetRunning(record, "pause").State.IsPaused)
        {
            throw new StrataException(ErrorKind.Conflict, $"pause {record.Name}: it is paused already");
        }
        await PauseAsync(record, pause: true, cancellationToken).ConfigureAwait(false);
        Containers.Note("pause", record);
    }

    /// <summary>Lets a paused container go on.</summary>
    /// <exception cref="StrataException">Conflict: it is not paused.</exception>
    public async ValueTask UnpauseContainerAsync(string nameOrId, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        using FileLock held = await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        if (!GetRunning(record, "unpause").State.IsPaused)
        {
            throw new StrataException(ErrorKind.Conflict, $"unpause {record.Name}: it is not paused");
        }
        await PauseAsync(record, pause: false, cancellationToken).ConfigureAwait(false);
        Containers.Note("unpause", record);
    }

    private async ValueTask PauseAsync(ContainerRecord record, bool pause, CancellationToken cancellationToken)
    {
        if (pause)
        {
            await Runtime.PauseAsync(record.Id, cancellationToken).ConfigureAwait(false);
        }
        else
        {
            await Runtime.ResumeAsync(record.Id, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Gives a container another name.</summary>
    /// <exception cref="StrataException">Conflict: another one has it; Invalid: it is no name.</exception>
    public async ValueTask RenameContainerAsync(string nameOrId, string name, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        using FileLock held = await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        record = Containers.Get(record.Id);
        if (record.Name == name)
        {
            throw new StrataException(ErrorKind.Invalid, $"rename {name}: it is called that already");
        }
        // The new name, the record, then the old name: killed in between, two names lead to it until it is removed.
        await Containers.TakeNameAsync(name, record.Id, durable: true, cancellationToken).ConfigureAwait(false);
        string old = record.Name;
        Containers.Write(record with { Name = name }, durable: true);
        Containers.DropName(old, record.Id);
        Containers.Note("rename", record with { Name = name }, key: "oldName", value: old);
    }

    /// <summary>Changes the limits of a container, and at once where it runs.</summary>
    public async ValueTask UpdateContainerAsync(string nameOrId, Func<ContainerRecord, ContainerRecord> change, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(change);
        ContainerRecord record = Containers.Get(nameOrId);
        using FileLock held = await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        ContainerRecord changed = change(Containers.Get(record.Id));
        if (Containers.GetState(changed).Status == ContainerStatus.Running)
        {
            await Runtime.UpdateAsync(changed.Id, RuntimeSpec.Limits(changed.Isolation, HostCgroups.Read()), cancellationToken).ConfigureAwait(false);
        }
        Containers.Write(changed, durable: true);
        Containers.Note("update", changed);
    }
}
