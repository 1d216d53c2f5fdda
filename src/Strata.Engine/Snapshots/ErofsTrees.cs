using System.Collections.Immutable;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// Layers that are not unpacked: the plain tar as it came, and an index over it that the kernel mounts.
/// <code>
/// trees/DIFF-ID.erofs/layer.tar     the tar; its digest is the diff ID
/// trees/DIFF-ID.erofs/layer.erofs   the index (<see cref="ErofsFormat"/>), with what the tar cannot give
/// trees/DIFF-ID.erofs/fs/           empty: where it is mounted, in namespaces that nobody else sees
/// trees/DIFF-ID.erofs/tree.json     sizes of both, and by what they are known again
/// </code>
/// and where it has files in common with other layers (<see cref="ErofsDedupe"/>), in place of the tar:
/// <code>
/// trees/DIFF-ID.erofs/layer.rest    the tar with holes
/// trees/DIFF-ID.erofs/layer.pool-1  what belongs there, of several layers: one file with a name in each of them
/// trees/DIFF-ID.erofs/layer.pieces  what belongs where (<see cref="ErofsPieces"/>)
/// </code>
/// </summary>
internal sealed class ErofsTrees(StoreLayout layout, string suffix) : LayerTrees(layout, WhiteoutForm.Overlay, suffix)
{
    private readonly string _suffix = suffix;
    // The rest has a name of its own: an index is never mounted over the other kind of tar, whatever is exchanged between two looks.
    internal const string TarName = "layer.tar", IndexName = "layer.erofs", RestName = "layer.rest", PiecesName = "layer.pieces";
    private readonly StoreLayout _layout = layout;

    /// <summary>The folder of a tree, by it or by its fs/; null where it is a directory with files.</summary>
    internal static string? TryFolderOf(string path)
        => File.Exists(Path.Combine(path, IndexName)) ? path : Path.GetDirectoryName(path) is { } folder && File.Exists(Path.Combine(folder, IndexName)) ? folder : null;

    /// <summary>Reads a tree's files without a mount.</summary>
    internal static ErofsImage OpenImage(string folder) => ErofsImage.Open(Path.Combine(folder, IndexName), number => DeviceOf(folder, number));

    private static string DeviceOf(string folder, int number)
        => number > ErofsFormat.TarDevice ? PoolOf(folder, number - ErofsFormat.TarDevice) : Path.Combine(folder, TarName) is var tar && File.Exists(tar) ? tar : Path.Combine(folder, RestName);

