using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// Creates small files on threads of its own, in batches, while the caller reads on: for a layer of many files their creation is most of the
/// time, and the kernel lets several threads do it at once. What is under way is known by path, so the caller waits only where it has to see the
/// result. A failure is thrown at the next call.
/// </summary>
internal sealed class SmallFileWriter(RootedDirectory target) : IDisposable
{
    /// <summary>Larger files gain nothing: their bytes cost more than their names.</summary>
    internal const int MaxFileBytes = 1 << 17;
    private const int BatchBytes = 1 << 18, BatchFiles = 128;
    private static readonly int s_threads = Math.Clamp(Environment.ProcessorCount, 1, 4);
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _work = new(0), _done = new(0);
    private readonly Queue<Batch> _filled = new(), _finished = new();
    private readonly HashSet<string> _pending = new(StringComparer.Ordinal);
    private readonly List<Thread> _threads = [];
    private Batch? _current;
    private Exception? _failure;
    private int _batches, _underWay, _generation;
    private volatile bool _stopped;

    /// <summary>Takes a file; its <paramref name="content"/> is read to <paramref name="size"/> bytes here.</summary>
    /// <param name="path">In the target; its directory is there, and nothing but a file that is to go is at the name.</param>
    /// <param name="size">At most <see cref="MaxFileBytes"/>.</param>
    /// <param name="metadata">How it looks, but for the owner.</param>
    /// <param name="owner">Null: as root makes it.</param>
    /// <param name="content">What it holds.</param>
    internal void Add(string path, int size, EntryMetadata metadata, (uint Uid, uint Gid)? owner, Stream content)
    {
        Batch batch = RoomFor(path, size);
        content.ReadExactly(batch.Bytes, batch.Used, size);
        batch.Add(new SmallFile(path, batch.Used, size, metadata, owner));
        _pending.Add(path);
    }

    /// <summary>The same with the start of an open file: one that has become shorter than <paramref name="size"/> is copied as it is now.</summary>
    internal void Add(string path, EntryMetadata metadata, (uint Uid, uint Gid)? owner, SafeFileHandle content, int size)
    {
        Batch batch = RoomFor(path, size);
        int length = 0;
        for (int read; length < size && (read = RandomAccess.Read(content, batch.Bytes.AsSpan(batch.Used + length, size - length), length)) > 0;)
        {
            length += read;
        }
        batch.Add(new SmallFile(path, batch.Used, length, metadata, owner));
        _pending.Add(path);
    }

    private Batch RoomFor(string path, int size)
    {
        Settle(path);
        if (_current is { } full && (full.Files.Count == BatchFiles || full.Bytes.Length - full.Used < size))
        {
            Flush();
        }
        return _current ??= NextBatch();
    }

    /// <summary>Waits where a file of that path is still to be made.</summary>
    internal void Settle(string path)
    {
        if (_pending.Contains(path))
        {
            Drain();
        }
    }

    /// <summary>Waits for all. After it names may change: nobody holds a directory open.</summary>
    internal void Drain()
    {
        if (_pending.Count == 0)
        {
            return;
        }
        if (_batches == 1 && _underWay == 0 && _current is { } only)
        {
            // A layer of a few files: no thread is worth its start.
            foreach (SmallFile file in only.Files)
            {
                Write(target, only.Bytes, file);
            }
        }
        else
        {
            Flush();
            while (_underWay > 0)
            {
                TakeFinished();
            }
        }
        _current?.Clear();
        _pending.Clear();
        _generation++;
    }

    /// <summary>Stops the threads; what they have not begun is not made.</summary>
    public void Dispose()
    {
        _stopped = true;
        _work.Release(Math.Max(1, _threads.Count));
        _threads.ForEach(t => t.Join());
        _work.Dispose();
        _done.Dispose();
    }

    private void Flush()
    {
        if (_current is not { Files.Count: > 0 } batch)
        {
            return;
        }
        _current = null;
        batch.Generation = _generation;
        if (_threads.Count < s_threads)
        {
            RootedDirectory own = target.OpenDirectory("");
            var thread = new Thread(() => Work(own)) { IsBackground = true, Name = "layer files" };
            _threads.Add(thread);
            thread.Start();
        }
        lock (_gate)
        {
            _filled.Enqueue(batch);
        }
        _underWay++;
        _work.Release();
    }

