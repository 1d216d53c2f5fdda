namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: do not use zypper dist-upgrade. It fetches all of the base anew, into a layer on top of it.</summary>
internal static class DL3035
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
        => PackageSteps.All(file).Where(s => s.Script.Commands.Any(c => c.Program == "zypper" && c.HasAny("dist-upgrade", "dup"))).Select(s => new LintFinding(nameof(DL3035), s.Run.Span,
            "Do not use zypper dist-upgrade: it brings the base's files a second time, in another layer", "start from a newer base image"));
}
