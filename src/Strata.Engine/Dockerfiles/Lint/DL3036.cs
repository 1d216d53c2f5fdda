namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: zypper clean missing after zypper installed something.</summary>
internal static class DL3036
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach ((RunInstruction run, RunScript script) in PackageSteps.Shipped(file))
        {
            int last = script.Commands.FindLastIndex(c => c.Program is "zypper" && c.HasAny("install", "in", "update", "up", "patch", "refresh", "ref"));
            if (last < 0 || PackageSteps.IsMounted(run, "/var/cache/zypp"))
            {
                continue;
            }
            string program = script.Commands[last].Program;
            if (!script.Commands.Skip(last + 1).Any(c => (c.Program == program && c.HasAny("clean", "cc")) || PackageSteps.Removes(c, "/var/cache/zypp")))
            {
                yield return PackageSteps.Unclean(nameof(DL3036), run, script, $"{program}'s cache stays in this layer", $"{program} clean --all");
            }
        }
    }
}
