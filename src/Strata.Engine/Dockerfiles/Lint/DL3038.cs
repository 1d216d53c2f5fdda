namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: use dnf's switch for no questions. Nobody is there to answer, and the step fails.</summary>
internal static class DL3038
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
        => PackageSteps.Lacking(file, nameof(DL3038), c => c.Program is "dnf" or "microdnf" or "tdnf" && c.HasAny("install", "groupinstall", "localinstall", "reinstall") && !c.HasLetter('y') && !c.HasAny("--assumeyes", "--yes"),
            "Use the -y switch to avoid manual input: dnf asks, and nobody answers", "-y", "install", "groupinstall", "localinstall", "reinstall");
}
