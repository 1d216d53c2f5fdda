namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: dnf clean all missing after dnf installed something.</summary>
internal static class DL3040
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach ((RunInstruction run, RunScript script) in PackageSteps.Shipped(file))
        {
            int last = script.Commands.FindLastIndex(c => c.Program is "dnf" or "microdnf" or "tdnf" && c.HasAny("install", "update", "upgrade", "groupinstall", "localinstall", "reinstall"));
            if (last < 0 || PackageSteps.IsMounted(run, "/var/cache/dnf"))
            {
                continue;
            }
            string program = script.Commands[last].Program;
            if (!script.Commands.Skip(last + 1).Any(c => (c.Program == program && c.Has("clean")) || PackageSteps.Removes(c, "/var/cache/dnf")))
            {
                yield return PackageSteps.Unclean(nameof(DL3040), run, script, $"{program}'s cache stays in this layer", $"{program} clean all");
            }
        }
    }
}
