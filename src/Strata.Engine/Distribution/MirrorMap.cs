using System.Collections.Concurrent;

namespace Strata.Distribution;

/// <summary>A server to ask for the content of a registry: the registry itself, or one of its mirrors.</summary>
internal sealed class RegistryEndpoint(string registry, Uri address, bool isMirror, bool mayBePlain, bool isUnverified, bool isSchemeKnown)
{
    /// <summary>The registry it answers for: for credentials and messages.</summary>
    public string Registry { get; } = registry;

    /// <summary>Scheme and server; the path ends in a slash. Replaced once when the scheme had to be found out.</summary>
    public Uri Address { get; set; } = address;

    public bool IsMirror { get; } = isMirror;

    /// <summary>Plain HTTP is allowed: a loopback address, a mirror written with http://, or a registry configured as insecure.</summary>
    public bool MayBePlain { get; } = mayBePlain;

    /// <summary>Certificates nobody vouches for are allowed: configured as insecure.</summary>
    public bool IsUnverified { get; } = isUnverified;

    /// <summary>Whether <see cref="Address"/> has the scheme the server speaks.</summary>
    public bool IsSchemeKnown { get; set; } = isSchemeKnown;

    /// <summary>The files for TLS with it; null: the system's.</summary>
    public TlsFiles? Tls { get; init; }

    /// <summary>It is asked for what has a digest, not what a tag points to.</summary>
    public bool IsForDigests { get; init; }

    /// <summary>How repositories are called there; null: as here.</summary>
    public RepositoryRewrite? Rewrite { get; init; }

    /// <summary>Its address has the <c>v2/</c> of every request already.</summary>
    public bool HasOwnPath { get; init; }

    /// <summary>The path of a request, as it is there.</summary>
    public string PathOf(string path)
    {
        string there = Rewrite?.Path(path) ?? path;
        return HasOwnPath && there.StartsWith("v2/", StringComparison.Ordinal) ? there["v2/".Length..] : there;
    }

    /// <summary>The scope of a request, as it is there.</summary>
    public string ScopeOf(string scope) => Rewrite?.Scope(scope) ?? scope;

    /// <summary>Held while the scheme is found out.</summary>
    public SemaphoreSlim Probe { get; } = new(1);

    /// <summary>It stands for the registry under another host's name (hosts.toml, registries.conf).</summary>
    public bool IsElsewhere { get; init; }

    /// <summary>The key of its credential: a mirror's is its own, and so is that of a server with another name.</summary>
    public string CredentialKey => IsMirror || IsElsewhere ? Address.Authority : Registry;

    public override string ToString() => IsMirror ? Address.GetLeftPart(UriPartial.Path).TrimEnd('/') : Registry;
}

/// <summary>Which servers hold the content of a registry, in the order to ask them: its mirrors, then itself.</summary>
internal sealed class MirrorMap(RegistryConfiguration configuration, TimeProvider time)
{
    // docker.io is a name, not a server.
    private const string DockerHubServer = "registry-1.docker.io";

    // How long a mirror that failed is left alone: a black hole costs a connect timeout, and a pull has many blobs.
    private static readonly TimeSpan s_rest = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<(string Registry, string Part), RegistryEndpoint[]> _endpoints = new();
    private readonly ConcurrentDictionary<RegistryEndpoint, long> _failed = new();

    /// <summary>The registry itself: what is written to, and what has the last word.</summary>
    public RegistryEndpoint Origin(string registry, string? repository = null) => All(registry, repository)[^1];

    /// <summary>Those to ask now, in order: mirrors that failed a moment ago are left out.</summary>
    public IEnumerable<RegistryEndpoint> ToAsk(string registry, string? repository = null)
        => All(registry, repository).Where(e => !e.IsMirror || !_failed.TryGetValue(e, out long since) || time.GetElapsedTime(since) > s_rest);

    /// <summary>A mirror did not answer, or lied: the next ones are asked for a while.</summary>
    public void Rest(RegistryEndpoint endpoint)
    {
        if (endpoint.IsMirror)
        {
            _failed[endpoint] = time.GetTimestamp();
        }
    }

    /// <summary>All of them, in order.</summary>
    /// <exception cref="StrataException">Denied: a file forbids this registry. Invalid: a file is wrong.</exception>
    public RegistryEndpoint[] All(string registry, string? repository)
    {
        RegistrySettings settings = configuration.Find(registry, repository);
        return settings.BlockedBy is null
            ? _endpoints.GetOrAdd((registry, settings.Key), _ => Create(registry, settings))
            : throw new StrataException(ErrorKind.Denied, $"ask {registry}{(repository is null ? "" : "/" + repository)}: {settings.BlockedBy} blocks '{settings.Key}'");
    }

    private RegistryEndpoint[] Create(string registry, RegistrySettings settings)
    {
        string server = settings.Server is { } elsewhere ? elsewhere.Address.Authority : registry == Oci.ImageReference.DefaultRegistry ? DockerHubServer : registry;
        bool isInsecure = settings.IsInsecure || settings.Server is { IsInsecure: true };
        // What may speak plain HTTP is asked which it speaks; everything else, and what shows a certificate that is pinned, speaks TLS or not with us.
        TlsFiles? tls = settings.Server is null ? configuration.FindTls(registry) : TlsOf(settings.Server);
        bool mayBePlain = (isInsecure || Hosts.IsLoopback(server)) && tls?.Pin is null;
        RegistryEndpoint origin = settings.Server is { } there && there.Address.Scheme == Uri.UriSchemeHttp
            ? new RegistryEndpoint(registry, WithSlash(there.Address), isMirror: false, mayBePlain: true, isInsecure, isSchemeKnown: true) { IsElsewhere = there.Address.Authority != registry, Tls = TlsOf(there), Rewrite = there.Rewrite, HasOwnPath = there.HasOwnPath }
            : new RegistryEndpoint(registry, settings.Server is null ? new Uri($"https://{server}/") : WithSlash(settings.Server.Address), isMirror: false, mayBePlain, isInsecure, isSchemeKnown: !mayBePlain)
            {
                IsElsewhere = settings.Server is not null && server != registry, Tls = tls, Rewrite = settings.Server?.Rewrite, HasOwnPath = settings.Server is { HasOwnPath: true },
            };
        return
        [
            .. settings.Mirrors.Select(m => new RegistryEndpoint(registry, WithSlash(m.Address), isMirror: true, m.Address.Scheme == Uri.UriSchemeHttp || !m.IsSchemeKnown, m.IsInsecure, m.IsSchemeKnown)
            {
                Tls = TlsOf(m), Rewrite = m.Rewrite, HasOwnPath = m.HasOwnPath, IsForDigests = m.IsForDigests,
            }),
            origin,
        ];
    }

    private TlsFiles? TlsOf(MirrorSettings server) => server.Tls ?? configuration.FindTls(server.Address.Authority);

    private static Uri WithSlash(Uri uri) => uri.AbsolutePath.EndsWith('/') ? uri : new Uri(uri.AbsoluteUri + "/");
}
