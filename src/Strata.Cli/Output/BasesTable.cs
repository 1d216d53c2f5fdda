using System.Text.Json.Nodes;
using Strata.Supply;

namespace Strata.Cli.Output;

/// <summary>Bases that an image could have: <c>strata analyze --bases</c>.</summary>
internal static class BasesTable
{
    internal static void Write(TextWriter output, IReadOnlyList<BaseCandidate> bases, string? format)
    {
        if (format is not null)
        {
            Formatted.Write(output, format, [.. bases.Select(Describe)]);
            return;
        }
        var table = new Table("BASE", "SIZE", "LIBC", "SHELL", "PACKAGES", "WOULD BREAK");
        foreach (BaseCandidate candidate in bases)
        {
            string breaks = candidate.Breaks.IsEmpty ? candidate.IsPresent ? "nothing (it is on this one)" : "nothing" : string.Join("; ", candidate.Breaks.Select(Text));
            table.Add(candidate.Name, Sizes.Human(candidate.Bytes), candidate.Libc ?? "-", candidate.Shell ?? "-", candidate.Packages ?? "-", SafeText.OneLine(breaks));
        }
        table.Write(output);
    }

    private static string Text(ImageNeed need) => $"{need.Path} ({string.Join(", ", need.By)}{(need.Count > need.By.Length ? $" and {need.Count - need.By.Length} more" : "")})";

    private static JsonObject Describe(BaseCandidate candidate) => new()
    {
        ["Name"] = candidate.Name,
        ["Bytes"] = candidate.Bytes,
        ["IsPresent"] = candidate.IsPresent,
        ["Libc"] = candidate.Libc,
        ["Shell"] = candidate.Shell,
        ["Packages"] = candidate.Packages,
        ["Breaks"] = new JsonArray([.. candidate.Breaks.Select(n => new JsonObject { ["Path"] = n.Path, ["By"] = new JsonArray([.. n.By.Select(b => (JsonNode?)b)]), ["Count"] = n.Count })]),
    };
}
