namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: use zypper's non-interactive switch. Nobody is there to answer, and the step fails.</summary>
internal static class DL3034
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
        => PackageSteps.Lacking(file, nameof(DL3034), c => c.Program == "zypper" && c.HasAny("install", "in", "remove", "rm", "patch", "update", "up")
                && !c.HasLetter('n') && !c.HasLetter('y') && !c.HasAny("--non-interactive", "--no-confirm"),
            "Use the -y switch to avoid manual input: zypper asks, and nobody answers", "-y", "install", "in", "remove", "rm", "patch", "update", "up");
}
