using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata exec</c> and <c>strata attach</c>.</summary>
internal static class ExecCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        Argument<string[]> words = Options.Many("COMMAND", "what to run, with its arguments");
        Option<bool> input = Options.Flag("--interactive", "keep its input open", "-i");
        Option<bool> tty = Options.Flag("--tty", "give it a terminal", "-t");
        Option<bool> detach = Options.Flag("--detach", "do not wait for it", "-d");
        Option<string[]> env = Options.Values("--env", "NAME=VALUE", "environment variable; NAME alone takes ours", "-e");
        Option<string[]> envFile = Options.Values("--env-file", "FILE", "environment variables, a line each");
        Option<string?> user = Options.Value("--user", "USER[:GROUP]", "who it runs as", "-u");
        Option<string?> workdir = Options.Value("--workdir", "DIR", "working directory", "-w");
        Option<bool> privileged = Options.Flag("--privileged", "all of the host's capabilities");
        Option<string?> keys = Options.Value("--detach-keys", "KEYS", "the keys that leave it (ctrl-p,ctrl-q)");
        var command = new Command("exec") { name, words, input, tty, detach, env, envFile, user, workdir, privileged, keys };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new ExecOptions
            {
                Arguments = [.. parsed.GetValue(words)],
                Environment = [.. parsed.GetValue(envFile).SelectMany(RunCommand.ReadEnvFile), .. parsed.GetValue(env).Select(RunCommand.Variable).OfType<string>()],
                User = parsed.GetValue(user),
                WorkingDirectory = parsed.GetValue(workdir),
                Terminal = parsed.GetValue(tty),
                Privileged = parsed.GetValue(privileged),
            };
            string container = parsed.GetValue(name);
            if (parsed.GetValue(detach))
            {
                await context.Engine.ExecDetachedAsync(container, options, cancellationToken);
                return 0;
            }
            var how = new Foreground(parsed.GetValue(input), options.Terminal) { DetachKeys = Keys(context, container, parsed.GetValue(keys)) };
            return await RunCommand.ForegroundAsync(context, how, (streams, started) => context.Engine.ExecAsync(container, options, streams, started, cancellationToken));
        });
        return command;
    }

    internal static Command CreateAttach(CommandContext context)
    {
        Argument<string> name = Options.One("CONTAINER", "name or ID");
        Option<bool> noInput = Options.Flag("--no-stdin", "do not pass our input on");
        Option<bool> proxy = Options.FlagOn("--sig-proxy", "pass our signals on (true)");
        Option<string?> keys = Options.Value("--detach-keys", "KEYS", "the keys that leave it (ctrl-p,ctrl-q)");
        var command = new Command("attach") { name, noInput, proxy, keys };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string container = parsed.GetValue(name);
            Container found = context.Engine.GetContainer(container);
            if (found.State.IsPaused)
            {
                throw new StrataException(ErrorKind.Conflict, "you cannot attach to a paused container") { Hint = $"strata unpause {container}" };
            }
            var how = new Foreground(found.Record.Input && !parsed.GetValue(noInput), found.Record.Terminal) { DetachKeys = Keys(context, container, parsed.GetValue(keys)), PassSignals = parsed.GetValue(proxy) };
            return await RunCommand.ForegroundAsync(context, how, (streams, started) => context.Engine.AttachContainerAsync(container, streams, started, cancellationToken));
        });
        return command;
    }

    // What is said now, or what was said when it was created, or Docker's keys.
    private static DetachKeys? Keys(CommandContext context, string container, string? said)
        => DetachKeys.Parse(said ?? context.Engine.GetContainer(container).Record.Life.DetachKeys);
}

/// <summary>How a process in a container is passed on to a person.</summary>
/// <param name="Input">Whether our input is.</param>
/// <param name="Terminal">Whether it has a terminal.</param>
internal sealed record Foreground(bool Input, bool Terminal)
{
    /// <summary>The keys that leave it.</summary>
    internal DetachKeys? DetachKeys { get; init; }
    /// <summary>Whether our signals are passed on.</summary>
    internal bool PassSignals { get; init; } = true;
}
