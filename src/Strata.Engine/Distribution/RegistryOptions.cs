using System.Net;

namespace Strata.Distribution;

/// <summary>How to reach registries. The defaults suit a person at a terminal; tests replace the transport, the clock and the files.</summary>
public sealed record RegistryOptions
{
    /// <summary>
    /// The transport; tests put an in-process server here. Null: sockets, with the proxies of the environment (never for loopback addresses). One given
    /// must not follow redirects, keep cookies or decompress: those are decided above it.
    /// </summary>
    public HttpMessageHandler? Handler { get; init; }

    /// <summary>Which registries have mirrors, and which may be spoken to without TLS. Null: read from the files when first needed.</summary>
    public RegistryConfiguration? Configuration { get; init; }

    /// <summary>Where configuration is read from where <see cref="Configuration"/> is null. Null: this machine's files.</summary>
    public RegistryFiles? Files { get; init; }

    /// <summary>Names and passwords. Null: Docker's and Podman's files, when first needed.</summary>
    public CredentialStore? Credentials { get; init; }

    /// <summary>The clock that waits between attempts.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>How often a request that may be repeated is tried in all.</summary>
    public int Attempts { get; init; } = 5;

    /// <summary>Wait before the second attempt; doubled for each further one, with jitter.</summary>
    public TimeSpan FirstDelay { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Longest single wait that a server's Retry-After can ask for; where it asks for more, the request fails and says so.</summary>
    public TimeSpan LongestWait { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest all waits of one request may be together.</summary>
    public TimeSpan LongestTotalWait { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a server may take to begin its answer, and how long a download may stand still.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Whether layers that a registry lacks are fetched from the addresses that their manifest names (foreign layers). Whoever wrote the manifest chose
    /// them: off, such a layer fails the pull.
    /// </summary>
    public bool ForeignLayers { get; init; }

    /// <summary>Told of every answer: which server, how long it took. For <c>--verbose</c>.</summary>
    public IProgress<RegistryAnswer>? Answers { get; init; }

    /// <summary>Told before each wait: a person at a terminal wants to know why nothing happens.</summary>
    public Action<RegistryWait>? OnWait { get; init; }

    // What a server says is never trusted to be short: 64 KiB of headers, of an error, of a token.
    internal const int MaxHeaderBytes = 64 << 10;
    internal const int MaxErrorBytes = 64 << 10;
    internal const int MaxTokenBytes = 256 << 10;

    internal static SocketsHttpHandler CreateHandler(bool verifyTls, ServerTrust? trust = null)
    {
        SocketsHttpHandler handler = new()
        {
            AllowAutoRedirect = false, // RedirectHandler does it: it knows what must not travel
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = TimeSpan.FromSeconds(15),
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            MaxResponseHeadersLength = MaxHeaderBytes >> 10,
            Proxy = new LoopbackBypass(HttpClient.DefaultProxy),
        };
        if (!verifyTls)
        {
#pragma warning disable CA5359 // only for registries that the administrator called insecure
            handler.SslOptions.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359
        }
        trust?.ApplyTo(handler.SslOptions);
        return handler;
    }

    // A proxy cannot reach our loopback, and must not see what is meant for it.
    private sealed class LoopbackBypass(IWebProxy inner) : IWebProxy
    {
        public ICredentials? Credentials { get => inner.Credentials; set => inner.Credentials = value; }
        public Uri? GetProxy(Uri destination) => IsBypassed(destination) ? null : inner.GetProxy(destination);
        public bool IsBypassed(Uri host) => Hosts.IsLoopback(host) || inner.IsBypassed(host);
    }
}

/// <summary>One answer of a server. The address has neither user nor query.</summary>
public readonly record struct RegistryAnswer(HttpMethod Method, Uri Address, HttpStatusCode Status, TimeSpan Elapsed)
{
    /// <summary>Why there was none; then the status is 0. Null where there was one.</summary>
    public string? Failure { get; init; }
}

/// <summary>A request will be made again, after a while.</summary>
/// <param name="Host">Host and port.</param>
/// <param name="Time">How long the wait is.</param>
/// <param name="Status">What it answered; null where it did not.</param>
/// <param name="IsAsked">Whether it asked to be left alone that long (Retry-After).</param>
public readonly record struct RegistryWait(string Host, TimeSpan Time, HttpStatusCode? Status, bool IsAsked)
{
    /// <summary>Whether a person would notice it.</summary>
    public bool IsLong => IsAsked || Time >= TimeSpan.FromSeconds(1);

    /// <inheritdoc/>
    public override string ToString()
    {
        string time = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Time.TotalSeconds:0.#}");
        return Status is not { } status ? $"waiting {time} s: {Host} does not answer"
            : IsAsked ? $"waiting {time} s: {Host} asks for it ({(int)status})"
            : $"waiting {time} s: {Host} fails ({(int)status})";
    }
}
