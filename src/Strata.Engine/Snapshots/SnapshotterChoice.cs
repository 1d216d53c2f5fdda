using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>
/// Which snapshotter a store's new snapshots are made by: the one that is asked for, or that the store's settings name; else EROFS where the kernel mounts
/// it out of the store's files, else overlay where overlayfs mounts on the store's file system, and union elsewhere. What was found out is kept in
/// snapshots/snapshotter.json, for as long as kernel and file system are the same.
/// </summary>
public sealed class SnapshotterChoice
{
    private const string RecordName = "snapshotter.json";

    private SnapshotterChoice(SnapshotRouter router, string reason) => (Router, Reason) = (router, reason);

    /// <summary>The names that can be asked for.</summary>
    public static IReadOnlyList<string> Names { get; } = [ErofsSnapshotter.OwnName, OverlaySnapshotter.OwnName, UnionSnapshotter.OwnName];

    /// <summary>The same, as words.</summary>
    public static string NamesInWords => $"{string.Join(", ", Names.SkipLast(1))} and {Names[^1]}";

    /// <summary>Makes new snapshots as chosen, and uses those that are there by whoever made them.</summary>
    public ISnapshotter Snapshotter => Router;

    /// <summary>Why this one, as words that fit behind its name.</summary>
    public string Reason { get; }

    internal SnapshotRouter Router { get; }

    /// <summary>Chooses. <paramref name="notify"/> gets one line when a store is found to be without overlayfs.</summary>
    /// <exception cref="StrataException">Invalid: there is none of that name; Unsupported: the one that is asked for does not work here.</exception>
    public static SnapshotterChoice Make(StoreLayout layout, string? asked = null, Action<string>? notify = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        if (asked is not null)
        {
            return Take(layout, asked, "asked for", "leave --snapshotter out: then one is taken that works here");
        }
        if (TryReadSet(layout) is { } set)
        {
            return Take(layout, set, "named in settings.json", $"take snapshotter out of {layout.Settings}: then one is taken that works here");
        }
        FoundSnapshotter place = new("", "", Host.KernelRelease, FileSystems.TryGetStatus(layout.Root)?.Device ?? 0);
        string path = Path.Combine(layout.Snapshots, RecordName);
        FoundSnapshotter? known = TryReadKnown(path);
        if (known is not null && known with { Name = "", Reason = "" } == place)
        {
            return Of(layout, known.Name, known.Reason);
        }
        FoundSnapshotter found;
        try
        {
            found = Find(layout, place);
            AtomicFile.Write(path, JsonFieldsWriter.Serialize(found, FoundSnapshotter.Write), durable: false);
        }
        catch (Exception e) when (IsFull(e))
        {
            // Looking and removing work without a free byte: what was found elsewhere, or what most places have, until there is room to try.
            return Of(layout, known?.Name ?? OverlaySnapshotter.OwnName, "not tried: no space is left");
        }
        if (found.Name == UnionSnapshotter.OwnName)
        {
            notify?.Invoke($"{layout.Root}: {found.Reason}: using the union snapshotter, which copies an image's files for each container");
        }
        return Of(layout, found.Name, found.Reason);
    }

    // Settings that cannot be read are told by who keeps the budget, and stop nothing else.
    private static string? TryReadSet(StoreLayout layout)
    {
        try
        {
            return AtomicFile.TryRead(layout.Settings) is { } settings ? StoreSettings.Parse(settings, layout.Settings).Snapshotter : null;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.Invalid)
        {
            return null;
        }
    }

    private static SnapshotterChoice Take(StoreLayout layout, string asked, string reason, string otherwise)
    {
        if (asked == ErofsSnapshotter.OwnName && ErofsProbe.Make(layout) is { Mounts: false } not)
        {
            throw new StrataException(ErrorKind.Unsupported, $"snapshotter {asked}: {not.Reason}") { Hint = otherwise };
        }
        var router = new SnapshotRouter(layout, asked, mayTakeOthers: false);
        router.Get(asked); // of that name is one
        return new SnapshotterChoice(router, reason);
    }

