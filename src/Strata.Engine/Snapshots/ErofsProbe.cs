using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// Whether the kernel mounts EROFS out of files of a store (Linux 6.12 can, on file systems whose files it can read itself; not on tmpfs, nor on an
/// overlayfs): tried with a layer of one file, and kept in snapshots/erofs.json as long as kernel and file system are the same.
/// </summary>
/// <param name="Mounts">Whether it does.</param>
/// <param name="Reason">Why, as words that fit behind the name.</param>
public sealed record ErofsProbe(bool Mounts, string Reason)
{
    private const string RecordName = "erofs.json";

    /// <summary>Tries it, where that was not done yet.</summary>
    public static ErofsProbe Make(StoreLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        string path = Path.Combine(layout.Snapshots, RecordName);
        FoundErofs place = new(false, "", Host.KernelRelease, FileSystems.TryGetStatus(layout.Root)?.Device ?? 0);
        if (TryReadKnown(path) is { } known && known with { Mounts = false, Reason = "" } == place)
        {
            return new ErofsProbe(known.Mounts, known.Reason);
        }
        try
        {
            ErofsProbe found = Try(layout);
            AtomicFile.Write(path, JsonFieldsWriter.Serialize(place with { Mounts = found.Mounts, Reason = found.Reason }, FoundErofs.Write), durable: false);
            return found;
        }
        catch (Exception e) when (SnapshotterChoice.IsFull(e) || e is LinuxException { Errno: Errno.EROFS } || e is UnauthorizedAccessException)
        {
            return new ErofsProbe(false, "not tried: nothing can be written here");
        }
    }

    private static ErofsProbe Try(StoreLayout layout)
    {
        string folder = layout.NewIngestPath("probe");
        LayerTree? layer = null;
        try
        {
            foreach (string name in (string[])["upper", "work", "target"])
            {
                Directory.CreateDirectory(Path.Combine(folder, name));
            }
            using MemoryStream tar = MakeTar();
            layer = new ErofsTrees(layout, ".erofs").Unpack("probe", tar, Digest.Of(tar.ToArray()), below: null, CancellationToken.None)!;
            return Linux.Mounts.RunInPrivateNamespace(() => MountAndRead(folder, layer));
        }
        catch (LinuxException e) when (e.Errno is Errno.EPERM or Errno.EACCES && e.Call == "unshare")
        {
            return new ErofsProbe(false, "not tried: only root can mount");
        }
        finally
        {
            FileSystems.RemoveTree(folder);
            if (layer is not null)
            {
                FileSystems.RemoveTree(layer.Folder);
            }
        }
    }

    private static ErofsProbe MountAndRead(string folder, LayerTree layer)
    {
        try
        {
            string target = Path.Combine(folder, "target"), file = Path.Combine(target, "file");
            Linux.Mounts.Mount(new MountSpec("overlay", "strata", target,
                [.. OverlaySnapshotter.OptionsForFileSystems, "lowerdir+=" + layer.Files, "upperdir=" + Path.Combine(folder, "upper"), "workdir=" + Path.Combine(folder, "work")])
            { Lowers = [ErofsSnapshotter.MountOf(layer.Folder, layer.Files, layer.Record.Erofs!)] });
            if (!File.ReadAllBytes(file).AsSpan().SequenceEqual("probe"u8))
            {
                return new ErofsProbe(false, "a file of an EROFS mount reads otherwise than it was written");
            }
            File.Delete(file);
            return new ErofsProbe(true, "EROFS mounts here out of files");
        }
        catch (Exception e) when (e is LinuxException or IOException or UnauthorizedAccessException)
        {
            return new ErofsProbe(false, $"EROFS cannot be mounted out of files here ({(e is LinuxException { Errno: Errno errno } ? errno.ToString() : e.Message)})");
        }
    }

    private static MemoryStream MakeTar()
    {
        var tar = new MemoryStream();
        using var writer = new LayerWriter(tar);
        writer.Write(new FileEntry("file", new EntryMetadata(0b110_100_100, 0, 0, default), 5), new MemoryStream([.. "probe"u8]));
        writer.Finish();
        tar.Position = 0;
        return tar;
    }

    // A note, not a record: one that a power cut has emptied is made anew.
    private static FoundErofs? TryReadKnown(string path)
    {
        try
        {
            return AtomicFile.TryRead(path) is { } json ? SnapshotRecords.Parse(json, FoundErofs.Read, path) : null;
        }
        catch (StrataException e) when (e.Kind is ErrorKind.Corrupt)
        {
            return null;
        }
    }
}

/// <summary>snapshots/erofs.json.</summary>
internal sealed record FoundErofs(bool Mounts, string Reason, string Kernel, ulong Device)
{
    internal static FoundErofs Read(JsonFields o) => new(o.MaybeBool("mounts") ?? throw o.Missing("mounts"), o.String("reason"), o.String("kernel"), o.UInt64("device"));

    internal static void Write(JsonFieldsWriter writer, FoundErofs found)
    {
        writer.Field("mounts", found.Mounts);
        writer.Field("reason", found.Reason);
        writer.Field("kernel", found.Kernel);
        writer.Field("device", found.Device);
    }
}
