using System.Globalization;
using System.Runtime.CompilerServices;
using Strata.Containers;
using Strata.Linux;

namespace Strata;

public sealed partial class Engine
{
    private const string CgroupTree = "/sys/fs/cgroup";

    /// <summary>The processes of a running container.</summary>
    /// <exception cref="StrataException">Conflict: it does not run.</exception>
    public IReadOnlyList<ProcessRow> GetProcesses(string nameOrId)
    {
        ContainerRecord record = Containers.Get(nameOrId);
        ContainerStart start = GetRunning(record, "top").Start;
        IReadOnlyList<int> ids = CgroupReader.Processes(CgroupTree, record.Cgroup);
        return ProcessTable.Read(ids.Count > 0 ? ids.Order() : LiveProcess.BesideInNamespace(start.Pid), _options.Time.GetUtcNow());
    }

    /// <summary>What a container uses now; all 0 where it does not run.</summary>
    public ContainerUsage GetUsage(ContainerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        long machine = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (Containers.ReadStart(record.Id) is not { } start || Containers.GetState(record).Status != ContainerStatus.Running)
        {
            return new ContainerUsage();
        }
        ContainerUsage usage = CgroupReader.Read(CgroupTree, record.Cgroup, machine);
        (long received, long sent) = record.Isolation.Network == NetworkMode.Host ? (0, 0) : CgroupReader.Network(ReadDevices(start.Pid));
        return usage with { NetworkReceived = received, NetworkSent = sent };
    }

    private static string ReadDevices(int pid)
    {
        try
        {
            return File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/net/dev"));
        }
        catch (IOException)
        {
            return ""; // it ended in between
        }
    }

    /// <summary>What happened in this store, oldest first: from <paramref name="since"/> (null: from now), until <paramref name="until"/> (null: without end).</summary>
    public async IAsyncEnumerable<StoreEvent> ReadEventsAsync(DateTimeOffset? since, DateTimeOffset? until, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        DateTimeOffset from = since ?? _options.Time.GetUtcNow();
        EventLog log = Containers.Events;
        var position = new EventPosition(log);
        while (true)
        {
            bool isOver = until is { } end && _options.Time.GetUtcNow() >= end; // asked before the last look
            foreach (StoreEvent happened in position.ReadNew(from))
            {
                if (until is null || happened.Time <= until)
                {
                    yield return happened;
                }
            }
            if (isOver)
            {
                yield break;
            }
            await Task.Delay(TimeSpan.FromMilliseconds(50), _options.Time, cancellationToken).ConfigureAwait(false);
        }
    }

    // Where a reader is: in the newer file, known by its inode; what is older is read once, at the beginning, or when the newer file became the older one.
    private sealed class EventPosition(EventLog log)
    {
        private ulong _inode;
        private long _offset;
        private bool _begun;

        internal IReadOnlyList<StoreEvent> ReadNew(DateTimeOffset from)
        {
            var found = new List<StoreEvent>();
            FileStatus? now = FileSystems.TryGetStatus(log.FilePath);
            if (!_begun)
            {
                _begun = true;
                Read(log.OlderPath, 0, found);
            }
            else if (_inode != 0 && now?.Inode != _inode && FileSystems.TryGetStatus(log.OlderPath) is { } older && older.Inode == _inode)
            {
                Read(log.OlderPath, _offset, found);
                _offset = 0;
            }
            if (now is { } status)
            {
                _offset = status.Inode == _inode ? _offset : 0;
                _inode = status.Inode;
                _offset = Read(log.FilePath, _offset, found);
            }
            return [.. found.Where(e => e.Time >= from)];
        }

        // Up to the last line break: what is behind it is being written.
        private static long Read(string path, long offset, List<StoreEvent> found)
        {
            if (!File.Exists(path))
            {
                return offset;
            }
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            if (file.Length <= offset)
            {
                return offset;
            }
            byte[] bytes = new byte[file.Length - offset];
            file.Position = offset;
            int length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            int last = bytes.AsSpan(0, length).LastIndexOf((byte)'\n');
            foreach (Range line in bytes.AsSpan(0, last + 1).Split((byte)'\n'))
            {
                if (bytes.AsSpan(0, last + 1)[line] is { Length: > 0 } text && EventLog.TryParse(text) is { } happened)
                {
                    found.Add(happened);
                }
            }
            return offset + last + 1;
        }
    }

    /// <summary>Removes all containers that do not run (and, where given, that <paramref name="isWanted"/> says yes to).</summary>
    /// <returns>Their ids, and the bytes on disk that came free.</returns>
    public async ValueTask<(IReadOnlyList<string> Ids, long Bytes)> PruneContainersAsync(Func<Container, bool>? isWanted = null, CancellationToken cancellationToken = default)
    {
        var ids = new List<string>();
        long bytes = 0;
        foreach (Container container in ListContainers().Where(c => c.State.Status != ContainerStatus.Running && (isWanted is null || isWanted(c))))
        {
            long size = await GetLayerBytesAsync(container.Record, cancellationToken).ConfigureAwait(false);
            if (await TryRemoveStoppedAsync(container.Record.Id, cancellationToken).ConfigureAwait(false))
            {
                ids.Add(container.Record.Id);
                bytes += size;
            }
        }
        return (ids, bytes);
    }

    /// <summary>How often a container was started again by itself since somebody started it.</summary>
    public int GetRestartCount(ContainerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        return Containers.ReadRestarts(record.Id);
    }

    /// <summary>Where one of the files is that name a container (hosts, hostname, resolv.conf), while it runs.</summary>
    public string GetContainerFile(ContainerRecord record, string name)
    {
        ArgumentNullException.ThrowIfNull(record);
        return Path.Combine(Runtime.Layout.Bundle(record.Id), name);
    }

    /// <summary>What a container has written, in bytes on disk.</summary>
    public async ValueTask<long> GetLayerBytesAsync(ContainerRecord record, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(record);
        return await Snapshots.TryOpenActiveAsync(record.Id, cancellationToken).ConfigureAwait(false) is { } snapshot ? Snapshots.GetDiskUsage(snapshot) : 0;
    }
}
