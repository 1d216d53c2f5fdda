using Strata.Cli.Commands;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Linux;
using Strata.Rootless;
using Strata.Server;
using Strata.Snapshots;

namespace Strata.Cli;

/// <summary>
/// From arguments to an exit code. Only the command that is asked for is built (the whole tree only for help and completion): a listing is
/// over before a tree of forty commands would stand.
/// </summary>
internal static class CommandLine
{
    private const int EngineFailed = 125; // run, create, start: what the container itself cannot have said

    private const int ReaderGone = 141; // 128 + SIGPIPE: what other programs die of

    internal static int Run(string[] args)
    {
        var global = new GlobalOptions();
        global.Words = args;
        string? problem = ReadGlobal(global, args, out string[] words);
        using var context = new CommandContext(global);
        int code = problem is null ? Run(context, words) : Usage(context, problem);
        try
        {
            context.Out.Flush();
            return code;
        }
        catch (IOException e)
        {
            // An answer that nobody got is no success; a reader that has read enough is no failure of ours.
            return CommandContext.IsReaderGone(e) ? ReaderGone : Report(context, e.Message, code == 0 ? 1 : code);
        }
    }

    private static int Run(CommandContext context, string[] rest)
    {
        string name = rest.Length == 0 ? "help" : rest[0];
        if (name is "help" or "--help" or "-h" or "-?")
        {
            Help.Write(context, rest.Length > 1 ? rest[1] : null);
            return 0;
        }
        if (name is "--version" or "-v")
        {
            rest = ["version"];
            name = "version";
        }
        if (name == "complete")
        {
            return Completion.Complete(context, rest[1..]);
        }
        if (name == "container" && rest.Length > 1 && ContainerCommand.Aliased(rest[1]) is { } meant)
        {
            rest = [meant, .. rest[2..]];
            name = meant;
        }
        if (CommandTable.TryCreate(name) is not { } command)
        {
            string? near = CommandTable.Nearest(name);
            return Usage(context, $"unknown command: {name}", near is null ? "strata --help lists them" : $"did you mean: strata {near}");
        }
        return Invoke(context, command, rest);
    }

    private static int Invoke(CommandContext context, CommandEntry entry, string[] args)
    {
        Command command = entry.Create(context);
        ParseResult parsed = command.Parse(args[1..], entry.TakesCommand);
        if (parsed.WantsHelp)
        {
            Help.Write(context, entry.Name, parsed.Command == command ? null : parsed.Command.Name);
            return 0;
        }
        if (parsed.Problem is { } problem)
        {
            int code = Usage(context, $"{entry.Name}: {problem}", $"strata {entry.Name} --help shows how it is used");
            return entry.IsContainer ? EngineFailed : code;
        }
        int ended = Host.EffectiveUserId != 0 && !entry.IsForAnybody ? RunRootless(context, entry) : Run(context, entry, parsed);
        if (entry.Grows && context is { HasEngine: true, IsCancelled: false })
        {
            KeepBudget(context, parsed.IsQuiet);
        }
        return ended;
    }

    // Only a failure comes back: the command itself is run by the program that this process becomes.
    private static int RunRootless(CommandContext context, CommandEntry entry)
    {
        try
        {
            UserNamespaceEntry.Enter(Environment.ProcessPath!, context.Global.Words, line => Tell(context, "strata: " + line));
            return 1;
        }
        catch (StrataException e)
        {
            return Fail(context, entry, e, entry.IsContainer ? EngineFailed : ErrorTable.ExitCode(e.Kind), e.Hint);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Fail(context, entry, e, entry.IsContainer ? EngineFailed : 1);
        }
    }

    private static void KeepBudget(CommandContext context, bool isQuiet)
    {
        context.Out.Flush();
        Budgets.KeepAsync(context, isQuiet).GetAwaiter().GetResult();
    }

    private static int Run(CommandContext context, CommandEntry entry, ParseResult parsed)
    {
        try
        {
            return parsed.Command.Invoke(parsed, entry.IsListing ? CancellationToken.None : context.Cancellation);
        }
        catch (ContainerStartException e)
        {
            return Fail(context, entry, e, e.ExitCode);
        }
        catch (OperationCanceledException) when (context.IsCancelled)
        {
            return ErrorTable.InterruptedExitCode;
        }
        catch (StrataException e)
        {
            return Fail(context, entry, e, entry.IsContainer ? EngineFailed : ErrorTable.ExitCode(e.Kind), e.Hint);
        }
        catch (IOException e) when (CommandContext.IsReaderGone(e))
        {
            return ReaderGone;
        }
        catch (LinuxException e)
        {
            return Fail(context, entry, e, entry.IsContainer ? EngineFailed : 1, HintFor(context, e));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or HttpRequestException or InvalidDataException)
        {
            return Fail(context, entry, e, entry.IsContainer ? EngineFailed : 1);
        }
#pragma warning disable CA1031 // the last line of defence: a person gets one line, and the trace when asked for
        catch (Exception e)
        {
            return Fail(context, entry, e, entry.IsContainer ? EngineFailed : 1, "this is a fault of strata itself; --debug shows where", "internal error: ");
        }
#pragma warning restore CA1031
    }

