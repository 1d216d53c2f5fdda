using Strata.Build;
using Strata.Content;
using Strata.Images;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>
    /// Looks whether the store is whole. <paramref name="deep"/>: hashes every blob and compares the unpacked files of every layer with it, too.
    /// <paramref name="repair"/> takes away what does not verify, and unpacks again what whole blobs are there for.
    /// </summary>
    public async ValueTask<IReadOnlyList<StoreProblem>> CheckAsync(bool deep, bool repair, CancellationToken cancellationToken = default)
    {
        List<StoreProblem> problems = [.. await StoreCheck.RunAsync(Content, Images, deep, repair, cancellationToken).ConfigureAwait(false)];
        if (!deep)
        {
            return problems;
        }
        (IReadOnlyList<(Descriptor Layer, Digest DiffId)[]> images, Dictionary<Digest, Descriptor> layers) = await ReadLayersAsync(repair, cancellationToken).ConfigureAwait(false);
        SnapshotCheck check = await CheckTreesAsync(layers, chains: null, cancellationToken).ConfigureAwait(false);
        problems.AddRange(check.Problems);
        if (repair && check.Problems.Count > 0)
        {
            await RestoreAsync(check, images, cancellationToken).ConfigureAwait(false);
        }
        return problems;
    }

    // Somebody brings an image that is here already: what of it was damaged on disk since is put right, so that nothing has to be removed first.
    private async ValueTask HealAsync(Descriptor root, CancellationToken cancellationToken)
    {
        if (await TryReadImageAsync(root, cancellationToken).ConfigureAwait(false) is not var (_, manifest, config) || manifest.Layers.Length != config.RootFs.DiffIds.Length)
        {
            return;
        }
        (Descriptor Layer, Digest DiffId)[] image = [.. manifest.Layers.Zip(config.RootFs.DiffIds)];
        SnapshotCheck check = await CheckTreesAsync(image.DistinctBy(l => l.DiffId).ToDictionary(l => l.DiffId, l => l.Layer), ChainId.All(config.RootFs.DiffIds).ToHashSet(), cancellationToken).ConfigureAwait(false);
        if (check.Problems.Count > 0)
        {
            await RestoreAsync(check, [image], cancellationToken).ConfigureAwait(false);
        }
    }

    // For a pull: what of an image is here as plain tars is hashed, and what is damaged is taken away, its blob as well where that is no better; the pull brings it back.
    private async ValueTask<SnapshotCheck?> TakeDamagedAsync(Descriptor root, CancellationToken cancellationToken)
    {
        if (await TryReadImageAsync(root, cancellationToken).ConfigureAwait(false) is not var (_, manifest, config) || manifest.Layers.Length != config.RootFs.DiffIds.Length)
        {
            return null;
        }
        var check = new SnapshotCheck(Layout);
        check.Read(ChainId.All(config.RootFs.DiffIds).ToHashSet());
        foreach (CheckedTree tree in check.Trees)
        {
            if (ErofsTrees.TryFolderOf(tree.Files) is { } folder && ErofsTrees.FindDamage(folder, tree.DiffId) is { } damage)
            {
                check.Add(tree, [new StoreProblem($"layer {tree.DiffId}", damage, "")]);
            }
        }
        if (check.Problems.Count == 0)
        {
            return null;
        }
        await RemoveDamagedAsync(check, cancellationToken).ConfigureAwait(false);
        HashSet<Digest> damaged = [.. check.Trees.Where(t => check.DamagedTrees.Contains(t.Name)).Select(t => t.DiffId)];
        foreach ((Descriptor layer, Digest diffId) in manifest.Layers.Zip(config.RootFs.DiffIds))
        {
            if (damaged.Contains(diffId) && await StoreCheck.FindDamageAsync(Content, layer, cancellationToken).ConfigureAwait(false) is not null)
            {
                FileSystems.RemoveTree(Layout.Blob(layer.Digest));
            }
        }
        return check;
    }

    private async ValueTask<SnapshotCheck> CheckTreesAsync(Dictionary<Digest, Descriptor> layers, IReadOnlySet<Digest>? chains, CancellationToken cancellationToken)
    {
        var check = new SnapshotCheck(Layout);
        check.Read(chains);
        foreach (CheckedTree tree in check.Trees)
        {
            if (layers.TryGetValue(tree.DiffId, out Descriptor? layer) && Content.TryGetSize(layer.Digest) == layer.Size)
            {
                check.Add(tree, await CompareAsync(tree, layer, cancellationToken).ConfigureAwait(false));
            }
        }
        return check;
    }

    // A layer whose blob is damaged itself says nothing about its files: the blob is told of elsewhere.
    private async ValueTask<IReadOnlyCollection<StoreProblem>> CompareAsync(CheckedTree tree, Descriptor layer, CancellationToken cancellationToken)
    {
        try
        {
            Stream blob = await Content.OpenAsync(layer, cancellationToken).ConfigureAwait(false);
            await using (blob.ConfigureAwait(false))
            {
                List<StoreProblem> problems = TreeVerifier.Verify(blob, tree.DiffId, tree.Files, $"layer {tree.DiffId}");
                await blob.CopyToAsync(Stream.Null, cancellationToken).ConfigureAwait(false); // to its end, where it is verified
                return problems;
            }
        }
        catch (Exception e) when (e is StrataException or InvalidDataException or LinuxException { Errno: Errno.ENOENT })
        {
            return []; // or it was removed meanwhile
        }
    }

    private async ValueTask RestoreAsync(SnapshotCheck check, IEnumerable<(Descriptor Layer, Digest DiffId)[]> images, CancellationToken cancellationToken)
    {
        using StoreLease lease = Content.AcquireLease("restore");
        await RemoveDamagedAsync(check, cancellationToken).ConfigureAwait(false);
        await ApplyAgainAsync(check, images, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask RemoveDamagedAsync(SnapshotCheck check, CancellationToken cancellationToken)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (Containers.Container container in ListContainers().Where(c => c.State.Status == Strata.Containers.ContainerStatus.Running))
        {
            used.UnionWith(((await Snapshots.TryOpenActiveAsync(container.Record.Id, cancellationToken).ConfigureAwait(false))?.Parent?.Stack ?? []).Select(s => s.Tree));
        }
        foreach (string tree in check.DamagedTrees.Where(used.Contains))
        {
            _options.Notify?.Invoke($"layer {tree}: it is damaged, and a container that runs reads it: stop that and do this again");
        }
        await check.RemoveAsync(used, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask ApplyAgainAsync(SnapshotCheck check, IEnumerable<(Descriptor Layer, Digest DiffId)[]> images, CancellationToken cancellationToken)
    {
        foreach ((Descriptor Layer, Digest DiffId)[] image in images)
        {
            if (image.Length > 0 && image.All(l => Content.TryGetSize(l.Layer.Digest) == l.Layer.Size))
            {
                // By those that had it: what a container stands on is of its own kind.
                Digest chain = ChainId.Of(image.Select(l => l.DiffId))!.Value;
                foreach (string name in check.Stacks.Where(s => s.Chain == chain && SnapshotterChoice.Names.Contains(s.Snapshotter)).Select(s => s.Snapshotter))
                {
                    await Snapshotter.Router.Get(name).ApplyStackAsync(image, Content, cancellationToken).ConfigureAwait(false);
                }
            }
        }
    }

    // The images that names and containers lead to, and which blob each layer has; the build cache knows some more.
    private async ValueTask<(IReadOnlyList<(Descriptor Layer, Digest DiffId)[]> Images, Dictionary<Digest, Descriptor> Layers)> ReadLayersAsync(bool repaired, CancellationToken cancellationToken)
    {
        var images = new List<(Descriptor, Digest)[]>();
        var layers = new Dictionary<Digest, Descriptor>();
        bool isReadable = repaired || Images.FindDamaged().Count == 0;
        foreach (Descriptor root in (isReadable ? ListImages().Select(i => i.Record.Manifest) : []).Concat(ListContainers().Select(c => c.Record.Manifest)).DistinctBy(d => d.Digest))
        {
            try
            {
                if (await TryReadImageAsync(root, cancellationToken).ConfigureAwait(false) is var (_, manifest, config) && manifest.Layers.Length == config.RootFs.DiffIds.Length)
                {
                    images.Add([.. manifest.Layers.Zip(config.RootFs.DiffIds)]);
                }
            }
            catch (StrataException)
            {
                // a damaged document: told of with its image
            }
        }
        foreach ((Descriptor layer, Digest diffId) in images.SelectMany(i => i))
        {
            layers.TryAdd(diffId, layer);
        }
        foreach (CachedStep step in BuildCache.Open(Layout).List())
        {
            if (step is { Layer: { } layer, DiffId: { } diffId })
            {
                layers.TryAdd(diffId, layer);
            }
        }
        return (images, layers);
    }
}
