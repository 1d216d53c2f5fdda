using Strata.Content;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// Layers joined by our own code, for where overlayfs cannot be mounted: a store that is itself on an overlayfs, a kernel without it. What is written to is
/// a copy of the whole tree (reflinks where the file system has them), and what changed is found by comparing. All that is only read is shared.
/// <code>
/// active/KEY/{root,init}/     the copy, and what was made in it to be mounted on
/// trees/CHAIN-ID.merged.union a stack as one tree of hard links into its layers' trees, made when a committed snapshot is first mounted
/// </code>
/// </summary>
public sealed class UnionSnapshotter : DirectorySnapshotter
{
    internal const string OwnName = "union";
    private const int StampTries = 3_000; // of a millisecond: some file systems count in seconds

    private UnionSnapshotter(StoreLayout layout) : base(layout, OwnName, new LayerTrees(layout, WhiteoutForm.Marks, SuffixOf(OwnName))) { }

    /// <summary>Opens the snapshots of a store.</summary>
    public static UnionSnapshotter Open(StoreLayout layout) => new(layout);

    /// <inheritdoc/>
    public override IReadOnlyList<MountSpec> GetMounts(Snapshot snapshot, string target)
    {
        Own(snapshot);
        return snapshot is ActiveSnapshot active
            ? [new MountSpec("", Root(active), target, [], MountFlags.Bind)]
            : [new MountSpec("", Merge((CommittedSnapshot)snapshot), target, [], MountFlags.Bind | MountFlags.ReadOnly)];
    }

