using System.Net;
using System.Text.Json;

namespace Strata.Distribution;

/// <summary>Turns answers that say no into exceptions that say why.</summary>
internal static class RegistryErrors
{
    // How long the reason of a refusal is waited for.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    /// <summary>Reads at most 64 KiB of the answer of a server that was asked for nothing but by its own name.</summary>
    public static ValueTask<RegistryException> ReadAsync(HttpResponseMessage response, Uri asked, CancellationToken cancellationToken)
        => ReadAsync(response, asked, asked.Authority, isKnown: false, cancellationToken);

    /// <summary>Reads at most 64 KiB of the answer.</summary>
    /// <param name="response">The answer.</param>
    /// <param name="asked">What was asked for.</param>
    /// <param name="registry">Whose password would help.</param>
    /// <param name="isKnown">Whether one was sent.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public static async ValueTask<RegistryException> ReadAsync(HttpResponseMessage response, Uri asked, string registry, bool isKnown, CancellationToken cancellationToken)
    {
        byte[] body = await ReadSomeAsync(response.Content, RegistryOptions.MaxErrorBytes, cancellationToken).ConfigureAwait(false);
        HttpMethod method = response.RequestMessage?.Method ?? HttpMethod.Get;
        return new RegistryException(method, Hosts.WithoutSecrets(asked), response.StatusCode, Parse(body)) { Hint = HintFor(response.StatusCode, registry, isKnown) };
    }

    /// <summary>The answer's body, as far as it fits.</summary>
    public static async ValueTask<byte[]> ReadSomeAsync(HttpContent content, int limit, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[limit];
        int length = 0;
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(s_patience);
        try
        {
            Stream stream = await content.ReadAsStreamAsync(patience.Token).ConfigureAwait(false);
            await using (stream.ConfigureAwait(false))
            {
                length = await stream.ReadAtLeastAsync(buffer, limit, throwOnEndOfStream: false, patience.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // The status is known, and says more than a broken body would.
            return [];
        }
        return buffer[..length];
    }

    private static RegistryError[] Parse(byte[] body)
    {
        try
        {
            ErrorAnswer? answer = JsonSerializer.Deserialize(body, DistributionJson.Default.ErrorAnswer);
            return [.. (answer?.Errors ?? []).Where(e => e is not null).Take(10).Select(e => new RegistryError(Hosts.Printable(e.Code ?? "UNKNOWN"), Hosts.Printable(e.Message ?? "")))];
        }
        catch (JsonException)
        {
            return []; // an HTML page of some proxy: the status must do
        }
    }

    private static string? HintFor(HttpStatusCode status, string registry, bool isKnown)
    {
        string login = registry is Oci.ImageReference.DefaultRegistry or "registry-1.docker.io" ? "strata login" : $"strata login {registry}";
        return status switch
        {
            HttpStatusCode.Unauthorized when isKnown => $"the user name or password is wrong, or no longer right; log in again: {login}",
            HttpStatusCode.Unauthorized => $"log in first: {login}",
            _ => null,
        };
    }
}

internal sealed record ErrorAnswer
{
    public List<ErrorEntry>? Errors { get; init; }
}

internal sealed record ErrorEntry
{
    public string? Code { get; init; }
    public string? Message { get; init; }
}
