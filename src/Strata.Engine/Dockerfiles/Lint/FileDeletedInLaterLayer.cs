namespace Strata.Dockerfiles.Lint;

/// <summary>A file made in one step and removed in a later one stays in the image: the later layer only hides it.</summary>
internal static class FileDeletedInLaterLayer
{
    internal static IEnumerable<LintFinding> Check(Stage stage)
    {
        var made = new Dictionary<string, SourceSpan>(StringComparer.Ordinal);
        foreach (Instruction instruction in stage.Instructions)
        {
            if (instruction is CopyInstruction copy)
            {
                foreach (string source in copy.Sources)
                {
                    made[NameOf(source)] = copy.Span;
                }
            }
            if (instruction is not RunInstruction { Command.IsShell: true } run)
            {
                continue;
            }
            foreach (string[] command in ShellCommands.Split(run.Command.Words[0]))
            {
                foreach (string removed in Removed(command))
                {
                    if (made.TryGetValue(NameOf(removed), out SourceSpan where) && where.FirstLine != run.Span.FirstLine)
                    {
                        yield return new LintFinding(nameof(FileDeletedInLaterLayer), run.Span, $"{removed} is removed here, but line {where.FirstLine} made it in an earlier layer: it stays in the image and only becomes invisible",
                            $"remove it in the step that makes it (line {where.FirstLine}), joined with &&");
                    }
                }
                foreach (string file in Made(command))
                {
                    made[NameOf(file)] = run.Span;
                }
            }
        }
    }

    private static string NameOf(string path) => path.TrimEnd('/')[(path.TrimEnd('/').LastIndexOf('/') + 1)..];

    private static IEnumerable<string> Removed(string[] command) => command[0] is "rm" or "unlink" ? command.Skip(1).Where(a => !a.StartsWith('-')) : [];

    private static IEnumerable<string> Made(string[] command)
    {
        for (int i = 1; i < command.Length; i++)
        {
            if (command[i - 1] is ">" or ">>")
            {
                yield return command[i];
            }
        }
        foreach (string file in command[0] switch
        {
            "dd" => command.Where(a => a.StartsWith("of=", StringComparison.Ordinal)).Select(a => a[3..]),
            "wget" => After(command, "-O").Concat(After(command, "-O", "").Any() ? [] : Urls(command)),
            "curl" => After(command, "-o").Concat(command.Any(a => a is "-O" or "-LO" or "-OL" or "--remote-name") ? Urls(command) : []),
            "tar" when command.Skip(1).FirstOrDefault()?.Contains('c', StringComparison.Ordinal) ?? false => command.Skip(2).Take(1),
            "touch" or "truncate" or "fallocate" => command.Skip(1).Where(a => !a.StartsWith('-')),
            "git" when command.ElementAtOrDefault(1) == "clone" => command.Length > 3 ? command.Skip(command.Length - 1) : Urls(command).Select(u => u.EndsWith(".git", StringComparison.Ordinal) ? u[..^4] : u),
            _ => [],
        })
        {
            yield return file;
        }
    }

    private static IEnumerable<string> After(string[] command, string flag, string? none = null)
        => command.Zip(command.Skip(1)).Where(p => p.First == flag).Select(p => p.Second).Where(v => v != none);

    private static IEnumerable<string> Urls(string[] command) => command.Where(a => a.Contains("://", StringComparison.Ordinal)).Select(a => a.Split('?')[0]);
}

/// <summary>A shell's text as commands, as far as a look without a shell can tell: split at ;, &amp;&amp;, ||, | and newlines, quotes kept together.</summary>
internal static class ShellCommands
{
    internal static IEnumerable<string[]> Split(string text)
    {
        string spaced = text.Replace("&&", "\n", StringComparison.Ordinal).Replace("||", "\n", StringComparison.Ordinal).Replace(";", "\n", StringComparison.Ordinal)
            .Replace("|", "\n", StringComparison.Ordinal).Replace(">>", ">", StringComparison.Ordinal).Replace(">", " > ", StringComparison.Ordinal);
        foreach (string command in spaced.Split('\n'))
        {
            string[] words = [.. Words.Split(command.Trim().TrimStart('(', '{'), '\\').Select(w => w.Trim('"', '\''))];
            words = words is ["sudo", .. string[] rest] ? rest : words;
            if (words.Length > 0)
            {
                yield return words;
            }
        }
    }
}
