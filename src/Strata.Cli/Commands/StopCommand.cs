using System.Globalization;
using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata stop</c>, <c>kill</c> and <c>wait</c>.</summary>
internal static class StopCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        Option<int> time = Options.Number("--time", "SECONDS", "seconds before it is killed", 10, "-t");
        var command = new Command("stop") { names, time };
        command.SetAction((parsed, cancellationToken) => EachAsync(context, parsed.GetValue(names), async name => await context.Engine.StopContainerAsync(name, TimeSpan.FromSeconds(parsed.GetValue(time)), cancellationToken)));
        return command;
    }

    internal static Command CreateKill(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        Option<string?> signal = Options.Value("--signal", "SIGNAL", "KILL where not said", "-s");
        var command = new Command("kill") { names, signal };
        command.SetAction((parsed, _) => EachAsync(context, parsed.GetValue(names), name =>
        {
            context.Engine.KillContainer(name, Signals.Parse(parsed.GetValue(signal) ?? "KILL"));
            return Task.CompletedTask;
        }));
        return command;
    }

    internal static Command CreateWait(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        var command = new Command("wait") { names };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            foreach (string name in parsed.GetValue(names))
            {
                int? code = await context.Engine.WaitContainerAsync(name, cancellationToken);
                context.Out.WriteLine(code?.ToString(CultureInfo.InvariantCulture) ?? "unknown");
            }
            return 0;
        });
        return command;
    }

    private static async Task<int> EachAsync(CommandContext context, string[] names, Func<string, Task> action)
    {
        foreach (string name in names)
        {
            await action(name);
            context.Out.WriteLine(name);
        }
        return 0;
    }
}
