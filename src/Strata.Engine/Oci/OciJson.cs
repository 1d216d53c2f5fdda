using System.Text.Json;

namespace Strata.Oci;

/// <summary>
/// Reads and writes the types of the OCI image spec. Parsing goes through the methods here: they refuse what could be read in two ways
/// (duplicate or case-variant keys, <c>layers</c> beside <c>manifests</c>, media types that disagree, more than 4 MiB, more than 64 levels).
/// </summary>
/// <remarks>
/// Go's JSON decoder takes the last of two equal keys and ignores case; others take the first, or only exact ones. A document two tools
/// read differently can pass a check in one and run in the other, so it is refused whole.
/// </remarks>
public static class OciJson
{
    /// <summary>Largest manifest, index or config: 4 MiB, what registries accept.</summary>
    public const int MaxDocumentBytes = 4 << 20;

    /// <summary>Most descriptors in one document: more than any real one has, few enough that none makes us ask a registry all day.</summary>
    public const int MaxDescriptors = 10_000;

    internal const int MaxDepth = 64;

    /// <summary>Parses an image manifest; <paramref name="mediaType"/> is what the descriptor or the server said it is, null where nobody did.</summary>
    /// <exception cref="StrataException">Invalid: names the offending field. Unsupported: a digest algorithm that cannot be verified; schema 1.</exception>
    public static ImageManifest ParseManifest(ReadOnlySpan<byte> json, string? mediaType = null)
    {
        const string What = "image manifest";
        ImageManifest manifest = Parse(json, What, DocumentShape.Manifest, DocumentFields.ReadManifest);
        CheckKind(What, manifest.SchemaVersion, manifest.MediaType, mediaType, MediaTypes.IsManifest, MediaTypes.OciManifest);
        CheckAbsent(What, manifest.Extra, "manifests", "fsLayers", "signatures");
        DescriptorCheck check = new(What);
        check.Add("config", manifest.Config);
        check.Add("layers", manifest.Layers);
        check.Add("subject", manifest.Subject);
        CheckMediaType(What, "artifactType", manifest.ArtifactType);
        return manifest;
    }

    /// <summary>Parses an index.</summary>
    /// <exception cref="StrataException">Invalid: names the offending field. Unsupported: a digest algorithm that cannot be verified.</exception>
    public static ImageIndex ParseIndex(ReadOnlySpan<byte> json, string? mediaType = null)
    {
        const string What = "image index";
        ImageIndex index = Parse(json, What, DocumentShape.Index, DocumentFields.ReadIndex);
        CheckKind(What, index.SchemaVersion, index.MediaType, mediaType, MediaTypes.IsIndex, MediaTypes.OciIndex);
        CheckAbsent(What, index.Extra, "layers", "config", "fsLayers", "signatures");
        DescriptorCheck check = new(What);
        check.Add("manifests", index.Manifests);
        check.Add("subject", index.Subject);
        CheckMediaType(What, "artifactType", index.ArtifactType);
        return index;
    }

    /// <summary>Parses an image config.</summary>
    /// <exception cref="StrataException">Invalid: names the offending field. Unsupported: a digest algorithm that cannot be verified.</exception>
    public static ImageConfig ParseConfig(ReadOnlySpan<byte> json)
    {
        const string What = "image config";
        ImageConfig config = Parse(json, What, DocumentShape.Config, DocumentFields.ReadConfig);
        ConfigCheck.Check(What, config);
        return config;
    }

    /// <summary>Parses one descriptor.</summary>
    /// <exception cref="StrataException">Invalid: names the offending field. Unsupported: a digest algorithm that cannot be verified.</exception>
    public static Descriptor ParseDescriptor(ReadOnlySpan<byte> json)
    {
        const string What = "descriptor";
        Descriptor descriptor = Parse(json, What, DocumentShape.Descriptor, DocumentFields.ReadDescriptor);
        new DescriptorCheck(What).Add("", descriptor);
        return descriptor;
    }

    /// <summary>Parses the file <c>oci-layout</c>.</summary>
    /// <exception cref="StrataException">Invalid: not such a file. Unsupported: another version.</exception>
    public static ImageLayout ParseLayout(ReadOnlySpan<byte> json)
    {
        const string What = "oci-layout";
        ImageLayout layout = Parse(json, What, DocumentShape.Layout, o => new ImageLayout(o.String("imageLayoutVersion")));
        return layout.ImageLayoutVersion == ImageLayout.CurrentVersion
            ? layout
            : throw new StrataException(ErrorKind.Unsupported, $"{What}: version '{layout.ImageLayoutVersion}' is not {ImageLayout.CurrentVersion}");
    }

