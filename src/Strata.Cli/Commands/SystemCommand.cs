using System.Globalization;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Content;
using Strata.Linux;
using Strata.Server;

namespace Strata.Cli.Commands;

/// <summary><c>strata system df|prune|budget|check|migrate|dedupe</c>.</summary>
internal static class SystemCommand
{
    internal static Command Create(CommandContext context) => new("system") { UsageCommand.Create(context), CreatePrune(context), BudgetCommand.Create(context), CreateCheck(context), CreateMigrate(context), CreateDedupe(context) };

    private static Command CreateMigrate(CommandContext context)
    {
        var command = new Command("migrate", "Apply the layers of all images for the snapshotter that is chosen (strata --snapshotter NAME system migrate), and remove what others have of them");
        command.SetAction(async (parsed, cancellationToken) =>
        {
            Migration done = await context.Engine.MigrateAsync(cancellationToken);
            context.Out.WriteLine($"{done.Images} images are {done.Snapshotter}'s; {done.Removed} file systems of other snapshotters were removed");
            if (done.Kept > 0)
            {
                context.Error.WriteLine($"{done.Kept} stay, because containers stand on them");
            }
            return 0;
        });
        return command;
    }

    private static Command CreateDedupe(CommandContext context)
    {
        Option<string?> minimum = Options.Value("--min-size", "SIZE", "smaller files stay in their layers (16KiB)");
        Option<bool> dryRun = Options.Flag("--dry-run", "only say what it would give back");
        var command = new Command("dedupe", "Keep files that several layers have once on disk; strata sharing shows them") { minimum, dryRun };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new DedupeOptions { DryRun = parsed.GetValue(dryRun) };
            if (parsed.GetValue(minimum) is { } size)
            {
                options = options with { MinimumBytes = ByteSize.TryParse(size, out long bytes) && bytes > 0 ? bytes : throw new StrataException(ErrorKind.Invalid, $"--min-size {size}: a size above 0, such as 16KiB or 1MB") };
            }
            DedupeResult done = await context.Engine.DedupeAsync(options, cancellationToken);
            context.Out.WriteLine(done.Changed == 0 ? $"{Plural(done.Layers, "layer")}: no files to share that are not shared"
                : $"{Plural(done.Files, "file")} of {Plural(done.Changed, "layer")} {(options.DryRun ? "would have" : "have")} one place now: {Sizes.Human(done.Bytes)} {(options.DryRun ? "would be given back" : "given back")}");
            return 0;
        });
        return command;
    }

    private static string Plural(int count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}{(count == 1 ? "" : "s")}");

    private static Command CreatePrune(CommandContext context)
    {
        Option<bool> all = Options.Flag("--all", "images that no container uses, too", "-a");
        Option<bool> force = Options.Flag("--force", "do not ask", "-f");
        Option<bool> dryRun = Options.Flag("--dry-run", "only say what would go");
        Option<string?> keepStorage = Options.Value("--keep-storage", "SIZE", "so much build cache stays, the most recently used (5GB)");
        Option<string[]> filter = Options.Values("--filter", "until=TIME", "only what was made (build cache: used) before a time, or so long ago (24h)");
        var command = new Command("prune", "Remove stopped containers, networks without containers, images without names, the build cache, and what nobody needs") { all, force, dryRun, keepStorage, filter };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new PruneOptions
            {
                All = parsed.GetValue(all), DryRun = parsed.GetValue(dryRun), Until = Until(parsed.GetValue(filter)),
                KeepStorage = parsed.GetValue(keepStorage) switch { null => null, "0" => 0, string size => StoreSettings.ParseMaxSize(size, "--keep-storage") },
            };
            if (!parsed.GetValue(force) && !parsed.GetValue(dryRun))
            {
                if (!Terminal.IsTerminal(0))
                {
                    throw new StrataException(ErrorKind.Invalid, "prune asks first, and there is nobody to ask") { Hint = "say so with --force" };
                }
                context.Error.Write("This removes stopped containers, networks that no container is in, images without names and the build cache. Go on? [y/N] ");
                if (Console.ReadLine() is not ("y" or "Y" or "yes"))
                {
                    return 1;
                }
            }
            CollectResult result = await context.Engine.PruneAsync(options, cancellationToken);
            context.Out.WriteLine($"{(parsed.GetValue(dryRun) ? "Would reclaim" : "Total reclaimed space:")} {Sizes.Human(result.Bytes)}");
            return 0;
        });
        return command;
    }

    internal static DateTimeOffset? Until(string[] filters)
    {
        DateTimeOffset? until = null;
        foreach (string filter in filters)
        {
            string value = filter.StartsWith("until=", StringComparison.Ordinal) ? filter["until=".Length..] : throw new StrataException(ErrorKind.Invalid, $"filter {filter}: there is until=TIME");
            until = value.Contains('-', StringComparison.Ordinal) && DateTimeOffset.TryParse(value, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time) ? time
                : CommandContext.Time.GetUtcNow() - StoreSettings.ParseDuration(value, $"filter {filter}");
        }
        return until;
    }

    private static Command CreateCheck(CommandContext context)
    {
        Option<bool> deep = Options.Flag("--deep", "hash every blob");
        Option<bool> repair = Options.Flag("--repair", "take away what does not verify");
        var command = new Command("check", "Look whether the store is whole; ends with 3 where it is not") { deep, repair };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            IReadOnlyList<StoreProblem> problems = await context.Engine.CheckAsync(parsed.GetValue(deep), parsed.GetValue(repair), cancellationToken);
            foreach (StoreProblem problem in problems)
            {
                context.Out.WriteLine($"{SafeText.Escape(problem.Path)}: {SafeText.Escape(problem.What)}; {SafeText.Escape(problem.Advice)}");
            }
            context.Out.WriteLine($"{problems.Count} problems");
            return problems.Count == 0 ? 0 : ErrorTable.CheckFailedExitCode;
        });
        return command;
    }
}
