using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;

namespace Strata.Cli.Commands;

/// <summary><c>strata history</c>.</summary>
internal static class HistoryCommand
{
    private const int ShownCharacters = 45; // Docker's width of CREATED BY

    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name or ID");
        Option<bool> full = Options.Flag("--no-trunc", "whole texts");
        Option<bool> quiet = Options.Flag("--quiet", "only IDs", "-q");
        Option<bool> human = new("--human", "-H") { Description = "sizes and times for people", DefaultValueFactory = _ => true };
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json");
        var command = new Command("history") { name, full, quiet, human, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            LocalImage image = await context.Engine.ResolveImageAsync(parsed.GetValue(name)!, cancellationToken);
            IReadOnlyList<HistoryRow> rows = await context.Engine.GetHistoryAsync(image, cancellationToken);
            DateTimeOffset now = CommandContext.Time.GetUtcNow();
            JsonObject[] described = [.. rows.Select((row, i) => Describe(row, i == 0 ? image : null, parsed.GetValue(full), parsed.GetValue(human), now))];
            if (parsed.GetValue(quiet))
            {
                foreach (JsonObject row in described)
                {
                    context.Out.WriteLine((string)row["ID"]!);
                }
                return 0;
            }
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, described);
                return 0;
            }
            var table = new Table("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT");
            foreach (JsonObject row in described)
            {
                table.Add((string)row["ID"]!, (string)row[parsed.GetValue(human) ? "CreatedSince" : "CreatedAt"]!, (string)row["CreatedBy"]!, (string)row["Size"]!, (string)row["Comment"]!);
            }
            table.Write(context.Out);
            return 0;
        });
        return command;
    }

    private static JsonObject Describe(HistoryRow row, LocalImage? image, bool full, bool human, DateTimeOffset now)
    {
        string by = (row.Entry.CreatedBy ?? "").ReplaceLineEndings(" ");
        long bytes = row.Layer?.ContentBytes ?? 0;
        return new JsonObject
        {
            ["Comment"] = row.Entry.Comment ?? "",
            ["CreatedAt"] = row.Entry.Created?.ToString("yyyy-MM-ddTHH:mm:ssK", CultureInfo.InvariantCulture) ?? "N/A",
            ["CreatedBy"] = full || by.Length <= ShownCharacters ? by : by[..(ShownCharacters - 1)] + "…",
            ["CreatedSince"] = Ages.Ago(row.Entry.Created, now),
            ["ID"] = image is null ? "<missing>" : full ? image.Manifest.Config.Digest.ToString() : image.Manifest.Config.Digest.Hex[..12].ToString(),
            ["Size"] = human ? Sizes.Human(bytes) : bytes.ToString(CultureInfo.InvariantCulture),
        };
    }
}
