namespace Strata.Dockerfiles.Lint;

/// <summary>One simple command of a script, as far as a look without a shell can tell.</summary>
/// <param name="Words">Its words, quotes taken off; the first is the program. Never empty.</param>
/// <param name="Output">The file that <c>&gt;</c> writes; null where there is none.</param>
internal sealed record ShellCommand(string[] Words, string? Output)
{
    /// <summary>Where each word ends in the script; empty where that is not known.</summary>
    internal int[] Ends { get; init; } = [];

    internal string Program => Words[0][(Words[0].LastIndexOf('/') + 1)..];

    internal bool Has(string word) => Words.AsSpan(1).Contains(word);

    internal bool HasAny(params ReadOnlySpan<string> words) => Words.AsSpan(1).ContainsAny(words);

    /// <summary>The arguments that are no flags.</summary>
    internal IEnumerable<string> Operands => Words.Skip(1).Where(w => !w.StartsWith('-'));

    /// <summary>Whether a flag of one letter is there, alone or in a cluster: <c>-y</c>, <c>-qy</c>.</summary>
    internal bool HasLetter(char letter) => Words.Skip(1).Any(w => w is ['-', not '-', ..] && w.Contains(letter, StringComparison.Ordinal));

    /// <summary>What follows a flag: <c>-o file</c>, <c>-ofile</c>, <c>--output=file</c>.</summary>
    internal string? After(string brief, string full)
    {
        for (int i = 1; i < Words.Length; i++)
        {
            if ((Words[i] == brief || Words[i] == full) && i + 1 < Words.Length)
            {
                return Words[i + 1];
            }
            if (Words[i].StartsWith(full + "=", StringComparison.Ordinal))
            {
                return Words[i][(full.Length + 1)..];
            }
            if (Words[i].Length > 2 && Words[i].StartsWith(brief, StringComparison.Ordinal) && !Words[i].StartsWith("--", StringComparison.Ordinal))
            {
                return Words[i][2..];
            }
        }
        return null;
    }
}

/// <summary>Splits a script at <c>;</c>, <c>&amp;&amp;</c>, <c>||</c>, <c>|</c>, brackets and newlines outside quotes. What a shell is given with -c is split too.</summary>
internal static class ShellCommands
{
    private const int MaxDepth = 4; // sh -c 'sh -c …': nobody goes deeper

    // Words before a command that are none, and words that run another command.
    private static readonly HashSet<string> s_prefixes =
        ["sudo", "exec", "command", "time", "env", "nice", "then", "do", "else", "elif", "if", "while", "until", "!", "{", "}", "eatmydata", "nohup"];

    private static readonly HashSet<string> s_shells = ["sh", "bash", "ash", "dash", "zsh", "ksh"];

    /// <summary>The commands of a RUN: of its text, of the script its heredoc is, or of what it gives a shell.</summary>
    internal static List<ShellCommand> Of(RunInstruction run)
    {
        if (run.Command.Words.IsEmpty)
        {
            return [];
        }
        return !run.Command.IsShell ? Inner(new ShellCommand([.. run.Command.Words], null), 0) : Split(IsScript(run) ? run.Heredocs[0].Content : run.Command.Words[0]);
    }

    /// <summary>Whether a RUN's only document is a script: it stands alone, or a shell reads it.</summary>
    internal static bool IsScript(RunInstruction run)
    {
        string text = run.Command.Words.IsEmpty ? "" : run.Command.Words[0];
        if (run.Heredocs.Length != 1 || !run.Command.IsShell)
        {
            return false;
        }
        List<string> words = Words.AtBlanks(text.Trim());
        bool onlyFlags = words.Take(words.Count - 1).All(w => s_shells.Contains(w[(w.LastIndexOf('/') + 1)..]) || w.StartsWith('-'));
        bool isShell = !run.Heredocs[0].Content.StartsWith("#!", StringComparison.Ordinal) || s_shells.Any(s => run.Heredocs[0].Content.Split('\n')[0].TrimEnd().EndsWith(s, StringComparison.Ordinal));
        return onlyFlags && isShell && DockerfileLexer.TryReadMarker(words[^1], out _, out _, out _);
    }

    internal static List<ShellCommand> Split(string script) => Split(script, 0);

    private static List<ShellCommand> Split(string script, int depth)
    {
        var commands = new List<ShellCommand>();
        var words = new List<Token>();
        string? output = null;
        bool redirects = false;
        foreach (Token token in new ShellTokens(script).Read())
        {
            if (token.Kind == TokenKind.End)
            {
                EndCommand();
            }
            else if (token.Kind == TokenKind.Output)
            {
                redirects = true;
            }
            else if (redirects)
            {
                (output, redirects) = (token.Text, false);
            }
            else
            {
                words.Add(token);
            }
        }
        EndCommand();
        return commands;

        void EndCommand()
        {
            Token[] own = [.. WithoutPrefixes(words)];
            if (own.Length > 0)
            {
                commands.AddRange(Inner(new ShellCommand([.. own.Select(t => t.Text)], output) { Ends = [.. own.Select(t => t.End)] }, depth));
            }
            words.Clear();
            (output, redirects) = (null, false);
        }
    }

    // The command itself, and before it those of the script that it gives a shell; they stand in quotes, where nothing can be put.
    private static List<ShellCommand> Inner(ShellCommand command, int depth)
    {
        int at = s_shells.Contains(command.Program) ? Array.FindIndex(command.Words, w => w is ['-', not '-', ..] && w.EndsWith('c')) : -1;
        List<ShellCommand> inner = at > 0 && at + 1 < command.Words.Length && depth < MaxDepth ? Split(command.Words[at + 1], depth + 1) : [];
        return [.. inner.Select(c => c with { Ends = [] }), command];
    }

    // sudo -E, then, NAME=value stand before the program.
    private static IEnumerable<Token> WithoutPrefixes(List<Token> words)
    {
        bool anyPrefix = false;
        return words.SkipWhile(token =>
        {
            string word = token.Text;
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            bool prefix = s_prefixes.Contains(word) || (anyPrefix && word.StartsWith('-')) || (equals > 0 && word[..equals].All(c => char.IsAsciiLetterOrDigit(c) || c == '_'));
            anyPrefix |= prefix;
            return prefix;
        });
    }
}
