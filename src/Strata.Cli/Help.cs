using Strata.Cli.Commands;
using Strata.Cli.Syntax;

namespace Strata.Cli;

/// <summary>What --help prints: for all commands a list, for one its options and examples.</summary>
internal static class Help
{
    internal static void Write(CommandContext context, string? name, string? subcommand = null) => Write(context, context.Out, name, subcommand);

    internal static void Write(CommandContext context, TextWriter o, string? name, string? subcommand)
    {
        CommandEntry? entry = name is null ? null : CommandTable.TryCreate(name);
        if (entry is null)
        {
            WriteAll(o);
            return;
        }
        Command command = entry.Create(context);
        Command shown = command.Parts.FirstOrDefault(s => s.Name == subcommand) ?? command;
        string words = shown == command ? entry.Name : $"{entry.Name} {shown.Name}";
        string arguments = string.Concat(shown.Arguments.Select(a => a.Least == 0 ? $" [{a.Name}{(a.Most > 1 ? "…" : "")}]" : $" {a.Name}{(a.Most > 1 ? "…" : "")}"));
        o.WriteLine($"Usage: strata {words}{(shown.Parts.Length > 0 && shown.Arguments.Length == 0 ? " COMMAND" : "")}{(shown.Options.Length > 0 ? " [OPTIONS]" : "")}{arguments}");
        o.WriteLine();
        o.WriteLine(shown == command ? entry.Summary + "." : shown.Description + ".");
        if (shown.Parts.Length > 0)
        {
            o.WriteLine("\nCommands:");
            foreach (Command sub in shown.Parts)
            {
                o.WriteLine($"  {sub.Name,-12} {sub.Description}");
            }
        }
        if (shown.Options.Length > 0)
        {
            o.WriteLine("\nOptions:");
            foreach (Option option in shown.Options)
            {
                string names = string.Join(", ", option.Aliases.Where(a => a.Length == 2).Append(option.Name)) + (option.TakesValue ? " " + option.ValueName : "");
                o.WriteLine($"  {(option.Aliases.Any(a => a.Length == 2) ? "" : "    ") + names,-34} {option.Description}");
            }
        }
        o.WriteLine("\nExamples:");
        foreach (string example in entry.Examples.Where(e => shown == command || e.Contains($"strata {words}", StringComparison.Ordinal)))
        {
            o.WriteLine($"  {example}");
        }
    }

    private static void WriteAll(TextWriter o)
    {
        o.WriteLine("Usage: strata [--root DIR] [--runtime PROGRAM] [--snapshotter overlay|erofs|union] [--debug] COMMAND …\n");
        o.WriteLine("Images in layers: build, run, see, keep, move. No daemon.");
        foreach (IGrouping<string, CommandEntry> group in CommandTable.All.GroupBy(c => c.Group))
        {
            o.WriteLine($"\n{group.Key}:");
            foreach (CommandEntry command in group)
            {
                o.WriteLine($"  {command.Name,-12} {command.Summary}");
            }
        }
        o.WriteLine("\nExamples:\n  strata bootstrap debian:bookworm\n  strata build -t app .\n  strata run --rm -it app\n\nstrata COMMAND --help shows a command's options and examples.");
    }
}
