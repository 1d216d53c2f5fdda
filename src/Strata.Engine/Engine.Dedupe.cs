using Strata.Content;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>
    /// Keeps files that several layers have once on disk. Of the layers that are kept as tars with an index (the erofs snapshotter); what containers read stays as it is
    /// for them, and is given back when they end. Each layer is proved to be what it was before it changes places with what it is now.
    /// </summary>
    /// <exception cref="StrataException">Corrupt: a layer is not what it was; nothing was changed.</exception>
    public async ValueTask<DedupeResult> DedupeAsync(DedupeOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new DedupeOptions();
        using StoreLease lease = Content.AcquireLease("dedupe");
        StoreDirectory.Create(Layout.Trees);
        using FileLock turn = await FileLock.AcquireAsync(Path.Combine(Layout.Trees, ".dedupe"), exclusive: true, cancellationToken).ConfigureAwait(false);
        Dictionary<string, Digest> trees = [];
        foreach (CommittedSnapshot layer in Snapshots.List().Committed.Where(s => s.Snapshotter == ErofsSnapshotter.OwnName).SelectMany(s => s.Stack))
        {
            trees[layer.Tree] = layer.DiffId;
        }
        var dedupe = new ErofsDedupe(Layout);
        dedupe.Find(trees, options.MinimumBytes, cancellationToken);
        long before = FileSystems.GetDiskUsage(Layout.Trees);
        if (!options.DryRun)
        {
            await dedupe.ApplyAsync(cancellationToken).ConfigureAwait(false);
        }
        return new DedupeResult(trees.Count, dedupe.NewLayers, dedupe.NewFiles, options.DryRun ? dedupe.ExpectedBytes : before - FileSystems.GetDiskUsage(Layout.Trees));
    }

    /// <summary>What layers have in common by <see cref="DedupeAsync"/>.</summary>
    public SharedFiles GetSharedFiles()
    {
        int files = 0, layers = 0;
        long inPools = 0, inLayers = 0;
        long? cached = 0;
        var pools = new HashSet<(ulong, ulong)>();
        foreach (string folder in Directory.Exists(Layout.Trees) ? Directory.GetDirectories(Layout.Trees) : [])
        {
            if (ErofsTrees.TryReadPieces(folder) is not { IsEmpty: false } pieces)
            {
                continue;
            }
            layers++;
            files += pieces.Length;
            inLayers += pieces.Sum(p => p.Length);
            for (int pool = 1; pool <= ErofsFormat.MaxPools && FileSystems.TryGetStatus(ErofsTrees.PoolOf(folder, pool)) is { } status; pool++)
            {
                if (pools.Add((status.Device, status.Inode)))
                {
                    inPools += status.Blocks * 512;
                    cached += Files.TryGetCachedBytes(ErofsTrees.PoolOf(folder, pool));
                }
            }
        }
        return new SharedFiles(files, layers, inPools, inLayers, cached);
    }
}

/// <summary>What <see cref="Engine.DedupeAsync"/> shall do.</summary>
public sealed record DedupeOptions
{
    /// <summary>Smaller files stay in their layers. 16 KiB.</summary>
    public long MinimumBytes { get; init; } = 16 << 10;
    /// <summary>Only finds out.</summary>
    public bool DryRun { get; init; }
}

/// <summary>What <see cref="Engine.DedupeAsync"/> did, or would do.</summary>
/// <param name="Layers">How many layers were looked at.</param>
/// <param name="Changed">How many of them were made anew.</param>
/// <param name="Files">Files of theirs that were given a place in common.</param>
/// <param name="Bytes">What the disk got back.</param>
public sealed record DedupeResult(int Layers, int Changed, int Files, long Bytes);

/// <summary>Files that layers have in common, and that are on disk once.</summary>
/// <param name="Files">How many files of the layers there are, each as often as layers have it.</param>
/// <param name="Layers">The layers that have some.</param>
/// <param name="Bytes">What the files take, once, in bytes on disk.</param>
/// <param name="LayerBytes">What they would take if each layer had its own.</param>
/// <param name="CachedBytes">What of them is in the page cache, once for all of those layers; null where the kernel does not tell.</param>
public sealed record SharedFiles(int Files, int Layers, long Bytes, long LayerBytes, long? CachedBytes);
