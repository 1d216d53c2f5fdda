using Strata.Cli.Output;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary><c>strata rm</c>.</summary>
internal static class RmCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs", atLeastOne: false);
        Option<bool> force = Options.Flag("--force", "kill running ones; none of this name is no error", "-f");
        Option<bool> volumes = Options.Flag("--volumes", "their anonymous volumes too", "-v");
        var command = new Command("rm") { names, force, volumes };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            int code = 0;
            foreach (string name in parsed.GetValue(names))
            {
                try
                {
                    await context.Engine.RemoveContainerAsync(name, parsed.GetValue(force), parsed.GetValue(volumes), cancellationToken);
                    context.Out.WriteLine(name);
                }
                catch (StrataException e) when (e.Kind == ErrorKind.NotFound && parsed.GetValue(force))
                {
                    // gone already is what was asked for
                }
                catch (StrataException e)
                {
                    context.Error.WriteLine($"strata: rm: {SafeText.Escape(e.Message)}");
                    if (e.Hint is not null)
                    {
                        context.Error.WriteLine($"hint: {SafeText.Escape(e.Hint)}");
                    }
                    code = 1;
                }
            }
            return code;
        });
        return command;
    }
}
