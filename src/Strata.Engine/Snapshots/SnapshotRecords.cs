using System.Collections.Immutable;
using System.Text.Json;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>active/KEY/snapshot.json.</summary>
/// <param name="HasInit">Whether mount points were made in a layer of their own.</param>
/// <param name="Parent">The chain ID below.</param>
/// <param name="Snapshotter">Who made it.</param>
/// <param name="Made">Union: what was changed later than this is no copy of the parent's any more.</param>
internal sealed record ActiveRecord(bool HasInit, Digest? Parent, string Snapshotter, FileTime? Made = null)
{
    internal static ActiveRecord Read(JsonFields o) => new(o.MaybeBool("hasInit") ?? throw o.Missing("hasInit"), o.MaybeDigest("parent"), o.MaybeString("snapshotter") ?? OverlaySnapshotter.OwnName, o.MaybeFileTime("made"));

    internal static void Write(JsonFieldsWriter writer, ActiveRecord record)
    {
        writer.Field("hasInit", record.HasInit);
        writer.Field("parent", record.Parent);
        writer.Field("snapshotter", record.Snapshotter);
        writer.Field("made", record.Made);
    }
}

/// <summary>active/KEY/layer.json: what writing the changes as a layer found, for the commit that may follow.</summary>
/// <param name="ContentBytes">Bytes of regular files.</param>
/// <param name="LeftOut">What is in the directory and not in the layer: sockets, whiteouts that hide nothing.</param>
/// <param name="Implied">As of a tree.</param>
/// <param name="Hiding">As of a tree.</param>
/// <param name="Clamp">No time in the layer is later than this.</param>
internal sealed record ChangesRecord(long ContentBytes, byte[][] LeftOut, byte[][] Implied, byte[][] Hiding, FileTime? Clamp = null)
{
    internal static ChangesRecord Read(JsonFields o) => new(o.Int64("contentBytes"), o.Bytes("leftOut"), o.Bytes("implied"), o.Bytes("hiding"), o.MaybeFileTime("clamp"));

    internal static void Write(JsonFieldsWriter writer, ChangesRecord record)
    {
        writer.Field("contentBytes", record.ContentBytes);
        writer.Field("leftOut", record.LeftOut);
        writer.Field("implied", record.Implied);
        writer.Field("hiding", record.Hiding);
        writer.Field("clamp", record.Clamp);
    }
}

/// <summary>trees/TREE/tree.json. Paths are bytes (base64 in JSON), because names need not be text.</summary>
/// <param name="ContentBytes">Bytes of regular files.</param>
/// <param name="HidesAllBelow">Its root is opaque.</param>
/// <param name="Implied">Directories that no entry names.</param>
/// <param name="Hiding">Directories with overlayfs' whiteouts.</param>
/// <param name="Marks">What is deleted, where the files do not say it; else null.</param>
/// <param name="Erofs">The files of a layer that is a tar with an index; else null.</param>
internal sealed record TreeRecord(long ContentBytes, bool HidesAllBelow, byte[][] Implied, byte[][] Hiding, LayerMarks? Marks = null, ErofsRecord? Erofs = null)
{
    internal static TreeRecord Of(ExtractedTree tree) => new(tree.ContentBytes, tree.HidesAllBelow, Encode(tree.Implied), Encode(tree.Hiding), tree.Marks.IsEmpty ? null : tree.Marks);

    internal static TreeRecord Read(JsonFields o) => new(o.Int64("contentBytes"), o.MaybeBool("hidesAllBelow") ?? throw o.Missing("hidesAllBelow"), o.Bytes("implied"), o.Bytes("hiding"),
        o.MaybeObject("marks") is { } marks ? LayerMarks.Read(marks) : null, o.MaybeObject("erofs") is { } erofs ? ErofsRecord.Read(erofs) : null);

    internal static void Write(JsonFieldsWriter writer, TreeRecord record)
    {
        writer.Field("contentBytes", record.ContentBytes);
        writer.Field("hidesAllBelow", record.HidesAllBelow);
        writer.Field("implied", record.Implied);
        writer.Field("hiding", record.Hiding);
        writer.Object("marks", record.Marks, LayerMarks.Write);
        writer.Object("erofs", record.Erofs, ErofsRecord.Write);
    }

    internal static byte[][] Encode(IReadOnlyList<string> paths) => [.. paths.Select(LinuxPath.Encode)];
}

/// <summary>What the files of a tree are that is a tar with an index.</summary>
/// <param name="IndexBytes">Length of layer.erofs.</param>
/// <param name="TarBytes">Length of layer.tar, whose digest is the layer's diff ID.</param>
/// <param name="Head">Digest of the index's first blocks: superblock and devices. Looked at before each mount.</param>
/// <param name="IndexChecksum">CRC-32C of the whole index: it tells of damage, and costs nothing where SHA-256 has no instructions.</param>
/// <param name="Shared">What of the tar is kept in files that other layers have, too; null: nothing.</param>
internal sealed record ErofsRecord(long IndexBytes, long TarBytes, Digest Head, long IndexChecksum, ErofsShared? Shared = null)
{
    internal static ErofsRecord Read(JsonFields o) => new(o.Int64("indexBytes"), o.Int64("tarBytes"), o.Digest("head"), o.Int64("indexChecksum"),
        o.MaybeObject("shared") is { } shared ? ErofsShared.Read(shared) : null);

