using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Strata.Distribution;

/// <summary>
/// What is known of registries, from <c>/etc/strata/registries.json</c> or the file that STRATA_CONFIG names:
/// <code>
/// {
///   "registries": {
///     "docker.io": { "mirrors": ["http://127.0.0.1:5000"] },
///     "192.168.164.129:8080": { "insecure": true }
///   }
/// }
/// </code>
/// <c>mirrors</c> are asked in their order before the registry itself. <c>insecure</c> allows plain HTTP, and certificates nobody vouches for.
/// Docker's <c>registry-mirrors</c> (for docker.io) and <c>insecure-registries</c> may stand beside <c>registries</c>.
/// </summary>
public sealed record RegistryConfiguration
{
    /// <summary>The file that is read where the environment names none.</summary>
    public const string DefaultPath = "/etc/strata/registries.json";

    /// <summary>The environment variable that names another file.</summary>
    public const string PathVariable = "STRATA_CONFIG";

    /// <summary>No mirrors; TLS everywhere but on loopback addresses.</summary>
    public static RegistryConfiguration Empty { get; } = new();

    /// <summary>Registry (host and port) to the base addresses of its mirrors, in the order to ask them.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<Uri>> Mirrors { get; init; } = new Dictionary<string, IReadOnlyList<Uri>>();

    /// <summary>Registries (host and port) that may be spoken to without TLS, or with a certificate nobody vouches for.</summary>
    public IReadOnlySet<string> Insecure { get; init; } = new HashSet<string>();

    /// <summary>Reads the file the environment names, or the default one; the latter need not exist.</summary>
    /// <exception cref="StrataException">Invalid: says file, line and column.</exception>
    public static RegistryConfiguration Load()
    {
        string? named = Environment.GetEnvironmentVariable(PathVariable);
        if (string.IsNullOrEmpty(named))
        {
            return File.Exists(DefaultPath) ? LoadFile(DefaultPath) : Empty;
        }
        return LoadFile(named);
    }

