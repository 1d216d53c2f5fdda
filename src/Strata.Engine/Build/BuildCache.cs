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
    private readonly string _steps;

    private BuildCache(StoreLayout layout) => _steps = Path.Combine(layout.Cache, "steps");

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

    /// <summary>Notes that a record is used now: the time of its file.</summary>
    public void NoteUse(CacheKey key) => FileSystems.Touch(PathOf(key));

    /// <summary>All records with their files and when they were used last.</summary>
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

    /// <summary>Forgets all records; returns how many there were.</summary>
    public int Clear()
    {
        if (!Directory.Exists(_steps))
        {
            return 0;
        }
        string[] records = Directory.GetFiles(_steps);
        foreach (string record in records)
        {
            File.Delete(record);
        }
        return records.Length;
    }

    private static string PlaceOf(CacheKey key) => "steps/" + key.Value.Hex.ToString();

    private string PathOf(CacheKey key) => Path.Combine(_steps, key.Value.Hex.ToString());
}

/// <summary>A record's file, what it says, and when it was used.</summary>
internal sealed record CacheRecord(string Path, CachedStep Step, DateTimeOffset LastUsed);

/// <summary>What a step made. No layer: it changed no file.</summary>
public sealed record CachedStep(DateTimeOffset? Created)
{
    /// <summary>The layer's blob.</summary>
    public Descriptor? Layer { get; init; }
    /// <summary>The digest of its plain tar.</summary>
    public Digest? DiffId { get; init; }
    /// <summary>The instruction, for a person who looks at the cache.</summary>
    public string? Instruction { get; init; }

    internal static CachedStep Read(JsonFields o) => new(o.MaybeTime("created"))
    {
        Layer = DocumentFields.MaybeDescriptor(o, "layer"),
        DiffId = o.MaybeDigest("diffId"),
        Instruction = o.MaybeString("instruction"),
    };

    internal static void Write(Utf8JsonWriter writer, CachedStep step)
    {
        writer.Field("created", step.Created);
        writer.Object("layer", step.Layer, DocumentFields.Write);
        writer.Field("diffId", step.DiffId);
        writer.Field("instruction", step.Instruction);
    }
}
