using Strata.Cli.Output;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary><c>strata mount</c> and <c>strata umount</c>.</summary>
internal static class MountCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string?> name = Options.Maybe("NAME", "container or image; without it, what is mounted is listed");
        Option<bool> readOnly = Options.Flag("--ro", "a container read-only, too");
        var command = new Command("mount") { name, readOnly };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(name) is { } wanted)
            {
                context.Out.WriteLine(await context.Engine.MountAsync(wanted, parsed.GetValue(readOnly), cancellationToken));
                return 0;
            }
            var table = new Table("NAME", "PATH");
            foreach ((string mounted, string path) in context.Engine.ListMounts())
            {
                table.Add(mounted, path);
            }
            table.Write(context.Out);
            return 0;
        });
        return command;
    }

    internal static Command CreateUnmount(CommandContext context)
    {
        Argument<string[]> names = Options.Many("NAME", "containers or images");
        var command = new Command("umount") { names };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            foreach (string name in parsed.GetValue(names))
            {
                await context.Engine.UnmountAsync(name, cancellationToken);
                context.Out.WriteLine(name);
            }
            return 0;
        });
        return command;
    }
}