    /// <inheritdoc/>
    public override LayerStack OpenStack(Snapshot snapshot)
    {
        Own(snapshot);
        if (snapshot is not ActiveSnapshot active)
        {
            return OpenCommitted((CommittedSnapshot)snapshot);
        }
        string root = Root(active);
        string[] trees = [.. AllTrees(active.Parent), root];
        LayerMarks? hidden = active.HasInit ? new LayerMarks(FindMountPoints(active), []) : null;
        return new LayerStack(trees, trees.Length - 1, tree => tree == root ? hidden : Trees.Marks!(tree));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string> GetDirectories(Snapshot snapshot)
    {
        Own(snapshot);
        return snapshot is ActiveSnapshot active ? [.. VisibleTrees(active.Parent), Root(active)] : VisibleTrees((CommittedSnapshot)snapshot);
    }

    /// <inheritdoc/>
    public override ValueTask<PathOrigin?> WhereAsync(Snapshot snapshot, string path, CancellationToken cancellationToken = default)
    {
        using LayerStack stack = OpenStack(snapshot);
        if (stack.TryFind(path, follow: true) is not { } node)
        {
            return ValueTask.FromResult<PathOrigin?>(null);
        }
        if (snapshot is ActiveSnapshot active)
        {
            using ComparedScanner scanner = Compare(active);
            node = scanner.FindUnchanged(node.Path) ?? node;
        }
        return ValueTask.FromResult<PathOrigin?>(OriginOf(snapshot, node));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<LayerAnswer> GetAnswers(Snapshot snapshot, string path)
    {
        if (snapshot is not ActiveSnapshot active)
        {
            return base.GetAnswers(snapshot, path);
        }
        Own(active);
        string clean = path.Trim('/');
        using LayerStack stack = OpenStack(active), below = OpenCommitted(active.Parent);
        using ComparedScanner scanner = Compare(active);
        IReadOnlyList<LayerAnswer> answers = below.GetAnswers(clean);
        if (stack.TryFind(clean) is { } own && own.Path == clean)
        {
            return scanner.FindUnchanged(clean) is null ? [new LayerAnswer(below.Count, own.Status, IsWhiteout: false), .. answers] : answers;
        }
        return below.TryFind(clean) is { } gone && gone.Path == clean ? [new LayerAnswer(below.Count, default, IsWhiteout: true), .. answers] : answers;
    }

    private protected override async ValueTask<ActiveRecord> FillAsync(string folder, CommittedSnapshot? parent, IReadOnlyList<MountPoint> mountPoints, CancellationToken cancellationToken)
    {
        string init = Path.Combine(folder, "init"), root = Path.Combine(folder, "root");
        bool hasInit;
        using (LayerStack image = OpenCommitted(parent))
        {
            hasInit = MountPoints.Make(init, image, mountPoints, always: false);
        }
        Directory.CreateDirectory(root);
        using (LayerStack stack = OpenWithInit(parent, hasInit ? init : null))
        using (RootedDirectory target = RootedDirectory.Open(root))
        {
            StackCopier.Copy(stack, target, share: null, cancellationToken);
        }
        return new ActiveRecord(hasInit, parent?.ChainId, Name, await StampAsync(folder, cancellationToken).ConfigureAwait(false));
    }

    private protected override ChangeScanner Scan(ActiveSnapshot snapshot) => Compare(snapshot);

    private protected override TreeRecord Settle(ActiveSnapshot snapshot, ChangesRecord changes)
    {
        string folder = ActivePath(snapshot.Key), tree = TreeOf(snapshot);
        FileSystems.RemoveTree(tree); // of a commit that was killed
        Directory.CreateDirectory(tree);
        using RootedDirectory place = RootedDirectory.Open(folder);
        using ComparedScanner scanner = Compare(snapshot);
        LayerMarks marks = scanner.LinkInto(place, "root", "tree", changes);
        return new TreeRecord(changes.ContentBytes, HidesAllBelow: false, changes.Implied, [], marks.IsEmpty ? null : marks);
    }

    private protected override void MoveInto(ActiveSnapshot snapshot, LayerTree tree) => Durability.Rename(TreeOf(snapshot), tree.Files, replace: false);

    private List<string> FindMountPoints(ActiveSnapshot active)
    {
        using ComparedScanner scanner = Compare(active);
        return scanner.FindMountPoints();
    }

    private ComparedScanner Compare(ActiveSnapshot snapshot)
        => new(Root(snapshot), OpenWithInit(snapshot.Parent, snapshot.HasInit ? Path.Combine(ActivePath(snapshot.Key), "init") : null), snapshot.Parent?.Stack.Count ?? 0, snapshot.Made);

    private LayerStack OpenWithInit(CommittedSnapshot? parent, string? init)
        => new([.. AllTrees(parent), .. init is null ? Array.Empty<string>() : [init]], FirstVisible(parent), tree => tree == init ? null : Trees.Marks!(tree));

    // A time that all of the copy was changed before, and that whatever changes from now on comes after. Null where the clock stands.
    private static async ValueTask<FileTime?> StampAsync(string folder, CancellationToken cancellationToken)
    {
        using RootedDirectory place = RootedDirectory.Open(folder);
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = place.CreateFile("stamp", 0b110_000_000);
        try
        {
            FileTime made = Files.GetStatus(file).Changed;
            for (int i = 0; i < StampTries; i++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, cancellationToken).ConfigureAwait(false);
                Files.SetMode(file, 0b110_000_000, "stamp");
                FileTime now = Files.GetStatus(file).Changed;
                if (now.IsAfter(made))
                {
                    return made;
                }
            }
            return null;
        }
        finally
        {
            place.Remove("stamp");
        }
    }

    // The stack as one tree. Its files are the layers' own by other names: nobody writes through a read-only mount.
    private string Merge(CommittedSnapshot snapshot)
    {
        string[] trees = AllTrees(snapshot);
        if (FirstVisible(snapshot) == trees.Length - 1)
        {
            return trees[^1]; // what it deletes is below, where nothing is seen
        }
        string name = Trees.NameOfMerged(snapshot.ChainId), merged = Trees.FilesOf(name);
        if (Directory.Exists(merged))
        {
            return merged;
        }
        string staging = Layout.NewIngestPath("merged"), files = Path.Combine(staging, "fs");
        Directory.CreateDirectory(files);
        try
        {
            using LayerStack stack = OpenCommitted(snapshot);
            using RootedDirectory target = RootedDirectory.Open(files), store = RootedDirectory.Open(Layout.Root);
            string to = Path.GetRelativePath(Layout.Root, files);
            string[] from = [.. trees.Select(t => Path.GetRelativePath(Layout.Root, t))];
            StackCopier.Copy(stack, target, node => TryLink(store, $"{to}/{node.Path}", $"{from[node.Layer]}/{node.Path}"), CancellationToken.None);
            try
            {
                Durability.Rename(staging, Path.Combine(Layout.Trees, name), replace: false);
            }
            catch (LinuxException e) when (e.Errno is Errno.EEXIST or Errno.ENOTEMPTY)
            {
                // another process was first, with the same
            }
            return merged;
        }
        finally
        {
            FileSystems.RemoveTree(staging);
        }
    }

    // Not where the file system counts no more names of one file (65,000 on ext4), or has no hard links.
    private static bool TryLink(RootedDirectory store, string path, string existing)
    {
        try
        {
            store.CreateHardLink(path, existing);
            return true;
        }
        catch (LinuxException e) when (e.Errno is Errno.EMLINK or Errno.EPERM or Errno.ENOTSUP)
        {
            return false;
        }
    }

    private string Root(ActiveSnapshot snapshot) => Path.Combine(ActivePath(snapshot.Key), "root");

    private string TreeOf(ActiveSnapshot snapshot) => Path.Combine(ActivePath(snapshot.Key), "tree");
}
