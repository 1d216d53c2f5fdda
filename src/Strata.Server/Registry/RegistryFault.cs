using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;

namespace Strata.Server.Registry;

#pragma warning disable CA1032 // has no meaning without its three parts
/// <summary>An answer that says no in the distribution spec's words: thrown where a request turns out wrong, written in one place.</summary>
internal sealed class RegistryFault(int status, string code, string message) : Exception(message)
{
    public int Status { get; } = status;
    public string Code { get; } = code;
}
#pragma warning restore CA1032

internal static class RegistryFaults
{
    /// <summary>Writes an error, unless the answer has begun: then the connection is cut, so that nobody takes it for whole.</summary>
    public static async Task WriteAsync(HttpContext context, int status, string code, string message, string? hint = null)
    {
        if (context.Response.HasStarted)
        {
            context.Abort();
            return;
        }
        // What told of the content is not true of the error; where the upload stands is.
        IHeaderDictionary headers = context.Response.Headers;
        headers.ContentLength = null;
        headers.Remove("ETag");
        headers.Remove("Cache-Control");
        headers.Remove("Docker-Content-Digest");
        context.Response.StatusCode = status;
        if (status == 429)
        {
            context.Response.Headers.RetryAfter = "5";
        }
        if (HttpMethods.IsHead(context.Request.Method))
        {
            return;
        }
        RegistryErrorAnswer answer = new([new RegistryErrorEntry(code, message, hint)]);
        await RegistryAnswers.WriteAsync(context, answer, RegistryServerJson.Default.RegistryErrorAnswer);
    }
}

internal sealed record RegistryErrorAnswer(IReadOnlyList<RegistryErrorEntry> Errors);
internal sealed record RegistryErrorEntry(string Code, string Message, string? Detail);
internal sealed record RegistryTags(string Name, IReadOnlyList<string> Tags);
internal sealed record RegistryCatalog(IReadOnlyList<string> Repositories);

// The names are those of Docker's search of version 1, and of distribution's token specification.
internal sealed record RegistrySearchAnswer(
    string Query, [property: JsonPropertyName("num_results")] int Count, [property: JsonPropertyName("num_pages")] int Pages, int Page,
    [property: JsonPropertyName("page_size")] int PageSize, IReadOnlyList<RegistrySearchResult> Results);
internal sealed record RegistrySearchResult(
    string Name, string Description, [property: JsonPropertyName("star_count")] int StarCount,
    [property: JsonPropertyName("is_official")] bool IsOfficial, [property: JsonPropertyName("is_automated")] bool IsAutomated);
internal sealed record RegistryTokenAnswer(
    string Token, [property: JsonPropertyName("access_token")] string AccessToken, [property: JsonPropertyName("expires_in")] int ExpiresIn,
    [property: JsonPropertyName("issued_at")] string IssuedAt);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RegistryErrorAnswer))]
[JsonSerializable(typeof(RegistryTags))]
[JsonSerializable(typeof(RegistryCatalog))]
[JsonSerializable(typeof(RegistrySearchAnswer))]
[JsonSerializable(typeof(RegistryTokenAnswer))]
internal sealed partial class RegistryServerJson : JsonSerializerContext;
