using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Distribution;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata search</c>.</summary>
internal static class SearchCommand
{
    private const int MostResults = 100, MostDescription = 45; // Docker's

    internal static Command Create(CommandContext context)
    {
        Argument<string> term = Options.One("TERM", "a word of the name; REGISTRY/WORD at another registry than Docker Hub");
        Option<string?> registry = Options.Value("--registry", "HOST:PORT", "the registry to search");
        Option<int> limit = Options.Number("--limit", "N", "how many at most (25, up to 100)", 25);
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "is-official=true, is-automated=true or stars=N", "-f");
        Option<bool> whole = Options.Flag("--no-trunc", "whole descriptions");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json; fields: Name, Description, StarCount, IsOfficial, IsAutomated");
        var command = new Command("search") { term, registry, limit, filter, whole, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(limit) is < 1 or > MostResults)
            {
                throw new StrataException(ErrorKind.Invalid, $"--limit is a number from 1 to {MostResults}");
            }
            Func<SearchResult, bool> isWanted = ReadFilter(parsed.GetValue(filter));
            (string place, string word) = Split(parsed.GetValue(term), parsed.GetValue(registry));
            IReadOnlyList<SearchResult> found = await context.Registries.SearchAsync(place, word, parsed.GetValue(limit), cancellationToken);
            SearchResult[] shown = [.. found.Where(isWanted).OrderByDescending(r => r.Stars)];
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, shown.Select(r => Row(r, parsed.GetValue(whole))));
                return 0;
            }
            var table = new Table("NAME", "DESCRIPTION", "STARS", "OFFICIAL");
            foreach (SearchResult result in shown)
            {
                table.Add(result.Name, Describe(result, parsed.GetValue(whole)), result.Stars.ToString(CultureInfo.InvariantCulture), result.IsOfficial ? "[OK]" : "");
            }
            table.Write(context.Out);
            return 0;
        });
        return command;
    }

    // 192.168.164.129:8080/ngi: the part before the slash is a registry by the same rule as in an image's name.
    private static (string Registry, string Word) Split(string term, string? registry)
    {
        if (registry is not null)
        {
            return (LoginFile.RegistryOf(LoginFile.KeyOf(registry)), term);
        }
        int slash = term.IndexOf('/', StringComparison.Ordinal);
        bool isRegistry = slash > 0 && ImageReference.TryParse(term[..slash] + "/x", out ImageReference? place) && place.Name == term[..slash] + "/x";
        return isRegistry ? (term[..slash], term[(slash + 1)..]) : (ImageReference.DefaultRegistry, term);
    }

    private static string Describe(SearchResult result, bool isWhole)
    {
        string line = result.Description.Replace('\n', ' ').Replace('\r', ' ');
        return isWhole || line.Length <= MostDescription ? line : line[..(MostDescription - 1)] + "…";
    }

    private static JsonObject Row(SearchResult result, bool isWhole) => new()
    {
        ["Name"] = result.Name, ["Description"] = Describe(result, isWhole), ["StarCount"] = result.Stars, ["IsOfficial"] = result.IsOfficial, ["IsAutomated"] = result.IsAutomated,
    };

    private static Func<SearchResult, bool> ReadFilter(string[] texts)
    {
        Func<SearchResult, bool> all = _ => true;
        foreach ((string key, string value) in Options.Pairs(texts))
        {
            Func<SearchResult, bool> before = all;
            Func<SearchResult, bool> one = (key, value) switch
            {
                ("is-official", "true" or "1") => r => r.IsOfficial,
                ("is-official", "false" or "0") => r => !r.IsOfficial,
                ("is-automated", "true" or "1") => r => r.IsAutomated,
                ("is-automated", "false" or "0") => r => !r.IsAutomated,
                ("stars", _) when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int least) => r => r.Stars >= least,
                _ => throw new StrataException(ErrorKind.Invalid, $"--filter {key}={value}: there are is-official=true|false, is-automated=true|false and stars=N"),
            };
            all = r => before(r) && one(r);
        }
        return all;
    }
}
