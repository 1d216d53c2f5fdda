using System.Text.Json;
using System.Text.Json.Serialization;
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
public sealed class OverlaySnapshotter : ISnapshotter
{
    private readonly StoreLayout _layout;

    private OverlaySnapshotter(StoreLayout layout) => _layout = layout;

    /// <summary>Opens the snapshots of a store.</summary>
    public static OverlaySnapshotter Open(StoreLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new OverlaySnapshotter(layout);
    }

    /// <inheritdoc/>
    public async ValueTask<CommittedSnapshot> ApplyAsync(CommittedSnapshot? parent, Descriptor layer, Digest diffId, IContentSource source, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(source);
        if (TryRead(ChainId.Of(parent?.ChainId, diffId)) is { } there)
        {
            return there;
        }
        StoreDirectory.Create(_layout.Trees);
        // One process unpacks a layer; the others wait and find it. The lock file's name cannot be a tree's.
        using FileLock turn = await FileLock.AcquireAsync(Path.Combine(_layout.Trees, ".lock-" + diffId.Hex.ToString()[..16]), exclusive: true, cancellationToken).ConfigureAwait(false);
        string tree = diffId.Hex.ToString();
        if (TryReadTree(tree) is not { } record)
        {
            Stream blob = await source.OpenAsync(layer, cancellationToken).ConfigureAwait(false);
            await using (blob.ConfigureAwait(false))
            {
                (tree, record) = Unpack(parent, blob, diffId, cancellationToken);
            }
        }
        return Record(parent, diffId, tree, record.ContentBytes);
    }

