namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: using latest is prone to errors if the image will ever update.</summary>
internal static class DL3007
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
        => file.Stages.Where(s => DL3006.TagOf(s.BaseName) == "latest" && !s.BaseName.Contains('@', StringComparison.Ordinal)).Select(s => new LintFinding(nameof(DL3007), s.Span,
            $"Using latest is prone to errors if the image will ever update: {s.BaseName} is another image tomorrow", $"pin the version to a release tag: FROM {s.BaseName.Replace(":latest", ":VERSION", StringComparison.Ordinal)}"));
}