    /// <summary>The name that a pool has in a layer's folder; the first is 1.</summary>
    internal static string PoolOf(string folder, int number) => Path.Combine(folder, "layer.pool-" + number.ToString(System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>The pools that a tree has in common with others: something that is the same for all of their names, and their bytes on disk.</summary>
    internal static IEnumerable<(string Pool, long Bytes)> ListPools(string folder)
    {
        for (int number = 1; number <= ErofsFormat.MaxPools && FileSystems.TryGetStatus(PoolOf(folder, number)) is { LinkCount: > 1 } pool; number++)
        {
            yield return (string.Create(System.Globalization.CultureInfo.InvariantCulture, $"pool {pool.Device}:{pool.Inode}"), pool.Blocks * 512);
        }
    }

    /// <summary>What of a tree's tar lies in pools; null where the tree is none of these, or not what was written here.</summary>
    internal static ImmutableArray<ErofsPiece>? TryReadPieces(string folder)
    {
        try
        {
            return TryReadRecord(folder, Path.GetFileName(folder)) is not { } record ? null : record.Shared is { } shared ? ErofsPieces.Read(Path.Combine(folder, PiecesName), shared.Pieces) : [];
        }
        catch (StrataException e) when (e.Kind == ErrorKind.Corrupt)
        {
            return null;
        }
    }

    /// <summary>The files that an index points into, in the order of their numbers.</summary>
    internal static string[] DevicesOf(string folder, ErofsRecord record)
        => record.Shared is not { } shared ? [Path.Combine(folder, TarName)] : [Path.Combine(folder, RestName), .. shared.Pools.Select((_, i) => PoolOf(folder, i + 1))];

    /// <summary>Of those of other snapshotters, too: they are listed, and spared.</summary>
    internal override bool IsThere(string name)
        => !name.EndsWith(_suffix, StringComparison.Ordinal) ? base.IsThere(name) : File.Exists(Path.Combine(_layout.Trees, name, IndexName)) && HasTar(Path.Combine(_layout.Trees, name)) && Directory.Exists(FilesOf(name));

    private static bool HasTar(string folder) => File.Exists(Path.Combine(folder, TarName)) || (File.Exists(Path.Combine(folder, RestName)) && File.Exists(Path.Combine(folder, PiecesName)) && File.Exists(PoolOf(folder, 1)));

    internal override ILayerFiles OpenFiles(string path) => TryFolderOf(path) is { } folder ? OpenImage(folder) : DirectoryFiles.Open(path);

    /// <summary>Two files and their folder for each layer, however many files those have.</summary>
    internal override void Sync(IEnumerable<LayerTree> staged, string record)
    {
        foreach (LayerTree tree in staged)
        {
            foreach (string name in (string[])[TarName, IndexName, "tree.json"])
            {
                Durability.SyncFile(Path.Combine(tree.Folder, name));
            }
            Durability.SyncDirectory(tree.Folder);
        }
        Durability.SyncFile(record);
        Durability.SyncDirectory(Path.GetDirectoryName(record)!);
    }

    internal override LayerTree? Unpack(string name, Stream blob, Digest diffId, LayerStack? below, CancellationToken cancellationToken)
    {
        string staging = _layout.NewIngestPath("tree");
        bool isWhole = false;
        Directory.CreateDirectory(Path.Combine(staging, "fs"));
        try
        {
            if (Fill(staging, blob, diffId, below, cancellationToken) is not { } record)
            {
                return null;
            }
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

    /// <summary>Refuses to have a tree mounted whose files are not those that were written here: a file system that somebody else made is a way into the kernel.</summary>
    /// <returns>What its files are.</returns>
    /// <exception cref="StrataException">Corrupt.</exception>
    internal static ErofsRecord CheckHead(string folder, string name)
    {
        try
        {
            if (TryReadRecord(folder, name) is { } record
                && ReadHead(folder) is var (head, indexBytes) && (Digest.Of(head), indexBytes) == (record.Head, record.IndexBytes) && HasDevices(folder, record))
            {
                return record;
            }
        }
        catch (IOException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"layer {name}: its files cannot be read: {e.Message}", e) { Hint = Advice };
        }
        throw new StrataException(ErrorKind.Corrupt, $"layer {name}: its files are not what was written here") { Hint = Advice };
    }

    /// <summary>Hashes a tree's files; null where both are what they were.</summary>
    internal static string? FindDamage(string folder, Digest diffId)
    {
        string name = Path.GetFileName(folder);
        try
        {
            if (TryReadRecord(folder, name) is not { } record)
            {
                return "the record of its files is not here";
            }
            return HashTar(folder, record) != diffId ? "its plain tar on disk is not its diff ID any more"
                : ErofsFormat.ChecksumOf(Path.Combine(folder, IndexName)) != record.IndexChecksum ? "the index over its files was changed on disk" : null;
        }
        catch (Exception e) when (e is IOException || e is StrataException { Kind: ErrorKind.Corrupt })
        {
            return $"its files cannot be read: {e.Message}";
        }
    }

    // Null where there is none, or it is that of unpacked files.
    private static ErofsRecord? TryReadRecord(string folder, string name)
        => AtomicFile.TryRead(Path.Combine(folder, "tree.json"), int.MaxValue) is { } json ? SnapshotRecords.Parse(json, TreeRecord.Read, $"tree {name}", place: name).Erofs : null;

    internal const string Advice = "strata system check --deep --repair makes it again, and so does strata pull of the image";

    private static TreeRecord? Fill(string staging, Stream blob, Digest diffId, LayerStack? below, CancellationToken cancellationToken)
    {
        string tarPath = Path.Combine(staging, TarName);
        bool isThere = blob is PlainTarStream plain && plain.TryLink(tarPath);
        using SafeFileHandle tar = isThere ? File.OpenHandle(tarPath) : File.OpenHandle(tarPath, FileMode.CreateNew, FileAccess.Write);
        using SafeFileHandle index = File.OpenHandle(Path.Combine(staging, IndexName), FileMode.CreateNew, FileAccess.ReadWrite);
        using var reader = new LayerReader(blob, limits: null, isThere ? null : tar);
        var tree = new ErofsTree(index);
        if (LayerExtractor.TryExtractTree(reader, tree, WhiteoutForm.Overlay, below, cancellationToken) is not { } extracted)
        {
            return null;
        }
        if (reader.DiffId != diffId)
        {
            throw new DigestMismatchException(diffId, reader.DiffId, "layer");
        }
        byte[] head = ErofsWriter.Write(tree, index, diffId, reader.PlainSize);
        long indexBytes = RandomAccess.GetLength(index);
        return TreeRecord.Of(extracted) with { Erofs = new ErofsRecord(indexBytes, RandomAccess.GetLength(tar), Digest.Of(head), ErofsFormat.ChecksumOf(Path.Combine(staging, IndexName))) };
    }

    private static bool HasDevices(string folder, ErofsRecord record)
    {
        string[] devices = DevicesOf(folder, record);
        for (int i = 0; i < devices.Length; i++)
        {
            if (FileSystems.TryGetStatus(devices[i])?.Size != (i == 0 ? record.TarBytes : record.Shared!.Pools[i - 1].Bytes))
            {
                return false;
            }
        }
        return true;
    }

    private static (byte[] Head, long IndexBytes) ReadHead(string folder)
    {
        using SafeFileHandle index = File.OpenHandle(Path.Combine(folder, IndexName));
        byte[] head = new byte[ErofsFormat.HeadBytes];
        int read = RandomAccess.Read(index, head, 0);
        return (head[..read], RandomAccess.GetLength(index));
    }

    /// <summary>The digest of a layer's plain tar, wherever its parts lie: the diff ID, where nothing is damaged.</summary>
    internal static Digest HashTar(string folder, ErofsRecord record)
    {
        if (record.Shared is not { } shared)
        {
            return HashFile(Path.Combine(folder, TarName));
        }
        SafeFileHandle[] devices = [.. DevicesOf(folder, record).Select(d => File.OpenHandle(d, options: FileOptions.SequentialScan))];
        try
        {
            return ErofsPieces.HashTar(devices[0], ErofsPieces.Read(Path.Combine(folder, PiecesName), shared.Pieces), pool => devices[pool], record.TarBytes);
        }
        finally
        {
            Array.ForEach(devices, d => d.Dispose());
        }
    }

    private static Digest HashFile(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.SequentialScan);
        return Digest.FromSha256(SHA256.HashData(file));
    }
}

/// <summary>A plain tar in a file of its own that the store may take as it is: it gets another name, and not one byte is copied.</summary>
/// <param name="path">The file.</param>
internal sealed class PlainTarStream(string path) : FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0)
{
    internal bool TryLink(string target)
    {
        try
        {
            using RootedDirectory root = RootedDirectory.Open("/");
            root.CreateHardLink(target, Name);
            return true;
        }
        catch (LinuxException e) when (e.Errno is Errno.EMLINK or Errno.EPERM or Errno.ENOTSUP or Errno.EXDEV)
        {
            return false;
        }
    }
}
