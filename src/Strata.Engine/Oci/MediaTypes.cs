namespace Strata.Oci;

/// <summary>Media types of the OCI image spec 1.1 and of Docker's image manifest version 2, schema 2.</summary>
public static class MediaTypes
{
#pragma warning disable CS1591 // the names and values are the specs'
    public const string OciManifest = "application/vnd.oci.image.manifest.v1+json";
    public const string OciIndex = "application/vnd.oci.image.index.v1+json";
    public const string OciConfig = "application/vnd.oci.image.config.v1+json";
    public const string OciLayer = "application/vnd.oci.image.layer.v1.tar";
    public const string OciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    public const string OciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
    public const string OciLayout = "application/vnd.oci.layout.header.v1+json";
    public const string OciEmpty = "application/vnd.oci.empty.v1+json";
    public const string DockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
    public const string DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json";
    public const string DockerSchema1 = "application/vnd.docker.distribution.manifest.v1+json";
    public const string DockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    public const string DockerConfig = "application/vnd.docker.container.image.v1+json";
    public const string DockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
    public const string DockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    public const string DockerForeignLayerGzip = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
#pragma warning restore CS1591

    /// <summary>Whether it names a manifest (of one image).</summary>
    public static bool IsManifest(string mediaType) => mediaType is OciManifest or DockerManifest;

    /// <summary>Whether it names an index (of images).</summary>
    public static bool IsIndex(string mediaType) => mediaType is OciIndex or DockerManifestList;

    /// <summary>Whether it names a manifest or an index: a document that points to others, and what a registry keeps under <c>manifests/</c>.</summary>
    public static bool IsDocument(string mediaType) => IsManifest(mediaType) || IsIndex(mediaType);

    /// <summary>Whether it names the config of an image that can be run.</summary>
    public static bool IsConfig(string mediaType) => mediaType is OciConfig or DockerConfig;

    /// <summary>Whether it names a layer that must not be handed on (image-spec, "Non-Distributable Layers"; Docker's foreign layers).</summary>
    public static bool IsForeignLayer(string mediaType)
        => mediaType == DockerForeignLayerGzip || mediaType?.StartsWith("application/vnd.oci.image.layer.nondistributable.v1.tar", StringComparison.Ordinal) == true;

    /// <summary>Whether it is what RFC 6838 §4.2 calls a type: two names of at most 127 characters.</summary>
    public static bool IsWellFormed(string? mediaType)
    {
        int slash = mediaType?.IndexOf('/', StringComparison.Ordinal) ?? -1;
        return slash > 0 && IsName(mediaType.AsSpan(0, slash)) && IsName(mediaType.AsSpan(slash + 1));
    }

    private static bool IsName(ReadOnlySpan<char> name)
    {
        if (name.Length is 0 or > 127 || !char.IsAsciiLetterOrDigit(name[0]))
        {
            return false;
        }
        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && !"!#$&^_.+-".Contains(c, StringComparison.Ordinal))
            {
                return false;
            }
        }
        return true;
    }
}