    private static int Fail(CommandContext context, CommandEntry entry, Exception e, int code, string? hint = null, string prefix = "")
    {
        try
        {
            context.Out.Flush(); // what was said before comes before the failure
        }
        catch (IOException)
        {
            // the failure that is being told counts for more
        }
        Tell(context, $"strata: {entry.Name}: {prefix}{SafeText.Escape(OneLine(e.Message))}");
        if ((e as DockerfileException)?.Excerpt is { } excerpt)
        {
            Tell(context, SafeText.Lines(excerpt.Text));
        }
        if (hint is not null)
        {
            Tell(context, $"hint: {SafeText.Escape(hint)}");
        }
        if (context.Global.Debug)
        {
            Tell(context, e.ToString());
        }
        return code;
    }

    private static int Report(CommandContext context, string message, int code)
    {
        Tell(context, $"strata: {SafeText.Escape(OneLine(message))}");
        return code;
    }

    private static void Tell(CommandContext context, string line)
    {
        try
        {
            context.Error.WriteLine(line);
        }
        catch (IOException)
        {
            // nobody can be told (a full disk, a closed pipe): the exit code says that it failed
        }
    }

    private static string OneLine(string message) => SafeText.OneLine(message).Trim();

    private static string? HintFor(CommandContext context, LinuxException e) => e.Errno switch
    {
        Errno.ENOSPC or Errno.EDQUOT => $"no space is left: {Sizes.Human(FileSystems.GetSpace(ExistingParent(context.Global.Root)).FreeBytes)} free on the store's file system; strata system prune or strata rmi make room",
        Errno.EACCES or Errno.EPERM when UserPlaces.IsRootless => "an ordinary user needs a store of the own (the default, or --root); root's is for: sudo strata …",
        Errno.EINVAL when e.Call == "chown" && UserNamespace.Current is not null => UserNamespace.MoreIds,
        Errno.EMFILE or Errno.ENFILE => "too many open files: raise the limit with ulimit -n",
        _ => null,
    };

    private static string ExistingParent(string path)
    {
        while (!Directory.Exists(path))
        {
            path = Path.GetDirectoryName(path) ?? "/";
        }
        return path;
    }

    private static int Usage(CommandContext context, string problem, string? hint = null)
    {
        Tell(context, $"strata: {SafeText.Escape(problem)}");
        if (hint is not null)
        {
            Tell(context, $"hint: {SafeText.Escape(hint)}");
        }
        return ErrorTable.UsageExitCode;
    }

    // What is said before the command. Returns what is wrong with it, or null and the words from the command on.
    private static string? ReadGlobal(GlobalOptions global, string[] args, out string[] words)
    {
        words = [];
        int i = 0;
        for (; i < args.Length && args[i].StartsWith("--", StringComparison.Ordinal); i++)
        {
            if (args[i] == "--debug")
            {
                global.Debug = true;
                continue;
            }
            int sign = 2;
            while (sign < args[i].Length && args[i][sign] != '=')
            {
                sign++;
            }
            string name = args[i][..sign];
            if (name is not ("--root" or "--runtime" or "--snapshotter"))
            {
                break;
            }
            string? value = sign < args[i].Length ? args[i][(sign + 1)..] : ++i < args.Length ? args[i] : null;
            if (string.IsNullOrEmpty(value))
            {
                return $"{name} needs a value";
            }
            switch (name)
            {
                case "--root":
                    global.Root = LinuxPath.GetFull(value);
                    break;
                case "--snapshotter":
                    global.Snapshotter = value;
                    break;
                default:
                    global.Runtime = value;
                    break;
            }
        }
        if (global.Snapshotter is { } snapshotter && !SnapshotterChoice.Names.Contains(snapshotter))
        {
            return $"--snapshotter {snapshotter}: there are {SnapshotterChoice.NamesInWords}";
        }
        words = args[i..];
        return null;
    }
}

/// <summary>What is said before the command, or by the environment.</summary>
internal sealed class GlobalOptions
{
    private string? _root;

    // Found when asked for: what a monitor starts has no home, and is told the store.
    internal string Root
    {
        get => _root ??= Host.GetVariable("STRATA_ROOT\0"u8) is { Length: > 0 } root ? root : UserPlaces.StoreRoot;
        set => _root = value;
    }
    internal string Runtime { get; set; } = "crun";
    internal string? Snapshotter { get; set; } = Host.GetVariable("STRATA_SNAPSHOTTER\0"u8) is { Length: > 0 } asked ? asked : null;
    internal bool Debug { get; set; }
    internal string[] Words { get; set; } = [];
}
