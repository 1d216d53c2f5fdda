using System.Buffers;

namespace Strata.Dockerfiles.Lint;

/// <summary>In shell form a shell is the first process, and signals do not reach the program.</summary>
internal static class JsonArgsRecommended
{
    /// <summary>The name is BuildKit's, whose documentation people find.</summary>
    internal const string Name = "JSONArgsRecommended";

    // What a shell reads as more than a character.
    private static readonly SearchValues<char> s_special = SearchValues.Create("|&;<>()$`*?[]#~{}=!\\\n\"'");

    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        bool[] hasShell = new bool[file.Stages.Length];
        for (int i = 0; i < file.Stages.Length; i++)
        {
            // Who chose a shell wants it.
            hasShell[i] = StageFacts.ParentOf(file, i) is { } parent && hasShell[parent];
            foreach (Instruction instruction in file.Stages[i].Instructions)
            {
                hasShell[i] |= instruction is ShellInstruction;
                CommandLine? command = (instruction as CmdInstruction)?.Command ?? (instruction as EntrypointInstruction)?.Command;
                if (command is { IsShell: true } && !hasShell[i])
                {
                    string? line = Exec(instruction.Keyword, command.Words[0], file.Escape);
                    yield return new LintFinding(Name, instruction.Span, $"JSON arguments recommended for {instruction.Keyword} to prevent unintended behavior related to OS signals",
                        $"write: {line ?? $"{instruction.Keyword} [\"/bin/sh\", \"-c\", \"exec …\"]"}", line is null ? null : new LintFix(instruction.Span, line));
                }
            }
        }
    }

    // Only what needs no shell has an exec form that means the same.
    private static string? Exec(string keyword, string text, char escape)
    {
        if (text.Trim().Length == 0 || text.AsSpan().ContainsAny(s_special) || text.Contains(escape, StringComparison.Ordinal))
        {
            return null;
        }
        return $"{keyword} [{string.Join(", ", Words.AtBlanks(text.Trim()).Select(w => $"\"{w}\""))}]";
    }
}
