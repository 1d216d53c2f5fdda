using System.Collections.Immutable;
using System.Text.Json;
using Strata.Oci;

namespace Strata.Build;

/// <summary>
/// A build cache as an artifact: an OCI manifest with this document as its config, the layers of the steps as its layers, and behind them the folders of
/// cache mounts as layers of their own type. An image that carries its cache inline has the document as an annotation.
/// </summary>
internal sealed record CacheDocument(ImmutableArray<CacheDocumentStep> Steps)
{
    internal const string MediaType = "application/vnd.strata.buildcache.v1+json", MountType = "application/vnd.strata.cachemount.v1.tar+gzip";
    internal const string InlineAnnotation = "org.strata.buildcache", MountAnnotation = "org.strata.cachemount.name", MountIdAnnotation = "org.strata.cachemount.id";

    internal byte[] Serialize() => JsonFieldsWriter.Serialize(this, static (w, d) => w.Objects("steps", d.Steps, static (w, s) =>
    {
        w.Field("key", s.Key);
        CachedStep.Write(w, s.Step);
    }));

    /// <exception cref="JsonException">It is none.</exception>
    internal static CacheDocument Parse(ReadOnlySpan<byte> json)
        => new(JsonFields.Parse(json).Objects("steps", static o => new CacheDocumentStep(o.Digest("key"), CachedStep.Read(o))));
}

/// <summary>A step's key and what it made.</summary>
internal sealed record CacheDocumentStep(Digest Key, CachedStep Step);
