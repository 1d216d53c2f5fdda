namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: delete the apt lists after installing something. What is not removed in the same step is in the image for ever.</summary>
internal static class DL3009
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach ((RunInstruction run, RunScript script) in PackageSteps.Shipped(file))
        {
            List<ShellCommand> commands = script.Commands;
            int last = commands.FindLastIndex(c => IsApt(c) && c.HasAny("update", "install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"));
            if (last < 0 || PackageSteps.IsMounted(run, "/var/lib/apt") || PackageSteps.IsMounted(run, "/var/cache/apt"))
            {
                continue;
            }
            bool updates = commands.Any(c => IsApt(c) && c.Has("update"));
            bool cleans = commands.Skip(last + 1).Any(c => PackageSteps.Removes(c, "/var/lib/apt/lists") || (!updates && IsApt(c) && c.HasAny("clean", "distclean")) || (IsApt(c) && c.Has("distclean")));
            if (!cleans)
            {
                yield return PackageSteps.Unclean(nameof(DL3009), run, script, updates ? "apt's package lists stay in this layer" : "apt's archives stay in this layer", updates ? "rm -rf /var/lib/apt/lists/*" : "apt-get clean");
            }
        }
    }

    internal static bool IsApt(ShellCommand command) => command.Program is "apt-get" or "apt" or "aptitude";
}
