using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// One way to snapshots of every kind: each is used by the snapshotter its record names, and what is new is made by the chosen one. What stands on something
/// is of the same kind. An image's layers are applied for the chosen one; where nobody asked for it, an image that overlay has whole is used as it is.
/// </summary>
internal sealed class SnapshotRouter(StoreLayout layout, string chosen, bool mayTakeOthers) : ISnapshotter
{
    private readonly Lock _turn = new();
    private OverlaySnapshotter? _overlay;
    private ErofsSnapshotter? _erofs;
    private UnionSnapshotter? _union;

    /// <summary>The chosen one's.</summary>
    public string Name => chosen;

    private ISnapshotter Chosen => Get(chosen);

    /// <summary>The snapshotter of a name.</summary>
    /// <exception cref="StrataException">Invalid: there is none.</exception>
    internal ISnapshotter Get(string name)
    {
        lock (_turn)
        {
            return name switch
            {
                OverlaySnapshotter.OwnName => _overlay ??= OverlaySnapshotter.Open(layout),
                ErofsSnapshotter.OwnName => _erofs ??= ErofsSnapshotter.Open(layout),
                UnionSnapshotter.OwnName => _union ??= UnionSnapshotter.Open(layout),
                _ => throw new StrataException(ErrorKind.Invalid, $"snapshotter {name}: there are {SnapshotterChoice.NamesInWords}"),
            };
        }
    }

    public ValueTask<CommittedSnapshot> ApplyAsync(CommittedSnapshot? parent, Descriptor layer, Digest diffId, IContentSource source, CancellationToken cancellationToken = default)
        => For(parent).ApplyAsync(parent, layer, diffId, source, cancellationToken);

    /// <summary>For the chosen one, unless overlay has it and nobody asked.</summary>
    public async ValueTask<CommittedSnapshot?> ApplyStackAsync(IReadOnlyList<(Descriptor Layer, Digest DiffId)> layers, IContentSource source, CancellationToken cancellationToken = default)
        => (MayBeOverlays && layers.Count > 0 ? await TryGetAsync([.. layers.Select(l => l.DiffId)], cancellationToken).ConfigureAwait(false) : null)
            ?? await Chosen.ApplyStackAsync(layers, source, cancellationToken).ConfigureAwait(false);

    public async ValueTask<CommittedSnapshot?> TryGetAsync(IReadOnlyList<Digest> diffIds, CancellationToken cancellationToken = default)
        => await Chosen.TryGetAsync(diffIds, cancellationToken).ConfigureAwait(false)
            ?? (MayBeOverlays ? await Get(OverlaySnapshotter.OwnName).TryGetAsync(diffIds, cancellationToken).ConfigureAwait(false) : null);

    // A store from before, or from a kernel without EROFS: its images are used as they are, and what comes is EROFS.
    private bool MayBeOverlays => mayTakeOthers && chosen == ErofsSnapshotter.OwnName;

    /// <summary>The stack as each snapshotter has it that has it; the chosen one's first.</summary>
    internal async ValueTask<IReadOnlyList<CommittedSnapshot>> GetAllAsync(IReadOnlyList<Digest> diffIds, CancellationToken cancellationToken = default)
    {
        var all = new List<CommittedSnapshot>();
        foreach (string name in SnapshotterChoice.Names.OrderByDescending(n => n == chosen))
        {
            if (await Get(name).TryGetAsync(diffIds, cancellationToken).ConfigureAwait(false) is { } top)
            {
                all.Add(top);
            }
        }
        return all;
    }

    public ValueTask<ActiveSnapshot> PrepareAsync(string key, CommittedSnapshot? parent, IReadOnlyList<MountPoint>? mountPoints = null, bool durable = false, CancellationToken cancellationToken = default)
        => For(parent).PrepareAsync(key, parent, mountPoints, durable, cancellationToken);

    public ValueTask LimitAsync(ActiveSnapshot snapshot, long bytes, CancellationToken cancellationToken = default) => For(snapshot).LimitAsync(snapshot, bytes, cancellationToken);

    public ValueTask<ActiveSnapshot?> TryOpenActiveAsync(string key, CancellationToken cancellationToken = default) => Chosen.TryOpenActiveAsync(key, cancellationToken);

    public ValueTask<IReadOnlyList<Change>> GetChangesAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken = default) => For(snapshot).GetChangesAsync(snapshot, cancellationToken);

    public ValueTask<bool> WriteChangesAsync(ActiveSnapshot snapshot, Stream tar, SnapshotDiffOptions? options = null, CancellationToken cancellationToken = default)
        => For(snapshot).WriteChangesAsync(snapshot, tar, options, cancellationToken);

    public ValueTask<CommittedSnapshot> CommitAsync(ActiveSnapshot snapshot, Digest diffId, CancellationToken cancellationToken = default) => For(snapshot).CommitAsync(snapshot, diffId, cancellationToken);

    /// <exception cref="StrataException">Unsupported: the kernel does not mount what the snapshot is made of.</exception>
    public IReadOnlyList<MountSpec> GetMounts(Snapshot snapshot, string target)
    {
        ISnapshotter own = For(snapshot);
        return own.Name == ErofsSnapshotter.OwnName && chosen != own.Name && ErofsProbe.Make(layout) is { Mounts: false } not
            ? throw new StrataException(ErrorKind.Unsupported, $"its files were made by the {own.Name} snapshotter: {not.Reason}") { Hint = "what it holds is to be had without a mount: strata commit, export, diff" }
            : own.GetMounts(snapshot, target);
    }

    public ValueTask<PathOrigin?> WhereAsync(Snapshot snapshot, string path, CancellationToken cancellationToken = default) => For(snapshot).WhereAsync(snapshot, path, cancellationToken);

    public IReadOnlyList<LayerAnswer> GetAnswers(Snapshot snapshot, string path) => For(snapshot).GetAnswers(snapshot, path);

    public LayerStack OpenStack(Snapshot snapshot) => For(snapshot).OpenStack(snapshot);

    public IReadOnlyList<string> GetDirectories(Snapshot snapshot) => For(snapshot).GetDirectories(snapshot);

    // What comes, goes and is counted by names and records alone: those of all kinds are in one place.

    public long GetDiskUsage(Snapshot snapshot) => Chosen.GetDiskUsage(snapshot);

    public (IReadOnlyList<CommittedSnapshot> Committed, IReadOnlyList<string> ActiveKeys) List() => Chosen.List();

    public ValueTask RemoveAsync(Snapshot snapshot, CancellationToken cancellationToken = default) => Chosen.RemoveAsync(snapshot, cancellationToken);

    public ValueTask<bool> RemoveUnlessAsync(CommittedSnapshot snapshot, Func<bool> isWanted, CancellationToken cancellationToken = default) => Chosen.RemoveUnlessAsync(snapshot, isWanted, cancellationToken);

    public (IReadOnlyList<string> Layers, IReadOnlyList<string> Records) GetPaths(CommittedSnapshot snapshot) => Chosen.GetPaths(snapshot);

    public ValueTask<long> SweepAsync(bool dryRun = false, CancellationToken cancellationToken = default) => Chosen.SweepAsync(dryRun, cancellationToken);

    private ISnapshotter For(Snapshot? snapshot) => Get(snapshot?.Snapshotter ?? chosen);
}
