using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// Extracted directories as overlayfs lowers.
/// <code>
/// trees/DIFF-ID/            a layer's files with whiteouts as overlayfs reads them, shared by all stacks that have the layer
/// trees/CHAIN-ID.chain/     the same for a layer with hard links into the layers below: only good on top of those
/// snapshots/CHAIN-ID.json   diff IDs and trees of the whole stack, bottom first: one read opens it
/// active/KEY/               upper/ work/ init/ snapshot.json
/// </code>
/// </summary>
public sealed partial class OverlaySnapshotter : ISnapshotter
{
    private const int MaxLowers = 500; // OVL_MAX_STACK of fs/overlayfs
    private readonly StoreLayout _layout;
    private readonly OverlayTrees _trees;

    private OverlaySnapshotter(StoreLayout layout) => (_layout, _trees) = (layout, new OverlayTrees(layout));

    /// <summary>Opens the snapshots of a store.</summary>
    public static OverlaySnapshotter Open(StoreLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new OverlaySnapshotter(layout);
    }

    /// <inheritdoc/>
    public ValueTask<CommittedSnapshot?> TryGetAsync(IReadOnlyList<Digest> diffIds, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(ChainId.Of(diffIds) is { } chain ? TryRead(chain) : null);

    /// <inheritdoc/>
    public async ValueTask<ActiveSnapshot> PrepareAsync(string key, CommittedSnapshot? parent, IReadOnlyList<MountPoint>? mountPoints = null, CancellationToken cancellationToken = default)
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
                KeepNamed(parent);
            }
            bool hasInit = MakeActive(staging, parent, mountPoints ?? []);
            Durability.Rename(staging, folder, replace: false);
            isPlaced = true;
            return new ActiveSnapshot(key, parent, hasInit);
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
        CommittedSnapshot? parent = record.Parent is { } chain ? TryRead(chain) ?? throw new StrataException(ErrorKind.Corrupt, $"snapshot {key}: its layers {chain} are gone") : null;
        return ValueTask.FromResult<ActiveSnapshot?>(new ActiveSnapshot(key, parent, record.HasInit));
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<Change>> GetChangesAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        using ChangeScanner scanner = Scan(snapshot);
        return ValueTask.FromResult<IReadOnlyList<Change>>(scanner.List());
    }

    /// <inheritdoc/>
    public ValueTask<bool> WriteChangesAsync(ActiveSnapshot snapshot, Stream tar, SnapshotDiffOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
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
    public async ValueTask<CommittedSnapshot> CommitAsync(ActiveSnapshot snapshot, Digest diffId, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        byte[] json = AtomicFile.TryRead(ChangesPath(snapshot), int.MaxValue) ?? throw new StrataException(ErrorKind.Conflict, $"snapshot {snapshot.Key}: its changes were not written as a layer");
        ChangesRecord changes = SnapshotRecords.Parse(json, ChangesRecord.Read, $"snapshot {snapshot.Key}");
        StoreDirectory.Create(_layout.Trees);
        using TreeLock turn = await TreeLock.AcquireAsync(Path.Combine(_layout.Trees, ".lock-" + OverlayTrees.NameOf(diffId)), cancellationToken).ConfigureAwait(false);
        using FileLock names = await LockNamesAsync(exclusive: false, cancellationToken).ConfigureAwait(false); // what is found stays
        OverlayTree tree = FindFitting(snapshot.Parent, diffId) ?? Freeze(snapshot, diffId, changes);
        var committed = new CommittedSnapshot(diffId, snapshot.Parent, tree.Name, tree.Record.ContentBytes, tree.Record.HidesAllBelow);
        string record = StageRecord(committed);
        Durability.SyncFileSystem(_layout.Ingest);
        if (tree.IsStaged)
        {
            // Moved when all is on disk: a disk that fails in the sync leaves the snapshot as it was.
            Durability.Rename(Upper(snapshot), tree.Files, replace: false);
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
    public IReadOnlyList<MountSpec> GetMounts(Snapshot snapshot, string target)
    {
        // nofollow: a redirect planted in a layer leads nowhere. No index, no metacopy: lowers are shared by many uppers.
        List<string> options = ["redirect_dir=nofollow", "index=off", "metacopy=off", "xino=off"];
        if (snapshot is ActiveSnapshot active)
        {
            string folder = ActivePath(active.Key);
            AddLowers(options, [.. VisibleTrees(active.Parent), .. active.HasInit ? [Path.Combine(folder, "init")] : Array.Empty<string>()]);
            options.AddRange(["upperdir=" + Upper(active), "workdir=" + Path.Combine(folder, "work")]);
            return [new MountSpec("overlay", "strata", target, options)];
        }
        string[] trees = VisibleTrees((CommittedSnapshot)snapshot);
        if (trees.Length == 1)
        {
            // overlayfs takes no single lower; and a bottom layer has no whiteouts that it would have to hide.
            return [new MountSpec("", trees[0], target, [], MountFlags.Bind | MountFlags.ReadOnly)];
        }
        AddLowers(options, trees);
        return [new MountSpec("overlay", "strata", target, options, MountFlags.ReadOnly)];
    }

    private static void AddLowers(List<string> options, string[] trees)
    {
        if (trees.Length > MaxLowers)
        {
            throw new StrataException(ErrorKind.Invalid, $"an overlay of {trees.Length} directories: Linux joins at most {MaxLowers}") { Hint = "flatten the image: strata export, then strata import" };
        }
        options.AddRange(trees.Reverse().Select(t => "lowerdir+=" + t));
    }

    /// <inheritdoc/>
    public ValueTask<PathOrigin?> WhereAsync(Snapshot snapshot, string path, CancellationToken cancellationToken = default)
    {
        using LayerStack stack = OpenStack(snapshot);
        if (stack.TryFind(path, follow: true) is not { } node)
        {
            return ValueTask.FromResult<PathOrigin?>(null);
        }
        CommittedSnapshot? committed = snapshot as CommittedSnapshot ?? snapshot.Parent;
        IReadOnlyList<CommittedSnapshot> layers = committed?.Stack ?? [];
        return ValueTask.FromResult<PathOrigin?>(new PathOrigin("/" + node.Path, node.Layer, node.Layer < layers.Count ? layers[node.Layer].DiffId : null, node.Status));
    }

    /// <inheritdoc/>
    public LayerStack OpenStack(Snapshot snapshot)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        return snapshot is ActiveSnapshot active
            ? new LayerStack([.. AllTrees(active.Parent), Upper(active)], FirstVisible(active.Parent))
            : OpenCommitted((CommittedSnapshot)snapshot);
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> GetDirectories(Snapshot snapshot)
        => snapshot is ActiveSnapshot active ? [.. VisibleTrees(active.Parent), Upper(active)] : VisibleTrees((CommittedSnapshot)snapshot);

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
            if (Digest.TryParse("sha256:" + Path.GetFileNameWithoutExtension(file), null, out Digest chain) && TryRead(chain) is { } snapshot)
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
        HashSet<string> used = TreesOf(List().Committed);
        long bytes = 0;
        foreach (string name in _trees.List().Where(n => !used.Contains(n)))
        {
            bytes += FileSystems.GetDiskUsage(Path.Combine(_layout.Trees, name));
            if (!dryRun)
            {
                _trees.Remove(name);
            }
        }
        return bytes;
    }

    private async ValueTask RemoveAsync(CommittedSnapshot snapshot, CancellationToken cancellationToken)
    {
        if (!Directory.Exists(_layout.Trees))
        {
            return;
        }
        using FileLock names = await LockNamesAsync(exclusive: true, cancellationToken).ConfigureAwait(false);
        (IReadOnlyList<CommittedSnapshot> all, IReadOnlyList<string> keys) = List();
        if (all.Any(s => s.ChainId != snapshot.ChainId && s.Stack.Any(l => l.ChainId == snapshot.ChainId)))
        {
            throw new StrataException(ErrorKind.Conflict, $"snapshot {snapshot.ChainId}: another one is based on it");
        }
        if (keys.FirstOrDefault(k => TryReadActive(k)?.Parent == snapshot.ChainId) is { } user)
        {
            throw new StrataException(ErrorKind.Conflict, $"snapshot {snapshot.ChainId}: {user} is based on it");
        }
        AtomicFile.Delete(RecordPath(snapshot.ChainId));
        HashSet<string> used = TreesOf(all.Where(s => s.ChainId != snapshot.ChainId));
        foreach (string name in TreesOf([snapshot]).Where(n => !used.Contains(n)))
        {
            _trees.Remove(name);
        }
    }

    private static HashSet<string> TreesOf(IEnumerable<CommittedSnapshot> snapshots) => [.. snapshots.SelectMany(s => s.Stack).Select(s => s.Tree)];

    private void RemoveActive(string key)
    {
        // It loses its name first: killed half-way, there is none, and not half of one.
        string trash = _layout.NewIngestPath("removed");
        try
        {
            Durability.Rename(ActivePath(key), trash, replace: false);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return;
        }
        FileSystems.RemoveTree(trash);
    }

    // Makes all of an active snapshot at a place where nobody looks; true where mount points were made.
    private bool MakeActive(string folder, CommittedSnapshot? parent, IReadOnlyList<MountPoint> mountPoints)
    {
        string upper = Path.Combine(folder, "upper");
        Directory.CreateDirectory(upper);
        Directory.CreateDirectory(Path.Combine(folder, "work"));
        using LayerStack stack = OpenCommitted(parent);
        using (RootedDirectory root = RootedDirectory.Open(upper))
        {
            // The root of the union is the upper's root: it looks like the image's.
            if (stack.TryFind("") is { } top)
            {
                UpCopier.Dress(stack, top, "", root);
            }
            else
            {
                root.SetMode("", 0b111_101_101);
            }
        }
        bool hasInit = MountPoints.Make(Path.Combine(folder, "init"), stack, mountPoints, always: parent is null);
        AtomicFile.Write(Path.Combine(folder, "snapshot.json"), JsonFieldsWriter.Serialize(new ActiveRecord(hasInit, parent?.ChainId), ActiveRecord.Write), durable: false);
        return hasInit;
    }

    // Something is about to stand on a snapshot: it must be there, and be there by its name.
    private void KeepNamed(CommittedSnapshot snapshot)
    {
        if (File.Exists(RecordPath(snapshot.ChainId)))
        {
            return;
        }
        if (!IsWhole(snapshot))
        {
            throw new StrataException(ErrorKind.NotFound, $"snapshot {snapshot.ChainId}: it was removed");
        }
        AtomicFile.Write(RecordPath(snapshot.ChainId), JsonFieldsWriter.Serialize(StackRecord.Of(snapshot), StackRecord.Write));
    }

    private OverlayTree? FindFitting(CommittedSnapshot? parent, Digest diffId)
    {
        if (_trees.TryFind(OverlayTrees.NameOf(diffId)) is not { } tree)
        {
            return null;
        }
        using LayerStack below = OpenCommitted(parent);
        return OverlayTrees.Fits(tree, below) ? tree : _trees.TryFind(OverlayTrees.NameOfChain(ChainId.Of(parent?.ChainId, diffId)));
    }

    // A tree that has all but its files: those are still the snapshot's.
    private OverlayTree Freeze(ActiveSnapshot snapshot, Digest diffId, ChangesRecord changes)
    {
        using (ChangeScanner scanner = Scan(snapshot))
        {
            scanner.Settle(changes);
        }
        // The name of the layer may be taken by a tree that fits other stacks.
        string name = _trees.TryFind(OverlayTrees.NameOf(diffId)) is null ? OverlayTrees.NameOf(diffId) : OverlayTrees.NameOfChain(ChainId.Of(snapshot.Parent?.ChainId, diffId));
        var tree = new OverlayTree(name, _layout.NewIngestPath("tree"), new TreeRecord(changes.ContentBytes, false, changes.Implied, changes.Hiding), IsStaged: true);
        Directory.CreateDirectory(tree.Folder);
        OverlayTrees.WriteRecord(tree.Folder, tree.Record);
        return tree;
    }

    private ChangeScanner Scan(ActiveSnapshot snapshot) => new(Upper(snapshot), OpenCommitted(snapshot.Parent));

    private ValueTask<FileLock> LockNamesAsync(bool exclusive, CancellationToken cancellationToken)
        => FileLock.AcquireAsync(Path.Combine(_layout.Trees, ".lock"), exclusive, cancellationToken);

    // A record whose files were taken away by hand is as good as none: the layers are unpacked anew.
    private CommittedSnapshot? TryRead(Digest chain)
        => AtomicFile.TryRead(RecordPath(chain), int.MaxValue) is { } json
            && SnapshotRecords.Parse(json, StackRecord.Read, $"snapshot {chain}").ToSnapshot() is { } top && IsWhole(top) ? top : null;

    private ActiveRecord? TryReadActive(string key)
        => AtomicFile.TryRead(Path.Combine(ActivePath(key), "snapshot.json")) is { } json
            ? SnapshotRecords.Parse(json, ActiveRecord.Read, $"snapshot {key}")
            : null;

    private bool IsWhole(CommittedSnapshot snapshot) => snapshot.Stack.All(s => Directory.Exists(_trees.FilesOf(s.Tree)));

    private LayerStack OpenCommitted(CommittedSnapshot? top) => new(AllTrees(top), FirstVisible(top));

    private string[] AllTrees(CommittedSnapshot? top) => [.. (top?.Stack ?? []).Select(s => _trees.FilesOf(s.Tree))];

    private static int FirstVisible(CommittedSnapshot? top)
    {
        int first = (top?.Stack.Count ?? 0) - 1;
        for (CommittedSnapshot? at = top; at is { HidesAllBelow: false, Parent: not null }; at = at.Parent)
        {
            first--;
        }
        return Math.Max(0, first);
    }

    private string[] VisibleTrees(CommittedSnapshot? top) => AllTrees(top)[FirstVisible(top)..];

    private string ChangesPath(ActiveSnapshot snapshot) => Path.Combine(ActivePath(snapshot.Key), "layer.json");

    private string RecordPath(Digest chain) => Path.Combine(_layout.Snapshots, chain.Hex.ToString() + ".json");

    private string Upper(ActiveSnapshot snapshot) => Path.Combine(ActivePath(snapshot.Key), "upper");

    private string ActivePath(string key)
    {
        if (key.Length == 0 || key.AsSpan().ContainsAny('/', '\0') || key[0] == '.')
        {
            throw new ArgumentException("a key is a plain name", nameof(key));
        }
        return Path.Combine(_layout.Active, key);
    }
}
