using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata start</c>.</summary>
internal static class StartCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("CONTAINER", "names or IDs");
        Option<bool> attach = Options.Flag("--attach", "pass its output on, and end with its exit code", "-a");
        Option<bool> input = Options.Flag("--interactive", "pass our input on", "-i");
        Option<string?> keys = Options.Value("--detach-keys", "KEYS", "the keys that leave it (ctrl-p,ctrl-q)");
        var command = new Command("start") { names, attach, input, keys };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string[] all = parsed.GetValue(names);
            if (!parsed.GetValue(attach) && !parsed.GetValue(input))
            {
                foreach (string name in all)
                {
                    await context.Engine.StartContainerAsync(name, cancellationToken);
                    context.Out.WriteLine(name);
                }
                return 0;
            }
            if (all.Length > 1)
            {
                throw new StrataException(ErrorKind.Invalid, "only one container can be attached to at a time");
            }
            ContainerRecord record = context.Engine.GetContainer(all[0]).Record;
            return await RunCommand.ForegroundAsync(context, new Foreground(parsed.GetValue(input) && record.Input, record.Terminal) { DetachKeys = DetachKeys.Parse(parsed.GetValue(keys) ?? record.Life.DetachKeys) }, (streams, started) => context.Engine.StartContainerAsync(all[0], streams, started, cancellationToken));
        });
        return command;
    }
}
