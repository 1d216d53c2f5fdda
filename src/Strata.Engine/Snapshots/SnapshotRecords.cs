using System.Collections.Immutable;
using System.Text.Json;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>active/KEY/snapshot.json.</summary>
internal sealed record ActiveRecord(bool HasInit, Digest? Parent = null)
{
    internal static ActiveRecord Read(JsonFields o) => new(o.MaybeBool("hasInit") ?? throw o.Missing("hasInit"), o.MaybeDigest("parent"));

    internal static void Write(Utf8JsonWriter writer, ActiveRecord record)
    {
        writer.Field("hasInit", record.HasInit);
        writer.Field("parent", record.Parent);
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
    internal static ChangesRecord Read(JsonFields o) => new(o.Int64("contentBytes"), o.Bytes("leftOut"), o.Bytes("implied"), o.Bytes("hiding"),
        o.MaybeObject("clamp") is { } clamp ? new FileTime(clamp.Int64("seconds"), clamp.Int32("nanoseconds")) : null);

    internal static void Write(Utf8JsonWriter writer, ChangesRecord record)
    {
        writer.Field("contentBytes", record.ContentBytes);
        writer.Field("leftOut", record.LeftOut);
        writer.Field("implied", record.Implied);
        writer.Field("hiding", record.Hiding);
        if (record.Clamp is { } clamp)
        {
            writer.WriteStartObject("clamp");
            writer.Field("seconds", clamp.Seconds);
            writer.Field("nanoseconds", clamp.Nanoseconds);
            writer.WriteEndObject();
        }
    }
}

/// <summary>trees/TREE/tree.json. Paths are bytes (base64 in JSON), because names need not be text.</summary>
internal sealed record TreeRecord(long ContentBytes, bool HidesAllBelow, byte[][] Implied, byte[][] Hiding)
{
    internal static TreeRecord Of(ExtractedTree tree) => new(tree.ContentBytes, tree.HidesAllBelow, Encode(tree.Implied), Encode(tree.Hiding));

    internal static TreeRecord Read(JsonFields o) => new(o.Int64("contentBytes"), o.MaybeBool("hidesAllBelow") ?? throw o.Missing("hidesAllBelow"), o.Bytes("implied"), o.Bytes("hiding"));

    internal static void Write(Utf8JsonWriter writer, TreeRecord record)
    {
        writer.Field("contentBytes", record.ContentBytes);
        writer.Field("hidesAllBelow", record.HidesAllBelow);
        writer.Field("implied", record.Implied);
        writer.Field("hiding", record.Hiding);
    }

    internal static byte[][] Encode(IReadOnlyList<string> paths) => [.. paths.Select(LinuxPath.Encode)];
}

/// <summary>A layer of snapshots/CHAIN-ID.json.</summary>
internal sealed record StackLayer(Digest DiffId, string Tree, long Bytes, bool HidesAllBelow = false)
{
    internal static StackLayer Read(JsonFields o) => new(o.Digest("diffId"), o.String("tree"), o.Int64("bytes"), o.MaybeBool("hidesAllBelow") ?? false);

    internal static void Write(Utf8JsonWriter writer, StackLayer layer)
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
    internal static StackRecord Read(JsonFields o) => o.Has("layers") ? new([.. o.Objects("layers").ConvertAll(StackLayer.Read)]) : throw o.Missing("layers");

    internal static void Write(Utf8JsonWriter writer, StackRecord record) => writer.Objects("layers", record.Layers, StackLayer.Write);

    internal static StackRecord Of(CommittedSnapshot snapshot)
        => new([.. snapshot.Stack.Select(s => new StackLayer(s.DiffId, s.Tree, s.ContentBytes, s.HidesAllBelow))]);

    internal CommittedSnapshot? ToSnapshot()
    {
        CommittedSnapshot? top = null;
        foreach (StackLayer layer in Layers)
        {
            top = new CommittedSnapshot(layer.DiffId, top, layer.Tree, layer.Bytes, layer.HidesAllBelow);
        }
        return top;
    }
}

/// <summary>How the records are read and written.</summary>
internal static class SnapshotRecords
{
    internal static T Parse<T>(byte[] json, Func<JsonFields, T> read, string what)
    {
        try
        {
            return read(JsonFields.Parse(json));
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"{what}: its record is not readable: {e.Message}", e) { Hint = "see strata system check --repair" };
        }
    }
}
