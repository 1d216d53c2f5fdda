using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>What a path below <c>/v2/</c> asks for.</summary>
internal enum RegistryResource
{
    Base,
    Catalog,
    Tags,
    Manifest,
    Blob,
    Uploads,
    Upload,
    Referrers,
}

/// <summary>
/// A path, parsed from its end, since names of repositories have slashes and may contain any of the words:
/// <c>NAME/tags/list</c>, <c>NAME/manifests/REFERENCE</c>, <c>NAME/blobs/DIGEST</c>, <c>NAME/blobs/uploads/</c>, <c>NAME/blobs/uploads/ID</c>,
/// <c>NAME/referrers/DIGEST</c>. Nothing of it is used before it was parsed.
/// </summary>
internal readonly record struct RegistryRoute(RegistryResource Resource, string Repository, string Last)
{
    /// <summary>Null: there is no such route.</summary>
    public static RegistryRoute? Parse(string path)
    {
        // path begins with /v2
        string rest = path.Length > 3 ? path[4..] : "";
        if (rest.Length == 0)
        {
            return new(RegistryResource.Base, "", "");
        }
        if (rest == "_catalog")
        {
            return new(RegistryResource.Catalog, "", "");
        }
        string[] parts = rest.Split('/');
        (RegistryResource Resource, int Taken)? found = parts switch
        {
            [.., "tags", "list"] => (RegistryResource.Tags, 2),
            [.., "blobs", "uploads", ""] => (RegistryResource.Uploads, 3),
            [.., "blobs", "uploads", _] => (RegistryResource.Upload, 3),
            [.., "blobs", "uploads"] => (RegistryResource.Uploads, 2),
            [.., "blobs", _] => (RegistryResource.Blob, 2),
            [.., "manifests", _] => (RegistryResource.Manifest, 2),
            [.., "referrers", _] => (RegistryResource.Referrers, 2),
            _ => null,
        };
        if (found is not { } route)
        {
            return null;
        }
        string repository = string.Join('/', parts[..^route.Taken]);
        return ImageReference.IsRepository(repository)
            ? new(route.Resource, repository, parts[^1])
            : throw new RegistryFault(400, DistributionCodes.NameInvalid, "the name of the repository is not one: lowercase components of letters, digits and . _ -, at most 255 characters");
    }

    /// <summary>The last part as a digest.</summary>
    public Digest Digest => TryDigest() ?? throw new RegistryFault(400, DistributionCodes.DigestInvalid, "not a digest: expected sha256: and 64 lowercase hex digits");

    /// <summary>The last part as a digest, or null where it is none.</summary>
    public Digest? TryDigest() => Oci.Digest.TryParse(Last, null, out Digest digest) ? digest : null;
}
