using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>A layer's files: published below trees/, or still staged below ingest/.</summary>
/// <param name="Name">The diff ID's hex digits; for a tree that is good for one stack only, the chain ID's and <c>.chain</c>.</param>
/// <param name="Folder">Where fs/ and tree.json are.</param>
/// <param name="Record">What the tree says of itself.</param>
/// <param name="IsStaged">Not yet published.</param>
internal sealed record LayerTree(string Name, string Folder, TreeRecord Record, bool IsStaged)
{
    internal string Files => Path.Combine(Folder, "fs");
}

/// <summary>
/// Layers as directories, such as overlayfs reads them as lowers: unpacked aside, synced with one syncfs however many there are, then renamed to their names.
/// A tree that is there is whole.
/// </summary>
internal class LayerTrees(StoreLayout layout, WhiteoutForm form, string suffix)
{
    private const int DefaultMode = 0b111_101_101;

    /// <summary>How the trees say what is deleted, where the file system itself does not.</summary>
    internal Func<string, LayerMarks?>? Marks { get; } = form == WhiteoutForm.Marks ? LayerMarks.TryRead : null;

    internal string NameOf(Digest diffId) => diffId.Hex.ToString() + suffix;

    internal string NameOfChain(Digest chainId) => chainId.Hex.ToString() + ".chain" + suffix;

    /// <summary>A whole stack as one tree, where one was made.</summary>
    internal static string NameOfMerged(Digest chainId, string suffix) => chainId.Hex.ToString() + ".merged" + suffix;

    internal string NameOfMerged(Digest chainId) => NameOfMerged(chainId, suffix);

    internal string LockOf(Digest diffId) => ".lock-" + NameOf(diffId);

    internal string FilesOf(string name) => Path.Combine(layout.Trees, name, "fs");

    /// <summary>Whether a tree's files are there, as far as one can tell without a look inside.</summary>
    internal virtual bool IsThere(string name) => Directory.Exists(FilesOf(name));

    /// <summary>Opens what a stack of layers has at a path: one of these trees, or a directory.</summary>
    internal virtual ILayerFiles OpenFiles(string path) => DirectoryFiles.Open(path);

    /// <summary>Brings staged trees, and a record beside them, to the disk.</summary>
    internal virtual void Sync(IEnumerable<LayerTree> staged, string record) => Durability.SyncFileSystem(layout.Ingest);

    /// <summary>A published tree.</summary>
    internal LayerTree? TryFind(string name)
    {
        string folder = Path.Combine(layout.Trees, name);
        try
        {
            return AtomicFile.TryRead(Path.Combine(folder, "tree.json"), int.MaxValue) is { } json && IsThere(name)
                ? new LayerTree(name, folder, SnapshotRecords.Parse(json, TreeRecord.Read, $"tree {name}", place: name), IsStaged: false)
                : null;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.Corrupt)
        {
            return null; // as good as none: the layer is unpacked anew
        }
    }

    /// <summary>Unpacks a layer into a staged tree; null where it has hard links to files below and <paramref name="below"/> is null.</summary>
    /// <exception cref="DigestMismatchException">The layer is another one.</exception>
    internal virtual LayerTree? Unpack(string name, Stream blob, Digest diffId, LayerStack? below, CancellationToken cancellationToken)
    {
        string staging = layout.NewIngestPath("tree");
        bool isWhole = false;
        Directory.CreateDirectory(Path.Combine(staging, "fs"));
        try
        {
            using RootedDirectory root = RootedDirectory.Open(Path.Combine(staging, "fs"));
            using var reader = new LayerReader(blob);
            if (LayerExtractor.TryExtractTree(reader, new DirectoryTarget(root), form, below, cancellationToken) is not { } tree)
            {
                return null;
            }
            if (reader.DiffId != diffId)
            {
                throw new DigestMismatchException(diffId, reader.DiffId, "layer");
            }
            var record = TreeRecord.Of(tree);
            WriteRecord(staging, name, record);
            isWhole = true;
            return new LayerTree(name, staging, record, IsStaged: true);
        }
        finally
        {
            if (!isWhole)
            {
                FileSystems.RemoveTree(staging);
            }
        }
    }

