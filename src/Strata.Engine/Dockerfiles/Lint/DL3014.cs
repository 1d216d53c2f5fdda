namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: use the -y switch. Nobody is there to answer apt's question, and the step fails.</summary>
internal static class DL3014
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
        => PackageSteps.Lacking(file, nameof(DL3014), c => DL3009.IsApt(c) && c.Has("install") && !c.HasLetter('y') && !c.HasAny("--yes", "--assume-yes", "-qq", "-q=2", "--download-only", "--simulate"),
            "Use the -y switch to avoid manual input: apt asks, and nobody answers", "-y", "install");
}
