namespace Strata.Dockerfiles.Lint;

/// <summary>Stage names are lower case, like the names of images.</summary>
internal static class StageNameCasing
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Stage stage in file.Stages.Where(s => s.WrittenName is not null && s.WrittenName != s.Name))
        {
            string line = string.Join(' ', Words.AtBlanks(stage.Original).SkipLast(1).Append(stage.Name!));
            yield return new LintFinding(nameof(StageNameCasing), stage.Span, $"Stage name '{stage.WrittenName}' should be lowercase", $"write: {line}", new LintFix(stage.Span, line));
        }
    }
}
