using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Strata.Distribution;

/// <summary>What a file that <c>docker login</c> or <c>podman login</c> wrote says: passwords by registry, and who keeps the others.</summary>
/// <remarks><see href="https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md"/></remarks>
internal sealed class CredentialFile
{
    // Where docker login keeps the password of docker.io.
    internal const string DockerHubKey = "https://index.docker.io/v1/";

    private readonly Dictionary<string, Credential> _known = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, string> _helpers = new(StringComparer.OrdinalIgnoreCase);
    private readonly string _path;
    private string? _store;

    private CredentialFile(string path) => _path = path;

    /// <summary>A file that was never written.</summary>
    public static CredentialFile Of(IEnumerable<KeyValuePair<string, Credential>> credentials)
    {
        CredentialFile file = new("");
        foreach ((string registry, Credential credential) in credentials)
        {
            file._known[registry] = credential;
        }
        return file;
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="StrataException">Invalid: it is not of Docker's form, or cannot be read.</exception>
    public static CredentialFile Read(string path)
    {
        DockerConfigFile? form;
        try
        {
            byte[] bytes = File.ReadAllBytes(path);
            form = bytes.Length == 0 ? null : JsonSerializer.Deserialize(bytes, DistributionJson.Default.DockerConfigFile);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            // The message of a JsonException names a place, never the content.
            throw new StrataException(ErrorKind.Invalid, $"read credentials from {path}: {e.Message}", e);
        }
        CredentialFile file = new(path) { _store = string.IsNullOrEmpty(form?.CredsStore) ? null : form.CredsStore };
        foreach ((string registry, DockerAuth? auth) in form?.Auths ?? [])
        {
            if (auth is not null && Parse(auth) is { } credential)
            {
                file._known.TryAdd(registry, credential);
            }
        }
        foreach ((string registry, string helper) in form?.CredHelpers ?? [])
        {
            file._helpers.TryAdd(registry, helper ?? "");
        }
        return file;
    }

    /// <summary>What it knows for a registry, or for a place in it; null where nothing.</summary>
    public async ValueTask<Credential?> FindAsync(string registry, string? repository, CancellationToken cancellationToken)
    {
        foreach (string key in KeysOf(registry, repository))
        {
            if (_helpers.TryGetValue(key, out string? helper) && await CredentialHelper.Open(helper, _path).FindAsync(key, cancellationToken).ConfigureAwait(false) is { } kept)
            {
                return kept;
            }
            foreach (string spelling in Spellings(key))
            {
                if (_known.TryGetValue(spelling, out Credential? credential))
                {
                    return credential;
                }
            }
        }
        return _store is null ? null : await CredentialHelper.Open(_store, _path).FindAsync(KeyOf(registry), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The helper that keeps the password of a key, or null where the file itself does.</summary>
    public CredentialHelper? HelperOf(string key)
    {
        string? name = NamesOf(key).Select(k => _helpers.GetValueOrDefault(k)).FirstOrDefault(h => h is not null) ?? _store;
        return name is null ? null : CredentialHelper.Open(name, _path);
    }

    /// <summary>Under which name a registry stands in such files.</summary>
    public static string KeyOf(string registry) => IsDockerHub(registry) ? DockerHubKey : registry;

    // Old clients wrote URLs: https://host, https://host/v1/.
    public static IEnumerable<string> Spellings(string key) => [key, "https://" + key, "http://" + key, "https://" + key + "/v1/", "https://" + key + "/v2/", key + "/"];

    /// <summary>All names of a registry: docker.io has several.</summary>
    public static IEnumerable<string> NamesOf(string registry) => IsDockerHub(registry) ? [DockerHubKey, "docker.io", "index.docker.io", "registry-1.docker.io"] : [registry];

    // The nearest first: h/team/app, h/team, h. containers-auth.json(5)
    private static IEnumerable<string> KeysOf(string registry, string? repository)
    {
        for (string place = repository ?? ""; place.Length > 0; place = place.LastIndexOf('/') is > 0 and int slash ? place[..slash] : "")
        {
            yield return $"{(IsDockerHub(registry) ? Oci.ImageReference.DefaultRegistry : registry)}/{place}";
        }
        foreach (string name in NamesOf(registry))
        {
            yield return name;
        }
    }

    private static bool IsDockerHub(string registry) => registry is Oci.ImageReference.DefaultRegistry or "registry-1.docker.io" or "index.docker.io" or DockerHubKey;

    private static Credential? Parse(DockerAuth auth)
    {
        (string? name, string? password) = (auth.Username, auth.Password);
        if (!string.IsNullOrEmpty(auth.Auth))
        {
            byte[] bytes = new byte[auth.Auth.Length];
            if (Convert.TryFromBase64String(auth.Auth, bytes, out int length))
            {
                string[] parts = Encoding.UTF8.GetString(bytes, 0, length).TrimEnd('\0').Split(':', 2);
                (name, password) = (parts[0], parts.Length > 1 ? parts[1] : "");
            }
        }
        bool isEmpty = string.IsNullOrEmpty(name) && string.IsNullOrEmpty(auth.IdentityToken);
        return isEmpty ? null : new Credential(name ?? "", password ?? "") { IdentityToken = string.IsNullOrEmpty(auth.IdentityToken) ? null : auth.IdentityToken };
    }
}

internal sealed record DockerConfigFile
{
    public Dictionary<string, DockerAuth>? Auths { get; init; }
    public Dictionary<string, string>? CredHelpers { get; init; }
    public string? CredsStore { get; init; }
}

internal sealed record DockerAuth
{
    public string? Auth { get; init; }
    public string? Username { get; init; }
    public string? Password { get; init; }
    [JsonPropertyName("identitytoken")] public string? IdentityToken { get; init; }
}
