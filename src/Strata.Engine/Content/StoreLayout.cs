using Strata.Oci;

namespace Strata.Content;

/// <summary>
/// Where things are in the store. The only file that knows paths of the store:
/// <code>
/// meta.json                       format version; compatible, read-only-compatible, incompatible features
/// blobs/sha256/ab/abcd…           immutable; the name is the hash of the bytes
/// images/REGISTRY/REPO/…/_tags/TAG, _digests/HEX   names: a small file that holds a descriptor and a summary
/// images/_untagged/HEX            images without a name, until they are pruned
/// referrers/HEX/HEX               documents about a manifest (the first): descriptors of their artifacts (the second)
/// trees/DIFF-ID/fs                the files of a layer, unpacked once however many images have it (overlay)
/// trees/DIFF-ID.erofs/            the same as a tar with an index (erofs)
/// snapshots/CHAIN-ID.json         a stack of layers: its top tree, and the chain below
/// active/KEY/                     upper/ work/ of a container or a build step
/// containers/ID/                  container.json, bundle, log
/// cache/steps/KEY                 build cache records
/// cache/mounts/HEX-N/             folders of RUN --mount=type=cache, each with a lock beside it
/// cache/locks/KEY                 who makes what a cache key names (flock-held)
/// volumes/NAME/_data
/// networks/NAME/                 network.json, lock, leases/ADDRESS: a bridge network and who has which address
/// leases/                         who is ingesting what (flock-held)
/// ingest/                         half-written things, each below a folder that its process holds by flock
/// ingest/downloads/sha256-HEX     blobs that have come in part, to be gone on with; flock-held by who does
/// trash/                          on its way out
/// registry/                       the certificate of strata registry serve --lan
/// settings.json                   what the owner has decided: limit, pins
/// </code>
/// </summary>
public sealed class StoreLayout
{
    /// <summary>A store below a root directory (an absolute path). Does no I/O.</summary>
    public StoreLayout(string root)
    {
        ArgumentException.ThrowIfNullOrEmpty(root);
        Root = Linux.LinuxPath.GetFull(root);
    }

#pragma warning disable CS1591 // the drawing above says what they are
    public string Root { get; }
    public string Meta => Path.Combine(Root, "meta.json");
    public string Blobs => Path.Combine(Root, "blobs");
    public string Images => Path.Combine(Root, "images");
    public string Untagged => Path.Combine(Images, "_untagged");
    public string Referrers => Path.Combine(Root, "referrers");
    public string Trees => Path.Combine(Root, "trees");
    public string Snapshots => Path.Combine(Root, "snapshots");
    public string Active => Path.Combine(Root, "active");
    public string Containers => Path.Combine(Root, "containers");
    public string Cache => Path.Combine(Root, "cache");
    public string Volumes => Path.Combine(Root, "volumes");
    public string Networks => Path.Combine(Root, "networks");
    public string Leases => Path.Combine(Root, "leases");
    public string Ingest => Path.Combine(Root, "ingest");
    public string Downloads => Path.Combine(Ingest, "downloads");
    public string Trash => Path.Combine(Root, "trash");
    public string Settings => Path.Combine(Root, "settings.json");
    public string Blob(Digest digest) => Path.Combine(Blobs, digest.Algorithm.ToString(), digest.Hex[..2].ToString(), digest.Hex.ToString());
#pragma warning restore CS1591

    /// <summary>A path below <see cref="Ingest"/> that nobody else has: this process's folder there is made and locked, so that no collector sweeps it.</summary>
    public string NewIngestPath(string purpose) => Path.Combine(IngestFolder.Of(this), purpose + "-" + Guid.NewGuid().ToString("n"));
}
