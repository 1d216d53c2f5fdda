using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Content;

namespace Strata.Cli.Commands;

/// <summary><c>strata system budget</c>: how large the store may become, and what goes when it is larger.</summary>
internal static class BudgetCommand
{
    private const int ShownNext = 10;

    internal static Command Create(CommandContext context)
    {
        Option<string?> maxSize = Options.Value("--max-size", "SIZE", "what the store may take on disk: 20GB, 20GiB, bytes (with --dry-run: only to see)");
        Option<string?> keep = Options.Value("--keep", "TIME", "what was used within this time does not go by itself: 72h");
        Option<bool> off = Options.Flag("--off", "no limit");
        Option<bool> dryRun = Options.Flag("--dry-run", "list what would go, in order, in bytes on disk; remove nothing");
        Option<bool> apply = Options.Flag("--apply", "do it now, not only after the next command that stores something");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json; fields: MaxSize, Keep, Used, Over, Rubbish, Pins, Held, Victims");
        var command = new Command("budget", "Show or set how large the store may become, and what goes when it is larger") { maxSize, keep, off, dryRun, apply, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(off) && (parsed.GetValue(maxSize) is not null || parsed.GetValue(apply)))
            {
                throw new StrataException(ErrorKind.Invalid, "--off goes without --max-size and --apply");
            }
            if (parsed.GetValue(dryRun) && (parsed.GetValue(apply) || parsed.GetValue(off) || parsed.GetValue(keep) is not null))
            {
                throw new StrataException(ErrorKind.Invalid, "--dry-run changes nothing, so it goes only with --max-size");
            }
            string? limit = parsed.GetValue(off) ? "off" : parsed.GetValue(maxSize);
            bool isSet = !parsed.GetValue(dryRun) && (limit is not null || parsed.GetValue(keep) is not null);
            if (parsed.GetValue(apply))
            {
                await ApplyAsync(context, limit, parsed.GetValue(keep), cancellationToken);
                return 0;
            }
            if (isSet)
            {
                await context.Engine.SetBudgetAsync(limit, parsed.GetValue(keep), cancellationToken);
            }
            BudgetReport report = await context.Engine.GetBudgetAsync(isSet ? Budgets.FromEnvironment : limit ?? Budgets.FromEnvironment, cancellationToken);
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, [Describe(report)]);
            }
            else if (parsed.GetValue(dryRun))
            {
                WriteVictims(context, report);
            }
            else
            {
                Write(context, report);
            }
            return 0;
        });
        return command;
    }

    // First the room, then the note of it: a full disk has no block for the note.
    private static async Task ApplyAsync(CommandContext context, string? limit, string? keep, CancellationToken cancellationToken)
    {
        if (keep is not null)
        {
            await context.Engine.SetBudgetAsync(null, keep, cancellationToken);
        }
        if (context.Engine.GetBudgetLimit(limit ?? Budgets.FromEnvironment) is null)
        {
            throw NoLimit();
        }
        BudgetReport? report = await context.Engine.KeepBudgetAsync(limit ?? Budgets.FromEnvironment, cancellationToken);
        if (limit is not null)
        {
            await context.Engine.SetBudgetAsync(limit, null, cancellationToken);
        }
        context.Out.WriteLine(report is null ? "Nothing had to go." : $"Total reclaimed space: {Sizes.Human(report.UsedBytes - report.LeftBytes)}");
        if (report is not null)
        {
            Budgets.Tell(context, report, isQuiet: false);
        }
    }

    private static StrataException NoLimit() => new(ErrorKind.Invalid, "the store has no limit") { Hint = "set one with --max-size 20GB" };

    private static void Write(CommandContext context, BudgetReport report)
    {
        DateTimeOffset now = CommandContext.Time.GetUtcNow();
        var table = new Table("WHAT", "SIZE", "WHY");
        table.Add("Limit", report.LimitBytes is { } limit ? Sizes.Human(limit, 4) : "none", report.LimitBytes is null ? "set one with --max-size 20GB"
            : Budgets.FromEnvironment is null ? "gc.maxSize" : $"{Budgets.Variable} says so");
        table.Add("Used", Sizes.Human(report.UsedBytes, 4), report.IsOver || report.UsedBytes > report.LimitBytes ? "over the limit: see --dry-run and --apply" : "as du counts");
        foreach ((BudgetHold hold, long bytes) in report.Held.Where(h => h.Value > 0))
        {
            table.Add(Budgets.Title(hold), Sizes.Human(bytes, 4), Budgets.Why(hold, report));
        }
        if (report.VolumeBytes > 0)
        {
            table.Add("Volumes", Sizes.Human(report.VolumeBytes, 4), "never go by themselves");
        }
        table.Add("Rubbish", Sizes.Human(report.RubbishBytes, 4), "what nobody needs: goes first");
        table.Write(context.Out);
        foreach (string pin in report.Settings.Pins)
        {
            context.Out.WriteLine($"Pin: {SafeText.Escape(pin)}");
        }
        if (report.Next.Length > 0)
        {
            context.Out.WriteLine("\nNext to go, when room is needed:");
            WriteTable(context, report.Next.Take(ShownNext), now, v => Sizes.Human(v.Bytes));
            if (report.Next.Length > ShownNext)
            {
                context.Out.WriteLine($"and {(report.Next.Length - ShownNext).ToString(CultureInfo.InvariantCulture)} more");
            }
        }
    }

    private static void WriteVictims(CommandContext context, BudgetReport report)
    {
        if (report.LimitBytes is not { } limit)
        {
            throw NoLimit();
        }
        long rubbish = report.UsedBytes > limit ? report.RubbishBytes : 0, left = report.LeftBytes;
        if (report.UsedBytes > limit)
        {
            context.Out.WriteLine($"rubbish: {rubbish.ToString(CultureInfo.InvariantCulture)} bytes");
            WriteTable(context, report.Victims, CommandContext.Time.GetUtcNow(), v => v.Bytes.ToString(CultureInfo.InvariantCulture));
        }
        context.Out.WriteLine($"Would reclaim {(report.UsedBytes - left).ToString(CultureInfo.InvariantCulture)} bytes ({Sizes.Human(report.UsedBytes - left)}); the store would take {Sizes.Human(left, 4)} of {Sizes.Human(limit, 4)}");
        if (report.IsOver)
        {
            context.Error.WriteLine("strata: " + Budgets.Warning(report));
        }
    }

    private static void WriteTable(CommandContext context, IEnumerable<BudgetVictim> victims, DateTimeOffset now, Func<BudgetVictim, string> size)
    {
        var table = new Table("KIND", "NAME", "LAST USED", "SIZE");
        foreach (BudgetVictim victim in victims)
        {
            const int NameLength = 60;
            string name = SafeText.Escape(SafeText.OneLine(victim.Item.Name));
            table.Add(Budgets.Kind(victim.Item.Kind), name.Length > NameLength ? name[..(NameLength - 1)] + "…" : name, Ages.Ago(victim.Item.LastUsed, now), size(victim));
        }
        table.Write(context.Out);
    }

    private static JsonObject Describe(BudgetReport report)
    {
        var held = new JsonObject();
        foreach ((BudgetHold hold, long bytes) in report.Held)
        {
            held[hold.ToString()] = bytes;
        }
        return new JsonObject
        {
            ["MaxSize"] = report.LimitBytes,
            ["Keep"] = StoreSettings.Format(report.Settings.Keep),
            ["Used"] = report.UsedBytes,
            ["Over"] = report.UsedBytes > report.LimitBytes,
            ["Rubbish"] = report.RubbishBytes,
            ["Pins"] = new JsonArray([.. report.Settings.Pins.Select(p => (JsonNode)p)]),
            ["Held"] = held,
            ["Victims"] = new JsonArray([.. report.Victims.Select(v => (JsonNode)new JsonObject { ["Kind"] = Budgets.Kind(v.Item.Kind), ["Name"] = v.Item.Name, ["Bytes"] = v.Bytes })]),
        };
    }
}

