using Strata.Cli.Syntax;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata tag</c>.</summary>
internal static class TagCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> source = Options.One("SOURCE", "image, by name or ID");
        Argument<string> target = Options.One("TARGET", "its further name");
        var command = new Command("tag") { source, target };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await context.Engine.TagAsync(parsed.GetValue(source)!, ImageReference.Parse(parsed.GetValue(target)!), cancellationToken);
            return 0;
        });
        return command;
    }
}
