namespace Strata.Dockerfiles.Lint;

/// <summary>
/// A Dockerfile has comments on lines of their own only: a <c>#</c> behind an instruction is part of it. Shells have comments at the end of
/// lines, so shell forms are left alone, except an exec form that the comment turned into one.
/// </summary>
internal static class InlineComment
{
    internal static IEnumerable<DockerfileWarning> Find(Instruction instruction)
    {
        string? text = instruction switch
        {
            MaintainerInstruction maintainer => maintainer.Author,
            WorkdirInstruction workdir => workdir.Path,
            UserInstruction user => user.User,
            StopSignalInstruction signal => signal.Signal,
            ExposeInstruction expose => string.Join(' ', expose.Ports),
            VolumeInstruction volume => string.Join(' ', volume.Paths),
            CopyInstruction copy => string.Join(' ', [.. copy.Sources, copy.Destination]),
            EnvInstruction { Values: [var pair] } => pair.Value,
            LabelInstruction { Values: [var pair] } => pair.Value,
            CmdInstruction { Command: { IsShell: true, Words: [['[', ..] command] } } => command,
            EntrypointInstruction { Command: { IsShell: true, Words: [['[', ..] command] } } => command,
            RunInstruction { Command: { IsShell: true, Words: [['[', '"', ..] command] } } => command,
            _ => null,
        };
        int at = text is null ? -1 : CommentIn(text);
        if (at > 0)
        {
            string comment = text![at..], keyword = instruction.Keyword;
            string what = instruction is MaintainerInstruction ? "the author's name" : $"the {keyword} instruction";
            int end = instruction.Original.LastIndexOf(comment, StringComparison.Ordinal);
            string? line = end < 0 ? null : keyword + instruction.Original[keyword.Length..end].TrimEnd();
            yield return new DockerfileWarning(instruction.Span, nameof(InlineComment), $"a Dockerfile has no comments at the end of a line: \"{comment}\" is part of {what}", line);
        }
    }

    // A # behind a blank, outside quotes; -1 where there is none.
    private static int CommentIn(string text)
    {
        char quote = '\0';
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == quote)
            {
                quote = '\0';
            }
            else if (quote == '\0' && text[i] is '"' or '\'')
            {
                quote = text[i];
            }
            else if (quote == '\0' && text[i] == '#' && i > 0 && char.IsWhiteSpace(text[i - 1]))
            {
                return i;
            }
        }
        return -1;
    }
}
