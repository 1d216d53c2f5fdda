using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Authentication;

namespace Strata.Distribution;

/// <summary>One request, described so that it can be made again: after a challenge, after a failure, at another server.</summary>
internal sealed record RegistryRequest(HttpMethod Method, string Path, string Scope)
{
    /// <summary>An address given by the server (where to upload to); instead of <see cref="Path"/>.</summary>
    public Uri? Absolute { get; init; }

    /// <summary>The repository it is about; null where it is about the registry.</summary>
    public string? Repository
    {
        get
        {
            string[] parts = Path.Split('/');
            int end = Math.Max(Array.LastIndexOf(parts, "manifests"), Math.Max(Array.LastIndexOf(parts, "blobs"), Math.Max(Array.LastIndexOf(parts, "tags"), Array.LastIndexOf(parts, "referrers"))));
            return end > 1 ? string.Join('/', parts[1..end]) : null;
        }
    }

    /// <summary>What is asked for has a digest: whoever answers, it is the same or wrong.</summary>
    public bool IsForDigest => Path[(Path.LastIndexOf('/') + 1)..].Contains(':', StringComparison.Ordinal);

    /// <summary>Media types to accept.</summary>
    public IReadOnlyList<string> Accept { get; init; } = [];

    /// <summary>First byte to send; 0 is the whole.</summary>
    public long From { get; init; }

    /// <summary>Makes the body; called once per attempt. Null: no body.</summary>
    public Func<HttpContent>? Content { get; init; }

    /// <summary>Which bytes of an upload the body is (<c>first-last</c>); null: all, or those that come next.</summary>
    public string? ContentRange { get; init; }

    /// <summary>Whether it may be sent again after it may have arrived. Where it was only refused for want of a password it always is.</summary>
    public bool IsRepeatable { get; init; } = true;

    /// <summary>Whether the body takes long, so that the answer begins late.</summary>
    public bool IsLong { get; init; }
}

/// <summary>Sends requests to one server: finds out its scheme, answers its challenges, waits and repeats as far as that is right.</summary>
internal sealed class RegistryTransport : IDisposable
{
    private static readonly string s_userAgent = $"strata/{typeof(RegistryTransport).Assembly.GetName().Version?.ToString(3)}";

    private readonly RegistryOptions _options;
    private readonly HttpMessageInvoker _verified;
    private readonly ConcurrentDictionary<(TlsFiles Files, bool IsUnverified, string Host), Lazy<HttpMessageInvoker>> _withFiles = new();
    private readonly Lazy<HttpMessageInvoker> _unverified;
    private readonly RegistryAuth _auth;

    public RegistryTransport(RegistryOptions options, CredentialStore credentials)
    {
        _options = options;
        _verified = Invoker(RegistryOptions.CreateHandler(verifyTls: true));
        _unverified = new(() => Invoker(RegistryOptions.CreateHandler(verifyTls: false)));
        _auth = new RegistryAuth(InvokerFor, credentials, options.Time);
    }

    private HttpMessageInvoker Invoker(HttpMessageHandler own) => new(new RedirectHandler(_options.Handler ?? own), disposeHandler: _options.Handler is null);

    /// <summary>Who answers challenges.</summary>
    public RegistryAuth Auth => _auth;

