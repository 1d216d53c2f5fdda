using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// What the snapshotters that unpack layers into directories have in common: how layers become trees, trees become stacks, and all of it comes and goes.
/// <code>
/// trees/DIFF-ID/            a layer's files, shared by all stacks that have the layer
/// trees/CHAIN-ID.chain/     the same for a layer with hard links into the layers below: only good on top of those
/// snapshots/CHAIN-ID.json   diff IDs and trees of the whole stack, bottom first: one read opens it
/// active/KEY/               snapshot.json, layer.json, init/, and what the snapshotter itself needs
/// </code>
/// Deletions are written into a tree as the snapshotter wants them, so trees and records are each snapshotter's own: those of all but overlay have its
/// name as ending. One that another snapshotter made can be listed and removed, and not used: <see cref="SnapshotRouter"/> gives each to its own.
/// </summary>
public abstract partial class DirectorySnapshotter : ISnapshotter
{
    private protected const int DefaultMode = 0b111_101_101;
    private readonly StoreLayout _layout;
    private readonly LayerTrees _trees;

    private protected DirectorySnapshotter(StoreLayout layout, string name, LayerTrees trees)
    {
        ArgumentNullException.ThrowIfNull(layout);
        (_layout, Name, _trees) = (layout, name, trees);
    }

    /// <inheritdoc/>
    public string Name { get; }

    private protected StoreLayout Layout => _layout;

    private protected LayerTrees Trees => _trees;

    /// <inheritdoc/>
    public abstract IReadOnlyList<MountSpec> GetMounts(Snapshot snapshot, string target);

    /// <inheritdoc/>
    public abstract LayerStack OpenStack(Snapshot snapshot);

    /// <inheritdoc/>
    public abstract IReadOnlyList<string> GetDirectories(Snapshot snapshot);

    /// <summary>Fills the folder of a new active snapshot; gives what its record has to know of it.</summary>
    private protected abstract ValueTask<ActiveRecord> FillAsync(string folder, CommittedSnapshot? parent, IReadOnlyList<MountPoint> mountPoints, CancellationToken cancellationToken);

    /// <summary>Reads what an active snapshot changed.</summary>
    private protected abstract ChangeScanner Scan(ActiveSnapshot snapshot);

    /// <summary>Makes the changes look as their layer says, and gives the record of the tree that they become; what cannot be undone waits for <see cref="MoveInto"/>.</summary>
    private protected abstract TreeRecord Settle(ActiveSnapshot snapshot, ChangesRecord changes);

    /// <summary>Gives the changes to a tree. All is on disk.</summary>
    private protected abstract void MoveInto(ActiveSnapshot snapshot, LayerTree tree);

    /// <inheritdoc/>
    public async ValueTask<CommittedSnapshot?> TryGetAsync(IReadOnlyList<Digest> diffIds, CancellationToken cancellationToken = default)
    {
        using FileLock? names = await LockToLookAsync(cancellationToken).ConfigureAwait(false);
        return ChainId.Of(diffIds) is { } chain ? TryReadWhole(chain) : null;
    }

