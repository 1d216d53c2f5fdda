namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: yarn cache clean missing after yarn installed something.</summary>
internal static class DL3060
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach ((RunInstruction run, RunScript script) in PackageSteps.Shipped(file))
        {
            int last = script.Commands.FindLastIndex(c => c.Program is "yarn" && c.Has("install"));
            if (last < 0 || PackageSteps.IsMounted(run, "/usr/local/share/.cache"))
            {
                continue;
            }
            string program = script.Commands[last].Program;
            if (!script.Commands.Skip(last + 1).Any(c => (c.Program == program && c.Has("clean")) || PackageSteps.Removes(c, "/usr/local/share/.cache")))
            {
                yield return PackageSteps.Unclean(nameof(DL3060), run, script, $"{program}'s cache stays in this layer", $"{program} cache clean");
            }
        }
    }
}
