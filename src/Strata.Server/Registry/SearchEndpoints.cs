using System.Globalization;
using Microsoft.AspNetCore.Http;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>
/// Docker's search of version 1, which <c>docker search HOST:PORT/TERM</c> still speaks: <c>GET /v1/_ping</c>, <c>GET /v1/search?q=TERM&amp;n=N&amp;page=P</c>.
/// </summary>
/// <remarks>moby/registry: endpoint_v1.go (ping), session.go (search), types (SearchResults)</remarks>
internal static class SearchEndpoints
{
    private const string DescriptionKey = "org.opencontainers.image.description";
    private const int DefaultPage = 25, MaxPage = 100; // Docker's own

    public static Task PingAsync(HttpContext context)
    {
        context.Response.Headers["X-Docker-Registry-Version"] = "0.6.0";
        context.Response.Headers["X-Docker-Registry-Standalone"] = "true";
        return RegistryAnswers.WriteAsync(context, """{"standalone":true,"version":"0.6.0"}"""u8.ToArray(), "application/json");
    }

    public static async Task SearchAsync(OciRegistry registry, HttpContext context)
    {
        RequestNote note = new() { Resource = "search" };
        context.Features.Set(note);
        note.Identity = await registry.Access.IdentifyAsync(context, "");
        string term = context.Request.Query["q"].ToString();
        int size = Math.Min(ReadNumber(context, "n", DefaultPage), MaxPage), page = ReadNumber(context, "page", 1);
        List<RegistrySearchResult> found = await FindAsync(registry, note.Identity, term, context.RequestAborted);
        int pages = (found.Count + size - 1) / size;
        RegistrySearchResult[] shown = page <= pages ? [.. found.Skip((page - 1) * size).Take(size)] : [];
        await RegistryAnswers.WriteAsync(context, new RegistrySearchAnswer(term, found.Count, pages, page, size, shown), RegistryServerJson.Default.RegistrySearchAnswer);
    }

    // docker search writes it to a terminal as it is: what steers terminals or turns lines around is a blank.
    private static string Shown(string description)
    {
        const int Most = 512;
        char[] shown = description.Length > Most ? description[..Most].ToCharArray() : description.ToCharArray();
        for (int i = 0; i < shown.Length; i++)
        {
            bool isShown = char.IsSurrogate(shown[i]) || char.GetUnicodeCategory(shown[i]) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
            shown[i] = isShown ? shown[i] : ' ';
        }
        return new string(shown);
    }

    private static int ReadNumber(HttpContext context, string name, int otherwise)
    {
        string? text = context.Request.Query[name];
        return string.IsNullOrEmpty(text) ? otherwise
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0 ? number
            : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long large) && large > 0 ? int.MaxValue
            : throw new RegistryFault(400, DistributionCodes.Unsupported, $"{name}= is not a number from 1");
    }

    // What is named so, before what only begins so, before what has it somewhere, before what is described so.
    private static async Task<List<RegistrySearchResult>> FindAsync(OciRegistry registry, RegistryIdentity identity, string term, CancellationToken cancellationToken)
    {
        List<(int Rank, RegistrySearchResult Result)> found = [];
        foreach (IGrouping<string, (ImageReference Reference, Descriptor Manifest)> names in registry.Names().Where(n => n.Reference.Tag is not null).GroupBy(n => n.Reference.Repository))
        {
            string name = names.Key;
            if (!registry.Access.RightsOf(identity, name).HasFlag(RegistryRights.Read))
            {
                continue;
            }
            Descriptor newest = names.MaxBy(n => registry.Engine.TryGetNameTimes(n.Reference)?.Set ?? default).Manifest;
            string description = await registry.Contents.DescribeAsync(newest, DescriptionKey, cancellationToken);
            int rank = name.Equals(term, StringComparison.OrdinalIgnoreCase) || name.EndsWith("/" + term, StringComparison.OrdinalIgnoreCase) ? 0
                : name.StartsWith(term, StringComparison.OrdinalIgnoreCase) ? 1
                : name.Contains(term, StringComparison.OrdinalIgnoreCase) ? 2
                : description.Contains(term, StringComparison.OrdinalIgnoreCase) ? 3
                : 4;
            if (rank < 4)
            {
                found.Add((rank, new RegistrySearchResult(name, Shown(description), 0, IsOfficial: false, IsAutomated: false)));
            }
        }
        return [.. found.OrderBy(f => f.Rank).ThenBy(f => f.Result.Name, StringComparer.Ordinal).Select(f => f.Result)];
    }
}
