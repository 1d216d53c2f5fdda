using System.Collections.Immutable;
using Strata.Build;
using Strata.Content;
using Strata.Images;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>What the store costs on disk; the areas add up to what <c>du</c> says of the store.</summary>
    public DiskUsage GetDiskUsage()
    {
        // One set of inodes over all areas: a file with two names is counted where it is met first, as du counts it.
        var seen = new HashSet<(ulong, ulong)>();
        long Of(string path) => FileSystems.GetDiskUsage(path, seen);
        (string Name, string Path)[] areas =
        [
            ("blobs", Layout.Blobs), ("trees", Layout.Trees), ("snapshots", Layout.Snapshots), ("names", Layout.Images), ("containers", Layout.Containers), ("active", Layout.Active),
            ("volumes", Layout.Volumes), ("cache", Layout.Cache), ("ingest", Layout.Ingest), ("leases", Layout.Leases), ("trash", Layout.Trash),
        ];
        ImmutableArray<DiskArea> sizes = [.. areas.Select(a => new DiskArea(a.Name, Of(a.Path)))];
        long rest = Of(Layout.Root);
        return new DiskUsage([.. sizes, new DiskArea("store", rest)]);
    }

    /// <summary>What each image costs alone and shares with others: blobs and unpacked files, in bytes on disk.</summary>
    public async ValueTask<IReadOnlyList<ImageUsage>> GetImageUsageAsync(CancellationToken cancellationToken = default)
    {
        var parts = new Dictionary<ListedImage, HashSet<string>>();
        var sizes = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (ListedImage image in ListImages().DistinctBy(i => i.Record.Manifest.Digest))
        {
            (Descriptor descriptor, ImageManifest manifest, ImageConfig config) = await ReadImageAsync(image.Record.Manifest, Platform.Host, cancellationToken).ConfigureAwait(false);
            HashSet<string> own = [.. manifest.Layers.Append(manifest.Config).Append(descriptor).Append(image.Record.Manifest).Select(d => Layout.Blob(d.Digest))];
            if (await Snapshots.TryGetAsync(config.RootFs.DiffIds, cancellationToken).ConfigureAwait(false) is { } top)
            {
                own.UnionWith(Snapshots.GetDirectories(top));
            }
            parts[image] = own;
            foreach (string part in own.Where(p => !sizes.ContainsKey(p)))
            {
                sizes[part] = FileSystems.GetDiskUsage(part);
            }
        }
        Dictionary<string, int> users = parts.Values.SelectMany(p => p).GroupBy(p => p).ToDictionary(g => g.Key, g => g.Count());
        return [.. parts.Select(p => new ImageUsage(p.Key, p.Value.Where(x => users[x] > 1).Sum(x => sizes[x]), p.Value.Where(x => users[x] == 1).Sum(x => sizes[x])))];
    }

    /// <summary>Removes what no name, container, living process or (unless asked) build cache needs.</summary>
    public async ValueTask<CollectResult> CollectAsync(bool dryRun, bool includeCache, CancellationToken cancellationToken = default)
    {
        BuildCache cache = BuildCache.Open(Layout);
        int records = includeCache && !dryRun ? cache.Clear() : 0;
        CachedStep[] cached = includeCache ? [] : [.. cache.List()];
        Containers.Container[] containers = [.. ListContainers()];
        (int blobs, long bytes) = await GarbageCollector.CollectAsync(Content, Images, containers.Select(c => c.Record.Manifest), cached.Select(c => c.Layer?.Digest).OfType<Digest>(), dryRun, cancellationToken).ConfigureAwait(false);
        (IReadOnlyList<string> layers, long treeBytes) = await CollectSnapshotsAsync(cached, dryRun, cancellationToken).ConfigureAwait(false);
        return new CollectResult(blobs, records, layers, bytes + treeBytes);
    }

    /// <summary>Removes stopped containers and images without names as well (with <paramref name="all"/> also those no container uses), then collects.</summary>
    public async ValueTask<CollectResult> PruneAsync(bool all, bool dryRun, CancellationToken cancellationToken = default)
    {
        if (!dryRun)
        {
            foreach (Containers.Container container in ListContainers().Where(c => c.State.Status != Strata.Containers.ContainerStatus.Running))
            {
                await RemoveContainerAsync(container.Record.Id, force: true, removeVolumes: false, cancellationToken).ConfigureAwait(false);
            }
            await SweepContainersAsync(cancellationToken).ConfigureAwait(false);
            HashSet<Digest> used = [.. ListContainers().Select(c => c.Record.Manifest.Digest)];
            foreach (ListedImage image in ListImages().Where(i => !used.Contains(i.Record.Manifest.Digest)))
            {
                if (image.Reference is null)
                {
                    Images.RemoveUntagged(image.Record.Manifest.Digest);
                }
                else if (all)
                {
                    await Images.RemoveAsync(image.Reference, cancellationToken).ConfigureAwait(false);
                }
            }
        }
        return await CollectAsync(dryRun, includeCache: true, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Looks whether the store is whole.</summary>
    public async ValueTask<IReadOnlyList<StoreProblem>> CheckAsync(bool deep, bool repair, CancellationToken cancellationToken = default)
        => await StoreCheck.RunAsync(Content, Images, deep, repair, cancellationToken).ConfigureAwait(false);

    /// <summary>Hashes an image's documents, layers and unpacked files again: whether it is what it was when it was made.</summary>
    public async ValueTask<IReadOnlyList<StoreProblem>> VerifyAsync(LocalImage image, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        var problems = new List<StoreProblem>();
        CommittedSnapshot? top = await Snapshots.TryGetAsync(image.Config.RootFs.DiffIds, cancellationToken).ConfigureAwait(false);
        IReadOnlyList<string> trees = top is null ? [] : Snapshots.GetDirectories(top);
        for (int i = 0; i < image.Manifest.Layers.Length; i++)
        {
            Descriptor layer = image.Manifest.Layers[i];
            try
            {
                Stream blob = await Content.OpenAsync(layer, cancellationToken).ConfigureAwait(false);
                await using (blob.ConfigureAwait(false))
                {
                    problems.AddRange(TreeVerifier.Verify(blob, image.Config.RootFs.DiffIds[i], i < trees.Count ? trees[i] : null, i + 1));
                }
            }
            catch (StrataException e)
            {
                problems.Add(new StoreProblem($"layer {i + 1} {layer.Digest}", e.Message, "pull or build the image again"));
            }
        }
        return problems;
    }

    private async ValueTask<(IReadOnlyList<string> Layers, long Bytes)> CollectSnapshotsAsync(CachedStep[] cached, bool dryRun, CancellationToken cancellationToken)
    {
        // A living ingester may be about to build on any of them: then they wait for the next collection.
        if (StoreLease.ReadAll(Layout).Living > 0)
        {
            return ([], 0);
        }
        var needed = new HashSet<Digest>();
        foreach (ListedImage image in ListImages())
        {
            await KeepAsync(image.Record.Manifest).ConfigureAwait(false);
        }
        foreach (Containers.Container container in ListContainers())
        {
            await KeepAsync(container.Record.Manifest).ConfigureAwait(false);
        }
        HashSet<Digest> cachedLayers = [.. cached.Select(c => c.DiffId).OfType<Digest>()];
        (IReadOnlyList<CommittedSnapshot> all, IReadOnlyList<string> keys) = Snapshots.List();
        foreach (string key in keys)
        {
            Keep((await Snapshots.TryOpenActiveAsync(key, cancellationToken).ConfigureAwait(false))?.Parent);
        }
        foreach (CommittedSnapshot snapshot in all.Where(s => cachedLayers.Contains(s.DiffId)))
        {
            Keep(snapshot);
        }
        CommittedSnapshot[] victims = [.. all.Where(s => !needed.Contains(s.ChainId)).OrderByDescending(s => s.Stack.Count)];
        long bytes = 0;
        foreach (CommittedSnapshot victim in victims)
        {
            bytes += all.Any(s => needed.Contains(s.ChainId) && s.DiffId == victim.DiffId) ? 0 : Snapshots.GetDiskUsage(victim);
            if (!dryRun)
            {
                await Snapshots.RemoveAsync(victim, cancellationToken).ConfigureAwait(false);
            }
        }
        return ([.. victims.Select(v => v.DiffId.ToString())], bytes);

        void Keep(CommittedSnapshot? snapshot)
        {
            foreach (CommittedSnapshot layer in snapshot?.Stack ?? [])
            {
                needed.Add(layer.ChainId);
            }
        }

        async ValueTask KeepAsync(Descriptor root)
        {
            if (Content.TryGetSize(root.Digest) is null)
            {
                return;
            }
            (_, _, ImageConfig config) = await ReadImageAsync(root, Platform.Host, cancellationToken).ConfigureAwait(false);
            needed.UnionWith(ChainId.All(config.RootFs.DiffIds));
        }
    }
}

/// <summary>An area of the store, in bytes on disk.</summary>
public sealed record DiskArea(string Name, long Bytes);

/// <summary>What the store costs.</summary>
public sealed record DiskUsage(ImmutableArray<DiskArea> Areas)
{
    /// <summary>All of it: what <c>du -s</c> says.</summary>
    public long TotalBytes => Areas.Sum(a => a.Bytes);
}

/// <summary>What an image costs, in bytes on disk.</summary>
public sealed record ImageUsage(ListedImage Image, long SharedBytes, long UniqueBytes);

/// <summary>What was removed.</summary>
public sealed record CollectResult(int Blobs, int CacheRecords, IReadOnlyList<string> Layers, long Bytes);
