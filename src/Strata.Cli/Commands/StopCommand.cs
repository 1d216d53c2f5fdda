using System.Globalization;
using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata stop</c>, <c>kill</c> and <c>wait</c>.</summary>
internal static class StopCommand
{
    /// <summary>No number of seconds that anybody says.</summary>
    internal const int NotSaid = int.MinValue;

    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        Option<int> time = Options.Number("--time", "SECONDS", "seconds before it is killed (10, or what it was created with); -1: wait for ever", NotSaid, "-t", "--timeout");
        Option<string?> signal = Options.Value("--signal", "SIGNAL", "the signal that asks it to stop", "-s");
        var command = new Command("stop") { names, time, signal };
        command.SetAction((parsed, cancellationToken) => PauseCommand.EachAsync(context, "stop", parsed.GetValue(names), async name
            => await context.Engine.StopContainerAsync(name, Patience(parsed.GetValue(time)), parsed.GetValue(signal) is { } text ? Signals.Parse(text) : null, cancellationToken)));
        return command;
    }

    internal static Command CreateKill(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        Option<string?> signal = Options.Value("--signal", "SIGNAL", "KILL where not said", "-s");
        var command = new Command("kill") { names, signal };
        command.SetAction((parsed, _) => PauseCommand.EachAsync(context, "kill", parsed.GetValue(names), name =>
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

    /// <summary>Seconds; below zero: without end; null: what the container was created with.</summary>
    internal static TimeSpan? Patience(int seconds) => seconds == NotSaid ? null : TimeSpan.FromSeconds(seconds);
}
