using System.Text.Json;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Build;

/// <summary>
/// Results of steps by key: a small file each, below <see cref="StoreLayout.Cache"/>. A record that is gone, damaged or names a layer that is
/// gone is a miss and nothing else; so records need not survive a power cut, and anyone may delete them at any time.
/// </summary>
public sealed class BuildCache
{
    private readonly StoreLayout _layout;
    private readonly string _steps, _locks, _files, _slots;

    private BuildCache(StoreLayout layout) => (_layout, _steps, _locks, _files, _slots)
        = (layout, Path.Combine(layout.Cache, "steps"), Path.Combine(layout.Cache, "locks"), Path.Combine(layout.Cache, "files"), Path.Combine(layout.Cache, "slots"));

    /// <summary>Opens the cache of a store.</summary>
    public static BuildCache Open(StoreLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new BuildCache(layout);
    }

    /// <summary>
    /// What a step with this key made before, or null. Records are not synced, since a lost one costs a step and no more: whatever a power cut or
    /// anything else has left in place of one is a miss.
    /// </summary>
    public CachedStep? TryFind(CacheKey key)
    {
        byte[]? json = AtomicFile.TryRead(PathOf(key));
        try
        {
            return json is null || !SealedRecord.IsSealed(json) ? null : CachedStep.Read(SealedRecord.Parse(PlaceOf(key), json));
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Remembers a result.</summary>
    public void Put(CacheKey key, CachedStep result)
    {
        Directory.CreateDirectory(_steps);
        AtomicFile.Write(PathOf(key), SealedRecord.Serialize(PlaceOf(key), result, CachedStep.Write), durable: false);
    }

    /// <summary>Waits for the turn to make what a key names, here and in all other processes: equal steps run once, and who waited finds the record.</summary>
    internal ValueTask<NamedTurn> LockAsync(CacheKey key, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(_locks);
        return NamedTurn.AcquireAsync(Path.Combine(_locks, key.Value.Hex.ToString()), cancellationToken);
    }

    /// <summary>The key of what was made last at a place of a Dockerfile, or null.</summary>
    internal CacheKey? FindLast(string slot)
        => AtomicFile.TryRead(Path.Combine(_slots, slot)) is { } text && Digest.TryParse(System.Text.Encoding.ASCII.GetString(text), null, out Digest key) ? new CacheKey(key) : null;

    /// <summary>Notes what is made at a place.</summary>
    internal void NoteLast(string slot, CacheKey key)
    {
        Directory.CreateDirectory(_slots);
        AtomicFile.Write(Path.Combine(_slots, slot), System.Text.Encoding.ASCII.GetBytes(key.Value.ToString()), durable: false);
    }

    /// <summary>Writes the list of the files that a key stands for, into a file that is gone with this process unless it is kept; returns its path.</summary>
    internal string WriteFiles(Action<TextWriter> write)
    {
        string temporary = _layout.NewIngestPath("files");
        using var writer = new StreamWriter(temporary);
        write(writer);
        return temporary;
    }

    /// <summary>Keeps such a list.</summary>
    internal void KeepFiles(CacheKey key, string temporary)
    {
        Directory.CreateDirectory(_files);
        File.Move(temporary, FilesOf(key), overwrite: true);
    }

    /// <summary>The lines of that list.</summary>
    internal IEnumerable<string> ReadFiles(CacheKey key) => File.Exists(FilesOf(key)) ? File.ReadLines(FilesOf(key)) : [];

    private string FilesOf(CacheKey key) => Path.Combine(_files, key.Value.Hex.ToString());

    /// <summary>Notes that a record is used now: the time of its file.</summary>
    public void NoteUse(CacheKey key) => FileSystems.Touch(PathOf(key));

    /// <summary>All records and cache mounts, where they are, and when they were used last.</summary>
    internal IReadOnlyList<CacheRecord> ListRecords()
    {
        var records = new List<CacheRecord>();
        foreach (string name in FileSystems.TryGetNames(_steps) ?? [])
        {
            string path = Path.Combine(_steps, name);
            if (Digest.TryParse("sha256:" + name, null, out Digest key) && TryFind(new CacheKey(key)) is { } step && FileSystems.TryGetStatus(path) is { } status)
            {
                records.Add(new CacheRecord(path, step, status.Modified.ToDate() ?? DateTimeOffset.MinValue));
            }
        }
        records.AddRange(CacheMounts.List(_layout));
        return records;
    }

    /// <summary>All records: what the collector must keep while they are here.</summary>
    public IEnumerable<CachedStep> List()
    {
        if (!Directory.Exists(_steps))
        {
            yield break;
        }
        foreach (string path in Directory.EnumerateFiles(_steps))
        {
            if (Digest.TryParse("sha256:" + Path.GetFileName(path), null, out Digest key) && TryFind(new CacheKey(key)) is { } step)
            {
                yield return step;
            }
        }
    }

    /// <summary>Forgets all records, and the folders of cache mounts that no step uses; returns how many there were.</summary>
    public int Clear()
    {
        int records = Empty(_steps);
        foreach (string left in FileSystems.TryGetNames(_locks) ?? [])
        {
            NamedTurn.TryAcquire(Path.Combine(_locks, left))?.Dispose(); // of a process that was killed
        }
        foreach (string folder in new[] { _files, _slots, Path.Combine(_layout.Cache, "stats") })
        {
            Empty(folder);
        }
        return records + CacheMounts.Clear(_layout);
    }

    // The folders stay, and so does what somebody writes now: builds go on beside this.
    private static int Empty(string folder)
    {
        int removed = 0;
        foreach (string name in FileSystems.TryGetNames(folder) ?? [])
        {
            string path = Path.Combine(folder, name);
            TimeSpan halfWritten = TimeSpan.FromHours(1);
            if (!name.StartsWith('.') || (FileSystems.TryGetStatus(path)?.Modified.ToDate() is { } time && TimeProvider.System.GetUtcNow() - time > halfWritten))
            {
                FileSystems.RemoveTree(path);
                removed++;
            }
        }
        return removed;
    }

    /// <summary>Removes a record, or a cache mount that no step uses; says whether it is gone.</summary>
    internal bool Remove(CacheRecord record)
    {
        if (record.IsMount)
        {
            return CacheMounts.Remove(_layout, record.Path);
        }
        FileSystems.RemoveTree(record.Path);
        FileSystems.RemoveTree(Path.Combine(_files, Path.GetFileName(record.Path)));
        return true;
    }

    private static string PlaceOf(CacheKey key) => "steps/" + key.Value.Hex.ToString();

    private string PathOf(CacheKey key) => Path.Combine(_steps, key.Value.Hex.ToString());
}

/// <summary>A record's file, what it says, and when it was used.</summary>
internal sealed record CacheRecord(string Path, CachedStep Step, DateTimeOffset LastUsed)
{
    /// <summary>It is the folder of a cache mount; the instruction is then its id.</summary>
    internal bool IsMount { get; init; }
}

/// <summary>What a step made. No layer: it changed no file.</summary>
public sealed record CachedStep(DateTimeOffset? Created)
{
    /// <summary>The layer's blob.</summary>
    public Descriptor? Layer { get; init; }
    /// <summary>The digest of its plain tar.</summary>
    public Digest? DiffId { get; init; }
    /// <summary>The instruction, for a person who looks at the cache.</summary>
    public string? Instruction { get; init; }
    /// <summary>What its key was made of: names and values, as <see cref="CacheKeyBuilder.Fields"/> has them.</summary>
    internal System.Collections.Immutable.ImmutableArray<string> Fields { get; init; } = [];

    internal static CachedStep Read(JsonFields o) => new(o.MaybeTime("created"))
    {
        Layer = DocumentFields.MaybeDescriptor(o, "layer"),
        DiffId = o.MaybeDigest("diffId"),
        Instruction = o.MaybeString("instruction"),
        Fields = o.MaybeStrings("fields") ?? [],
    };

    internal static void Write(JsonFieldsWriter writer, CachedStep step)
    {
        writer.Field("created", step.Created);
        writer.Object("layer", step.Layer, DocumentFields.Write);
        writer.Field("diffId", step.DiffId);
        writer.Field("instruction", step.Instruction);
        if (!step.Fields.IsEmpty)
        {
            writer.Field("fields", step.Fields);
        }
    }
}
