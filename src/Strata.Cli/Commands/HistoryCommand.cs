using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Oci;

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
        command.SetAction(parsed =>
        {
            string text = parsed.GetValue(name)!;
            ImageHistory history = context.Engine.TryGetHistory(text) ?? Find(context, text);
            bool isFull = parsed.GetValue(full), isHuman = parsed.GetValue(human);
            DateTimeOffset now = CommandContext.Time.GetUtcNow();
            var lines = new Line[history.Rows.Count];
            for (int i = 0; i < lines.Length; i++)
            {
                lines[i] = Describe(history.Rows[i], i == 0 ? history.Id : null, isFull, isHuman, now);
            }
            if (parsed.GetValue(quiet))
            {
                foreach (Line line in lines)
                {
                    context.Out.WriteLine(line.Id);
                }
            }
            else if (parsed.GetValue(format) is { } template)
            {
                WriteFormatted(context, template, lines);
            }
            else
            {
                WriteTable(context, lines, isHuman);
            }
            return 0;
        });
        return command;
    }

    // Of an image whose record an older version wrote, the layers are asked.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ImageHistory Find(CommandContext context, string text) => CommandContext.Await(context.Engine.GetHistoryAsync(text));

    private static void WriteTable(CommandContext context, Line[] lines, bool isHuman)
    {
        var table = new Table("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT");
        foreach (Line line in lines)
        {
            table.Add(line.Id, isHuman ? line.CreatedSince : line.CreatedAt, line.CreatedBy, line.Size, line.Comment);
        }
        table.Write(context.Out);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WriteFormatted(CommandContext context, string template, Line[] lines) => Formatted.Write(context.Out, template, lines.Select(l => l.ToJson()));

    private sealed class Line
    {
        internal required string Id { get; init; }
        internal required DateTimeOffset? Created { get; init; }
        internal required string CreatedSince { get; init; }
        internal required string CreatedBy { get; init; }
        internal required string Size { get; init; }
        internal required string Comment { get; init; }

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

    private static Line Describe(HistoryRow row, Digest? id, bool full, bool human, DateTimeOffset now)
    {
        string by = SafeText.OneLine(row.Entry.CreatedBy ?? "");
        return new Line
        {
            Id = id is not { } digest ? "<missing>" : full ? digest.ToString() : digest.Hex[..12].ToString(),
            Created = row.Entry.Created,
            CreatedSince = Ages.Ago(row.Entry.Created, now),
            CreatedBy = full || by.Length <= ShownCharacters ? by : by[..(ShownCharacters - 1)] + "…",
            Size = human ? Sizes.Human(row.Bytes) : Sizes.Whole(row.Bytes),
            Comment = row.Entry.Comment ?? "",
        };
    }
}
