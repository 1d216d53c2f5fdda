namespace Strata.Dockerfiles.Lint;

/// <summary>The target platform is what FROM takes anyway.</summary>
internal static class RedundantTargetPlatform
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Stage stage in file.Stages.Where(s => s.Platform is "$TARGETPLATFORM" or "${TARGETPLATFORM}"))
        {
            string line = string.Join(' ', Words.AtBlanks(stage.Original).Where(w => !w.StartsWith("--platform", StringComparison.Ordinal)));
            yield return new LintFinding(nameof(RedundantTargetPlatform), stage.Span, $"Setting platform to predefined {stage.Platform} in FROM is redundant as this is the default behavior", $"write: {line}", new LintFix(stage.Span, line));
        }
    }
}
