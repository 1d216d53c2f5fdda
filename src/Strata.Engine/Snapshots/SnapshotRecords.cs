using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>active/KEY/snapshot.json.</summary>
internal sealed record ActiveRecord(bool HasInit, Digest? Parent = null);

/// <summary>active/KEY/layer.json: what writing the changes as a layer found, for the commit that may follow.</summary>
/// <param name="ContentBytes">Bytes of regular files.</param>
/// <param name="LeftOut">What is in the directory and not in the layer: sockets, whiteouts that hide nothing.</param>
/// <param name="Implied">As of a tree.</param>
/// <param name="Hiding">As of a tree.</param>
/// <param name="Clamp">No time in the layer is later than this.</param>
internal sealed record ChangesRecord(long ContentBytes, byte[][] LeftOut, byte[][] Implied, byte[][] Hiding, FileTime? Clamp = null);

/// <summary>trees/TREE/tree.json. Paths are bytes (base64 in JSON), because names need not be text.</summary>
internal sealed record TreeRecord(long ContentBytes, bool HidesAllBelow, byte[][] Implied, byte[][] Hiding)
{
    internal static TreeRecord Of(ExtractedTree tree) => new(tree.ContentBytes, tree.HidesAllBelow, Encode(tree.Implied), Encode(tree.Hiding));

    internal static byte[][] Encode(IReadOnlyList<string> paths) => [.. paths.Select(LinuxPath.Encode)];
}

/// <summary>A layer of snapshots/CHAIN-ID.json.</summary>
internal sealed record StackLayer(Digest DiffId, string Tree, long Bytes, bool HidesAllBelow = false);

/// <summary>snapshots/CHAIN-ID.json, bottom first.</summary>
internal sealed record StackRecord(StackLayer[] Layers)
{
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

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ActiveRecord))]
[JsonSerializable(typeof(ChangesRecord))]
[JsonSerializable(typeof(TreeRecord))]
[JsonSerializable(typeof(StackRecord))]
internal sealed partial class SnapshotJsonContext : JsonSerializerContext
{
    internal static T Parse<T>(byte[] json, JsonTypeInfo<T> type, string what)
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
}