/// <summary>What is said of a budget that was kept, and of one that was not.</summary>
internal static class Budgets
{
    internal const string Variable = "STRATA_GC_MAX_SIZE";

    /// <summary>A limit that stands over the store's own.</summary>
    internal static string? FromEnvironment => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } text ? text : null;

    /// <summary>After a command that stored something. Its work is done whatever becomes of this: what goes wrong here is a line, and not the command's end.</summary>
    internal static async Task KeepAsync(CommandContext context, bool isQuiet)
    {
        try
        {
            if (await context.Engine.KeepBudgetAsync(FromEnvironment, context.Cancellation) is { } report)
            {
                Tell(context, report, isQuiet);
            }
        }
        catch (Exception e) when (e is StrataException or IOException or UnauthorizedAccessException)
        {
            context.Error.WriteLine($"strata: budget: {SafeText.Escape(e.Message)}");
            if (e is StrataException { Hint: { } hint })
            {
                context.Error.WriteLine($"hint: {SafeText.Escape(hint)}");
            }
        }
        catch (OperationCanceledException)
        {
            context.Error.WriteLine("strata: budget: interrupted; the rest goes after the next command");
        }
    }

    internal static void Tell(CommandContext context, BudgetReport report, bool isQuiet)
    {
        if (!isQuiet && report.UsedBytes > report.LeftBytes)
        {
            context.Error.WriteLine("strata: " + Gone(report));
        }
        if (report.IsOver)
        {
            context.Error.WriteLine("strata: " + Warning(report));
        }
    }

    internal static string Kind(BudgetKind kind) => kind switch { BudgetKind.CacheRecord => "cache", BudgetKind.UnnamedImage => "<none>", _ => "image" };

    internal static string Title(BudgetHold hold) => hold switch { BudgetHold.Container => "Containers", BudgetHold.Pin => "Pinned", BudgetHold.InUse => "In use", _ => "Recent" };

    internal static string Why(BudgetHold hold, BudgetReport report) => hold switch
    {
        BudgetHold.Container => "containers, running or stopped, need it",
        BudgetHold.Pin => "pinned (strata unpin lets it go)",
        BudgetHold.InUse => "in use at this moment",
        _ => $"used within {StoreSettings.Format(report.Settings.Keep)} (gc.keep)",
    };

    internal static string Warning(BudgetReport report)
    {
        IEnumerable<string> reasons = report.Held.Where(h => h.Value > 0).Select(h => $"{Sizes.Human(h.Value)} {Reason(h.Key, report)}");
        reasons = report.VolumeBytes > 0 ? reasons.Append($"{Sizes.Human(report.VolumeBytes)} in volumes") : reasons;
        reasons = report.OthersAtWork ? reasons.Append("another process is at work and what it may need waits for the next command") : reasons;
        string why = string.Join(", ", reasons);
        return $"warning: the store takes {Sizes.Human(report.LeftBytes, 4)}, its limit is {Sizes.Human(report.LimitBytes ?? 0, 4)}{(why.Length > 0 ? ": " + why : "")}";
    }

    private static string Reason(BudgetHold hold, BudgetReport report) => hold switch
    {
        BudgetHold.Container => "held by containers",
        BudgetHold.Pin => "pinned",
        BudgetHold.InUse => "in use",
        _ => $"used within {StoreSettings.Format(report.Settings.Keep)}",
    };

    private static string Gone(BudgetReport report)
    {
        int records = report.Victims.Count(v => v.Item.Kind == BudgetKind.CacheRecord);
        BudgetVictim[] images = [.. report.Victims.Where(v => v.Item.Kind != BudgetKind.CacheRecord)];
        const int Named = 5;
        string names = string.Join(", ", images.Take(Named).Select(v => SafeText.Escape(v.Item.Name))) + (images.Length > Named ? ", …" : "");
        List<string> parts = [];
        if (records > 0)
        {
            parts.Add($"{records.ToString(CultureInfo.InvariantCulture)} cached build step{(records == 1 ? "" : "s")}");
        }
        if (images.Length > 0)
        {
            parts.Add($"{images.Length.ToString(CultureInfo.InvariantCulture)} image{(images.Length == 1 ? "" : "s")} ({names})");
        }
        return $"removed {(parts.Count == 0 ? "what nobody needed" : string.Join(" and ", parts))} to stay within {Sizes.Human(report.LimitBytes ?? 0, 4)}: {Sizes.Human(report.UsedBytes - report.LeftBytes)} freed, {Sizes.Human(report.LeftBytes, 4)} used";
    }
}