    /// <summary>Writes the record of a tree that will be published as <paramref name="name"/>.</summary>
    internal static void WriteRecord(string folder, string name, TreeRecord record)
        => AtomicFile.Write(Path.Combine(folder, "tree.json"), SealedRecord.Serialize(name, record, TreeRecord.Write), durable: false);

    /// <summary>
    /// Whether a tree that was made without a look at what is below shows on <paramref name="below"/> what the layer means: directories that it has
    /// only because of what is in them must look as those below, and whiteouts must have something to be joined with.
    /// </summary>
    internal bool Fits(LayerTree tree, LayerStack below)
    {
        if (tree.Record is { Implied.Length: 0, Hiding.Length: 0 })
        {
            return true;
        }
        using ILayerFiles root = OpenFiles(tree.Files);
        return tree.Record.Hiding.Select(p => LinuxPath.Decode(p)).All(path => Find(below, path) is { Status.Kind: FileKind.Directory })
            && tree.Record.Implied.Select(p => LinuxPath.Decode(p)).All(path => LooksTheSame(root, path, below));
    }

    /// <summary>Gives staged trees their names. The caller has synced them.</summary>
    internal void Publish(IEnumerable<LayerTree> trees)
    {
        foreach (LayerTree tree in trees)
        {
            Fail.Point("snapshot.before-rename");
            string path = Path.Combine(layout.Trees, tree.Name);
            try
            {
                Durability.Rename(tree.Folder, path, replace: false);
            }
            catch (LinuxException e) when (e.Errno is Errno.EEXIST or Errno.ENOTEMPTY)
            {
                // What is there is no tree (or it would have been found): somebody tampered with it.
                Remove(tree.Name);
                Durability.Rename(tree.Folder, path, replace: false);
            }
            Fail.Point("snapshot.after-rename");
        }
        Durability.SyncDirectory(layout.Trees);
    }

    /// <summary>Removes a tree. It loses its name first: what is half removed is no tree any more.</summary>
    internal void Remove(string name) => TrashFolder.Remove(layout, Path.Combine(layout.Trees, name));

    /// <summary>The names of all published trees.</summary>
    internal IEnumerable<string> List()
        => Directory.Exists(layout.Trees) ? Directory.GetDirectories(layout.Trees).Select(d => Path.GetFileName(d)!).ToArray() : [];

    private static LayerNode? Find(LayerStack below, string path) => below.TryFind(path) is { } node && node.Path == path ? node : null;

    private static bool LooksTheSame(ILayerFiles root, string path, LayerStack below)
    {
        FileStatus own = root.TryGetStatus(path) ?? throw new LinuxException("stat", path, Errno.ENOENT);
        IEnumerable<KeyValuePair<string, byte[]>> ownXattrs = root.GetXattrs(path).Where(x => !x.Key.StartsWith(OverlayXattrs.Prefix, StringComparison.Ordinal));
        if (below.TryFind(path) is not { } node)
        {
            return (own.Mode, own.Uid, own.Gid) == (DefaultMode, 0u, 0u) && !ownXattrs.Any();
        }
        return node.Path == path && node.Status.Kind == FileKind.Directory && (own.Mode, own.Uid, own.Gid) == (node.Status.Mode, node.Status.Uid, node.Status.Gid)
            && ownXattrs.SequenceEqual(below.GetXattrs(node), XattrComparer.Instance);
    }
}

/// <summary>Extended attributes are the same by name and bytes.</summary>
internal sealed class XattrComparer : IEqualityComparer<KeyValuePair<string, byte[]>>
{
    internal static readonly XattrComparer Instance = new();

    public bool Equals(KeyValuePair<string, byte[]> x, KeyValuePair<string, byte[]> y) => x.Key == y.Key && x.Value.AsSpan().SequenceEqual(y.Value);

    public int GetHashCode(KeyValuePair<string, byte[]> obj) => obj.Key.GetHashCode(StringComparison.Ordinal);
}
