using Strata.Content;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Layers joined by the kernel: trees as overlayfs' lowers, active/KEY/{upper,work}/ for what is written; in a file system of their own where that is limited.</summary>
public class OverlaySnapshotter : DirectorySnapshotter, ISnapshotter // again: it has a method that the interface has a default for
{
    internal const string OwnName = "overlay";
    private const int MaxLowers = 500; // OVL_MAX_STACK of fs/overlayfs

    // nofollow: a redirect planted in a layer leads nowhere. No index, no metacopy: lowers are shared by many uppers.
    internal static readonly string[] Options = [.. UserNamespace.Current is null ? (string[])[] : ["userxattr"], "redirect_dir=nofollow", "index=off", "metacopy=off", "xino=off"];

    /// <summary>
    /// For layers that are file systems of their own: their inodes count from one each, so overlayfs puts the layer's number before them, and all files of a
    /// container are on one device, no two with one number. Where layers are directories of one file system there is nothing to tell apart.
    /// </summary>
    internal static readonly string[] OptionsForFileSystems = [.. Options.SkipLast(1), "xino=on"];

    private readonly LimitedUppers _limited = new();

    private protected OverlaySnapshotter(StoreLayout layout, string name, LayerTrees trees) : base(layout, name, trees) { }

    /// <summary>Opens the snapshots of a store.</summary>
    public static OverlaySnapshotter Open(StoreLayout layout) => new(layout, OwnName, new LayerTrees(layout, WhiteoutForm.Overlay, SuffixOf(OwnName)));

    /// <inheritdoc/>
    public override IReadOnlyList<MountSpec> GetMounts(Snapshot snapshot, string target)
    {
        Own(snapshot);
        List<string> options = [.. MountOptions];
        if (snapshot is ActiveSnapshot active)
        {
            string folder = ActivePath(active.Key);
            AddLowers(options, [.. VisibleTrees(active.Parent), .. active.HasInit ? [Path.Combine(folder, "init")] : Array.Empty<string>()]);
            MountSpec? limited = _limited.TryGetMount(folder);
            string writable = limited?.Target ?? folder;
            options.AddRange(["upperdir=" + Path.Combine(writable, "upper"), "workdir=" + Path.Combine(writable, "work")]);
            return [new MountSpec("overlay", "strata", target, options) { Lowers = limited is null ? MountsOf(active.Parent) : [.. MountsOf(active.Parent), limited] }];
        }
        string[] trees = VisibleTrees((CommittedSnapshot)snapshot);
        if (trees.Length == 1)
        {
            // overlayfs takes no single lower; and a bottom layer has no whiteouts that it would have to hide.
            return [MountsOf((CommittedSnapshot)snapshot) is [var only] ? only with { Target = target } : new MountSpec("", trees[0], target, [], MountFlags.Bind | MountFlags.ReadOnly)];
        }
        AddLowers(options, trees);
        return [new MountSpec("overlay", "strata", target, options, MountFlags.ReadOnly) { Lowers = MountsOf((CommittedSnapshot)snapshot) }];
    }

    /// <inheritdoc/>
    public override LayerStack OpenStack(Snapshot snapshot)
    {
        Own(snapshot);
        return snapshot is ActiveSnapshot active
            ? new LayerStack([.. AllTrees(active.Parent), Upper(active)], FirstVisible(active.Parent), readMarks: null, Trees.OpenFiles)
            : OpenCommitted((CommittedSnapshot)snapshot);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string> GetDirectories(Snapshot snapshot)
    {
        Own(snapshot);
        return snapshot is ActiveSnapshot active ? [.. VisibleTrees(active.Parent), Path.Combine(LimitedUppers.NameOf(ActivePath(active.Key)), "upper")] : VisibleTrees((CommittedSnapshot)snapshot);
    }

    private protected override ValueTask<ActiveRecord> FillAsync(string folder, CommittedSnapshot? parent, IReadOnlyList<MountPoint> mountPoints, CancellationToken cancellationToken)
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
                root.SetMode("", DefaultMode);
            }
        }
        // overlayfs wants at least one lower.
        bool hasInit = MountPoints.Make(Path.Combine(folder, "init"), stack, mountPoints, always: parent is null);
        return ValueTask.FromResult(new ActiveRecord(hasInit, parent?.ChainId, Name));
    }

    /// <inheritdoc/>
    public ValueTask LimitAsync(ActiveSnapshot snapshot, long bytes, CancellationToken cancellationToken = default)
    {
        Own(snapshot);
        return LimitedUppers.CreateAsync(ActivePath(snapshot.Key), bytes, cancellationToken);
    }

    private protected override ChangeScanner Scan(ActiveSnapshot snapshot) => ScanUpper(snapshot);

    private protected override TreeRecord Settle(ActiveSnapshot snapshot, ChangesRecord changes)
    {
        using UpperScanner scanner = ScanUpper(snapshot);
        scanner.Settle(changes);
        return new TreeRecord(changes.ContentBytes, HidesAllBelow: false, changes.Implied, changes.Hiding);
    }

    private protected override void MoveInto(ActiveSnapshot snapshot, LayerTree tree) => Durability.Rename(Upper(snapshot), tree.Files, replace: false);

    private protected virtual string[] MountOptions => Options;

    /// <summary>What has to be mounted before the visible layers are where <see cref="DirectorySnapshotter.VisibleTrees"/> says; nothing where they are directories.</summary>
    private protected virtual IReadOnlyList<MountSpec> MountsOf(CommittedSnapshot? top) => [];

    private UpperScanner ScanUpper(ActiveSnapshot snapshot) => new(Upper(snapshot), OpenCommitted(snapshot.Parent));

    private string Upper(ActiveSnapshot snapshot) => Path.Combine(_limited.PlaceOf(ActivePath(snapshot.Key)), "upper");

    private static void AddLowers(List<string> options, string[] trees)
    {
        if (trees.Length > MaxLowers)
        {
            throw new StrataException(ErrorKind.Invalid, $"an overlay of {trees.Length} directories: Linux joins at most {MaxLowers}") { Hint = "flatten the image (strata export, then strata import), or use it with: strata --snapshotter union …" };
        }
        options.AddRange(trees.Reverse().Select(t => "lowerdir+=" + t));
    }
}
