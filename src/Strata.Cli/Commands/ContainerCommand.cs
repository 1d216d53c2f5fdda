using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata container</c>: what has no name of its own. All other commands about containers can be said behind it, as with Docker.</summary>
internal static class ContainerCommand
{
    internal static Command Create(CommandContext context)
        => new("container") { CreatePrune(context), CreateUnits(context), CreateBoot(context), CreateCleanup(context), CreateHealth(context) };

    /// <summary>The command that <c>container WORD</c> is, where it is one of its own; else null.</summary>
    internal static string? Aliased(string word) => word switch
    {
        "ls" or "list" => "ps",
        "prune" or "units" or "boot" or "cleanup" or "health" => null,
        _ => CommandTable.TryCreate(word) is { Group: "Containers" } or { Name: "inspect" } ? word : null,
    };

    private static Command CreatePrune(CommandContext context)
    {
        Option<bool> force = Options.Flag("--force", "do not ask (it never does)", "-f");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "until=TIME, label=NAME[=VALUE], label!=NAME[=VALUE]");
        var command = new Command("prune", "Remove all containers that do not run") { force, filter };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            Func<Container, bool>[] wanted = [.. parsed.GetValue(filter).Select(ReadFilter)];
            (IReadOnlyList<string> ids, long bytes) = await context.Engine.PruneContainersAsync(c => wanted.All(w => w(c)), cancellationToken);
            if (ids.Count > 0)
            {
                context.Out.WriteLine("Deleted Containers:");
                foreach (string id in ids)
                {
                    context.Out.WriteLine(id);
                }
                context.Out.WriteLine("");
            }
            context.Out.WriteLine($"Total reclaimed space: {Sizes.Human(bytes)}");
            return 0;
        });
        return command;
    }

    private static Func<Container, bool> ReadFilter(string text)
    {
        string[] parts = text.Split('=', 2);
        if (parts is ["until", { } time])
        {
            DateTimeOffset? before = Durations.Time(time, "--filter until");
            return c => c.Record.Created < before;
        }
        if (parts is ["label" or "label!", { } label])
        {
            string[] pair = label.Split('=', 2);
            bool Has(Container c) => c.Record.Labels.TryGetValue(pair[0], out string? found) && (pair.Length == 1 || found == pair[1]);
            return parts[0] == "label" ? Has : c => !Has(c);
        }
        throw new StrataException(ErrorKind.Invalid, $"filter {text}: there are until=TIME, label=NAME[=VALUE] and label!=NAME[=VALUE]");
    }

    private static Command CreateUnits(CommandContext context)
    {
        var command = new Command("units", "Print a systemd unit that starts containers at boot as their --restart says");
        command.SetAction(_ =>
        {
            string program = string.Join(' ', CommandContext.ProgramWords(context.Global));
            context.Out.WriteLine($"""
                # strata container units > /etc/systemd/system/strata-containers.service && systemctl enable strata-containers
                [Unit]
                Description=Containers of strata with a restart policy
                Wants=network-online.target
                After=network-online.target local-fs.target

                [Service]
                Type=oneshot
                RemainAfterExit=yes
                KillMode=none
                ExecStart={program} container boot
                ExecStop=/bin/sh -c '{program} ps -q | xargs -r {program} stop'

                [Install]
                WantedBy=multi-user.target
                """);
            return 0;
        });
        return command;
    }

    private static Command CreateBoot(CommandContext context)
    {
        var command = new Command("boot", "Start containers as their --restart says for a boot");
        command.SetAction(async (_, cancellationToken) =>
        {
            foreach (ContainerRecord record in await context.Engine.StartAtBootAsync(cancellationToken))
            {
                context.Out.WriteLine(record.Name);
            }
            return 0;
        });
        return command;
    }

    private static Command CreateCleanup(CommandContext context)
    {
        Argument<string> id = Options.One("CONTAINER", "its whole ID");
        Option<bool> wait = Options.Flag("--wait", "wait for its end first");
        var command = new Command("cleanup", "Start again, remove or tidy up a container that is over (its monitor calls this)") { id, wait };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(wait))
            {
                await context.Engine.WaitContainerAsync(parsed.GetValue(id), cancellationToken);
            }
            await context.Engine.FinishContainerAsync(parsed.GetValue(id), cancellationToken);
            return 0;
        });
        return command;
    }

    private static Command CreateHealth(CommandContext context)
    {
        var command = new Command("health", "Check the health of containers that have a check, until none runs (started by itself)");
        command.SetAction(async (_, cancellationToken) =>
        {
            await context.Engine.SuperviseHealthAsync(cancellationToken);
            return 0;
        });
        return command;
    }
}
