using Strata.Cli.Output;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary><c>strata pin</c> and <c>strata unpin</c>.</summary>
internal static class PinCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("IMAGE", "names: whatever they point to stays; or IDs: that image stays");
        var command = new Command("pin") { names };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            foreach (string pin in await context.Engine.PinAsync(parsed.GetValue(names), cancellationToken))
            {
                context.Out.WriteLine($"Pinned: {SafeText.Escape(pin)}");
            }
            return 0;
        });
        return command;
    }

    internal static Command CreateUnpin(CommandContext context)
    {
        Argument<string[]> names = Options.Many("IMAGE", "names or IDs, as they were pinned");
        var command = new Command("unpin") { names };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await context.Engine.UnpinAsync(parsed.GetValue(names), cancellationToken);
            foreach (string name in parsed.GetValue(names))
            {
                context.Out.WriteLine($"Unpinned: {SafeText.Escape(name)}");
            }
            return 0;
        });
        return command;
    }
}
