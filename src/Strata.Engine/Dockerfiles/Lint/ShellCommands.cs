using System.Text;

namespace Strata.Dockerfiles.Lint;

/// <summary>One simple command of a script, as far as a look without a shell can tell.</summary>
/// <param name="Words">Its words, quotes taken off; the first is the program. Never empty.</param>
/// <param name="Output">The file that <c>&gt;</c> writes; null where there is none.</param>
internal sealed record ShellCommand(string[] Words, string? Output)
{
    internal string Program => Words[0][(Words[0].LastIndexOf('/') + 1)..];

    internal bool Has(string word) => Words.AsSpan(1).Contains(word);

    /// <summary>The arguments that are no flags.</summary>
    internal IEnumerable<string> Operands => Words.Skip(1).Where(w => !w.StartsWith('-'));

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

/// <summary>Splits a script at <c>;</c>, <c>&amp;&amp;</c>, <c>||</c>, <c>|</c>, brackets and newlines outside quotes.</summary>
internal static class ShellCommands
{
    // Words before a command that are none, and words that run another command.
    private static readonly HashSet<string> s_prefixes =
        ["sudo", "exec", "command", "time", "env", "nice", "then", "do", "else", "if", "while", "until", "!", "{", "}", "eatmydata"];

    /// <summary>The commands of a RUN: of its text, of the script its heredoc is, or of what it gives a shell.</summary>
    internal static List<ShellCommand> Of(RunInstruction run)
    {
        if (!run.Command.IsShell)
        {
            return run.Command.Words is [_, "-c" or "-ec" or "-lc" or "-exc", var script, ..] ? Split(script) : run.Command.Words.IsEmpty ? [] : [new ShellCommand([.. run.Command.Words], null)];
        }
        string text = run.Command.Words[0];
        return run.Heredocs.Length == 1 && DockerfileLexer.TryReadMarker(text, out _, out _, out _) ? Split(run.Heredocs[0].Content) : Split(text);
    }

    internal static List<ShellCommand> Split(string script)
    {
        var commands = new List<ShellCommand>();
        var words = new List<string>();
        string? output = null;
        foreach (string token in Tokens(script))
        {
            if (token is "\n")
            {
                EndCommand();
            }
            else if (words.Count > 0 && words[^1] == ">")
            {
                words.RemoveAt(words.Count - 1);
                output = token;
            }
            else if (words.Count > 0 || !IsPrefix(token))
            {
                words.Add(token);
            }
        }
        EndCommand();
        return commands;

        void EndCommand()
        {
            if (words.Count > 0 && words[0] != ">")
            {
                commands.Add(new ShellCommand([.. words], output));
            }
            words.Clear();
            output = null;
        }
    }

    // A word that stands before the program: sudo, then, NAME=value.
    private static bool IsPrefix(string word)
    {
        int equals = word.IndexOf('=', StringComparison.Ordinal);
        return s_prefixes.Contains(word) || (equals > 0 && word[..equals].All(c => char.IsAsciiLetterOrDigit(c) || c == '_'));
    }

    // Words; ">" for what writes a file; a newline for what ends a command.
    private static IEnumerable<string> Tokens(string script)
    {
        var word = new StringBuilder();
        bool inWord = false;
        for (int i = 0; i < script.Length; i++)
        {
            char c = script[i];
            switch (c)
            {
                case '\'' or '"':
                    inWord = true;
                    i = AppendQuoted(script, i, word);
                    continue;
                case '\\' when i + 1 < script.Length && script[i + 1] == '\n':
                    i++;
                    continue;
                case '\\' when i + 1 < script.Length:
                    inWord = true;
                    word.Append(script[++i]);
                    continue;
                case '#' when !inWord:
                    i = script.IndexOf('\n', i) is int end and >= 0 ? end - 1 : script.Length;
                    continue;
                case '>' when i + 1 < script.Length && script[i + 1] is '&':
                    i++; // 2>&1 writes no file
                    continue;
            }
            bool ends = c is ';' or '\n' or '|' or '&' or '(' or ')' or '`';
            if (!ends && c is not ('>' or '<') && !char.IsWhiteSpace(c))
            {
                inWord = true;
                word.Append(c);
                continue;
            }
            if (inWord && !(c == '>' && word.Length == 1 && char.IsAsciiDigit(word[0])))
            {
                yield return word.ToString();
            }
            word.Clear();
            inWord = false;
            if (ends)
            {
                yield return "\n";
            }
            else if (c == '>')
            {
                i += i + 1 < script.Length && script[i + 1] is '>' or '|' ? 1 : 0;
                yield return ">";
            }
        }
        if (inWord)
        {
            yield return word.ToString();
        }
    }

    // Returns where the closing quote is.
    private static int AppendQuoted(string script, int open, StringBuilder word)
    {
        char quote = script[open];
        for (int i = open + 1; i < script.Length; i++)
        {
            if (script[i] == quote)
            {
                return i;
            }
            if (quote == '"' && script[i] == '\\' && i + 1 < script.Length)
            {
                i++;
            }
            word.Append(script[i]);
        }
        return script.Length;
    }
}