    /// <inheritdoc/>
    public ValueTask<CommittedSnapshot?> TryGetAsync(IReadOnlyList<Digest> diffIds, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(ChainId.Of(diffIds) is { } chain ? TryRead(chain) : null);

    /// <inheritdoc/>
    public ValueTask<ActiveSnapshot> PrepareAsync(string key, CommittedSnapshot? parent, IReadOnlyList<MountPoint>? mountPoints = null, CancellationToken cancellationToken = default)
    {
        string folder = ActivePath(key);
        if (Directory.Exists(folder))
        {
            throw new StrataException(ErrorKind.Conflict, $"snapshot {key}: there is one already");
        }
        Directory.CreateDirectory(Path.Combine(folder, "work"));
        string upper = Path.Combine(folder, "upper");
        Directory.CreateDirectory(upper);
        string[] lowers = Trees(parent);
        bool hasInit;
        using (RootedDirectory root = RootedDirectory.Open(upper))
        using (var stack = new LayerStack(lowers))
        {
            // The root of the union is the upper's root: it looks like the image's.
            if (stack.TryFind("") is { } top)
            {
                root.SetOwner("", top.Status.Uid, top.Status.Gid);
                root.SetMode("", top.Status.Mode);
                root.SetTimes("", top.Status.Modified);
            }
            else
            {
                root.SetMode("", 0b111_101_101);
            }
            hasInit = MountPoints.Make(Path.Combine(folder, "init"), stack, mountPoints ?? [], always: parent is null);
        }
        var record = new ActiveRecord(parent?.ChainId, hasInit);
        AtomicFile.Write(Path.Combine(folder, "snapshot.json"), JsonSerializer.SerializeToUtf8Bytes(record, SnapshotJsonContext.Default.ActiveRecord), durable: false);
        return ValueTask.FromResult(new ActiveSnapshot(key, parent, hasInit));
    }

    /// <inheritdoc/>
    public ValueTask<ActiveSnapshot?> TryOpenActiveAsync(string key, CancellationToken cancellationToken = default)
    {
        byte[]? json = AtomicFile.TryRead(Path.Combine(ActivePath(key), "snapshot.json"));
        if (json is null)
        {
            return ValueTask.FromResult<ActiveSnapshot?>(null);
        }
        ActiveRecord record = Parse(json, SnapshotJsonContext.Default.ActiveRecord, $"snapshot {key}");
        CommittedSnapshot? parent = record.Parent is { } chain ? TryRead(chain) ?? throw new StrataException(ErrorKind.Corrupt, $"snapshot {key}: its layers {chain} are gone") : null;
        return ValueTask.FromResult<ActiveSnapshot?>(new ActiveSnapshot(key, parent, record.HasInit));
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<Change>> GetChangesAsync(ActiveSnapshot snapshot, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        using var scanner = new ChangeScanner(Upper(snapshot), Trees(snapshot.Parent));
        return ValueTask.FromResult<IReadOnlyList<Change>>(scanner.List());
    }

    /// <inheritdoc/>
    public ValueTask<bool> WriteChangesAsync(ActiveSnapshot snapshot, Stream tar, SnapshotDiffOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        using var scanner = new ChangeScanner(Upper(snapshot), Trees(snapshot.Parent));
        if (scanner.IsEmpty)
        {
            return ValueTask.FromResult(false);
        }
        using var layer = new LayerWriter(tar);
        scanner.Write(layer, options ?? new SnapshotDiffOptions(), cancellationToken);
        layer.Finish();
        File.WriteAllText(Path.Combine(ActivePath(snapshot.Key), "bytes"), layer.ContentBytes.ToString(System.Globalization.CultureInfo.InvariantCulture));
        return ValueTask.FromResult(true);
    }

    /// <inheritdoc/>
    public async ValueTask<CommittedSnapshot> CommitAsync(ActiveSnapshot snapshot, Digest diffId, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        string tree = diffId.Hex.ToString(), path = Path.Combine(_layout.Trees, tree), folder = ActivePath(snapshot.Key);
        StoreDirectory.Create(_layout.Trees);
        string bytesPath = Path.Combine(folder, "bytes");
        long bytes = File.Exists(bytesPath) ? long.Parse(await File.ReadAllTextAsync(bytesPath, cancellationToken).ConfigureAwait(false), System.Globalization.CultureInfo.InvariantCulture) : 0;
        if (TryReadTree(tree) is { } there)
        {
            bytes = there.ContentBytes;
        }
        else
        {
            string staging = _layout.NewIngestPath("tree");
            Directory.CreateDirectory(staging);
            Durability.Rename(Path.Combine(folder, "upper"), Path.Combine(staging, "fs"), replace: false);
            Publish(staging, path, bytes);
        }
        CommittedSnapshot committed = Record(snapshot.Parent, diffId, tree, bytes);
        FileSystems.RemoveTree(folder);
        return committed;
    }

    /// <inheritdoc/>
    public IReadOnlyList<MountSpec> GetMounts(Snapshot snapshot, string target)
    {
        // nofollow: a redirect planted in a layer leads nowhere. No index, no metacopy: lowers are shared by many uppers.
        List<string> options = ["redirect_dir=nofollow", "index=off", "metacopy=off", "xino=off"];
        switch (snapshot)
        {
            case ActiveSnapshot active:
                string folder = ActivePath(active.Key);
                if (active.HasInit)
                {
                    options.Add("lowerdir+=" + Path.Combine(folder, "init"));
                }
                options.AddRange(Trees(active.Parent).Reverse().Select(t => "lowerdir+=" + t));
                options.AddRange(["upperdir=" + Upper(active), "workdir=" + Path.Combine(folder, "work")]);
                return [new MountSpec("overlay", "strata", target, options)];
            case CommittedSnapshot committed:
                string[] trees = Trees(committed);
                if (trees.Length == 1)
                {
                    return [new MountSpec("", trees[0], target, [], MountFlags.Bind | MountFlags.ReadOnly)];
                }
                options.AddRange(trees.Reverse().Select(t => "lowerdir+=" + t));
                return [new MountSpec("overlay", "strata", target, options, MountFlags.ReadOnly)];
            default:
                throw new System.Diagnostics.UnreachableException();
        }
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
        return snapshot is ActiveSnapshot active ? new LayerStack([.. Trees(active.Parent), Upper(active)]) : new LayerStack(Trees((CommittedSnapshot)snapshot));
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> GetDirectories(Snapshot snapshot)
        => snapshot is ActiveSnapshot active ? [.. Trees(active.Parent), Upper(active)] : Trees((CommittedSnapshot)snapshot);

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
    public ValueTask RemoveAsync(Snapshot snapshot, CancellationToken cancellationToken = default)
    {
        switch (snapshot)
        {
            case ActiveSnapshot active:
                FileSystems.RemoveTree(ActivePath(active.Key));
                break;
            case CommittedSnapshot committed:
                Remove(committed);
                break;
        }
        return ValueTask.CompletedTask;
    }

    private void Remove(CommittedSnapshot snapshot)
    {
        (IReadOnlyList<CommittedSnapshot> all, IReadOnlyList<string> keys) = List();
        if (all.Any(s => s.Parent?.ChainId == snapshot.ChainId)
            || keys.Any(k => AtomicFile.TryRead(Path.Combine(ActivePath(k), "snapshot.json")) is { } json && Parse(json, SnapshotJsonContext.Default.ActiveRecord, k).Parent == snapshot.ChainId))
        {
            throw new StrataException(ErrorKind.Conflict, $"snapshot {snapshot.ChainId}: another one is based on it");
        }
        AtomicFile.Delete(RecordPath(snapshot.ChainId));
        if (all.Any(s => s.ChainId != snapshot.ChainId && s.Tree == snapshot.Tree))
        {
            return;
        }
        // A rename first: what is half removed is no tree any more.
        string tree = Path.Combine(_layout.Trees, snapshot.Tree), trash = _layout.NewIngestPath("removed");
        if (Directory.Exists(tree))
        {
            Durability.Rename(tree, trash, replace: false);
            FileSystems.RemoveTree(trash);
        }
    }

    private (string Tree, TreeRecord Record) Unpack(CommittedSnapshot? parent, Stream blob, Digest diffId, CancellationToken cancellationToken)
    {
        string staging = _layout.NewIngestPath("tree"), files = Path.Combine(staging, "fs");
        Directory.CreateDirectory(files);
        try
        {
            bool copiedUp = false;
            long bytes;
            using (RootedDirectory root = RootedDirectory.Open(files))
            using (var below = new LayerStack(Trees(parent)))
            using (var reader = new LayerReader(blob))
            {
                root.SetMode("", 0b111_101_101);
                var options = new ExtractOptions
                {
                    OverlayWhiteouts = true,
                    CopyUp = path =>
                    {
                        copiedUp = true;
                        UpCopier.Copy(below, path, root);
                    },
                };
                bytes = LayerExtractor.Extract(reader, root, options, cancellationToken);
                if (reader.DiffId != diffId)
                {
                    throw new DigestMismatchException(diffId, reader.DiffId, "layer");
                }
            }
            string tree = copiedUp ? ChainId.Of(parent?.ChainId, diffId).Hex.ToString() + ".chain" : diffId.Hex.ToString();
            Publish(staging, Path.Combine(_layout.Trees, tree), bytes);
            return (tree, new TreeRecord(bytes));
        }
        catch (Exception)
        {
            FileSystems.RemoveTree(staging);
            throw;
        }
    }

    // One syncfs for the whole tree, then its name.
    private void Publish(string staging, string path, long bytes)
    {
        AtomicFile.Write(Path.Combine(staging, "tree.json"), JsonSerializer.SerializeToUtf8Bytes(new TreeRecord(bytes), SnapshotJsonContext.Default.TreeRecord), durable: false);
        Fail.Point("snapshot.before-sync");
        Durability.SyncFileSystem(staging);
        Fail.Point("snapshot.before-rename");
        try
        {
            Durability.Rename(staging, path, replace: false);
        }
        catch (LinuxException e) when (e.Errno is Errno.EEXIST or Errno.ENOTEMPTY)
        {
            FileSystems.RemoveTree(staging); // another process was first: the same files
        }
        Fail.Point("snapshot.after-rename");
        Durability.SyncDirectory(_layout.Trees);
    }

    private CommittedSnapshot Record(CommittedSnapshot? parent, Digest diffId, string tree, long bytes)
    {
        var snapshot = new CommittedSnapshot(diffId, parent, tree, bytes);
        if (!File.Exists(RecordPath(snapshot.ChainId)))
        {
            var record = new StackRecord([.. snapshot.Stack.Select(s => new StackLayer(s.DiffId, s.Tree, s.ContentBytes))]);
            AtomicFile.Write(RecordPath(snapshot.ChainId), JsonSerializer.SerializeToUtf8Bytes(record, SnapshotJsonContext.Default.StackRecord));
        }
        return snapshot;
    }

    private CommittedSnapshot? TryRead(Digest chain)
    {
        if (AtomicFile.TryRead(RecordPath(chain)) is not { } json)
        {
            return null;
        }
        CommittedSnapshot? top = null;
        foreach (StackLayer layer in Parse(json, SnapshotJsonContext.Default.StackRecord, $"snapshot {chain}").Layers)
        {
            top = new CommittedSnapshot(layer.DiffId, top, layer.Tree, layer.Bytes);
        }
        // A record whose files were taken away by hand is as good as none: the layer is unpacked anew.
        return top is not null && Directory.Exists(Path.Combine(_layout.Trees, top.Tree, "fs")) ? top : null;
    }

    private TreeRecord? TryReadTree(string tree)
        => AtomicFile.TryRead(Path.Combine(_layout.Trees, tree, "tree.json")) is { } json ? Parse(json, SnapshotJsonContext.Default.TreeRecord, $"tree {tree}") : null;

    private static T Parse<T>(byte[] json, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, string what)
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"{what}: its record is not readable: {e.Message}", e) { Hint = "see strata system check --repair" };
        }
    }

    private string[] Trees(CommittedSnapshot? top) => [.. (top?.Stack ?? []).Select(s => Path.Combine(_layout.Trees, s.Tree, "fs"))];

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

/// <summary>Records of snapshots.</summary>
internal sealed record ActiveRecord(Digest? Parent, bool HasInit);

internal sealed record TreeRecord(long ContentBytes);

internal sealed record StackLayer(Digest DiffId, string Tree, long Bytes);

internal sealed record StackRecord(StackLayer[] Layers);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ActiveRecord))]
[JsonSerializable(typeof(TreeRecord))]
[JsonSerializable(typeof(StackRecord))]
internal sealed partial class SnapshotJsonContext : JsonSerializerContext;
