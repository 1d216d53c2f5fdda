using System.Collections.Concurrent;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

public abstract partial class DirectorySnapshotter
{
    // Inflating and hashing have threads of their own: more layers at once would only seek.
    private const int LayersAtOnce = 2;
    // Each time a collector has taken a tree between a look and its use: ten times in a row is no accident any more.
    private const int MaxTries = 10;

    /// <inheritdoc/>
    public async ValueTask<CommittedSnapshot> ApplyAsync(CommittedSnapshot? parent, Descriptor layer, Digest diffId, IContentSource source, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(source);
        return (await ApplyAsync(parent, new[] { (layer, diffId) }, source, cancellationToken).ConfigureAwait(false))!;
    }

    /// <inheritdoc/>
    public ValueTask<CommittedSnapshot?> ApplyStackAsync(IReadOnlyList<(Descriptor Layer, Digest DiffId)> layers, IContentSource source, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentNullException.ThrowIfNull(source);
        return ApplyAsync(null, layers, source, cancellationToken);
    }

    private async ValueTask<CommittedSnapshot?> ApplyAsync(CommittedSnapshot? parent, IReadOnlyList<(Descriptor Layer, Digest DiffId)> layers, IContentSource source, CancellationToken cancellationToken)
    {
        if (parent is not null)
        {
            Own(parent);
        }
        StoreDirectory.Create(_layout.Trees);
        for (int tries = 1; ; tries++)
        {
            (CommittedSnapshot? top, int done) = await FindTopmostAsync(parent, layers, cancellationToken).ConfigureAwait(false);
            if (done == layers.Count)
            {
                return top;
            }
            // All turns at once and in one order, so that two processes with the same layers in different stacks cannot wait for each other.
            var turns = new List<NamedTurn>();
            try
            {
                foreach (Digest diffId in layers.Skip(done).Select(l => l.DiffId).Distinct().Order())
                {
                    turns.Add(await NamedTurn.AcquireAsync(Path.Combine(_layout.Trees, _trees.LockOf(diffId)), cancellationToken).ConfigureAwait(false));
                }
                (top, done) = await FindTopmostAsync(parent, layers, cancellationToken).ConfigureAwait(false);
                if (done == 0 && parent is not null && !IsWhole(parent))
                {
                    throw new StrataException(ErrorKind.NotFound, $"snapshot {parent.ChainId}: it was removed");
                }
                if (done == layers.Count || await TryStackAsync(top, [.. layers.Skip(done)], source, mayTryAgain: tries < MaxTries, cancellationToken).ConfigureAwait(false) is not { } applied)
                {
                    continue; // somebody else has done it, or has removed a layer that this one counted on
                }
                return applied;
            }
            finally
            {
                turns.ForEach(t => t.Dispose());
            }
        }
    }

    private async ValueTask<(CommittedSnapshot? Top, int Done)> FindTopmostAsync(CommittedSnapshot? parent, IReadOnlyList<(Descriptor Layer, Digest DiffId)> layers, CancellationToken cancellationToken)
    {
        using FileLock? names = await LockToLookAsync(cancellationToken).ConfigureAwait(false);
        var chains = new List<Digest>();
        foreach ((_, Digest diffId) in layers)
        {
            chains.Add(ChainId.Of(chains.Count == 0 ? parent?.ChainId : chains[^1], diffId));
        }
        for (int i = chains.Count; i > 0; i--)
        {
            if (TryReadWhole(chains[i - 1]) is { } there)
            {
                return (there, i);
            }
        }
        return (parent, 0);
    }

