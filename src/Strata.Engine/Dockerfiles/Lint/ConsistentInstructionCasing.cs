namespace Strata.Dockerfiles.Lint;

/// <summary>Keywords all in capitals, or all not.</summary>
internal static class ConsistentInstructionCasing
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        // A line with several ARGs is one keyword.
        (string Keyword, SourceSpan Span)[] keywords =
            [.. file.Stages.SelectMany(s => s.Instructions.Select(i => (i.Keyword, i.Span)).Prepend((s.Keyword, s.Span))).DistinctBy(k => k.Span)];
        int lower = keywords.Count(k => !k.Keyword.Any(char.IsAsciiLetterUpper)), upper = keywords.Count(k => !k.Keyword.Any(char.IsAsciiLetterLower));
        foreach ((string keyword, SourceSpan span) in keywords)
        {
            string right = lower > upper ? Lower(keyword) : keyword.ToUpperInvariant();
            if (keyword != right)
            {
                string[] lines = SourceLines.Of(file, span);
                int at = lines[0].IndexOf(keyword, StringComparison.Ordinal);
                lines[0] = at < 0 ? lines[0] : lines[0].Remove(at, keyword.Length).Insert(at, right);
                yield return new LintFinding(nameof(ConsistentInstructionCasing), span, $"Command '{keyword}' should match the case of the command majority ({(lower > upper ? "lowercase" : "uppercase")})",
                    $"write: {right}", at < 0 ? null : new LintFix(span, string.Join('\n', lines)));
            }
        }
    }

#pragma warning disable CA1308 // keywords are ASCII, and lower case is one of the two that are asked for
    private static string Lower(string keyword) => keyword.ToLowerInvariant();
#pragma warning restore CA1308
}
