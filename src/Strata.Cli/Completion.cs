using Strata.Cli.Commands;
using Strata.Cli.Syntax;

namespace Strata.Cli;

/// <summary>Shell completion: the scripts ask <c>strata complete</c>, so they need no change when commands do.</summary>
internal static class Completion
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> shell = Options.One("SHELL", "bash, zsh or fish");
        var command = new Command("completion") { shell };
        command.SetAction(parsed =>
        {
            string script = parsed.GetValue(shell) switch
            {
                "bash" => "_strata() { mapfile -t COMPREPLY < <(strata complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null); }\ncomplete -o default -F _strata strata\n",
                "zsh" => "#compdef strata\n_strata() { compadd -- ${(f)\"$(strata complete \"${words[@]:1:$((CURRENT-1))}\" 2>/dev/null)\"} }\ncompdef _strata strata\n",
                "fish" => "complete -c strata -f -a '(strata complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'\n",
                string other => throw new StrataException(ErrorKind.Invalid, $"completion for {other}: there are bash, zsh and fish"),
            };
            context.Out.Write(script);
            return 0;
        });
        return command;
    }

    /// <summary>Prints what may stand at the last word, a line each.</summary>
    internal static int Complete(CommandContext context, string[] words)
    {
        string last = words.Length == 0 ? "" : words[^1];
        IEnumerable<string> found;
        if (words.Length <= 1)
        {
            found = CommandTable.Names;
        }
        else if (CommandTable.TryCreate(words[0]) is { } entry)
        {
            Command command = entry.Create(context);
            Command at = command.Parts.FirstOrDefault(s => words.Length > 2 && s.Name == words[1]) ?? command;
            IEnumerable<string> names = at.Arguments.Length > 0 && !last.StartsWith('-') ? Names(context, entry) : [];
            found = last.StartsWith('-') ? at.Options.Select(o => o.Name) : at.Parts.Select(s => s.Name).Concat(names);
        }
        else
        {
            found = [];
        }
        foreach (string word in found.Where(f => f.StartsWith(last, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            context.Out.WriteLine(word);
        }
        return 0;
    }

    private static IEnumerable<string> Names(CommandContext context, CommandEntry entry)
    {
        if (!Directory.Exists(context.Global.Root))
        {
            return [];
        }
        IEnumerable<string> images = context.Engine.ListImages().Select(i => i.Reference?.Familiar).OfType<string>();
        return entry.Group == "Containers" && entry.Name is not ("run" or "create") ? context.Engine.ListContainers().Select(c => c.Record.Name) : images;
    }
}
