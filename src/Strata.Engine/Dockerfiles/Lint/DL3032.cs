namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: yum clean all missing after yum installed something.</summary>
internal static class DL3032
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach ((RunInstruction run, RunScript script) in PackageSteps.Shipped(file))
        {
            int last = script.Commands.FindLastIndex(c => c.Program is "yum" && c.HasAny("install", "update", "upgrade", "groupinstall", "localinstall", "reinstall"));
            if (last < 0 || PackageSteps.IsMounted(run, "/var/cache/yum"))
            {
                continue;
            }
            string program = script.Commands[last].Program;
            if (!script.Commands.Skip(last + 1).Any(c => (c.Program == program && c.Has("clean")) || PackageSteps.Removes(c, "/var/cache/yum")))
            {
                yield return PackageSteps.Unclean(nameof(DL3032), run, script, $"{program}'s cache stays in this layer", $"{program} clean all");
            }
        }
    }
}
