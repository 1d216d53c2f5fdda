namespace Strata.Dockerfiles.Lint;

/// <summary>FROM … AS, or from … as.</summary>
internal static class FromAsCasing
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Stage stage in file.Stages.Where(s => s.AsKeyword is not null))
        {
            string from = stage.Keyword, written = stage.AsKeyword!;
            // A FROM of mixed case is another rule's.
            string right = !from.Any(char.IsAsciiLetterLower) ? "AS" : !from.Any(char.IsAsciiLetterUpper) ? "as" : written;
            if (written != right)
            {
                string line = string.Join(' ', Words.AtBlanks(stage.Original).SkipLast(2).Append(right).Append(stage.WrittenName!));
                yield return new LintFinding(nameof(FromAsCasing), stage.Span, $"'{written}' and '{from}' keywords' casing do not match", $"write: {line}", new LintFix(stage.Span, line));
            }
        }
    }
}
