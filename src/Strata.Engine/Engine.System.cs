using Strata.Build;
using Strata.Content;
using Strata.Images;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Removes what no name, container, living process or (unless asked) build cache needs.</summary>
    public ValueTask<CollectResult> CollectAsync(bool dryRun, bool includeCache, CancellationToken cancellationToken = default)
        => CollectAsync(ListImages, ListContainers, dryRun, includeCache, cancellationToken);

    // What images and containers need stays; asked for when leases have been looked at. A dry run hands in those that would be left.
    private async ValueTask<CollectResult> CollectAsync(Func<IReadOnlyList<ListedImage>> images, Func<IReadOnlyList<Containers.Container>> containers, bool dryRun, bool includeCache, CancellationToken cancellationToken)
    {
        BuildCache cache = BuildCache.Open(Layout);
        long cacheBytes = includeCache ? FileSystems.GetDiskUsage(Layout.Cache) : 0;
        CachedStep[] cached = includeCache ? [] : [.. cache.List()];
        int records = includeCache && !dryRun ? cache.Clear() : 0;
        cacheBytes -= includeCache ? dryRun ? 0 : FileSystems.GetDiskUsage(Layout.Cache) : 0;
        CollectResult collected = await CollectAsync(images, containers, cached, dryRun, cancellationToken).ConfigureAwait(false);
        return collected with { CacheRecords = records, Bytes = collected.Bytes + cacheBytes };
    }

    private async ValueTask<CollectResult> CollectAsync(Func<IReadOnlyList<ListedImage>> images, Func<IReadOnlyList<Containers.Container>> containers, CachedStep[] cached, bool dryRun, CancellationToken cancellationToken)
    {
        IEnumerable<Descriptor> Roots() => [.. images().Select(i => i.Record.Manifest), .. containers().Select(c => c.Record.Manifest)];
        (int blobs, long bytes) = await GarbageCollector.CollectAsync(Content, Roots, cached.Select(c => c.Layer?.Digest).OfType<Digest>(), dryRun, cancellationToken).ConfigureAwait(false);
        (IReadOnlyList<string> layers, long treeBytes) = await CollectSnapshotsAsync(Roots, dryRun ? [.. containers().Select(c => c.Record.Id)] : null, cached, dryRun, cancellationToken).ConfigureAwait(false);
        return new CollectResult(blobs, 0, layers, bytes + treeBytes);
    }

    /// <summary>
    /// Removes stopped containers and images without names as well (with <paramref name="all"/> also those no container uses), then collects.
    /// <paramref name="dryRun"/> only says what would go.
    /// </summary>
    public ValueTask<CollectResult> PruneAsync(bool all, bool dryRun, CancellationToken cancellationToken = default) => PruneAsync(new PruneOptions { All = all, DryRun = dryRun }, cancellationToken);

    /// <summary>The same with what is to be spared. Pinned images always are.</summary>
    public async ValueTask<CollectResult> PruneAsync(PruneOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        bool dryRun = options.DryRun;
        StoreSettings settings = StoreSettings.Read(Layout);
        bool IsOld(DateTimeOffset? made) => options.Until is not { } until || made is null || made < until;
        Containers.Container[] stopped = [.. ListContainers().Where(c => c.State.Status != Strata.Containers.ContainerStatus.Running && IsOld(c.Record.Created))];
        long written = 0;
        foreach (string id in stopped.Select(c => c.Record.Id))
        {
            long bytes = FileSystems.GetDiskUsage(Containers.DirectoryOf(id)) + FileSystems.GetDiskUsage(Path.Combine(Layout.Active, id));
            written += dryRun || await TryRemoveStoppedAsync(id, cancellationToken).ConfigureAwait(false) ? bytes : 0;
        }
        if (!dryRun)
        {
            await SweepContainersAsync(cancellationToken).ConfigureAwait(false);
        }
        if (options is { DryRun: false, Until: null } && Networks.HasOwn)
        {
            await PruneNetworksAsync(n => !n.IsDefault, cancellationToken).ConfigureAwait(false);
        }
        Containers.Container[] left = dryRun ? [.. ListContainers().ExceptBy(stopped.Select(c => c.Record.Id), c => c.Record.Id)] : [.. ListContainers()];
        HashSet<Digest> used = [.. left.Select(c => c.Record.Manifest.Digest)];
        HashSet<Digest?> usedIds = [.. left.Select(c => (Digest?)c.Record.ImageId)];
        ILookup<bool, ListedImage> images = ListImages().ToLookup(i => (options.All || i.Reference is null) && IsOld(i.Record.Created) && !IsPinned(i, settings)
            && !used.Contains(i.Record.Manifest.Digest) && !usedIds.Contains(i.Record.Config));
        (CacheRecord[] kept, CacheRecord[] dropped, long droppedBytes) = await ChooseCacheAsync(options, images[false], left, cancellationToken).ConfigureAwait(false);
        if (!dryRun)
        {
            await ForgetAsync(images[true], dropped, cancellationToken).ConfigureAwait(false);
        }
        if (options is { DryRun: false, Until: null, KeepStorage: null })
        {
            BuildCache.Open(Layout).Clear(); // also what cannot be read
        }
        // What was named, started or built meanwhile counts as well; a dry run has only what is left by its own account.
        CollectResult collected = dryRun ? await CollectAsync(() => [.. images[false]], () => left, [.. kept.Select(k => k.Step)], dryRun: true, cancellationToken).ConfigureAwait(false)
            : await CollectAsync(ListImages, ListContainers, [.. BuildCache.Open(Layout).List()], dryRun: false, cancellationToken).ConfigureAwait(false);
        return collected with { CacheRecords = dropped.Length, Bytes = collected.Bytes + written + droppedBytes };
    }

    private async ValueTask ForgetAsync(IEnumerable<ListedImage> images, CacheRecord[] records, CancellationToken cancellationToken)
    {
        foreach (ListedImage image in images)
        {
            if (image.Reference is null)
            {
                Images.RemoveUntagged(image.Record.Manifest.Digest);
            }
            else
            {
                await Images.RemoveAsync(image.Reference, cancellationToken).ConfigureAwait(false);
            }
        }
        foreach (CacheRecord record in records)
        {
            BuildCache.Open(Layout).Remove(record);
        }
    }

    /// <summary>Hashes an image's documents, layers and unpacked files again: whether it is what it was when it was made.</summary>
    public async ValueTask<IReadOnlyList<StoreProblem>> VerifyAsync(LocalImage image, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        var problems = new List<StoreProblem>();
        IReadOnlyList<CommittedSnapshot> tops = await Snapshotter.Router.GetAllAsync(image.Config.RootFs.DiffIds, cancellationToken).ConfigureAwait(false);
        for (int i = 0; i < image.Manifest.Layers.Length; i++)
        {
            Descriptor layer = image.Manifest.Layers[i];
            try
            {
                // However many snapshotters have it; and where none has, what it says of itself.
                foreach (string? tree in tops.Select(t => TreeOf(t, i)).DefaultIfEmpty())
                {
                    Stream blob = await Content.OpenAsync(layer, cancellationToken).ConfigureAwait(false);
                    await using (blob.ConfigureAwait(false))
                    {
                        problems.AddRange(TreeVerifier.Verify(blob, image.Config.RootFs.DiffIds[i], tree, $"layer {i + 1}"));
                    }
                }
            }
            catch (StrataException e)
            {
                problems.Add(new StoreProblem($"layer {i + 1} {layer.Digest}", e.Message, "pull or build the image again"));
            }
        }
        return problems;

        string? TreeOf(CommittedSnapshot top, int layer)
        {
            IReadOnlyList<string> trees = Snapshots.GetDirectories(top);
            int hidden = image.Manifest.Layers.Length - trees.Count; // below a layer with an opaque root nothing is seen
            return layer >= hidden ? trees[layer - hidden] : null;
        }
    }

    private async ValueTask<long> RemoveStepsAsync(string[] keys, bool dryRun, CancellationToken cancellationToken)
    {
        long bytes = 0;
        foreach (string key in keys)
        {
            var step = new ActiveSnapshot(key, parent: null);
            bytes += Snapshots.GetDiskUsage(step);
            if (!dryRun)
            {
                await Snapshots.RemoveAsync(step, cancellationToken).ConfigureAwait(false);
            }
        }
        return bytes;
    }

    private async ValueTask<(IReadOnlyList<string> Layers, long Bytes)> CollectSnapshotsAsync(Func<IEnumerable<Descriptor>> roots, HashSet<string>? containers, CachedStep[] cached, bool dryRun, CancellationToken cancellationToken)
    {
        // Before the look at the leases: what is listed belongs to a living one, has been handed on, or its maker is dead.
        (IReadOnlyList<CommittedSnapshot> all, IReadOnlyList<string> keys) = Snapshots.List();
        // A living ingester may be about to build on any of them: then they wait for the next collection.
        if (StoreLease.ReadAll(Layout).Living > 0)
        {
            return ([], 0);
        }
        var needed = new HashSet<Digest>();
        foreach (Descriptor root in roots())
        {
            await KeepAsync(root).ConfigureAwait(false);
        }
        HashSet<Digest> cachedLayers = [.. cached.Select(c => c.DiffId).OfType<Digest>()];
        // Of a container that a dry run takes for removed, nothing is kept; a build that holds no lease was killed; all other keys are of containers.
        HashSet<string> gone = [.. containers is null ? [] : ListContainers().Select(c => c.Record.Id).Where(id => !containers.Contains(id)), .. keys.Where(BuildExecutor.IsStep)];
        long bytes = await RemoveStepsAsync([.. keys.Where(BuildExecutor.IsStep)], dryRun, cancellationToken).ConfigureAwait(false);
        foreach (string key in keys.Where(k => !gone.Contains(k)))
        {
            Keep((await Snapshots.TryOpenActiveAsync(key, cancellationToken).ConfigureAwait(false))?.Parent);
        }
        foreach (CommittedSnapshot snapshot in all.Where(s => cachedLayers.Contains(s.DiffId)))
        {
            Keep(snapshot);
        }
        CommittedSnapshot[] victims = [.. all.Where(s => !needed.Contains(s.ChainId)).OrderByDescending(s => s.Stack.Count)];
        HashSet<string> counted = [.. all.Where(s => needed.Contains(s.ChainId)).Select(s => s.Tree)]; // several stacks may have one tree
        var removed = new List<Digest>();
        var names = new Dictionary<(ulong, ulong), uint>(); // of files that several layers have: those go with the last of them
        foreach (CommittedSnapshot victim in victims)
        {
            long size = counted.Contains(victim.Tree) ? 0 : FileSystems.GetFreedBytes(Path.Combine(Layout.Trees, victim.Tree), dryRun ? names : []);
            // Asked anew at each: who comes now looks for what is there after he has taken his lease.
            if (dryRun || await Snapshots.RemoveUnlessAsync(victim, () => StoreLease.ReadAll(Layout).Living > 0, cancellationToken).ConfigureAwait(false))
            {
                counted.Add(victim.Tree);
                bytes += size;
                removed.Add(victim.DiffId);
            }
        }
        bytes += await Snapshots.SweepAsync(dryRun, cancellationToken).ConfigureAwait(false);
        return ([.. removed.Distinct().Select(d => d.ToString())], bytes);

        void Keep(CommittedSnapshot? snapshot)
        {
            foreach (CommittedSnapshot layer in snapshot?.Stack ?? [])
            {
                needed.Add(layer.ChainId);
            }
        }

        async ValueTask KeepAsync(Descriptor root)
        {
            try
            {
                if (await TryReadImageAsync(root, cancellationToken).ConfigureAwait(false) is var (_, _, config))
                {
                    needed.UnionWith(ChainId.All(config.RootFs.DiffIds));
                }
            }
            catch (StrataException e) when (e.Kind is ErrorKind.Corrupt or ErrorKind.Invalid)
            {
                // system check tells of it; its layers are unpacked again when it is mended
            }
        }
    }
}

/// <summary>What pruning takes and spares.</summary>
public sealed record PruneOptions
{
    /// <summary>Images that no container uses, too, not only those without names.</summary>
    public bool All { get; init; }
    /// <summary>Only say what would go.</summary>
    public bool DryRun { get; init; }
    /// <summary>Only containers and images made before, and build cache used last before; null: all.</summary>
    public DateTimeOffset? Until { get; init; }
    /// <summary>So many bytes on disk of build cache stay, the most recently used; null: none.</summary>
    public long? KeepStorage { get; init; }
}

/// <summary>What was removed.</summary>
public sealed record CollectResult(int Blobs, int CacheRecords, IReadOnlyList<string> Layers, long Bytes);
