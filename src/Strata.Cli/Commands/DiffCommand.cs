using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Snapshots;

namespace Strata.Cli.Commands;

/// <summary><c>strata diff</c>.</summary>
internal static class DiffCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        var command = new Command("diff") { name };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            foreach (Change change in await context.Engine.GetContainerChangesAsync(parsed.GetValue(name)!, cancellationToken))
            {
                context.Out.WriteLine($"{change.Kind switch { ChangeKind.Added => 'A', ChangeKind.Deleted => 'D', _ => 'C' }} {SafeText.Escape(change.Path)}");
            }
            return 0;
        });
        return command;
    }
}