    // One more than there are threads at work and one that is being filled.
    private Batch NextBatch()
    {
        if (_batches < s_threads + 2)
        {
            _batches++;
            return new Batch(Math.Max(BatchBytes, MaxFileBytes));
        }
        return TakeFinished();
    }

    private Batch TakeFinished()
    {
        _done.Wait();
        _underWay--;
        Batch batch;
        lock (_gate)
        {
            batch = _finished.Dequeue();
            if (_failure is { } failure)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
            }
        }
        foreach (SmallFile file in batch.Files)
        {
            _pending.Remove(file.Path);
        }
        batch.Clear();
        _current ??= batch;
        return batch;
    }

#pragma warning disable CA1031 // thrown again at the caller
    private void Work(RootedDirectory own)
    {
        using RootedDirectory root = own;
        root.ModesAreExact = Host.TryClearUmaskOfThread();
        int generation = 0;
        while (true)
        {
            _work.Wait();
            Batch batch;
            bool failed;
            lock (_gate)
            {
                if (_stopped)
                {
                    return;
                }
                batch = _filled.Dequeue();
                failed = _failure is not null;
            }
            try
            {
                if (batch.Generation != generation)
                {
                    root.Forget();
                    generation = batch.Generation;
                }
                for (int i = 0; i < batch.Files.Count && !failed && !_stopped; i++)
                {
                    Write(root, batch.Bytes, batch.Files[i]);
                }
            }
            catch (Exception e)
            {
                lock (_gate)
                {
                    _failure ??= e;
                }
            }
            lock (_gate)
            {
                _finished.Enqueue(batch);
            }
            _done.Release();
        }
    }
#pragma warning restore CA1031

    private static void Write(RootedDirectory root, byte[] bytes, SmallFile file)
    {
        using SafeFileHandle handle = Create(root, file.Path, file.Metadata.Mode);
        ReadOnlySpan<byte> content = bytes.AsSpan(file.Offset, file.Length);
        if (FileDresser.IsLongZeros(content))
        {
            Files.SetLength(handle, content.Length, file.Path);
        }
        else
        {
            Files.Write(handle, content, file.Path);
        }
        FileDresser.Dress(handle, file.Path, file.Metadata, file.Owner);
    }

    // What is there is no directory, the caller knows: the archive has the name twice, and the last one counts.
    private static SafeFileHandle Create(RootedDirectory root, string path, int mode)
    {
        try
        {
            return root.CreateFile(path, mode);
        }
        catch (LinuxException e) when (e.Errno is Errno.EEXIST)
        {
            root.Remove(path);
            return root.CreateFile(path, mode);
        }
    }

    private sealed class Batch(int bytes)
    {
        internal byte[] Bytes { get; } = new byte[bytes];
        internal List<SmallFile> Files { get; } = new(BatchFiles);
        internal int Used { get; set; }
        internal int Generation { get; set; }

        internal void Add(in SmallFile file)
        {
            Files.Add(file);
            Used += file.Length;
        }

        internal void Clear()
        {
            Files.Clear();
            Used = 0;
        }
    }

    private readonly record struct SmallFile(string Path, int Offset, int Length, EntryMetadata Metadata, (uint Uid, uint Gid)? Owner);
}

/// <summary>What is the same for every regular file that a layer makes.</summary>
internal static class FileDresser
{
    private const int LongZeros = 1 << 15; // shorter ones are not worth a seek and another extent
    private const int SetIdBits = 0b110_000_000_000;

    /// <summary>Zeros that are better a hole: an archive of a sparse file that knows no holes has those written out.</summary>
    internal static bool IsLongZeros(ReadOnlySpan<byte> bytes) => bytes.Length >= LongZeros && !bytes.ContainsAnyExcept((byte)0);

    /// <summary>Owner, what a change of it clears, attributes and times of a file that was just written.</summary>
    internal static void Dress(SafeFileHandle handle, string path, EntryMetadata metadata, (uint Uid, uint Gid)? owner)
    {
        if (owner is { } other)
        {
            Files.SetOwner(handle, other.Uid, other.Gid, path);
        }
        if ((metadata.Mode & SetIdBits) != 0)
        {
            Files.SetMode(handle, metadata.Mode, path); // writing and a change of owner clear them
        }
        foreach ((string name, ImmutableArray<byte> value) in metadata.Xattrs)
        {
            Files.SetXattr(handle, name, value.AsSpan(), path);
        }
        Files.SetTimes(handle, metadata.Modified, path);
    }
}