    /// <inheritdoc/>
    public async ValueTask<ActiveSnapshot> PrepareAsync(string key, CommittedSnapshot? parent, IReadOnlyList<MountPoint>? mountPoints = null, bool durable = false, CancellationToken cancellationToken = default)
    {
        string folder = ActivePath(key), staging = _layout.NewIngestPath("active");
        bool isPlaced = false;
        try
        {
            StoreDirectory.Create(_layout.Active);
            StoreDirectory.Create(_layout.Trees);
            using FileLock names = await LockNamesAsync(exclusive: false, cancellationToken).ConfigureAwait(false);
            if (parent is not null)
            {
                Own(parent);
                KeepNamed(parent);
            }
            Directory.CreateDirectory(staging);
            ActiveRecord record = await FillAsync(staging, parent, mountPoints ?? [], cancellationToken).ConfigureAwait(false);
            AtomicFile.Write(Path.Combine(staging, "snapshot.json"), JsonFieldsWriter.Serialize(record, ActiveRecord.Write), durable);
            Durability.Rename(staging, folder, replace: false);
            isPlaced = true;
            if (durable)
            {
                Durability.SyncDirectory(_layout.Active);
            }
            return new ActiveSnapshot(key, parent, record.HasInit, Name, record.Made);
        }
        catch (LinuxException e) when (e.Errno is Errno.EEXIST or Errno.ENOTEMPTY && e.Call == "rename")
        {
            throw new StrataException(ErrorKind.Conflict, $"snapshot {key}: there is one already", e);
        }
        finally
        {
            if (!isPlaced)
            {
                FileSystems.RemoveTree(staging);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask<ActiveSnapshot?> TryOpenActiveAsync(string key, CancellationToken cancellationToken = default)
    {
        if (TryReadActive(key) is not { } record)
        {
            return ValueTask.FromResult<ActiveSnapshot?>(null);
        }
        CommittedSnapshot? parent = record.Parent is { } chain ? TryRead(chain, record.Snapshotter) : null;
        if (record.Parent is not null && parent is null)
        {
            // It was there while its layers were looked for: then they went before it.
            return TryReadActive(key) is null ? ValueTask.FromResult<ActiveSnapshot?>(null) : throw new StrataException(ErrorKind.Corrupt, $"snapshot {key}: its layers {record.Parent} are gone");
        }
        return ValueTask.FromResult<ActiveSnapshot?>(new ActiveSnapshot(key, parent, record.HasInit, record.Snapshotter, record.Made));
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<Change>> GetChangesAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken = default)
    {
        Own(snapshot);
        using ChangeScanner scanner = Scan(snapshot);
        return ValueTask.FromResult<IReadOnlyList<Change>>(scanner.List());
    }

    /// <inheritdoc/>
    public ValueTask<bool> WriteChangesAsync(ActiveSnapshot snapshot, Stream tar, SnapshotDiffOptions? options = null, CancellationToken cancellationToken = default)
    {
        Own(snapshot);
        using ChangeScanner scanner = Scan(snapshot);
        using var layer = new LayerWriter(tar);
        if (scanner.Write(layer, options ?? new SnapshotDiffOptions(), cancellationToken) is not { } changes)
        {
            return ValueTask.FromResult(false);
        }
        layer.Finish();
        AtomicFile.Write(ChangesPath(snapshot), JsonFieldsWriter.Serialize(changes, ChangesRecord.Write), durable: false);
        return ValueTask.FromResult(true);
    }

    /// <inheritdoc/>
    public virtual async ValueTask<CommittedSnapshot> CommitAsync(ActiveSnapshot snapshot, Digest diffId, CancellationToken cancellationToken = default)
    {
        Own(snapshot);
        byte[] json = AtomicFile.TryRead(ChangesPath(snapshot), int.MaxValue) ?? throw new StrataException(ErrorKind.Conflict, $"snapshot {snapshot.Key}: its changes were not written as a layer");
        ChangesRecord changes = SnapshotRecords.Parse(json, ChangesRecord.Read, $"snapshot {snapshot.Key}");
        StoreDirectory.Create(_layout.Trees);
        using NamedTurn turn = await NamedTurn.AcquireAsync(Path.Combine(_layout.Trees, _trees.LockOf(diffId)), cancellationToken).ConfigureAwait(false);
        using FileLock names = await LockNamesAsync(exclusive: false, cancellationToken).ConfigureAwait(false); // what is found stays
        LayerTree tree = FindFitting(snapshot.Parent, diffId) ?? Freeze(snapshot, diffId, changes);
        var committed = new CommittedSnapshot(diffId, snapshot.Parent, tree.Name, tree.Record.ContentBytes, tree.Record.HidesAllBelow, Name);
        string record = StageRecord(committed);
        _trees.Sync([tree], record);
        if (tree.IsStaged)
        {
            // Moved when all is on disk: a disk that fails in the sync leaves the snapshot as it was.
            MoveInto(snapshot, tree);
            Durability.SyncDirectory(tree.Folder);
        }
        if (!await TryPublishAsync(committed, record, tree.IsStaged ? [tree] : [], cancellationToken).ConfigureAwait(false))
        {
            throw new StrataException(ErrorKind.NotFound, $"snapshot {snapshot.Key}: the layers below it were removed");
        }
        RemoveActive(snapshot.Key);
        return committed;
    }

    /// <inheritdoc/>
    public virtual ValueTask<PathOrigin?> WhereAsync(Snapshot snapshot, string path, CancellationToken cancellationToken = default)
    {
        using LayerStack stack = OpenStack(snapshot);
        return ValueTask.FromResult(stack.TryFind(path, follow: true) is { } node ? OriginOf(snapshot, node) : null);
    }

    /// <inheritdoc/>
    public virtual IReadOnlyList<LayerAnswer> GetAnswers(Snapshot snapshot, string path)
    {
        using LayerStack stack = OpenStack(snapshot);
        return stack.GetAnswers(path);
    }

    private protected static PathOrigin OriginOf(Snapshot snapshot, LayerNode node)
    {
        IReadOnlyList<CommittedSnapshot> layers = (snapshot as CommittedSnapshot ?? snapshot.Parent)?.Stack ?? [];
        return new PathOrigin("/" + node.Path, node.Layer, node.Layer < layers.Count ? layers[node.Layer].DiffId : null, node.Status);
    }

    /// <inheritdoc/>
    public long GetDiskUsage(Snapshot snapshot) => snapshot switch
    {
        ActiveSnapshot active => FileSystems.GetDiskUsage(ActivePath(active.Key)),
        CommittedSnapshot committed => FileSystems.GetDiskUsage(Path.Combine(_layout.Trees, committed.Tree)),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <inheritdoc/>
    public (IReadOnlyList<CommittedSnapshot> Committed, IReadOnlyList<string> ActiveKeys) List()
    {
        var committed = new List<CommittedSnapshot>();
        foreach (string file in Directory.Exists(_layout.Snapshots) ? Directory.GetFiles(_layout.Snapshots, "*.json") : [])
        {
            if (SnapshotRecords.TryParseName(file, out Digest chain, out string snapshotter) && TryRead(chain, snapshotter) is { } snapshot)
            {
                committed.Add(snapshot);
            }
        }
        return (committed, Directory.Exists(_layout.Active) ? [.. Directory.GetDirectories(_layout.Active).Select(d => Path.GetFileName(d)!)] : []);
    }

    /// <inheritdoc/>
    public async ValueTask RemoveAsync(Snapshot snapshot, CancellationToken cancellationToken = default)
    {
        switch (snapshot)
        {
            case ActiveSnapshot active:
                RemoveActive(active.Key);
                break;
            case CommittedSnapshot committed:
                await RemoveAsync(committed, cancellationToken).ConfigureAwait(false);
                break;
        }
    }

    /// <inheritdoc/>
    public async ValueTask<long> SweepAsync(bool dryRun = false, CancellationToken cancellationToken = default)
    {
        if (!Directory.Exists(_layout.Trees))
        {
            return 0;
        }
        using FileLock names = await LockNamesAsync(exclusive: true, cancellationToken).ConfigureAwait(false);
        NamedTurn.Sweep(_layout.Trees, dryRun);
        HashSet<string> used = TreesOf(List().Committed);
        long bytes = 0;
        var met = new Dictionary<(ulong, ulong), uint>();
        foreach (string name in _trees.List().Where(n => !used.Contains(n))) // of every snapshotter
        {
            bytes += FileSystems.GetFreedBytes(Path.Combine(_layout.Trees, name), dryRun ? met : []);
            if (!dryRun)
            {
                _trees.Remove(name);
            }
        }
        return bytes;
    }

    /// <inheritdoc/>
    public async ValueTask<bool> RemoveUnlessAsync(CommittedSnapshot snapshot, Func<bool> isWanted, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ArgumentNullException.ThrowIfNull(isWanted);
        if (!Directory.Exists(_layout.Trees))
        {
            return false;
        }
        using FileLock names = await LockNamesAsync(exclusive: true, cancellationToken).ConfigureAwait(false);
        (IReadOnlyList<CommittedSnapshot> all, IReadOnlyList<string> keys) = List();
        if (isWanted() || FindUser(snapshot, all, keys) is not null)
        {
            return false;
        }
        RemoveNamed(snapshot, all);
        return true;
    }

    /// <inheritdoc/>
    public (IReadOnlyList<string> Layers, IReadOnlyList<string> Records) GetPaths(CommittedSnapshot snapshot)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        return ([.. TreesOf([snapshot]).Select(t => Path.Combine(_layout.Trees, t)).Where(Directory.Exists)], [RecordPath(snapshot.ChainId, snapshot.Snapshotter)]);
    }

    private async ValueTask RemoveAsync(CommittedSnapshot snapshot, CancellationToken cancellationToken)
    {
        if (!Directory.Exists(_layout.Trees))
        {
            return;
        }
        using FileLock names = await LockNamesAsync(exclusive: true, cancellationToken).ConfigureAwait(false);
        (IReadOnlyList<CommittedSnapshot> all, IReadOnlyList<string> keys) = List();
        if (FindUser(snapshot, all, keys) is { } user)
        {
            throw new StrataException(ErrorKind.Conflict, $"snapshot {snapshot.ChainId}: {user} is based on it");
        }
        RemoveNamed(snapshot, all);
    }

    private string? FindUser(CommittedSnapshot snapshot, IReadOnlyList<CommittedSnapshot> all, IReadOnlyList<string> keys)
        => all.Any(s => s.Snapshotter == snapshot.Snapshotter && s.ChainId != snapshot.ChainId && s.Stack.Any(l => l.ChainId == snapshot.ChainId)) ? "another one"
            : keys.FirstOrDefault(k => TryReadActive(k) is { } active && active.Parent == snapshot.ChainId && active.Snapshotter == snapshot.Snapshotter);

    private void RemoveNamed(CommittedSnapshot snapshot, IReadOnlyList<CommittedSnapshot> all)
    {
        CommittedSnapshot[] others = [.. all.Where(s => s.ChainId != snapshot.ChainId || s.Snapshotter != snapshot.Snapshotter)];
        AtomicFile.Delete(RecordPath(snapshot.ChainId, snapshot.Snapshotter));
        HashSet<string> used = TreesOf(others);
        foreach (string name in TreesOf([snapshot]).Where(n => !used.Contains(n)))
        {
            _trees.Remove(name);
        }
    }

    private static HashSet<string> TreesOf(IEnumerable<CommittedSnapshot> snapshots) => [.. snapshots.SelectMany(s => s.Stack.Select(l => l.Tree).Append(LayerTrees.NameOfMerged(s.ChainId, SuffixOf(s.Snapshotter))))];

    private protected void RemoveActive(string key) => TrashFolder.Remove(_layout, ActivePath(key));

    // Something is about to stand on a snapshot: it must be there, and be there by its name.
    private void KeepNamed(CommittedSnapshot snapshot)
    {
        if (File.Exists(RecordPath(snapshot.ChainId, Name)))
        {
            return;
        }
        if (!IsWhole(snapshot))
        {
            throw new StrataException(ErrorKind.NotFound, $"snapshot {snapshot.ChainId}: it was removed");
        }
        string path = RecordPath(snapshot.ChainId, Name);
        AtomicFile.Write(path, SealedRecord.Serialize(SnapshotRecords.PlaceOf(path), StackRecord.Of(snapshot), StackRecord.Write));
    }

    private LayerTree? FindFitting(CommittedSnapshot? parent, Digest diffId)
    {
        if (_trees.TryFind(_trees.NameOf(diffId)) is not { } tree)
        {
            return null;
        }
        using LayerStack below = OpenCommitted(parent);
        return _trees.Fits(tree, below) ? tree : _trees.TryFind(_trees.NameOfChain(ChainId.Of(parent?.ChainId, diffId)));
    }

    // A tree that has all but its files: those are still the snapshot's.
    private LayerTree Freeze(ActiveSnapshot snapshot, Digest diffId, ChangesRecord changes)
    {
        TreeRecord record = Settle(snapshot, changes);
        // The name of the layer may be taken by a tree that fits other stacks.
        string name = _trees.TryFind(_trees.NameOf(diffId)) is null ? _trees.NameOf(diffId) : _trees.NameOfChain(ChainId.Of(snapshot.Parent?.ChainId, diffId));
        var tree = new LayerTree(name, _layout.NewIngestPath("tree"), record, IsStaged: true);
        Directory.CreateDirectory(tree.Folder);
        LayerTrees.WriteRecord(tree.Folder, tree.Name, tree.Record);
        return tree;
    }

    /// <summary>Refuses what another snapshotter made: its trees say otherwise what is deleted, and would be read wrongly.</summary>
    /// <exception cref="StrataException">Conflict.</exception>
    private protected void Own(Snapshot snapshot)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        if (snapshot.Snapshotter != Name)
        {
            string what = snapshot is ActiveSnapshot active ? active.Key : ((CommittedSnapshot)snapshot).ChainId.ToString();
            throw new StrataException(ErrorKind.Conflict, $"snapshot {what}: it was made by the {snapshot.Snapshotter} snapshotter, and this is {Name}");
        }
    }

    // Who removes what nobody needs asks who lives and removes in one turn: who looks in no such turn, and made himself known before, keeps what he finds.
    private async ValueTask<FileLock?> LockToLookAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await LockNamesAsync(exclusive: false, cancellationToken).ConfigureAwait(false);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.EROFS)
        {
            return null; // nothing was ever unpacked here, or nobody can remove anything
        }
    }