    /// <summary>The compact JSON of a manifest, as it is stored, hashed and pushed.</summary>
    public static byte[] Serialize(ImageManifest manifest) => JsonFieldsWriter.Serialize(manifest, DocumentFields.Write);

    /// <summary>The compact JSON of an index.</summary>
    public static byte[] Serialize(ImageIndex index) => JsonFieldsWriter.Serialize(index, DocumentFields.Write);

    /// <summary>The compact JSON of a config.</summary>
    public static byte[] Serialize(ImageConfig config) => JsonFieldsWriter.Serialize(config, DocumentFields.Write);

    /// <summary>The compact JSON of how an image is run.</summary>
    public static byte[] Serialize(ContainerConfig config) => JsonFieldsWriter.Serialize(config, DocumentFields.Write);

    /// <summary>The <c>mediaType</c> a manifest or index says it has, or what its fields make it; for bytes that came without a type.</summary>
    /// <exception cref="StrataException">Invalid: it is neither, or both.</exception>
    public static string DetectMediaType(ReadOnlySpan<byte> json)
    {
        const string What = "manifest";
        return Parse(json, What, DocumentShape.Any, o => o.MaybeString("mediaType") is { } type
            ? MediaTypes.IsDocument(type) ? type : throw Invalid(What, $"media type '{type}' is neither an image manifest's nor an index's")
            : (IsImage: o.Find("layers") is not null || o.Find("config") is not null, IsIndex: o.Find("manifests") is not null) switch
            {
                (true, false) => MediaTypes.OciManifest,
                (false, true) => MediaTypes.OciIndex,
                (true, true) => throw Invalid(What, "it has both layers (or config) and manifests"),
                _ => throw Invalid(What, "it is neither an image manifest nor an index"),
            });
    }

    internal static StrataException Invalid(string what, string problem) => new(ErrorKind.Invalid, $"{what}: {problem}");

    internal static void CheckMediaType(string what, string field, string? mediaType)
    {
        if (mediaType is not null && !MediaTypes.IsWellFormed(mediaType))
        {
            throw Invalid(what, $"{field}: '{mediaType}' is not a media type");
        }
    }

    private static T Parse<T>(ReadOnlySpan<byte> json, string what, DocumentShape shape, Func<JsonFields, T> read) where T : class
    {
        if (json.Length > MaxDocumentBytes)
        {
            throw Invalid(what, $"{json.Length} bytes are more than {MaxDocumentBytes}");
        }
        try
        {
            JsonValue document = JsonValue.Parse(json, MaxDepth);
            DocumentShape.Check(document, what, shape);
            return read(JsonFields.Of(document));
        }
        catch (JsonException e)
        {
            throw new StrataException(e.InnerException is StrataException inner ? inner.Kind : ErrorKind.Invalid, $"{what}: {e.Message}", e);
        }
    }

    private static void CheckKind(string what, int schemaVersion, string? written, string? given, Func<string, bool> isKind, string fallback)
    {
        if (schemaVersion != 2)
        {
            throw Invalid(what, $"schemaVersion is {schemaVersion}, not 2");
        }
        // Parameters of a Content-Type, as in "; charset=utf-8", say nothing about the kind.
        string? told = given?.Split(';')[0].Trim();
        if (told is not null && !isKind(told))
        {
            throw Invalid(what, $"its descriptor or Content-Type says '{told}', which is something else");
        }
        string actual = written ?? fallback;
        if (!isKind(actual))
        {
            throw Invalid(what, $"mediaType '{actual}' is something else");
        }
        // Docker's types must be in the document; an OCI document may leave the field out.
        if (told is not null && told != actual)
        {
            throw Invalid(what, written is null ? $"mediaType is missing; '{told}' was expected" : $"mediaType is '{written}' but '{told}' was expected");
        }
    }

    private static void CheckAbsent(string what, Dictionary<string, JsonElement>? extra, params ReadOnlySpan<string> fields)
    {
        foreach (string field in fields)
        {
            if (extra?.ContainsKey(field) == true)
            {
                throw Invalid(what, $"field '{field}' belongs to another kind of document");
            }
        }
    }
}
