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

    /// <summary>Held while the scheme is found out.</summary>
    public SemaphoreSlim Probe { get; } = new(1);

    /// <summary>The key of its credential: a mirror's is its own.</summary>
    public string CredentialKey => IsMirror ? Address.Authority : Registry;

    public override string ToString() => IsMirror ? Address.GetLeftPart(UriPartial.Path).TrimEnd('/') : Registry;
}

/// <summary>Which servers hold the content of a registry, in the order to ask them: its mirrors, then itself.</summary>
internal sealed class MirrorMap(RegistryConfiguration configuration, TimeProvider time)
{
    // docker.io is a name, not a server.
    private const string DockerHubServer = "registry-1.docker.io";

    // How long a mirror that failed is left alone: a black hole costs a connect timeout, and a pull has many blobs.
    private static readonly TimeSpan s_rest = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<string, RegistryEndpoint[]> _endpoints = new(StringComparer.OrdinalIgnoreCase);
    private readonly ConcurrentDictionary<RegistryEndpoint, long> _failed = new();

    /// <summary>The registry itself: what is written to, and what has the last word.</summary>
    public RegistryEndpoint Origin(string registry) => All(registry)[^1];

    /// <summary>Those to ask now, in order: mirrors that failed a moment ago are left out.</summary>
    public IEnumerable<RegistryEndpoint> ToAsk(string registry)
        => All(registry).Where(e => !e.IsMirror || !_failed.TryGetValue(e, out long since) || time.GetElapsedTime(since) > s_rest);

    /// <summary>A mirror did not answer, or lied: the next ones are asked for a while.</summary>
    public void Rest(RegistryEndpoint endpoint)
    {
        if (endpoint.IsMirror)
        {
            _failed[endpoint] = time.GetTimestamp();
        }
    }

    private RegistryEndpoint[] All(string registry) => _endpoints.GetOrAdd(registry, Create);

    private RegistryEndpoint[] Create(string registry)
    {
        IReadOnlyList<Uri> mirrors = configuration.Mirrors.TryGetValue(registry, out IReadOnlyList<Uri>? list) ? list : [];
        bool isInsecure = configuration.Insecure.Contains(registry);
        string server = registry == Oci.ImageReference.DefaultRegistry ? DockerHubServer : registry;
        // What may speak plain HTTP is asked which it speaks; everything else speaks TLS or not with us.
        bool mayBePlain = isInsecure || Hosts.IsLoopback(server);
        return
        [
            .. mirrors.Select(m => new RegistryEndpoint(registry, WithSlash(m), isMirror: true, m.Scheme == Uri.UriSchemeHttp, configuration.Insecure.Contains(m.Authority), isSchemeKnown: true)),
            new RegistryEndpoint(registry, new Uri($"https://{server}/"), isMirror: false, mayBePlain, isInsecure, isSchemeKnown: !mayBePlain),
        ];
    }

    private static Uri WithSlash(Uri uri) => uri.AbsolutePath.EndsWith('/') ? uri : new Uri(uri.AbsoluteUri + "/");
}
