using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;

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
        Option<bool> human = Options.FlagOn("--human", "sizes and times for people", "-H");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json");
        var command = new Command("history") { name, full, quiet, human, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            LocalImage image = await context.Engine.ResolveImageAsync(parsed.GetValue(name)!, cancellationToken);
            IReadOnlyList<HistoryRow> rows = await context.Engine.GetHistoryAsync(image, cancellationToken);
            DateTimeOffset now = CommandContext.Time.GetUtcNow();
            bool isFull = parsed.GetValue(full), isHuman = parsed.GetValue(human);
            var lines = new List<Line>(rows.Count);
            foreach (HistoryRow row in rows)
            {
                lines.Add(Describe(row, lines.Count == 0 ? image : null, isFull, isHuman, now));
            }
            if (parsed.GetValue(quiet))
            {
                foreach (Line line in lines)
                {
                    context.Out.WriteLine(line.Id);
                }
                return 0;
            }
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, lines.Select(l => l.ToJson()));
                return 0;
            }
            var table = new Table("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT");
            foreach (Line line in lines)
            {
                table.Add(line.Id, isHuman ? line.CreatedSince : line.CreatedAt, line.CreatedBy, line.Size, line.Comment);
            }
            table.Write(context.Out);
            return 0;
        });
        return command;
    }

    private sealed record Line(string Id, DateTimeOffset? Created, string CreatedSince, string CreatedBy, string Size, string Comment)
    {
        // Made where it is shown: the base library's formats of times take longer than all the rest of the command.
        internal string CreatedAt => Created?.ToString("yyyy-MM-ddTHH:mm:ssK", CultureInfo.InvariantCulture) ?? "N/A";

        // As a template sees it.
        internal JsonObject ToJson() => new()
        {
            [nameof(Comment)] = Comment,
            [nameof(CreatedAt)] = CreatedAt,
            [nameof(CreatedBy)] = CreatedBy,
            [nameof(CreatedSince)] = CreatedSince,
            ["ID"] = Id,
            [nameof(Size)] = Size,
        };
    }

    private static Line Describe(HistoryRow row, LocalImage? image, bool full, bool human, DateTimeOffset now)
    {
        string by = SafeText.OneLine(row.Entry.CreatedBy ?? "");
        long bytes = row.Layer?.ContentBytes ?? 0;
        return new Line(
            image is null ? "<missing>" : full ? image.Manifest.Config.Digest.ToString() : image.Manifest.Config.Digest.Hex[..12].ToString(),
            row.Entry.Created,
            Ages.Ago(row.Entry.Created, now),
            full || by.Length <= ShownCharacters ? by : by[..(ShownCharacters - 1)] + "…",
            human ? Sizes.Human(bytes) : bytes.ToString(CultureInfo.InvariantCulture),
            row.Entry.Comment ?? "");
    }
}
