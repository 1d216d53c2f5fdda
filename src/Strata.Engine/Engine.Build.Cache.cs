using Strata.Build;
using Strata.Containers;
using Strata.Linux;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>What builds keep for the next one, the last used first.</summary>
    public IReadOnlyList<BuildCacheEntry> ListBuildCache()
        => [.. BuildCache.Open(Layout).ListRecords().OrderByDescending(r => r.LastUsed).Select(Describe)];

    /// <summary>Removes records and cache mounts by ID, by the beginning of one (at least four digits), or by a mount's own id.</summary>
    /// <exception cref="StrataException">NotFound: there is none such; then nothing is removed. Conflict: a step uses it.</exception>
    public IReadOnlyList<BuildCacheEntry> RemoveBuildCache(IReadOnlyList<string> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        const int ShortestId = 4;
        BuildCache cache = BuildCache.Open(Layout);
        IReadOnlyList<CacheRecord> all = cache.ListRecords();
        var chosen = new List<CacheRecord>();
        foreach (string id in ids)
        {
            CacheRecord[] found = [.. all.Where(r => (id.Length >= ShortestId && Path.GetFileName(r.Path).StartsWith(id, StringComparison.Ordinal)) || (r.IsMount && r.Step.Instruction == id))];
            chosen.AddRange(found.Length > 0 ? found : throw new StrataException(ErrorKind.NotFound, $"build cache {id}: there is none such") { Hint = "see strata build cache ls" });
        }
        foreach (CacheRecord record in chosen.DistinctBy(r => r.Path))
        {
            if (!cache.Remove(record))
            {
                throw new StrataException(ErrorKind.Conflict, $"build cache {Path.GetFileName(record.Path)}: a step uses it");
            }
        }
        return [.. chosen.DistinctBy(r => r.Path).Select(Describe)];
    }

    /// <summary>Removes build cache, and what only it kept; containers and images stay.</summary>
    public async ValueTask<CollectResult> PruneBuildCacheAsync(PruneOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        IReadOnlyList<ListedImage> images = ListImages();
        IReadOnlyList<Container> containers = ListContainers();
        (CacheRecord[] kept, CacheRecord[] dropped, long bytes) = await ChooseCacheAsync(options, images, containers, cancellationToken).ConfigureAwait(false);
        BuildCache cache = BuildCache.Open(Layout);
        if (!options.DryRun)
        {
            foreach (CacheRecord record in dropped)
            {
                cache.Remove(record);
            }
            if (options is { Until: null, KeepStorage: null })
            {
                cache.Clear(); // also what cannot be read
            }
        }
        CollectResult collected = await CollectAsync(ListImages, ListContainers, options.DryRun ? [.. kept.Select(k => k.Step)] : [.. cache.List()], options.DryRun, cancellationToken).ConfigureAwait(false);
        return collected with { CacheRecords = dropped.Length, Bytes = collected.Bytes + bytes };
    }

    private BuildCacheEntry Describe(CacheRecord record)
    {
        long layer = record.Step.Layer is { } blob ? Content.TryGetSize(blob.Digest) ?? 0 : 0;
        return new BuildCacheEntry(Path.GetFileName(record.Path), record.IsMount ? "cache mount" : "step", record.IsMount ? FileSystems.GetDiskUsage(record.Path) : layer, record.LastUsed, record.Step.Instruction ?? "");
    }
}

/// <summary>A step's record, or the folder of a cache mount.</summary>
/// <param name="Id">Its name in the store.</param>
/// <param name="Type"><c>step</c> or <c>cache mount</c>.</param>
/// <param name="Bytes">Of the step's layer as a blob; of the folder on disk.</param>
/// <param name="LastUsed">When a build used it last.</param>
/// <param name="Description">The instruction, or the mount's id.</param>
public sealed record BuildCacheEntry(string Id, string Type, long Bytes, DateTimeOffset LastUsed, string Description);
