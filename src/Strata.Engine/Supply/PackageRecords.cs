using System.Text.Json;
using System.Text.RegularExpressions;

namespace Strata.Supply;

/// <summary>Reads what package managers write down. A record that says neither name nor version says nothing, and is passed over.</summary>
internal static partial class PackageRecords
{
    /// <summary>dpkg's status (dpkg(1), deb-control(5)): paragraphs of <c>Field: value</c>.</summary>
    internal static IEnumerable<Package> ReadDpkg(string text, string path)
    {
        foreach (Dictionary<string, string> fields in Paragraphs(text, ": "))
        {
            // deinstall ok config-files: only its settings are left. Records of images without dpkg have no status.
            bool isThere = !fields.TryGetValue("Status", out string? status) || status.EndsWith(" installed", StringComparison.Ordinal);
            if (isThere && fields.TryGetValue("Package", out string? name) && fields.TryGetValue("Version", out string? version))
            {
                yield return new Package("deb", name, version, path) { Architecture = fields.GetValueOrDefault("Architecture"), Supplier = fields.GetValueOrDefault("Maintainer") };
            }
        }
    }

    /// <summary>apk's installed database (apk-tools, "installed database V2"): paragraphs of <c>P:name</c>, <c>V:version</c>.</summary>
    internal static IEnumerable<Package> ReadApk(string text, string path)
    {
        foreach (Dictionary<string, string> fields in Paragraphs(text, ":"))
        {
            if (fields.TryGetValue("P", out string? name) && fields.TryGetValue("V", out string? version))
            {
                yield return new Package("apk", name, version, path)
                {
                    Architecture = fields.GetValueOrDefault("A"), Supplier = fields.GetValueOrDefault("m"),
                    License = fields.TryGetValue("L", out string? license) && SpdxExpression().IsMatch(license) ? license : null,
                };
            }
        }
    }

    /// <summary>A .NET application's deps.json: <c>libraries</c>, of which packages are taken; projects are the application itself.</summary>
    internal static IEnumerable<Package> ReadDeps(ReadOnlyMemory<byte> json, string path)
    {
        using JsonDocument? document = TryParse(json);
        if (document?.RootElement is not { ValueKind: JsonValueKind.Object } root || !root.TryGetProperty("libraries", out JsonElement libraries) || libraries.ValueKind != JsonValueKind.Object)
        {
            yield break; // a file of that name that is no record of .NET's
        }
        foreach (JsonProperty library in libraries.EnumerateObject())
        {
            string[] parts = library.Name.Split('/');
            string? type = Text(library.Value, "type");
            if (parts.Length == 2 && type is "package" or "runtimepack")
            {
                string name = type == "runtimepack" && parts[0].StartsWith("runtimepack.", StringComparison.Ordinal) ? parts[0]["runtimepack.".Length..] : parts[0];
                yield return new Package("nuget", name, parts[1], path) { Sha512 = Hexadecimal(Text(library.Value, "sha512")) };
            }
        }
    }

    private static JsonDocument? TryParse(ReadOnlyMemory<byte> json)
    {
        try
        {
            return JsonDocument.Parse(json, new JsonDocumentOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip });
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement element, string name)
        => element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static string? Hexadecimal(string? sha512)
    {
        Span<byte> hash = stackalloc byte[64];
        return sha512?.StartsWith("sha512-", StringComparison.Ordinal) == true && Convert.TryFromBase64String(sha512["sha512-".Length..], hash, out int length) && length == hash.Length ? Convert.ToHexStringLower(hash) : null;
    }

    private static IEnumerable<Dictionary<string, string>> Paragraphs(string text, string separator)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string line in text.Split('\n').Append(""))
        {
            if (line.Trim().Length == 0)
            {
                if (fields.Count > 0)
                {
                    yield return fields;
                }
                fields = new Dictionary<string, string>(StringComparer.Ordinal);
                continue;
            }
            int at = line[0] is ' ' or '\t' ? -1 : line.IndexOf(separator[0], StringComparison.Ordinal); // a blank: the line before goes on
            if (at > 0)
            {
                fields.TryAdd(line[..at], line[(at + 1)..].Trim());
            }
        }
    }

    // SPDX 2.3, annex D: identifiers joined by AND, OR, WITH and brackets.
    [GeneratedRegex(@"\A\(*[A-Za-z0-9.+\-]*\d[A-Za-z0-9.+\-]*\)*(?: (?:AND|OR|WITH) \(*[A-Za-z0-9.+\-]*\d?[A-Za-z0-9.+\-]*\)*)*\z|\A(?:MIT|ISC|Zlib|OpenSSL|curl|X11|PostgreSQL|Vim)\z")]
    private static partial Regex SpdxExpression();
}
