namespace Strata.Dockerfiles.Lint;

/// <summary>Names that mean something else: the empty image and the build context.</summary>
internal static class ReservedStageName
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
        => file.Stages.Where(s => s.Name is "scratch" or "context").Select(s => new LintFinding(nameof(ReservedStageName), s.Span,
            $"Stage name should not use the same name as reserved stage \"{s.Name}\"", "give it another name"));
}
