namespace Strata.Dockerfiles.Lint;

/// <summary>Two stages of one name: the later hides the earlier.</summary>
internal static class DuplicateStageName
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        var seen = new Dictionary<string, SourceSpan>(StringComparer.Ordinal);
        foreach (Stage stage in file.Stages.Where(s => s.Name is not null))
        {
            if (!seen.TryAdd(stage.Name!, stage.Span))
            {
                yield return new LintFinding(nameof(DuplicateStageName), stage.Span, $"Duplicate stage name \"{stage.Name}\", stage names should be unique", $"line {seen[stage.Name!].FirstLine} has it: give one another name");
            }
        }
    }
}
