using System.Text;

namespace Strata.Dockerfiles.Lint;

/// <summary>Makes one RUN of several where that surely means the same.</summary>
internal static class RunJoiner
{
    // What acts beyond its own step: in one shell it would reach into the next.
    private static readonly HashSet<string> s_stateful = ["cd", "export", "set", "unset", "exec", "exit", "source", ".", "umask", "alias", "ulimit", "trap", "pushd", "popd"];

    /// <summary>Whether a RUN can be joined to others at all: a shell's plain chain of commands.</summary>
    internal static bool CanJoin(RunInstruction run)
    {
        string text = run.Command.Words.IsEmpty ? "" : run.Command.Words[0];
        return run.Command.IsShell && run.Heredocs.IsEmpty && !text.Contains("||", StringComparison.Ordinal) && !text.Contains('#', StringComparison.Ordinal)
            && !text.AsSpan().ContainsAny(";\n") && !text.Replace("&&", "", StringComparison.Ordinal).Replace(">&", "", StringComparison.Ordinal).Contains('&', StringComparison.Ordinal)
            && !ShellCommands.Split(text).Any(c => s_stateful.Contains(c.Program)) && !text.Split("&&").Any(IsAssignment);
    }

    /// <summary>Whether two have the same flags: a mount or a network is the step's, not a command's.</summary>
    internal static bool HaveSameFlags(RunInstruction a, RunInstruction b)
        => a.Network == b.Network && a.Security == b.Security && a.Mounts.Select(m => m.Text).SequenceEqual(b.Mounts.Select(m => m.Text));

    /// <summary>The lines of one RUN that does what these do, comments between them kept; null where that is not sure.</summary>
    internal static LintFix? Join(Dockerfile file, IReadOnlyList<RunInstruction> runs)
    {
        if (!runs.All(CanJoin) || !runs.Skip(1).All(r => HaveSameFlags(runs[0], r)))
        {
            return null;
        }
        var span = new SourceSpan(runs[0].Span.File, runs[0].Span.FirstLine, runs[^1].Span.LastLine);
        var lines = new StringBuilder();
        for (int i = 0; i < runs.Count; i++)
        {
            string[] own = SourceLines.Of(file, runs[i].Span);
            if (i > 0)
            {
                lines.Append(' ').Append(file.Escape).Append('\n');
                var between = new SourceSpan(span.File, runs[i - 1].Span.LastLine + 1, runs[i].Span.FirstLine - 1);
                foreach (string comment in SourceLines.Of(file, between).Where(l => l.TrimStart().StartsWith('#')))
                {
                    lines.Append(comment).Append('\n');
                }
                own[0] = "    && " + Command(own[0], runs[i]);
            }
            lines.AppendJoin('\n', own);
        }
        return new LintFix(span, lines.ToString());
    }

    private static bool IsAssignment(string command)
    {
        string word = command.Trim().Split(' ')[0];
        int equals = word.IndexOf('=', StringComparison.Ordinal);
        return equals > 0 && word == command.Trim() && word[..equals].All(c => char.IsAsciiLetterOrDigit(c) || c == '_');
    }

    // The first line without RUN and its flags.
    private static string Command(string line, RunInstruction run)
    {
        string rest = Words.Head(line.Trim()).Behind ?? "";
        return run.Mounts.IsEmpty && run.Network is null && run.Security is null ? rest : Words.TakeFlags(rest).Behind;
    }
}