    private static FoundSnapshotter Find(StoreLayout layout, FoundSnapshotter place)
    {
        if (ErofsProbe.Make(layout) is { Mounts: true } erofs)
        {
            return place with { Name = ErofsSnapshotter.OwnName, Reason = erofs.Reason };
        }
        (bool mounts, string reason) = Probe(layout);
        return place with { Name = mounts ? OverlaySnapshotter.OwnName : UnionSnapshotter.OwnName, Reason = reason };
    }

    // A note, not a record: one that a power cut has emptied is made anew.
    private static FoundSnapshotter? TryReadKnown(string path)
    {
        try
        {
            return AtomicFile.TryRead(path) is { } json && SnapshotRecords.Parse(json, FoundSnapshotter.Read, path) is var known && Names.Contains(known.Name) ? known : null;
        }
        catch (StrataException e) when (e.Kind is ErrorKind.Corrupt)
        {
            return null;
        }
    }

    internal static bool IsFull(Exception e)
    {
        const int Full = 28, OverQuota = 122; // ENOSPC, EDQUOT: what the base library's errors carry
        return e is LinuxException { Errno: Errno.ENOSPC or Errno.EDQUOT } || (e is IOException && e.HResult is Full or OverQuota);
    }

    private static SnapshotterChoice Of(StoreLayout layout, string name, string reason) => new(new SnapshotRouter(layout, name, mayTakeOthers: true), reason);

    // Mounts two directories of the store and deletes a file: some file systems can be mounted upon, and have no whiteouts.
    private static (bool Mounts, string Reason) Probe(StoreLayout layout)
    {
        string folder = layout.NewIngestPath("probe");
        string lower = Path.Combine(folder, "lower"), upper = Path.Combine(folder, "upper"), work = Path.Combine(folder, "work"), target = Path.Combine(folder, "target");
        try
        {
            foreach (string directory in (string[])[lower, upper, work, target])
            {
                Directory.CreateDirectory(directory);
            }
            File.WriteAllBytes(Path.Combine(lower, "file"), []);
            return Mounts.RunInPrivateNamespace(() =>
            {
                try
                {
                    Mounts.Mount(new MountSpec("overlay", "strata", target, [.. OverlaySnapshotter.Options, "lowerdir+=" + lower, "upperdir=" + upper, "workdir=" + work]));
                    File.Delete(Path.Combine(target, "file"));
                    return (true, "overlayfs mounts here");
                }
                catch (Exception e) when (e is LinuxException or IOException or UnauthorizedAccessException)
                {
                    return (false, $"overlayfs cannot be mounted ({Cause(e)})");
                }
            });
        }
        catch (LinuxException e) when (e.Errno is Errno.EPERM or Errno.EACCES && e.Call == "unshare")
        {
            return (true, "not tried: only root can mount"); // nor can the union be
        }
        finally
        {
            FileSystems.RemoveTree(folder);
        }
    }

    private static string Cause(Exception e) => e is LinuxException { Errno: Errno errno } ? errno.ToString() : e.Message;
}

/// <summary>snapshots/snapshotter.json.</summary>
/// <param name="Name">Which one.</param>
/// <param name="Reason">Why.</param>
/// <param name="Kernel">On this release.</param>
/// <param name="Device">On this file system.</param>
internal sealed record FoundSnapshotter(string Name, string Reason, string Kernel, ulong Device)
{
    internal static FoundSnapshotter Read(JsonFields o) => new(o.String("name"), o.String("reason"), o.String("kernel"), o.UInt64("device"));

    internal static void Write(JsonFieldsWriter writer, FoundSnapshotter found)
    {
        writer.Field("name", found.Name);
        writer.Field("reason", found.Reason);
        writer.Field("kernel", found.Kernel);
        writer.Field("device", found.Device);
    }
}
