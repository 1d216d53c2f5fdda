using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Strata.Oci;

namespace Strata.Distribution;

public sealed partial class RegistryClient
{
    // Where Docker Hub answers searches.
    private const string DockerHubSearch = "https://index.docker.io/";

    /// <summary>Finds repositories by a word: through Docker's search (v1), or where a registry has none, in the list of all its repositories.</summary>
    /// <param name="registry">Host and port, or docker.io.</param>
    /// <param name="term">What to look for; empty: everything, where the registry lists that.</param>
    /// <param name="limit">How many at most, from 1 to 100.</param>
    /// <param name="cancellationToken">Ends the search.</param>
    /// <exception cref="StrataException">Unavailable, Unauthenticated; Unsupported: the registry has neither.</exception>
    public async ValueTask<IReadOnlyList<SearchResult>> SearchAsync(string registry, string term, int limit = 25, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        RegistryEndpoint origin = registry == ImageReference.DefaultRegistry
            ? new RegistryEndpoint(registry, new Uri(DockerHubSearch), isMirror: false, mayBePlain: false, isUnverified: false, isSchemeKnown: true)
            : Mirrors.Origin(registry);
        RegistryRequest request = new(HttpMethod.Get, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"v1/search?q={Uri.EscapeDataString(term)}&n={limit}"), "");
        using HttpResponseMessage response = await Transport.SendAsync(origin, request, cancellationToken).ConfigureAwait(false);
        if (response.IsSuccessStatusCode && await ReadAnswerAsync(response, cancellationToken).ConfigureAwait(false) is { } answer)
        {
            return [.. answer.Take(limit)];
        }
        bool mayHaveNone = response.IsSuccessStatusCode || response.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed or HttpStatusCode.BadRequest or HttpStatusCode.NotImplemented or HttpStatusCode.Unauthorized;
        if (registry == ImageReference.DefaultRegistry || !mayHaveNone)
        {
            throw await RegistryErrors.ReadAsync(response, RegistryTransport.AddressOf(origin, request), origin.CredentialKey, Transport.Auth.Knows(origin), cancellationToken).ConfigureAwait(false);
        }
        return await SearchCatalogAsync(registry, term, limit, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<IReadOnlyList<SearchResult>> SearchCatalogAsync(string registry, string term, int limit, CancellationToken cancellationToken)
    {
        List<SearchResult> found = [];
        try
        {
            await foreach (string name in ListRepositoriesAsync(registry, cancellationToken).ConfigureAwait(false))
            {
                if (ImageReference.IsRepository(name) && name.Contains(term, StringComparison.OrdinalIgnoreCase))
                {
                    found.Add(new SearchResult(name));
                }
                if (found.Count == limit)
                {
                    break;
                }
            }
        }
        catch (RegistryException e) when (e.Status is HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed or HttpStatusCode.BadRequest or HttpStatusCode.NotImplemented)
        {
            throw new StrataException(ErrorKind.Unsupported, $"search {registry}: it has no search, and does not list its repositories: {e.Message}", e);
        }
        return found;
    }

    // Null: whatever came is no answer to a search.
    private async ValueTask<IEnumerable<SearchResult>?> ReadAnswerAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        byte[] body = await ReadAllAsync(response, MaxListBytes, cancellationToken).ConfigureAwait(false);
        try
        {
            SearchAnswer? answer = JsonSerializer.Deserialize(body, SearchJson.Default.SearchAnswer);
            return answer?.Results?.Where(r => !string.IsNullOrEmpty(r?.Name)).Select(r => new SearchResult(r.Name!)
            {
                Description = r.Description ?? "", Stars = r.StarCount, IsOfficial = r.IsOfficial, IsAutomated = r.IsAutomated,
            });
        }
        catch (JsonException)
        {
            return null; // a registry that answers every address with its front page has no search
        }
    }
}

/// <summary>A repository that a search found.</summary>
public sealed record SearchResult(string Name)
{
    /// <summary>In its owner's words; may be empty, and several lines.</summary>
    public string Description { get; init; } = "";
    /// <summary>How many like it.</summary>
    public int Stars { get; init; }
    /// <summary>Kept by the registry's own people.</summary>
    public bool IsOfficial { get; init; }
    /// <summary>Built by the registry.</summary>
    public bool IsAutomated { get; init; }
}

internal sealed record SearchAnswer
{
    public List<SearchEntry>? Results { get; init; }
}

internal sealed record SearchEntry
{
    public string? Name { get; init; }
    public string? Description { get; init; }
    [JsonPropertyName("star_count")] public int StarCount { get; init; }
    [JsonPropertyName("is_official")] public bool IsOfficial { get; init; }
    [JsonPropertyName("is_automated")] public bool IsAutomated { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(SearchAnswer))]
internal sealed partial class SearchJson : JsonSerializerContext;
