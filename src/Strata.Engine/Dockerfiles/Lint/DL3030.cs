namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: use yum's switch for no questions. Nobody is there to answer, and the step fails.</summary>
internal static class DL3030
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
        => PackageSteps.Lacking(file, nameof(DL3030), c => c.Program is "yum" && c.HasAny("install", "groupinstall", "localinstall", "reinstall") && !c.HasLetter('y') && !c.HasAny("--assumeyes", "--yes"),
            "Use the -y switch to avoid manual input: yum asks, and nobody answers", "-y", "install", "groupinstall", "localinstall", "reinstall");
}
