using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata pause</c>, <c>unpause</c>, <c>restart</c> and <c>rename</c>.</summary>
internal static class PauseCommand
{
    internal static Command Create(CommandContext context)
        => Each(context, "pause", (engine, name, cancellationToken) => engine.PauseContainerAsync(name, cancellationToken));

    internal static Command CreateUnpause(CommandContext context)
        => Each(context, "unpause", (engine, name, cancellationToken) => engine.UnpauseContainerAsync(name, cancellationToken));

    internal static Command CreateRestart(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        Option<int> time = Options.Number("--time", "SECONDS", "seconds before it is killed; -1: wait for ever", StopCommand.NotSaid, "-t", "--timeout");
        Option<string?> signal = Options.Value("--signal", "SIGNAL", "the signal that asks it to stop", "-s");
        var command = new Command("restart") { names, time, signal };
        command.SetAction((parsed, cancellationToken) => EachAsync(context, "restart", parsed.GetValue(names), async name
            => await context.Engine.RestartContainerAsync(name, StopCommand.Patience(parsed.GetValue(time)), parsed.GetValue(signal) is { } text ? Signals.Parse(text) : null, cancellationToken)));
        return command;
    }

    internal static Command CreateRename(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        Argument<string> newName = Options.One("NEW_NAME", "its new name");
        var command = new Command("rename") { name, newName };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await context.Engine.RenameContainerAsync(parsed.GetValue(name), parsed.GetValue(newName), cancellationToken);
            return 0;
        });
        return command;
    }

    private static Command Each(CommandContext context, string verb, Func<Engine, string, CancellationToken, ValueTask> action)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        var command = new Command(verb) { names };
        command.SetAction((parsed, cancellationToken) => EachAsync(context, verb, parsed.GetValue(names), async name => await action(context.Engine, name, cancellationToken)));
        return command;
    }

    /// <summary>Does something to each; one that fails is said, and the others are done all the same, as Docker does.</summary>
    internal static async Task<int> EachAsync(CommandContext context, string verb, string[] names, Func<string, Task> action)
    {
        int code = 0;
        foreach (string name in names)
        {
            try
            {
                await action(name);
                context.Out.WriteLine(name);
            }
            catch (StrataException e) when (names.Length > 1)
            {
                context.Out.Flush();
                context.Error.WriteLine($"strata: {verb}: {SafeText.Escape(e.Message)}");
                code = 1;
            }
        }
        return code;
    }
}
