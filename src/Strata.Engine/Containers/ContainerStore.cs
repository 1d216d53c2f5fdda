using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>
/// The records of containers:
/// <code>
/// containers/ID/container.json   what it is; written last: a directory without it is nobody's
///               lock             held while it is created, started or removed; a dead process holds nothing
///               started.json     who runs it; replaced by each start
///               exit             its exit code, by conmon; newer than started.json
///               ctr.log          its output
///               oom              conmon saw the kernel kill something in it for want of memory
///               ended            its end was noted in the events
///               stopped          somebody stopped it: it is not started again by itself
///               restarts         how often it was started again by itself
///               health.json      what its health checks found
/// containers/events.log          what happened, and events.log.1 what happened before
/// containers/names/NAME          the id
/// </code>
/// </summary>
public sealed partial class ContainerStore
{
    private const string OomFile = "oom";

    private readonly StoreLayout _layout;
    private readonly string _names;

    /// <summary>Opens the records of a store. Does no I/O.</summary>
    public ContainerStore(StoreLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        (_layout, _names) = (layout, Path.Combine(layout.Containers, "names"));
    }

    /// <summary>A new id: 64 hex digits, the first 12 not all decimal (a host name that is a number confuses programs).</summary>
    internal static string CreateId()
    {
        string id;
        do
        {
            // Not RandomNumberGenerator: it loads OpenSSL, which takes longer than creating the container.
            using FileStream random = new("/dev/urandom", FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            byte[] bytes = new byte[32];
            random.ReadExactly(bytes);
            id = Convert.ToHexStringLower(bytes);
        }
        while (!id.AsSpan(0, 12).ContainsAnyInRange('a', 'f'));
        return id;
    }

    /// <summary>The container's directory.</summary>
    public string DirectoryOf(string id) => Path.Combine(_layout.Containers, id);

    /// <summary>The container's output, as conmon writes it.</summary>
    public string LogOf(string id) => Path.Combine(DirectoryOf(id), "ctr.log");

    /// <summary>Waits for the container's lock.</summary>
    /// <exception cref="StrataException">NotFound: it was removed.</exception>
    internal async ValueTask<FileLock> LockAsync(string id, CancellationToken cancellationToken)
        => await TryLockAsync(id, cancellationToken).ConfigureAwait(false) ?? throw new StrataException(ErrorKind.NotFound, $"container {id[..12]}: it was removed");

    /// <summary>Waits for the container's lock; null where the container is gone.</summary>
    internal async ValueTask<FileLock?> TryLockAsync(string id, CancellationToken cancellationToken)
    {
        try
        {
            FileLock held = await FileLock.AcquireAsync(Path.Combine(DirectoryOf(id), "lock"), exclusive: true, cancellationToken).ConfigureAwait(false);
            if (Directory.Exists(DirectoryOf(id)))
            {
                return held;
            }
            held.Dispose();
            return null;
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return null;
        }
    }

    /// <summary>The container's lock, or null where somebody has it, or there is no such container any more.</summary>
    internal FileLock? TryLock(string id) => TryLock(id, "lock");

    /// <summary>Says that this process waits for the container's end, until disposed: it is not stopped for those who tidy up.</summary>
    internal FileLock? TryWatch(string id) => TryLock(id, "client");

    /// <summary>Whether some process waits for its end. The caller holds its lock.</summary>
    internal bool IsWatched(string id)
    {
        using FileLock? free = TryWatch(id);
        return free is null;
    }

    private FileLock? TryLock(string id, string name)
    {
        try
        {
            return FileLock.TryAcquire(Path.Combine(DirectoryOf(id), name), exclusive: true);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return null;
        }
    }

    /// <summary>Takes the id's directory, and its lock until the record is written. A sweeper that comes between the two takes the directory away.</summary>
    internal async ValueTask<FileLock> CreateDirectoryAsync(string id, CancellationToken cancellationToken)
    {
        const UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        while (true)
        {
            Directory.CreateDirectory(_layout.Containers, mode);
            Directory.CreateDirectory(DirectoryOf(id), mode);
            if (TryLock(id) is not { } held)
            {
                await Task.Delay(1, cancellationToken).ConfigureAwait(false);
                continue;
            }
            if (Directory.Exists(DirectoryOf(id)))
            {
                return held;
            }
            held.Dispose();
        }
    }

    /// <summary>Gives a name to an id: the one asked for, or a made-up one.</summary>
    /// <exception cref="StrataException">Conflict: another container has it; Invalid: it is no name.</exception>
    internal async ValueTask<string> TakeNameAsync(string? wanted, string id, bool durable, CancellationToken cancellationToken)
    {
        if (wanted is not null && !IsName(wanted))
        {
            throw new StrataException(ErrorKind.Invalid, $"container name '{wanted}': only letters, digits, '_', '.' and '-', at most 128, the first a letter or digit");
        }
        Directory.CreateDirectory(_names);
        using FileLock taking = await FileLock.AcquireAsync(Path.Combine(_layout.Containers, "names.lock"), exclusive: true, cancellationToken).ConfigureAwait(false);
        for (int attempt = 0; ; attempt++)
        {
            string name = wanted ?? ContainerNames.Create(attempt);
            string? owner = ReadName(name);
            if (owner is null || !IsAlive(owner))
            {
                AtomicFile.Write(Path.Combine(_names, name), Encoding.ASCII.GetBytes(id), durable);
                return name;
            }
            if (wanted is not null)
            {
                throw new StrataException(ErrorKind.Conflict, $"container name '{wanted}': taken by {owner[..12]}") { Hint = $"strata rm {wanted}" };
            }
        }
    }

    /// <summary>Forgets a name of a container that has another one now.</summary>
    internal void DropName(string name, string id)
    {
        if (ReadName(name) == id)
        {
            File.Delete(Path.Combine(_names, name));
        }
    }

    /// <summary>Forgets names whose containers are gone: those of creations that were cut.</summary>
    internal async ValueTask SweepNamesAsync(CancellationToken cancellationToken)
    {
        if (!Directory.Exists(_names))
        {
            return;
        }
        using FileLock taking = await FileLock.AcquireAsync(Path.Combine(_layout.Containers, "names.lock"), exclusive: true, cancellationToken).ConfigureAwait(false);
        foreach (string name in Directory.GetFiles(_names).Select(f => Path.GetFileName(f)).Where(n => IsName(n) && (ReadName(n) is not { } owner || !IsAlive(owner))))
        {
            File.Delete(Path.Combine(_names, name));
        }
    }

    // Has a record, or is being created right now.
    private bool IsAlive(string id)
    {
        string directory = DirectoryOf(id);
        if (HasRecord(id))
        {
            return true;
        }
        if (!Directory.Exists(directory))
        {
            return false;
        }
        using FileLock? free = FileLock.TryAcquire(Path.Combine(directory, "lock"), exclusive: true);
        return free is null;
    }

    /// <summary>Writes the record: from here on the container exists. Not durable: it ends with the machine's run, and what a power cut leaves of it is nobody's.</summary>
    internal void Write(ContainerRecord record, bool durable)
    {
        if (!durable)
        {
            using SafeFileHandle mark = File.OpenHandle(TransientMark(record.Id), FileMode.OpenOrCreate, FileAccess.Write);
        }
        AtomicFile.Write(RecordOf(record.Id), JsonFieldsWriter.Serialize(record, ContainerFields.Write), durable);
    }

    private string RecordOf(string id) => Path.Combine(DirectoryOf(id), "container.json");

    private string TransientMark(string id) => Path.Combine(DirectoryOf(id), "transient");

    /// <summary>Whether the container exists: has a record, be it damaged.</summary>
    internal bool HasRecord(string id) => File.Exists(RecordOf(id)) && (!IsTransient(id) || TryRead(id) is not null);

    // Empty or full of zeros, it is what a power cut leaves of it.
    private bool IsTransient(string id) => File.Exists(TransientMark(id));

    /// <summary>Writes who runs it, after the last exit code was removed.</summary>
    internal void WriteStart(string id, ContainerStart start)
        => AtomicFile.Write(Path.Combine(DirectoryOf(id), "started.json"), JsonFieldsWriter.Serialize(start, ContainerFields.Write), durable: false);

    /// <summary>Forgets the last run, before a new one.</summary>
    internal void ForgetRun(string id)
    {
        File.Delete(Path.Combine(DirectoryOf(id), "started.json"));
        File.Delete(Path.Combine(DirectoryOf(id), Conmon.ExitFile));
        File.Delete(Path.Combine(DirectoryOf(id), OomFile));
        File.Delete(Path.Combine(DirectoryOf(id), "ended"));
    }

    /// <summary>Forgets a container: first its record, then its name and files.</summary>
    internal void Remove(string id, string? name)
    {
        if (Directory.Exists(DirectoryOf(id)))
        {
            File.Delete(RecordOf(id));
        }
        if (IsName(name) && ReadName(name) == id)
        {
            File.Delete(Path.Combine(_names, name));
        }
        TrashFolder.Remove(_layout, DirectoryOf(id)); // at once: somebody may be about to make a lock in it
    }

    /// <summary>All containers, newest first.</summary>
    public IReadOnlyList<Container> List()
    {
        var containers = new List<Container>();
        foreach (string id in ListIds())
        {
            if (TryRead(id) is { } record)
            {
                containers.Add(new Container(record, GetState(record)));
            }
        }
        return [.. containers.OrderByDescending(c => c.Record.Created).ThenBy(c => c.Record.Id, StringComparer.Ordinal)];
    }

    /// <summary>All ids that have a directory, with a record or without.</summary>
    internal IReadOnlyList<string> ListIds()
    {
        var ids = new List<string>();
        foreach (string name in FileSystems.TryGetNames(_layout.Containers) ?? [])
        {
            if (IsId(name))
            {
                ids.Add(name);
            }
        }
        return ids;
    }

    /// <summary>The container with this name, id or unique beginning of an id.</summary>
    /// <exception cref="StrataException">NotFound: none; Invalid: several.</exception>
    public ContainerRecord Get(string nameOrId) => TryGet(nameOrId) ?? throw new StrataException(ErrorKind.NotFound, $"container '{nameOrId}': not found");

    /// <summary>The same, null where there is none.</summary>
    /// <exception cref="StrataException">Invalid: several.</exception>
    internal ContainerRecord? TryGet(string nameOrId) => TryFind(nameOrId) is { } id ? TryRead(id) : null;

    /// <summary>The id of the container with this name, id or unique beginning of an id, be its record damaged; null where there is none.</summary>
    /// <exception cref="StrataException">Invalid: several.</exception>
    internal string? TryFind(string nameOrId)
    {
        ArgumentNullException.ThrowIfNull(nameOrId);
        if (!IsName(nameOrId))
        {
            return null;
        }
        if (ReadName(nameOrId) is { } id && HasRecord(id))
        {
            return id;
        }
        string? match = null;
        foreach (string full in ListIds())
        {
            if (full.StartsWith(nameOrId, StringComparison.Ordinal) && HasRecord(full))
            {
                match = match is null ? full : throw new StrataException(ErrorKind.Invalid, $"container '{nameOrId}': several ids begin so");
            }
        }
        return match;
    }

    /// <summary>How a container is, by conmon's exit file and by who is alive.</summary>
    public ContainerState GetState(ContainerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        string directory = DirectoryOf(record.Id);
        if (ReadStart(record.Id) is not { } start)
        {
            return new ContainerState(ContainerStatus.Created);
        }
        bool thisBoot = start.BootId == LiveProcess.BootId;
        // Alive is asked first: a container that ends in between is found in its exit file then.
        bool alive = thisBoot && LiveProcess.IsSame(start.Pid, start.PidStarted);
        if (Conmon.TryReadExit(directory) is (int code, DateTimeOffset at))
        {
            bool oom = FileSystems.TryGetStatus(Path.Combine(directory, OomFile)) is not null;
            return new ContainerState(ContainerStatus.Exited) { ExitCode = code, StartedAt = start.At, FinishedAt = at, OomKilled = oom, IsRestarting = IsRestarting(record, code) };
        }
        if (alive || (thisBoot && LiveProcess.IsSame(start.MonitorPid, start.MonitorStarted)))
        {
            return new ContainerState(ContainerStatus.Running) { Pid = start.Pid, StartedAt = start.At, IsPaused = HostCgroups.IsFrozen(record.Cgroup) };
        }
        return new ContainerState(ContainerStatus.Exited) { StartedAt = start.At };
    }

    // Whoever starts it again is about: he waits for its next start, or is on his way to it.
    private bool IsRestarting(ContainerRecord record, int exitCode)
        => record.Life.Restart.Kind != RestartKind.No && record.Life.Restart.Wants(exitCode, ReadRestarts(record.Id)) && !IsMarkedStopped(record.Id) && IsWatched(record.Id);

    /// <summary>Who runs it, or ran it last; null where it was never started.</summary>
    internal ContainerStart? ReadStart(string id)
        => AtomicFile.TryReadUnsynced(Path.Combine(DirectoryOf(id), "started.json"), bytes => ContainerFields.ReadStart(JsonFields.Parse(bytes)));

    /// <summary>A record, or null where there is none.</summary>
    /// <exception cref="StrataException">Corrupt: it cannot be read.</exception>
    internal ContainerRecord? TryRead(string id)
    {
        if (AtomicFile.TryRead(RecordOf(id)) is not { } bytes)
        {
            return null;
        }
        try
        {
            return ContainerFields.Read(JsonFields.Parse(bytes));
        }
        catch (JsonException) when (IsTransient(id))
        {
            return null;
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"container {id[..12]}: its record is damaged: {e.Message}", e) { Hint = $"strata rm -f {id[..12]}" };
        }
    }

    /// <summary>Whether it has a record that cannot be understood.</summary>
    internal bool IsDamaged(string id)
    {
        try
        {
            TryRead(id);
            return false;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.Corrupt)
        {
            return true;
        }
    }

    private string? ReadName(string name)
        => AtomicFile.TryRead(Path.Combine(_names, name)) is { } bytes && Encoding.ASCII.GetString(bytes).Trim() is var id && IsId(id) ? id : null;

    private static bool IsId([NotNullWhen(true)] string? text) => text is { Length: 64 } && text.All(char.IsAsciiHexDigitLower);

    /// <summary>Whether a container or a volume may have this name.</summary>
    internal static bool IsName([NotNullWhen(true)] string? text)
        => text is { Length: > 0 and <= 128 } && char.IsAsciiLetterOrDigit(text[0]) && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');
}