    internal static void Write(JsonFieldsWriter writer, ErofsRecord record)
    {
        writer.Field("indexBytes", record.IndexBytes);
        writer.Field("tarBytes", record.TarBytes);
        writer.Field("head", record.Head);
        writer.Field("indexChecksum", record.IndexChecksum);
        writer.Object("shared", record.Shared, ErofsShared.Write);
    }
}

/// <summary>What a layer has in common with others.</summary>
/// <param name="Pieces">Digest of layer.pieces.</param>
/// <param name="Pools">The files that have it, in their order.</param>
internal sealed record ErofsShared(Digest Pieces, ImmutableArray<ErofsPool> Pools)
{
    internal static ErofsShared Read(JsonFields o) => new(o.Digest("pieces"), o.Objects("pools", ErofsPool.Read));

    internal static void Write(JsonFieldsWriter writer, ErofsShared shared)
    {
        writer.Field("pieces", shared.Pieces);
        writer.Objects("pools", shared.Pools, ErofsPool.Write);
    }
}

/// <summary>A file with parts of several layers; it has a name in the folder of each of them, and is gone with the last.</summary>
/// <param name="Id">Digest of the digests of what is in it.</param>
/// <param name="Bytes">Its length.</param>
internal sealed record ErofsPool(Digest Id, long Bytes)
{
    internal static ErofsPool Read(JsonFields o) => new(o.Digest("id"), o.Int64("bytes"));

    internal static void Write(JsonFieldsWriter writer, ErofsPool pool)
    {
        writer.Field("id", pool.Id);
        writer.Field("bytes", pool.Bytes);
    }
}

/// <summary>A layer of snapshots/CHAIN-ID.json.</summary>
internal sealed record StackLayer(Digest DiffId, string Tree, long Bytes, bool HidesAllBelow = false)
{
    internal static StackLayer Read(JsonFields o) => new(o.Digest("diffId"), o.String("tree"), o.Int64("bytes"), o.MaybeBool("hidesAllBelow") ?? false);

    internal static void Write(JsonFieldsWriter writer, StackLayer layer)
    {
        writer.Field("diffId", layer.DiffId);
        writer.Field("tree", layer.Tree);
        writer.Field("bytes", layer.Bytes);
        writer.Field("hidesAllBelow", layer.HidesAllBelow);
    }
}

/// <summary>snapshots/CHAIN-ID.json, bottom first.</summary>
internal sealed record StackRecord(ImmutableArray<StackLayer> Layers)
{
    internal static StackRecord Read(JsonFields o) => o.Has("layers") ? new(o.Objects("layers", StackLayer.Read)) : throw o.Missing("layers");

    internal static void Write(JsonFieldsWriter writer, StackRecord record) => writer.Objects("layers", record.Layers, StackLayer.Write);

    internal static StackRecord Of(CommittedSnapshot snapshot)
        => new([.. snapshot.Stack.Select(s => new StackLayer(s.DiffId, s.Tree, s.ContentBytes, s.HidesAllBelow))]);

    internal CommittedSnapshot? ToSnapshot(string snapshotter)
    {
        CommittedSnapshot? top = null;
        foreach (StackLayer layer in Layers)
        {
            top = new CommittedSnapshot(layer.DiffId, top, layer.Tree, layer.Bytes, layer.HidesAllBelow, snapshotter);
        }
        return top;
    }
}

/// <summary>How the records are read and written.</summary>
internal static class SnapshotRecords
{
    internal static FileTime? MaybeFileTime(this JsonFields o, string name)
        => o.MaybeObject(name) is { } time ? new FileTime(time.Int64("seconds"), time.Int32("nanoseconds")) : null;

    internal static void Field(this JsonFieldsWriter writer, string name, FileTime? time)
    {
        if (time is { } given)
        {
            writer.WriteStartObject(name);
            writer.Field("seconds", given.Seconds);
            writer.Field("nanoseconds", given.Nanoseconds);
            writer.WriteEndObject();
        }
    }

    /// <summary>What the name of a record in snapshots/ says: the stack, and who made it.</summary>
    internal static bool TryParseName(string path, out Digest chain, out string snapshotter)
    {
        string name = Path.GetFileNameWithoutExtension(path);
        snapshotter = Path.GetExtension(name) is { Length: > 1 } ending ? ending[1..] : OverlaySnapshotter.OwnName;
        return Digest.TryParse("sha256:" + Path.GetFileNameWithoutExtension(name), null, out chain);
    }

    /// <summary>The place that is sealed into a record of a snapshot.</summary>
    internal static string PlaceOf(string path) => "snapshots/" + Path.GetFileName(path);

    /// <summary>Reads a record; with a place, one that has a seal.</summary>
    internal static T Parse<T>(byte[] json, Func<JsonFields, T> read, string what, string? place = null)
    {
        try
        {
            return read(place is null ? JsonFields.Parse(json) : SealedRecord.Parse(place, json));
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"{what}: its record is not readable: {e.Message}", e) { Hint = "see strata system check --repair" };
        }
    }
}