    /// <summary>Reads one file.</summary>
    /// <exception cref="StrataException">Invalid: says file, line and column. NotFound: there is no such file.</exception>
    public static RegistryConfiguration LoadFile(string path)
    {
        try
        {
            return Parse(File.ReadAllBytes(path), path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new StrataException(ErrorKind.NotFound, $"read {path}: no such file", e) { Hint = $"{PathVariable} names it" };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StrataException(ErrorKind.Invalid, $"read {path}: {e.Message}", e);
        }
    }

    /// <summary>Reads the text of such a file; <paramref name="name"/> is for messages.</summary>
    /// <exception cref="StrataException">Invalid: says file, line and column.</exception>
    public static RegistryConfiguration Parse(ReadOnlySpan<byte> json, string name)
    {
        RegistriesFile file;
        try
        {
            file = JsonSerializer.Deserialize(json, RegistryJson.Default.RegistriesFile) ?? new RegistriesFile();
        }
        catch (JsonException e)
        {
            throw Refuse(name, e);
        }
        Dictionary<string, IReadOnlyList<Uri>> mirrors = new(StringComparer.OrdinalIgnoreCase);
        HashSet<string> insecure = new(file.InsecureRegistries ?? [], StringComparer.OrdinalIgnoreCase);
        foreach ((string registry, RegistryEntry entry) in file.Registries ?? [])
        {
            CheckRegistry(json, name, registry);
            if (entry.Insecure)
            {
                insecure.Add(registry);
            }
            if (entry.Mirrors is { Count: > 0 } list)
            {
                mirrors[registry] = ParseMirrors(json, name, list);
            }
        }
        if (file.RegistryMirrors is { Count: > 0 } dockers)
        {
            mirrors[Oci.ImageReference.DefaultRegistry] = [.. mirrors.GetValueOrDefault(Oci.ImageReference.DefaultRegistry, []), .. ParseMirrors(json, name, dockers)];
        }
        return new RegistryConfiguration { Mirrors = mirrors, Insecure = insecure };
    }

    private static Uri[] ParseMirrors(ReadOnlySpan<byte> json, string name, List<string> list)
    {
        var mirrors = new Uri[list.Count];
        for (int i = 0; i < mirrors.Length; i++)
        {
            string text = list[i] ?? "";
            bool hasScheme = text.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || text.StartsWith("https://", StringComparison.OrdinalIgnoreCase);
            if (!hasScheme)
            {
                throw new StrataException(ErrorKind.Invalid, $"{PlaceOf(json, name, text)}: mirror '{text}' has no scheme") { Hint = $"write \"https://{text}\" (or http:// where it has no TLS)" };
            }
            if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) || uri.UserInfo.Length > 0 || uri.Query.Length > 0 || uri.Fragment.Length > 0)
            {
                throw new StrataException(ErrorKind.Invalid, $"{PlaceOf(json, name, text)}: mirror '{text}' is not the address of a registry") { Hint = "write scheme and host, as in https://mirror.example.com:5000" };
            }
            mirrors[i] = uri;
        }
        return mirrors;
    }

    private static void CheckRegistry(ReadOnlySpan<byte> json, string name, string registry)
    {
        if (!Oci.ImageReference.TryParse(registry + "/x", out Oci.ImageReference? reference) || reference.Registry != registry)
        {
            throw new StrataException(ErrorKind.Invalid, $"{PlaceOf(json, name, registry)}: '{registry}' is not the name of a registry") { Hint = "write host and port, without scheme or path, as in registry.example.com:5000" };
        }
    }

    private static StrataException Refuse(string name, JsonException e)
    {
        string place = string.Create(CultureInfo.InvariantCulture, $"{name}:{(e.LineNumber ?? 0) + 1}:{(e.BytePositionInLine ?? 0) + 1}");
        // "… Path: $.a | LineNumber: 0 | BytePositionInLine: 7." says the place in other words.
        string message = e.Message.Split(" Path: $", 2)[0].Split(" LineNumber:", 2)[0];
        bool isMissingComma = message.Contains("is invalid after a value", StringComparison.Ordinal);
        return new StrataException(ErrorKind.Invalid, $"{place}: {message}", e) { Hint = isMissingComma ? "put a comma between the entries" : null };
    }

    private static string PlaceOf(ReadOnlySpan<byte> json, string name, string text)
    {
        Utf8JsonReader reader = new(json);
        while (reader.Read())
        {
            if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName && reader.ValueTextEquals(text))
            {
                ReadOnlySpan<byte> before = json[..(int)reader.TokenStartIndex];
                int line = before.Count((byte)'\n') + 1;
                int column = Encoding.UTF8.GetCharCount(before[(before.LastIndexOf((byte)'\n') + 1)..]) + 1;
                return string.Create(CultureInfo.InvariantCulture, $"{name}:{line}:{column}");
            }
        }
        return name;
    }
}

internal sealed record RegistriesFile
{
    public Dictionary<string, RegistryEntry>? Registries { get; init; }
    [JsonPropertyName("registry-mirrors")] public List<string>? RegistryMirrors { get; init; }
    [JsonPropertyName("insecure-registries")] public List<string>? InsecureRegistries { get; init; }
}

internal sealed record RegistryEntry
{
    public List<string>? Mirrors { get; init; }
    public bool Insecure { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(RegistriesFile))]
internal sealed partial class RegistryJson : JsonSerializerContext;

// What servers send has more fields than we read.
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DockerConfigFile))]
[JsonSerializable(typeof(TokenAnswer))]
[JsonSerializable(typeof(ErrorAnswer))]
[JsonSerializable(typeof(TagList))]
[JsonSerializable(typeof(RepositoryList))]
internal sealed partial class DistributionJson : JsonSerializerContext;
