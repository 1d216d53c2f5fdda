using System.Net;

namespace Strata.Distribution;

/// <summary>
/// Follows redirects of downloads, and lets nothing travel that the next server must not see: to another scheme, host or port go only
/// <c>Accept</c>, <c>Accept-Encoding</c>, <c>Range</c> and <c>User-Agent</c>. Registries send blobs from storage services this way.
/// </summary>
internal sealed class RedirectHandler(HttpMessageHandler inner) : DelegatingHandler(inner)
{
    // As many as browsers and curl take at most is 20 to 50; real registries need one or two.
    private const int MostHops = 10;

    private static readonly string[] s_harmless = ["Accept", "Accept-Encoding", "Range", "User-Agent"];

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        HttpRequestMessage current = request;
        for (int hops = 0; IsRedirect(response.StatusCode) && (request.Method == HttpMethod.Get || request.Method == HttpMethod.Head); hops++)
        {
            Uri from = current.RequestUri!;
            Uri to = Target(from, response.Headers.Location, hops);
            response.Dispose();
            current = Follow(current, from, to);
            response = await base.SendAsync(current, cancellationToken).ConfigureAwait(false);
        }
        return response;
    }

    private static bool IsRedirect(HttpStatusCode status) => status is HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
        or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect;

    private static Uri Target(Uri from, Uri? location, int hops)
    {
        string act = $"GET {Hosts.WithoutSecrets(from)}";
        if (hops >= MostHops)
        {
            throw new StrataException(ErrorKind.Unavailable, $"{act}: more than {MostHops} redirects");
        }
        if (location is null || !Uri.TryCreate(from, location, out Uri? to))
        {
            throw new StrataException(ErrorKind.Unavailable, $"{act}: redirected to nowhere");
        }
        string? problem = to switch
        {
            _ when to.Scheme != Uri.UriSchemeHttp && to.Scheme != Uri.UriSchemeHttps => $"redirected to the scheme '{to.Scheme}'",
            _ when to.UserInfo.Length > 0 => "redirected to an address with a user name in it",
            _ when from.Scheme == Uri.UriSchemeHttps && to.Scheme == Uri.UriSchemeHttp => $"redirected from https to http ({to.Authority})",
            _ when Hosts.IsLinkLocal(to) => $"redirected to the link-local address {to.Authority}",
            _ when to.IsLoopback && !from.IsLoopback => $"redirected to the loopback address {to.Authority}",
            _ => null,
        };
        return problem is null ? to : throw new StrataException(ErrorKind.Denied, $"{act}: {problem}: not followed");
    }

    private static HttpRequestMessage Follow(HttpRequestMessage request, Uri from, Uri to)
    {
        HttpRequestMessage next = new(request.Method, to) { Version = request.Version, VersionPolicy = request.VersionPolicy };
        bool isSame = Hosts.IsSameOrigin(from, to);
        foreach ((string name, IEnumerable<string> values) in request.Headers)
        {
            if (isSame || s_harmless.Contains(name, StringComparer.OrdinalIgnoreCase))
            {
                next.Headers.TryAddWithoutValidation(name, values);
            }
        }
        return next;
    }
}
