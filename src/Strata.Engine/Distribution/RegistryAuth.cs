using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Strata.Distribution;

/// <summary>
/// Answers challenges. A password goes to the registry it was stored for (Basic) or to the token server that registry names (Bearer),
/// and nowhere else; a token goes to the server it was issued for. Tokens are kept until they end or are refused.
/// </summary>
internal sealed class RegistryAuth(Func<RegistryEndpoint, HttpMessageInvoker> http, CredentialStore credentials, TimeProvider time)
{
    // Tokens that do not say how long they live do so for a minute. distribution/docs/spec/auth/token.md
    private static readonly TimeSpan s_defaultLife = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_margin = TimeSpan.FromSeconds(5);
    private const string ClientId = "strata";

    private readonly ConcurrentDictionary<(string Origin, string Scope), Entry> _known = new();

    private readonly ConcurrentDictionary<string, bool> _told = new();

    private sealed record Entry(AuthenticationHeaderValue Header, DateTimeOffset Ends);

    /// <summary>What is known to open this door, or null.</summary>
    public AuthenticationHeaderValue? Find(RegistryEndpoint endpoint, string scope)
        => _known.TryGetValue(Key(endpoint, scope), out Entry? entry) && entry.Ends > time.GetUtcNow() ? entry.Header : null;

    /// <summary>Answers a 401: a header to try once, or null where there is nothing (more) to say.</summary>
    /// <exception cref="StrataException">Denied: the token server is a place no password is sent to. Unavailable, Unauthenticated: it did not help.</exception>
    public async ValueTask<AuthenticationHeaderValue?> AnswerAsync(
        RegistryEndpoint endpoint, HttpResponseMessage refusal, string scope, AuthenticationHeaderValue? refused, CancellationToken cancellationToken)
    {
        AuthChallenge? challenge = AuthChallenge.Choose(refusal.Headers.WwwAuthenticate);
        if (challenge is null)
        {
            return null;
        }
        Credential? credential = await credentials.FindAsync(endpoint.CredentialKey, RepositoryOf(scope), cancellationToken).ConfigureAwait(false);
        if (credential is not null)
        {
            _told[OriginOf(endpoint)] = true;
        }
        Entry? entry;
        if (challenge.Scheme.Equals("Basic", StringComparison.OrdinalIgnoreCase))
        {
            entry = credential is { IdentityToken: null } ? new Entry(Basic(credential), DateTimeOffset.MaxValue) : null;
            if (entry is null || entry.Header.Equals(refused))
            {
                return null; // the same password again would only lock the account
            }
        }
        else
        {
            entry = await FetchTokenAsync(endpoint, challenge, credential, scope, cancellationToken).ConfigureAwait(false);
        }
        _known[Key(endpoint, scope)] = entry;
        return entry.Header;
    }

    /// <summary>Asks token servers for a token that stands for the password, to keep in its place.</summary>
    public bool WantsRefreshToken { get; set; }

    /// <summary>The last one that came.</summary>
    public string? RefreshToken { get; private set; }

    // repository:team/app:pull,push
    private static string? RepositoryOf(string scope)
        => scope.Split(' ')[0].Split(':') is ["repository", { Length: > 0 } repository, _] ? repository : null;

    /// <summary>Whether there was a credential to tell this server.</summary>
    public bool Knows(RegistryEndpoint endpoint) => _told.ContainsKey(OriginOf(endpoint));

    private static string OriginOf(RegistryEndpoint endpoint) => endpoint.Address.GetLeftPart(UriPartial.Authority);

    private static (string, string) Key(RegistryEndpoint endpoint, string scope) => (OriginOf(endpoint), scope);

    private static AuthenticationHeaderValue Basic(Credential credential)
        => new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{credential.UserName}:{credential.Password}")));