    // Unpacks what is missing, each layer alone and several at once; then stacks them in order. Null where a tree went away meanwhile.
    private async ValueTask<CommittedSnapshot?> TryStackAsync(CommittedSnapshot? parent, IReadOnlyList<(Descriptor Layer, Digest DiffId)> layers, IContentSource source, bool mayTryAgain, CancellationToken cancellationToken)
    {
        var alone = new ConcurrentDictionary<Digest, LayerTree?>();
        var staged = new ConcurrentDictionary<string, LayerTree>(StringComparer.Ordinal);
        try
        {
            var parallel = new ParallelOptions { MaxDegreeOfParallelism = LayersAtOnce, CancellationToken = cancellationToken };
            await Parallel.ForEachAsync(layers.DistinctBy(l => l.DiffId), parallel, async (item, token) =>
            {
                LayerTree? tree = _trees.TryFind(_trees.NameOf(item.DiffId)) ?? await UnpackAsync(_trees.NameOf(item.DiffId), item.Layer, item.DiffId, null, source, token).ConfigureAwait(false);
                alone[item.DiffId] = tree;
                Stage(tree);
            }).ConfigureAwait(false);
            CommittedSnapshot? top = parent;
            var used = new List<LayerTree>();
            foreach ((Descriptor layer, Digest diffId) in layers)
            {
                LayerTree? tree = alone[diffId];
                using (LayerStack below = tree is { Record.HidesAllBelow: true } ? new LayerStack([]) : OpenStaged(top, staged))
                {
                    if (tree is null || !_trees.Fits(tree, below))
                    {
                        string name = _trees.NameOfChain(ChainId.Of(top?.ChainId, diffId));
                        tree = _trees.TryFind(name) ?? await UnpackAsync(name, layer, diffId, below, source, cancellationToken).ConfigureAwait(false);
                        Stage(tree);
                    }
                }
                used.Add(tree!);
                top = new CommittedSnapshot(diffId, top, tree!.Name, tree.Record.ContentBytes, tree.Record.HidesAllBelow, Name);
            }
            string record = StageRecord(top!);
            _trees.Sync([.. used.Where(t => t.IsStaged).DistinctBy(t => t.Name)], record);
            return await TryPublishAsync(top!, record, [.. used.Where(t => t.IsStaged).DistinctBy(t => t.Name)], cancellationToken).ConfigureAwait(false) ? top : null;
        }
        catch (LinuxException e) when (mayTryAgain && e.Errno is Errno.ENOENT && (parent is not null || alone.Values.Any(t => t is { IsStaged: false })))
        {
            return null; // a tree that was found went away meanwhile; it may be there again by now
        }
        finally
        {
            foreach (LayerTree tree in staged.Values)
            {
                FileSystems.RemoveTree(tree.Folder); // what was published is not there any more
            }
        }

        void Stage(LayerTree? tree)
        {
            if (tree is { IsStaged: true })
            {
                staged[tree.Name] = tree;
            }
        }
    }

    private async ValueTask<LayerTree?> UnpackAsync(string name, Descriptor layer, Digest diffId, LayerStack? below, IContentSource source, CancellationToken cancellationToken)
    {
        Stream blob = await source.OpenAsync(layer, cancellationToken).ConfigureAwait(false);
        await using (blob.ConfigureAwait(false))
        {
            // Not a thread of the pool: it may wait for bytes that come by those.
            return await Task.Factory.StartNew(() => _trees.Unpack(name, blob, diffId, below, cancellationToken), cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
        }
    }

    private LayerStack OpenStaged(CommittedSnapshot? top, ConcurrentDictionary<string, LayerTree> staged)
        => new([.. (top?.Stack ?? []).Select(s => staged.TryGetValue(s.Tree, out LayerTree? tree) ? tree.Files : _trees.FilesOf(s.Tree))], FirstVisible(top), _trees.Marks, _trees.OpenFiles);

    // A name on its way: written aside, so that one sync takes it along.
    private string StageRecord(CommittedSnapshot top)
    {
        string record = _layout.NewIngestPath("snapshot");
        AtomicFile.Write(record, SealedRecord.Serialize(SnapshotRecords.PlaceOf(RecordPath(top.ChainId, Name)), StackRecord.Of(top), StackRecord.Write), durable: false);
        Fail.Point("snapshot.before-sync");
        return record;
    }

    // What is synced gets its names: trees first, because the record says that they are there. False where one of them is not.
    private async ValueTask<bool> TryPublishAsync(CommittedSnapshot top, string record, IReadOnlyList<LayerTree> staged, CancellationToken cancellationToken)
    {
        StoreDirectory.Create(_layout.Snapshots);
        // Against a removal that has looked for users of a tree and found none.
        using FileLock names = await LockNamesAsync(exclusive: false, cancellationToken).ConfigureAwait(false);
        if (staged.Count > 0)
        {
            _trees.Publish(staged);
        }
        if (!IsWhole(top))
        {
            FileSystems.RemoveTree(record);
            return false;
        }
        Durability.Rename(record, RecordPath(top.ChainId, Name), replace: true);
        Durability.SyncDirectory(_layout.Snapshots);
        return true;
    }
}