    private ValueTask<FileLock> LockNamesAsync(bool exclusive, CancellationToken cancellationToken)
        => FileLock.AcquireAsync(Path.Combine(_layout.Trees, ".lock"), exclusive, cancellationToken);

    // A record whose files were taken away by hand is as good as none: the layers are unpacked anew.
    private CommittedSnapshot? TryRead(Digest chain) => TryRead(chain, Name);

    private CommittedSnapshot? TryRead(Digest chain, string snapshotter)
        => AtomicFile.TryRead(RecordPath(chain, snapshotter), int.MaxValue) is { } json
            && SnapshotRecords.Parse(json, StackRecord.Read, $"snapshot {chain}", SnapshotRecords.PlaceOf(RecordPath(chain, snapshotter))).ToSnapshot(snapshotter) is { } top && IsWhole(top) ? top : null;

    // To whom a damaged record is as good as none: the layers are unpacked anew, and it is written anew.
    private CommittedSnapshot? TryReadWhole(Digest chain)
    {
        try
        {
            return TryRead(chain);
        }
        catch (StrataException e) when (e.Kind == ErrorKind.Corrupt)
        {
            return null;
        }
    }

    private ActiveRecord? TryReadActive(string key)
        => AtomicFile.TryRead(Path.Combine(ActivePath(key), "snapshot.json")) is { } json
            ? SnapshotRecords.Parse(json, ActiveRecord.Read, $"snapshot {key}")
            : null;