    private async ValueTask<Entry> FetchTokenAsync(RegistryEndpoint endpoint, AuthChallenge challenge, Credential? credential, string scope, CancellationToken cancellationToken)
    {
        Uri realm = CheckRealm(endpoint, challenge.Parameters["realm"]);
        string? service = challenge.Parameters.GetValueOrDefault("service");
        using HttpRequestMessage request = CreateTokenRequest(realm, service, scope.Length > 0 ? scope : challenge.Parameters.GetValueOrDefault("scope", ""), credential);
        using HttpResponseMessage response = await SendAsync(endpoint, realm, request, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode != HttpStatusCode.OK)
        {
            throw await RegistryErrors.ReadAsync(response, realm, endpoint.CredentialKey, isKnown: credential is not null, cancellationToken).ConfigureAwait(false);
        }
        byte[] body = await RegistryErrors.ReadSomeAsync(response.Content, RegistryOptions.MaxTokenBytes, cancellationToken).ConfigureAwait(false);
        TokenAnswer? answer = null;
        try
        {
            answer = JsonSerializer.Deserialize(body, DistributionJson.Default.TokenAnswer);
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Unavailable, $"get token from {realm.Authority} for {endpoint}: the answer is no JSON", e);
        }
        string? token = answer?.Token ?? answer?.AccessToken;
        if (string.IsNullOrEmpty(token) || !token.All(c => char.IsAsciiLetterOrDigit(c) || "-._~+/=".Contains(c, StringComparison.Ordinal)))
        {
            throw new StrataException(ErrorKind.Unavailable, $"get token from {realm.Authority} for {endpoint}: there is no token in the answer");
        }
        RefreshToken = string.IsNullOrEmpty(answer!.RefreshToken) ? RefreshToken : answer.RefreshToken;
        TimeSpan life = answer.ExpiresIn is > 0 and < 86_400 and int seconds ? TimeSpan.FromSeconds(seconds) : s_defaultLife;
        return new Entry(new AuthenticationHeaderValue("Bearer", token), time.GetUtcNow() + (life > s_margin * 2 ? life - s_margin : life));
    }

    private async ValueTask<HttpResponseMessage> SendAsync(RegistryEndpoint endpoint, Uri realm, HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            return await http(endpoint).SendAsync(request, cancellationToken).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
        {
            throw new StrataException(ErrorKind.Unavailable, $"get token from {realm.Authority} for {endpoint}: {e.Message}", e);
        }
    }

    private HttpRequestMessage CreateTokenRequest(Uri realm, string? service, string scope, Credential? credential)
    {
        string[] scopes = scope.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (credential?.IdentityToken is { } refresh)
        {
            return new HttpRequestMessage(HttpMethod.Post, realm)
            {
                Content = new FormUrlEncodedContent(
                [
                    new("grant_type", "refresh_token"), new("refresh_token", refresh), new("service", service ?? ""), new("scope", scope), new("client_id", ClientId),
                ]),
            };
        }
        StringBuilder query = new(realm.Query.TrimStart('?'));
        void Add(string name, string value) => query.Append(query.Length > 0 ? "&" : "").Append(name).Append('=').Append(Uri.EscapeDataString(value));
        if (service is not null)
        {
            Add("service", service);
        }
        foreach (string one in scopes)
        {
            Add("scope", one);
        }
        if (credential is not null)
        {
            Add("account", credential.UserName);
        }
        if (WantsRefreshToken)
        {
            Add("client_id", ClientId);
            Add("offline_token", "true");
        }
        HttpRequestMessage request = new(HttpMethod.Get, new UriBuilder(realm) { Query = query.ToString() }.Uri);
        request.Headers.Authorization = credential is null ? null : Basic(credential);
        return request;
    }

    // The realm comes from whoever answered; it gets a password, and we connect to it from inside this network.
    private static Uri CheckRealm(RegistryEndpoint endpoint, string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? realm))
        {
            throw new StrataException(ErrorKind.Denied, $"{endpoint}: its token server '{Hosts.Printable(text)}' is not an address");
        }
        Uri registry = endpoint.Address;
        string? problem = realm switch
        {
            _ when realm.Scheme != Uri.UriSchemeHttps && realm.Scheme != Uri.UriSchemeHttp => "is not on the web",
            _ when realm.UserInfo.Length > 0 => "has a user name in its address",
            _ when realm.Scheme == Uri.UriSchemeHttp && !(endpoint.MayBePlain && registry.Scheme == Uri.UriSchemeHttp) => "would get the password without TLS",
            _ when Hosts.IsLinkLocal(realm) => "is at a link-local address",
            _ when realm.IsLoopback && !registry.IsLoopback => "is on this machine, and the registry is not",
            _ when Hosts.IsPrivate(realm) && !Hosts.IsPrivate(registry) && !registry.IsLoopback => "is at a private address, and the registry is not",
            _ => null,
        };
        return problem is null ? realm : throw new StrataException(ErrorKind.Denied, $"{endpoint}: its token server {Hosts.Printable(Hosts.WithoutSecrets(realm).ToString())} {problem}: not asked");
    }
}

internal sealed record TokenAnswer
{
    public string? Token { get; init; }
    [JsonPropertyName("access_token")] public string? AccessToken { get; init; }
    [JsonPropertyName("refresh_token")] public string? RefreshToken { get; init; }
    [JsonPropertyName("expires_in")] public int? ExpiresIn { get; init; }
}
