using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Strata.Distribution;

/// <summary>A name and a password for one registry, or the token that stands for them.</summary>
public sealed record Credential(string UserName, string Password)
{
    /// <summary>An OAuth2 refresh token; where there is one it is used instead of the password.</summary>
    public string? IdentityToken { get; init; }

    /// <summary>Hides the password.</summary>
    public override string ToString() => $"{UserName}:***";
}

/// <summary>
/// Finds the credential of a registry in the files that <c>docker login</c> and <c>podman login</c> write (<c>auths</c>). Files are read when the
/// first registry asks who we are.
/// </summary>
public sealed class CredentialStore
{
    // Where docker login keeps the password of docker.io.
    private const string DockerHubKey = "https://index.docker.io/v1/";

    private readonly Lazy<Dictionary<string, Credential>> _credentials;

    private CredentialStore(Func<Dictionary<string, Credential>> load) => _credentials = new(load);

    /// <summary>Nobody.</summary>
    public static CredentialStore Empty { get; } = new(() => []);

    /// <summary>The files of this user: REGISTRY_AUTH_FILE, Docker's config.json (DOCKER_CONFIG), Podman's auth.json; the first that knows a registry wins.</summary>
    public static CredentialStore OfUser() => new(() =>
    {
        string home = Environment.GetEnvironmentVariable("HOME") ?? "/root";
        string? runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        string?[] paths =
        [
            Environment.GetEnvironmentVariable("REGISTRY_AUTH_FILE"),
            Path.Combine(Environment.GetEnvironmentVariable("DOCKER_CONFIG") is { Length: > 0 } docker ? docker : Path.Combine(home, ".docker"), "config.json"),
            string.IsNullOrEmpty(runtime) ? "/run/containers/0/auth.json" : Path.Combine(runtime, "containers", "auth.json"),
        ];
        Dictionary<string, Credential> all = new(StringComparer.OrdinalIgnoreCase);
        foreach (string path in paths.OfType<string>().Where(File.Exists))
        {
            Read(path, all);
        }
        return all;
    });

    /// <summary>One file of Docker's form.</summary>
    public static CredentialStore FromFile(string path) => new(() =>
    {
        Dictionary<string, Credential> all = new(StringComparer.OrdinalIgnoreCase);
        Read(path, all);
        return all;
    });

    /// <summary>Given credentials, by registry (host and port).</summary>
    public static CredentialStore Of(IEnumerable<KeyValuePair<string, Credential>> credentials)
        => new(() => new Dictionary<string, Credential>(credentials, StringComparer.OrdinalIgnoreCase));

    /// <summary>The credential for a registry (host and port), or null.</summary>
    /// <exception cref="StrataException">Invalid: a file is not of Docker's form.</exception>
    public Credential? Find(string registry)
    {
        ArgumentNullException.ThrowIfNull(registry);
        Dictionary<string, Credential> all = _credentials.Value;
        string[] keys = registry is Oci.ImageReference.DefaultRegistry or "registry-1.docker.io"
            ? [DockerHubKey, "docker.io", "index.docker.io", "registry-1.docker.io"]
            : [registry];
        foreach (string key in keys)
        {
            // Old clients wrote URLs: https://host, https://host/v1/.
            foreach (string spelling in (ReadOnlySpan<string>)[key, "https://" + key, "http://" + key, "https://" + key + "/v1/", "https://" + key + "/v2/", key + "/"])
            {
                if (all.TryGetValue(spelling, out Credential? credential))
                {
                    return credential;
                }
            }
        }
        return null;
    }

    private static void Read(string path, Dictionary<string, Credential> into)
    {
        DockerConfigFile? file;
        try
        {
            file = JsonSerializer.Deserialize(File.ReadAllBytes(path), DistributionJson.Default.DockerConfigFile);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            // The message of a JsonException names a place, never the content.
            throw new StrataException(ErrorKind.Invalid, $"read credentials from {path}: {e.Message}", e);
        }
        foreach ((string registry, DockerAuth auth) in file?.Auths ?? [])
        {
            if (Parse(auth) is { } credential)
            {
                into.TryAdd(registry, credential);
            }
        }
    }

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
}

internal sealed record DockerAuth
{
    public string? Auth { get; init; }
    public string? Username { get; init; }
    public string? Password { get; init; }
    [JsonPropertyName("identitytoken")] public string? IdentityToken { get; init; }
}