    private bool IsWhole(CommittedSnapshot snapshot) => snapshot.Stack.All(s => _trees.IsThere(s.Tree));

    private protected LayerStack OpenCommitted(CommittedSnapshot? top) => new(AllTrees(top), FirstVisible(top), _trees.Marks, _trees.OpenFiles);

    private protected string[] AllTrees(CommittedSnapshot? top) => [.. (top?.Stack ?? []).Select(s => _trees.FilesOf(s.Tree))];

    private protected static int FirstVisible(CommittedSnapshot? top)
    {
        int first = (top?.Stack.Count ?? 0) - 1;
        for (CommittedSnapshot? at = top; at is { HidesAllBelow: false, Parent: not null }; at = at.Parent)
        {
            first--;
        }
        return Math.Max(0, first);
    }

    private protected string[] VisibleTrees(CommittedSnapshot? top) => AllTrees(top)[FirstVisible(top)..];

    private protected string ChangesPath(ActiveSnapshot snapshot) => Path.Combine(ActivePath(snapshot.Key), "layer.json");

    private string RecordPath(Digest chain, string snapshotter) => Path.Combine(_layout.Snapshots, chain.Hex.ToString() + SuffixOf(snapshotter) + ".json");

    private protected static string SuffixOf(string snapshotter) => snapshotter == OverlaySnapshotter.OwnName ? "" : "." + snapshotter;

    private protected string ActivePath(string key)
    {
        if (key.Length == 0 || key.AsSpan().ContainsAny('/', '\0') || key[0] == '.')
        {
            throw new ArgumentException("a key is a plain name", nameof(key));
        }
        return Path.Combine(_layout.Active, key);
    }
}
