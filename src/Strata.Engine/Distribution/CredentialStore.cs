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
/// Finds the credential of a registry in the files that <c>strata login</c>, <c>docker login</c> and <c>podman login</c> write (<c>auths</c>), and with
/// the helpers those name (<c>credHelpers</c>, <c>credsStore</c>). Files are read when the first registry asks who we are.
/// </summary>
public sealed class CredentialStore
{
    private readonly Lazy<CredentialFile[]> _files;

    private CredentialStore(Func<CredentialFile[]> load) => _files = new(load);

    /// <summary>Nobody.</summary>
    public static CredentialStore Empty { get; } = new(() => []);

    /// <summary>The files of this user: REGISTRY_AUTH_FILE, Docker's config.json (DOCKER_CONFIG), Podman's auth.json; the first that knows a registry wins.</summary>
    public static CredentialStore OfUser() => new(() =>
    {
        string? runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        string settings = Environment.GetEnvironmentVariable("XDG_CONFIG_HOME") is { Length: > 0 } folder ? folder : Path.Combine(LoginFile.Home, ".config");
        string?[] paths =
        [
            Environment.GetEnvironmentVariable(LoginFile.PathVariable),
            LoginFile.DockerPath,
            string.IsNullOrEmpty(runtime) ? "/run/containers/0/auth.json" : Path.Combine(runtime, "containers", "auth.json"),
            Path.Combine(settings, "containers", "auth.json"),
        ];
        return [.. paths.OfType<string>().Where(File.Exists).Select(CredentialFile.Read)];
    });

    /// <summary>One file of Docker's form.</summary>
    public static CredentialStore FromFile(string path) => new(() => [CredentialFile.Read(path)]);

    /// <summary>Given credentials, by registry (host and port).</summary>
    public static CredentialStore Of(IEnumerable<KeyValuePair<string, Credential>> credentials) => new(() => [CredentialFile.Of(credentials)]);

    /// <summary>The credential for a registry (host and port), or null. One for a place in the registry (<c>host/team</c>) goes before the registry's own.</summary>
    /// <exception cref="StrataException">Invalid: a file is not of Docker's form, or a helper failed. NotFound: a helper is not there.</exception>
    public async ValueTask<Credential?> FindAsync(string registry, string? repository = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(registry);
        foreach (CredentialFile file in _files.Value)
        {
            if (await file.FindAsync(registry, repository, cancellationToken).ConfigureAwait(false) is { } credential)
            {
                return credential;
            }
        }
        return null;
    }
}