    /// <summary>An answer, good or bad. Only the headers have been read.</summary>
    /// <exception cref="StrataException">Unavailable: none came.</exception>
    public async ValueTask<HttpResponseMessage> SendAsync(RegistryEndpoint endpoint, RegistryRequest request, CancellationToken cancellationToken)
    {
        await FindSchemeAsync(endpoint, cancellationToken).ConfigureAwait(false);
        // A mirror that fails is passed over, not waited for.
        int attempts = endpoint.IsMirror || !request.IsRepeatable ? 1 : _options.Attempts;
        TimeSpan waited = TimeSpan.Zero;
        for (int attempt = 1; ; attempt++)
        {
            StrataException? failure = null;
            HttpResponseMessage? response = null;
            try
            {
                response = await SendOnceAsync(endpoint, request, cancellationToken).ConfigureAwait(false);
            }
            catch (HttpRequestException e)
            {
                failure = Unreachable(endpoint, request, e);
                // Silence costs a minute each time: asked twice, not five times.
                bool isSilence = e.InnerException is OperationCanceledException;
                if (attempt >= (isSilence ? Math.Min(attempts, 2) : attempts) || !IsWorthRepeating(e))
                {
                    throw failure;
                }
            }
            if (response is not null && (attempt >= attempts || !IsPassing(response.StatusCode)))
            {
                return response;
            }
            TimeSpan wait = WaitAfter(response, attempt);
            waited += wait;
            if (wait > _options.LongestWait || waited > _options.LongestTotalWait)
            {
                return response ?? throw failure!; // the answer says 429; waiting longer is for people to decide
            }
            _options.OnWait?.Invoke(new RegistryWait(endpoint.Address.Authority, wait, response?.StatusCode, IsAsked: response?.Headers.RetryAfter is not null));
            response?.Dispose();
            await Task.Delay(wait, _options.Time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Where a request of this description goes to at a server.</summary>
    public static Uri AddressOf(RegistryEndpoint endpoint, RegistryRequest request) => request.Absolute ?? new Uri(endpoint.Address, endpoint.PathOf(request.Path));

    /// <summary>How long to wait before attempt <paramref name="attempt"/> + 1 where the server does not say.</summary>
    public TimeSpan Backoff(int attempt)
    {
#pragma warning disable CA5394 // spreads load; nothing to guess
        double jitter = 0.5 + Random.Shared.NextDouble();
#pragma warning restore CA5394
        return _options.FirstDelay * Math.Min(1 << (attempt - 1), 64) * jitter;
    }

    private HttpMessageInvoker InvokerFor(RegistryEndpoint endpoint)
        => endpoint.Tls is null ? endpoint.IsUnverified ? _unverified.Value : _verified
            : _withFiles.GetOrAdd((endpoint.Tls, endpoint.IsUnverified, endpoint.Address.IdnHost), key => new(() => Invoker(RegistryOptions.CreateHandler(!key.IsUnverified, new ServerTrust(key.Files, key.Host))))).Value;

    private async ValueTask<HttpResponseMessage> SendOnceAsync(RegistryEndpoint endpoint, RegistryRequest request, CancellationToken cancellationToken)
    {
        Uri address = AddressOf(endpoint, request);
        // An upload may be sent elsewhere; who we are is nobody's business there.
        bool isOurs = Hosts.IsSameOrigin(address, endpoint.Address);
        AuthenticationHeaderValue? authorization = isOurs ? _auth.Find(endpoint, endpoint.ScopeOf(request.Scope)) : null;
        HttpResponseMessage response = await SendRawAsync(endpoint, request, address, authorization, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode != HttpStatusCode.Unauthorized || !isOurs || !IsFrom(response, endpoint))
        {
            return response;
        }
        AuthenticationHeaderValue? answer;
        try
        {
            answer = await _auth.AnswerAsync(endpoint, response, endpoint.ScopeOf(request.Scope), authorization, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            response.Dispose();
            throw;
        }
        if (answer is null)
        {
            return response;
        }
        response.Dispose();
        return await SendRawAsync(endpoint, request, address, answer, cancellationToken).ConfigureAwait(false);
    }

    // The place a blob is redirected to may ask for a password too: it gets none.
    private static bool IsFrom(HttpResponseMessage response, RegistryEndpoint endpoint)
        => response.RequestMessage?.RequestUri is not { } last || Hosts.IsSameOrigin(last, endpoint.Address);

    private async ValueTask<HttpResponseMessage> SendRawAsync(
        RegistryEndpoint endpoint, RegistryRequest request, Uri address, AuthenticationHeaderValue? authorization, CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(request.Method, address) { Content = request.Content?.Invoke() };
        message.Headers.TryAddWithoutValidation("User-Agent", s_userAgent);
        message.Headers.Authorization = authorization;
        // Compressed on the way, a blob's length and ranges would not be its own.
        message.Headers.AcceptEncoding.ParseAdd("identity");
        foreach (string type in request.Accept)
        {
            message.Headers.Accept.ParseAdd(type);
        }
        if (request.From > 0)
        {
            message.Headers.Range = new RangeHeaderValue(request.From, null);
        }
        if (request.ContentRange is { } range)
        {
            // The distribution-spec's form has no unit, so it is no Content-Range to the library.
            message.Content?.Headers.TryAddWithoutValidation("Content-Range", range);
        }
        long started = _options.Time.GetTimestamp();
        using CancellationTokenSource patience = new(request.IsLong ? Timeout.InfiniteTimeSpan : _options.Patience, _options.Time);
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, patience.Token);
        try
        {
            HttpResponseMessage response = await InvokerFor(endpoint).SendAsync(message, linked.Token).ConfigureAwait(false);
            _options.Answers?.Report(new RegistryAnswer(request.Method, Hosts.WithoutSecrets(response.RequestMessage?.RequestUri ?? address), response.StatusCode, _options.Time.GetElapsedTime(started)));
            return response;
        }
        catch (OperationCanceledException e) when (patience.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            string failure = $"no answer within {_options.Patience.TotalSeconds:0} s";
            TellFailure(failure);
            throw new HttpRequestException(failure, e);
        }
        catch (HttpRequestException e)
        {
            TellFailure(e.Message);
            throw;
        }

        void TellFailure(string failure)
            => _options.Answers?.Report(new RegistryAnswer(request.Method, Hosts.WithoutSecrets(address), 0, _options.Time.GetElapsedTime(started)) { Failure = failure });
    }

    // Port 5000 of this machine may speak either. Asked in the clear first, without a password: a TLS server answers that with an error.
    private async ValueTask FindSchemeAsync(RegistryEndpoint endpoint, CancellationToken cancellationToken)
    {
        if (endpoint.IsSchemeKnown)
        {
            return;
        }
        await endpoint.Probe.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (!endpoint.IsSchemeKnown)
            {
                if (await SpeaksPlainAsync(endpoint, cancellationToken).ConfigureAwait(false))
                {
                    endpoint.Address = new Uri("http://" + endpoint.Address.Authority + "/");
                }
                endpoint.IsSchemeKnown = true;
            }
        }
        finally
        {
            endpoint.Probe.Release();
        }
    }

    private async ValueTask<bool> SpeaksPlainAsync(RegistryEndpoint endpoint, CancellationToken cancellationToken)
    {
        // "https://host:443" loses its port as the default one; in the clear it must be said.
        Uri plain = new UriBuilder(endpoint.Address) { Scheme = Uri.UriSchemeHttp, Port = endpoint.Address.IsDefaultPort && !endpoint.Registry.EndsWith(":443", StringComparison.Ordinal) ? 80 : endpoint.Address.Port }.Uri;
        RegistryRequest ping = new(HttpMethod.Get, "v2/", "");
        try
        {
            using HttpResponseMessage response = await SendRawAsync(endpoint, ping, new Uri(plain, ping.Path), authorization: null, cancellationToken).ConfigureAwait(false);
            if (response.StatusCode != HttpStatusCode.BadRequest)
            {
                return true;
            }
            byte[] body = await RegistryErrors.ReadSomeAsync(response.Content, RegistryOptions.MaxErrorBytes, cancellationToken).ConfigureAwait(false);
            return body.AsSpan().IndexOf("HTTPS"u8) < 0; // Go: "Client sent an HTTP request to an HTTPS server."
        }
        catch (HttpRequestException e) when (e.HttpRequestError == HttpRequestError.ConnectionError)
        {
            // Nobody there in the clear: on port 443 somebody may still be. Where both share a port it fails again, and says why.
            return !endpoint.Address.IsDefaultPort;
        }
        catch (HttpRequestException)
        {
            return false; // what came was no HTTP
        }
    }

    private TimeSpan WaitAfter(HttpResponseMessage? response, int attempt)
    {
        TimeSpan backoff = Backoff(attempt);
        TimeSpan? asked = response?.Headers.RetryAfter switch
        {
            { Delta: { } delta } => delta,
            { Date: { } date } => date - _options.Time.GetUtcNow(),
            _ => null,
        };
        return asked is { } wait && wait > backoff ? wait : backoff;
    }

    // May be over in a moment.
    private static bool IsPassing(HttpStatusCode status) => status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests
        or HttpStatusCode.InternalServerError or HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    // A certificate or a name that is wrong now is wrong in a second.
    private static bool IsWorthRepeating(HttpRequestException e) => e.HttpRequestError is not (HttpRequestError.SecureConnectionError or HttpRequestError.NameResolutionError
        or HttpRequestError.ConfigurationLimitExceeded or HttpRequestError.VersionNegotiationError);

    private static StrataException Unreachable(RegistryEndpoint endpoint, RegistryRequest request, HttpRequestException e)
    {
        Uri address = Hosts.WithoutSecrets(AddressOf(endpoint, request));
        bool isTls = e.HttpRequestError == HttpRequestError.SecureConnectionError || e.InnerException is AuthenticationException;
        string cause = isTls && e.InnerException is { } inner ? inner.Message : e.Message;
        string? hint = isTls && !endpoint.IsMirror
            ? $"where {endpoint.Registry} is meant to be without TLS, say so in {RegistryConfiguration.DefaultPath}: registries.\"{endpoint.Registry}\".insecure = true (or name who vouches for it: registries.\"{endpoint.Registry}\".ca = \"/FILE.pem\")"
            : null;
        return new StrataException(ErrorKind.Unavailable, $"{request.Method} {address}: {cause}", e) { Hint = hint };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _verified.Dispose();
        if (_unverified.IsValueCreated)
        {
            _unverified.Value.Dispose();
        }
        foreach (Lazy<HttpMessageInvoker> invoker in _withFiles.Values.Where(i => i.IsValueCreated))
        {
            invoker.Value.Dispose();
        }
    }
}
