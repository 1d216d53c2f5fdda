using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// Layers that are never unpacked: each is its plain tar and an EROFS index over it, mounted by the kernel out of those two files (Linux 6.12 and later;
/// no loop device), and joined by overlayfs as <see cref="OverlaySnapshotter"/> joins directories. What is written to is that snapshotter's upper directory.
/// Applying a layer writes two files, removing it takes two away, and whether it is what it was is one digest.
/// </summary>
public sealed class ErofsSnapshotter : OverlaySnapshotter
{
    internal new const string OwnName = "erofs";

    private ErofsSnapshotter(StoreLayout layout) : base(layout, OwnName, new ErofsTrees(layout, SuffixOf(OwnName))) { }

    /// <summary>Opens the snapshots of a store.</summary>
    public static new ErofsSnapshotter Open(StoreLayout layout) => new(layout);

    /// <inheritdoc/>
    /// <remarks>The layers' folders: what they hold is in a tar and an index.</remarks>
    public override IReadOnlyList<string> GetDirectories(Snapshot snapshot)
        => [.. base.GetDirectories(snapshot).Select(d => ErofsTrees.TryFolderOf(d) ?? d)];

    /// <inheritdoc/>
    /// <remarks>The changes are written as a tar once more, which must be the layer's; that file becomes the layer.</remarks>
    public override async ValueTask<CommittedSnapshot> CommitAsync(ActiveSnapshot snapshot, Digest diffId, CancellationToken cancellationToken = default)
    {
        Own(snapshot);
        byte[] json = AtomicFile.TryRead(ChangesPath(snapshot), int.MaxValue) ?? throw new StrataException(ErrorKind.Conflict, $"snapshot {snapshot.Key}: its changes were not written as a layer");
        ChangesRecord changes = SnapshotRecords.Parse(json, ChangesRecord.Read, $"snapshot {snapshot.Key}");
        using var source = new ChangesSource(this, snapshot, new SnapshotDiffOptions { ClampModified = changes.Clamp }, Layout);
        CommittedSnapshot committed = await ApplyAsync(snapshot.Parent, new Descriptor(MediaTypes.OciLayer, diffId, 0), diffId, source, cancellationToken).ConfigureAwait(false);
        RemoveActive(snapshot.Key);
        return committed;
    }

    private protected override string[] MountOptions => OptionsForFileSystems;

    private protected override IReadOnlyList<MountSpec> MountsOf(CommittedSnapshot? top)
    {
        string[] trees = VisibleTrees(top);
        var mounts = new MountSpec[trees.Length];
        for (int i = 0; i < trees.Length; i++)
        {
            string folder = Path.GetDirectoryName(trees[i])!;
            mounts[i] = MountOf(folder, trees[i], ErofsTrees.CheckHead(folder, Path.GetFileName(folder)));
        }
        return mounts;
    }

    internal static MountSpec MountOf(string folder, string target, ErofsRecord record)
        => new("erofs", Path.Combine(folder, ErofsTrees.IndexName), target, [.. ErofsTrees.DevicesOf(folder, record).Select(d => "device=" + d)], MountFlags.ReadOnly);

    /// <summary>The changes of a snapshot as a plain tar in a file that may be taken; written when somebody asks for it.</summary>
    private sealed class ChangesSource(ErofsSnapshotter snapshotter, ActiveSnapshot snapshot, SnapshotDiffOptions options, StoreLayout layout) : IContentSource, IDisposable
    {
        private const int BufferBytes = 1 << 20;
        private readonly string _path = layout.NewIngestPath("changes");

        public async ValueTask<Stream> OpenAsync(Descriptor descriptor, CancellationToken cancellationToken = default)
        {
            if (!File.Exists(_path))
            {
                using SafeFileHandle file = File.OpenHandle(_path, FileMode.CreateNew, FileAccess.Write);
                var tar = new BufferedStream(new SparseFileStream(file), BufferBytes);
                await using (tar.ConfigureAwait(false))
                {
                    await snapshotter.WriteChangesAsync(snapshot, tar, options, cancellationToken).ConfigureAwait(false);
                }
            }
            return new PlainTarStream(_path);
        }

        public void Dispose() => File.Delete(_path);
    }
}
