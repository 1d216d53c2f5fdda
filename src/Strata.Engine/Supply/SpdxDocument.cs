using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Strata.Oci;

namespace Strata.Supply;

/// <summary>
/// A bill of materials: SPDX 2.3 as JSON. The same image gives the same bytes: the time is the image's own, and the document is named by the
/// image's digest.
/// </summary>
/// <remarks><see href="https://spdx.github.io/spdx-spec/v2.3/"/></remarks>
internal static class SpdxDocument
{
    /// <summary>The type of the document as a blob, and of the artifact that holds it.</summary>
    internal const string MediaType = "application/spdx+json";

    private const string Nothing = "NOASSERTION";

    /// <summary>Writes the document.</summary>
    /// <param name="name">The image's name, for people.</param>
    /// <param name="image">Its manifest.</param>
    /// <param name="created">When it was made; 1970 where it does not say.</param>
    /// <param name="contents">What is in it.</param>
    /// <param name="tool">Who says so: a name and a version.</param>
    internal static byte[] Write(string name, Descriptor image, DateTimeOffset? created, ImageContents contents, string tool)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("spdxVersion", "SPDX-2.3");
            json.WriteString("dataLicense", "CC0-1.0");
            json.WriteString("SPDXID", "SPDXRef-DOCUMENT");
            json.WriteString("name", name);
            json.WriteString("documentNamespace", $"urn:strata:sbom:{image.Digest}");
            json.WriteStartObject("creationInfo");
            json.WriteString("created", (created ?? DateTimeOffset.UnixEpoch).ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
            json.WriteStartArray("creators");
            json.WriteStringValue($"Tool: {tool}");
            json.WriteEndArray();
            json.WriteEndObject();
            string[] ids = IdsOf(contents);
            json.WriteStartArray("packages");
            WriteImage(json, name, image);
            for (int i = 0; i < ids.Length; i++)
            {
                WritePackage(json, contents.Packages[i], ids[i], contents.Distribution);
            }
            json.WriteEndArray();
            WriteRelationships(json, ids);
            json.WriteEndObject();
        }
        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    private static void WriteImage(Utf8JsonWriter json, string name, Descriptor image)
    {
        json.WriteStartObject();
        json.WriteString("SPDXID", "SPDXRef-Image");
        json.WriteString("name", name);
        json.WriteString("versionInfo", image.Digest.ToString());
        WriteUnknown(json, license: null);
        json.WriteString("primaryPackagePurpose", "CONTAINER");
        WriteChecksum(json, image.Digest.Algorithm.ToString().ToUpperInvariant(), image.Digest.Hex.ToString());
        json.WriteEndObject();
    }

    private static void WritePackage(Utf8JsonWriter json, Package package, string id, LinuxDistribution? distribution)
    {
        json.WriteStartObject();
        json.WriteString("SPDXID", id);
        json.WriteString("name", package.Name);
        json.WriteString("versionInfo", package.Version);
        WriteUnknown(json, package.License);
        json.WriteString("sourceInfo", $"/{package.FoundIn}");
        if (package.Supplier is { Length: > 0 } supplier)
        {
            json.WriteString("supplier", $"Organization: {supplier.Replace('<', '(').Replace('>', ')')}");
        }
        if (package.Sha512 is { } hash)
        {
            WriteChecksum(json, "SHA512", hash);
        }
        json.WriteStartArray("externalRefs");
        json.WriteStartObject();
        json.WriteString("referenceCategory", "PACKAGE-MANAGER");
        json.WriteString("referenceType", "purl");
        json.WriteString("referenceLocator", package.UrlFor(distribution));
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }

    // What the records do not say. The specification wants it said.
    private static void WriteUnknown(Utf8JsonWriter json, string? license)
    {
        json.WriteString("downloadLocation", Nothing);
        json.WriteBoolean("filesAnalyzed", false);
        json.WriteString("licenseConcluded", Nothing);
        json.WriteString("licenseDeclared", license ?? Nothing);
        json.WriteString("copyrightText", Nothing);
    }

    private static void WriteChecksum(Utf8JsonWriter json, string algorithm, string value)
    {
        json.WriteStartArray("checksums");
        json.WriteStartObject();
        json.WriteString("algorithm", algorithm);
        json.WriteString("checksumValue", value);
        json.WriteEndObject();
        json.WriteEndArray();
    }

    private static void WriteRelationships(Utf8JsonWriter json, string[] ids)
    {
        json.WriteStartArray("relationships");
        foreach ((string from, string how, string to) in ids.Select(id => ("SPDXRef-Image", "CONTAINS", id)).Prepend(("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")))
        {
            json.WriteStartObject();
            json.WriteString("spdxElementId", from);
            json.WriteString("relationshipType", how);
            json.WriteString("relatedSpdxElement", to);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    // Letters, digits, . and - only; two packages that become the same get a number.
    private static string[] IdsOf(ImageContents contents)
    {
        var taken = new HashSet<string>(StringComparer.Ordinal);
        string[] ids = new string[contents.Packages.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            Package package = contents.Packages[i];
            var id = new StringBuilder("SPDXRef-Package-");
            foreach (char c in $"{package.Kind}-{package.Name}-{package.Version}")
            {
                id.Append(char.IsAsciiLetterOrDigit(c) || c is '.' or '-' ? c : '-');
            }
            string plain = id.ToString();
            for (int number = 2; !taken.Add(id.ToString()); number++)
            {
                id.Clear().Append(plain).Append('-').Append(number.ToString(CultureInfo.InvariantCulture));
            }
            ids[i] = id.ToString();
        }
        return ids;
    }
}
