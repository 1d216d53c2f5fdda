using Strata.Cli.Output;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary><c>strata rmi</c>.</summary>
internal static class RmiCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("IMAGE", "names or IDs");
        Option<bool> force = Options.Flag("--force", "all names of an ID; also where stopped containers use it", "-f");
        var command = new Command("rmi") { names, force };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            int code = 0;
            foreach (string name in parsed.GetValue(names))
            {
                try
                {
                    foreach (string line in await context.Engine.RemoveImageAsync(name, parsed.GetValue(force), cancellationToken))
                    {
                        context.Out.WriteLine(SafeText.Escape(line));
                    }
                }
                catch (StrataException e) when (parsed.GetValue(names).Length > 1)
                {
                    context.Error.WriteLine($"strata: rmi: {SafeText.Escape(e.Message)}");
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
