namespace Strata.Dockerfiles.Lint;

/// <summary>A platform that is written out makes one image for all; a stage that says in its name which it is means it so.</summary>
internal static class FromPlatformFlagConstDisallowed
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Stage stage in file.Stages.Where(s => s.Platform is { Length: > 0 } platform && !platform.Contains('$', StringComparison.Ordinal)))
        {
            string[] parts = stage.Platform!.Split('/');
            if (!parts.Take(2).Any(p => stage.Name?.Contains(p, StringComparison.OrdinalIgnoreCase) ?? false))
            {
                yield return new LintFinding(nameof(FromPlatformFlagConstDisallowed), stage.Span, $"FROM --platform flag should not use constant value \"{stage.Platform}\"",
                    "leave it out and say it to the build: --platform; or write: --platform=$BUILDPLATFORM");
            }
        }
    }
}
