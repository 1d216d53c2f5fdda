using System.Collections.Immutable;
using Strata.Build;
using Strata.Containers;
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
            ("volumes", Layout.Volumes), ("networks", Layout.Networks), ("cache", Layout.Cache), ("ingest", Layout.Ingest), ("leases", Layout.Leases), ("trash", Layout.Trash),
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
            if (await TryReadImageAsync(image.Record.Manifest, cancellationToken).ConfigureAwait(false) is not var (descriptor, manifest, config))
            {
                continue;
            }
            HashSet<string> own = [.. manifest.Layers.Append(manifest.Config).Append(descriptor).Append(image.Record.Manifest).Select(d => Layout.Blob(d.Digest))];
            foreach (CommittedSnapshot top in await Snapshotter.Router.GetAllAsync(config.RootFs.DiffIds, cancellationToken).ConfigureAwait(false))
            {
                IReadOnlyList<string> directories = Snapshots.GetDirectories(top);
                own.UnionWith(directories);
                foreach ((string pool, long bytes) in directories.SelectMany(ErofsTrees.ListPools))
                {
                    own.Add(pool);
                    sizes[pool] = bytes;
                }
            }
            parts[image] = own;
            foreach (string part in own.Where(p => !sizes.ContainsKey(p)))
            {
                sizes[part] = FileSystems.GetFreedBytes(part, []);
            }
        }
        Dictionary<string, int> users = parts.Values.SelectMany(p => p).GroupBy(p => p).ToDictionary(g => g.Key, g => g.Count());
        return [.. parts.Select(p => new ImageUsage(p.Key, p.Value.Where(x => users[x] > 1).Sum(x => sizes[x]), p.Value.Where(x => users[x] == 1).Sum(x => sizes[x])))];
    }

    /// <summary>
    /// The layers on disk that images and running containers read, the most shared first. A layer has one directory, so its files are in memory
    /// once too, however many containers read them: the kernel caches files, not containers.
    /// </summary>
    public async ValueTask<IReadOnlyList<LayerSharing>> GetSharingAsync(CancellationToken cancellationToken = default)
    {
        var layers = new Dictionary<string, LayerSharing>(StringComparer.Ordinal);
        void Add(CommittedSnapshot? top, Func<LayerSharing, LayerSharing> user)
        {
            IReadOnlyList<string> directories = top is null ? [] : Snapshots.GetDirectories(top);
            for (int i = 0; i < directories.Count && i < top!.Stack.Count; i++)
            {
                LayerSharing layer = layers.GetValueOrDefault(directories[i]) ?? new LayerSharing(top.Stack[i].DiffId, FileSystems.GetFreedBytes(directories[i], []), [], []);
                layers[directories[i]] = user(layer);
            }
        }
        foreach (ListedImage image in ListImages().DistinctBy(i => i.Record.Manifest.Digest))
        {
            if (await TryReadImageAsync(image.Record.Manifest, cancellationToken).ConfigureAwait(false) is var (_, _, config))
            {
                string name = image.Reference?.Familiar ?? (image.Record.Config ?? image.Record.Manifest.Digest).Hex[..12].ToString();
                foreach (CommittedSnapshot top in await Snapshotter.Router.GetAllAsync(config.RootFs.DiffIds, cancellationToken).ConfigureAwait(false))
                {
                    Add(top, l => l with { Images = l.Images.Add(name) });
                }
            }
        }
        foreach (Container container in ListContainers().Where(c => c.State.Status == ContainerStatus.Running))
        {
            ActiveSnapshot? active = await Snapshots.TryOpenActiveAsync(container.Record.Id, cancellationToken).ConfigureAwait(false);
            Add(active?.Parent, l => l with { Containers = l.Containers.Add(container.Record.Name) });
        }
        return [.. layers.Values.OrderByDescending(l => l.Containers.Length).ThenByDescending(l => l.Images.Length).ThenByDescending(l => l.Bytes)];
    }

    /// <summary>
    /// <see cref="GetDiskUsage"/> in Docker's rows, which add up to the same total. Reclaimable is what removing all that is not active would give back:
    /// images that no container uses, stopped containers, volumes that no container has, what only the build cache keeps.
    /// </summary>
    public async ValueTask<IReadOnlyList<UsageRow>> GetUsageSummaryAsync(DiskUsage usage, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(usage);
        long Of(params string[] names) => usage.Areas.Where(a => names.Contains(a.Name)).Sum(a => a.Bytes);
        IReadOnlyList<Container> containers = ListContainers();
        ListedImage[] images = [.. ListImages().DistinctBy(i => i.Record.Manifest.Digest)];
        bool IsUsed(ListedImage image) => containers.Any(c => c.Record.Manifest.Digest == image.Record.Manifest.Digest || c.Record.ImageId == image.Record.Config);
        async ValueTask<long> WithoutAsync(bool all, bool includeCache)
            => (await CollectAsync(() => [.. images.Where(i => !all || IsUsed(i))], () => containers, dryRun: true, includeCache, cancellationToken).ConfigureAwait(false)).Bytes;
        long garbage = await WithoutAsync(all: false, includeCache: false).ConfigureAwait(false);
        long cached = await WithoutAsync(all: false, includeCache: true).ConfigureAwait(false) - garbage;
        long ofImages = await WithoutAsync(all: true, includeCache: false).ConfigureAwait(false);

        Container[] stopped = [.. containers.Where(c => c.State.Status != ContainerStatus.Running)];
        long written = stopped.Sum(c => FileSystems.GetDiskUsage(Containers.DirectoryOf(c.Record.Id)) + FileSystems.GetDiskUsage(Path.Combine(Layout.Active, c.Record.Id)));
        IReadOnlyList<string> volumes = Volumes.List();
        HashSet<string> mounted = [.. containers.SelectMany(c => c.Record.Mounts).Where(m => m.Kind == ContainerMountKind.Volume).Select(m => m.Source)];
        string[] unused = [.. volumes.Where(v => !mounted.Contains(v))];
        long inCache = Of("cache");
        return
        [
            new UsageRow("Images", images.Length, images.Count(IsUsed), usage.TotalBytes - Of("containers", "active", "volumes") - cached, ofImages),
            new UsageRow("Containers", containers.Count, containers.Count - stopped.Length, Of("containers", "active"), written),
            new UsageRow("Local Volumes", volumes.Count, volumes.Count - unused.Length, Of("volumes"), unused.Sum(v => FileSystems.GetDiskUsage(Path.GetDirectoryName(Volumes.PathOf(v))!))),
            new UsageRow("Build Cache", inCache == 0 ? 0 : BuildCache.Open(Layout).List().Count(), 0, cached, cached),
        ];
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

/// <summary>A layer on disk and who reads it.</summary>
/// <param name="DiffId">The layer.</param>
/// <param name="Bytes">What its files take, in bytes on disk, without those that it has in common with other layers (<see cref="SharedFiles"/>).</param>
/// <param name="Images">The names of the images that have it.</param>
/// <param name="Containers">The names of the running containers that read it.</param>
public sealed record LayerSharing(Digest DiffId, long Bytes, ImmutableArray<string> Images, ImmutableArray<string> Containers)
{
    /// <summary>What it would take more if each of its images had a copy of its own.</summary>
    public long SavedBytes => Bytes * Math.Max(0, Images.Length - 1);
}

/// <summary>A row of <c>system df</c>, in bytes on disk. What belongs to no row of its own (names, leases, what nobody needs) counts with the images.</summary>
public sealed record UsageRow(string Type, int Total, int Active, long Bytes, long ReclaimableBytes);
