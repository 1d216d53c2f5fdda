using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Content;

namespace Strata.Cli.Commands;

/// <summary><c>strata build cache ls|rm|prune</c>.</summary>
internal static class BuildCacheCommand
{
    internal static Command Create(CommandContext context)
        => new("cache", "ls, rm, prune: what builds keep for the next one") { CreateList(context), CreateRemove(context), CreatePrune(context) };

    private static Command CreateList(CommandContext context)
    {
        Option<bool> quiet = Options.Flag("--quiet", "only IDs", "-q");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json; fields: ID, Type, Size, LastUsed, Description");
        var command = new Command("ls", "List the records of steps and the folders of cache mounts, the last used first") { quiet, format };
        command.SetAction(parsed =>
        {
            IReadOnlyList<BuildCacheEntry> entries = context.Engine.ListBuildCache();
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, [.. entries.Select(e => new JsonObject
                {
                    ["ID"] = e.Id, ["Type"] = e.Type, ["Size"] = e.Bytes, ["LastUsed"] = e.LastUsed.ToString("O", CultureInfo.InvariantCulture), ["Description"] = e.Description,
                })]);
                return 0;
            }
            var table = new Table("ID", "TYPE", "SIZE", "LAST USED", "DESCRIPTION");
            foreach (BuildCacheEntry entry in entries)
            {
                if (parsed.GetValue(quiet))
                {
                    context.Out.WriteLine(entry.Id);
                    continue;
                }
                table.Add(entry.Id[..12], entry.Type, Sizes.Human(entry.Bytes), entry.LastUsed.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture), SafeText.Escape(entry.Description));
            }
            if (!parsed.GetValue(quiet))
            {
                table.Write(context.Out);
            }
            return 0;
        });
        return command;
    }

    private static Command CreateRemove(CommandContext context)
    {
        Argument<string[]> ids = Options.Many("ID", "of records and cache mounts, or how they begin; a cache mount's id too");
        var command = new Command("rm", "Forget records, and remove cache mounts that no step uses") { ids };
        command.SetAction(parsed =>
        {
            foreach (BuildCacheEntry entry in context.Engine.RemoveBuildCache(parsed.GetValue(ids)))
            {
                context.Out.WriteLine(entry.Id);
            }
            return 0;
        });
        return command;
    }

    private static Command CreatePrune(CommandContext context)
    {
        Option<string[]> filter = Options.Values("--filter", "until=TIME", "only what was not used since: 72h, or a date");
        Option<string?> keepStorage = Options.Value("--keep-storage", "SIZE", "so much stays, the most recently used (5GB)");
        Option<bool> dryRun = Options.Flag("--dry-run", "only say what would go");
        Option<bool> force = Options.Flag("--force", "for docker's sake: nothing is asked", "-f");
        var command = new Command("prune", "Remove build cache, and what only it kept") { filter, keepStorage, dryRun, force };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            CollectResult result = await context.Engine.PruneBuildCacheAsync(new PruneOptions
            {
                DryRun = parsed.GetValue(dryRun),
                Until = SystemCommand.Until(parsed.GetValue(filter)),
                KeepStorage = parsed.GetValue(keepStorage) switch { null => null, "0" => 0, string size => StoreSettings.ParseMaxSize(size, "--keep-storage") },
            }, cancellationToken);
            context.Out.WriteLine($"{(parsed.GetValue(dryRun) ? "Would reclaim" : "Total reclaimed space:")} {Sizes.Human(result.Bytes)}");
            return 0;
        });
        return command;
    }
}
