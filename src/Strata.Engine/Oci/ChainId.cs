using System.Collections.Immutable;
using System.Text;

namespace Strata.Oci;

/// <summary>
/// Names a stack of layers: <c>ChainID(L0) = DiffID(L0)</c>, <c>ChainID(L0|…|Ln) = Digest(ChainID(L0|…|Ln-1) + " " + DiffID(Ln))</c>.
/// </summary>
/// <remarks><see href="https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid"/></remarks>
public static class ChainId
{
    /// <summary>The chain ID of a layer on top of a stack; of the layer alone where <paramref name="parent"/> is null.</summary>
    public static Digest Of(Digest? parent, Digest diffId)
        => parent is { } below ? Digest.Of(Encoding.ASCII.GetBytes($"{below} {diffId}")) : diffId;

    /// <summary>The chain ID of a whole stack, bottom first; null for no layers.</summary>
    public static Digest? Of(IEnumerable<Digest> diffIds)
    {
        ArgumentNullException.ThrowIfNull(diffIds);
        Digest? chain = null;
        foreach (Digest diffId in diffIds)
        {
            chain = Of(chain, diffId);
        }
        return chain;
    }

    /// <summary>The chain ID of every stack from the bottom to each layer: as many as there are layers.</summary>
    public static ImmutableArray<Digest> All(ImmutableArray<Digest> diffIds)
    {
        ImmutableArray<Digest>.Builder chains = ImmutableArray.CreateBuilder<Digest>(diffIds.Length);
        foreach (Digest diffId in diffIds)
        {
            chains.Add(Of(chains.Count == 0 ? null : chains[^1], diffId));
        }
        return chains.MoveToImmutable();
    }
}
