namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: delete the apt lists after installing something. What is not removed in the same step is in the image for ever.</summary>
internal static class DL3009
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        bool[] shipped = StageFacts.Shipped(file);
        for (int i = 0; i < file.Stages.Length; i++)
        {
            for (int k = 0; shipped[i] && k < file.Stages[i].Instructions.Length; k++)
            {
                if (file.Stages[i].Instructions[k] is RunInstruction run && CheckRun(file, run) is { } finding)
                {
                    // Who installs later from these lists needs them; joined to one step, they can go.
                    yield return finding with { Fix = NeedsLists(file, i, k + 1) ? null : finding.Fix };
                }
            }
        }
    }

    internal static bool IsApt(ShellCommand command) => command.Program is "apt-get" or "apt" or "aptitude";

    private static LintFinding? CheckRun(Dockerfile file, RunInstruction run)
    {
        RunScript script = RunScript.Of(file, run);
        List<ShellCommand> commands = script.Commands;
        int last = commands.FindLastIndex(c => IsApt(c) && (c.Has("update") || Installs(c)));
        if (last < 0 || PackageSteps.IsMounted(run, "/var/lib/apt") || PackageSteps.IsMounted(run, "/var/cache/apt"))
        {
            return null;
        }
        bool updates = commands.Any(c => IsApt(c) && c.Has("update"));
        bool cleans = commands.Skip(last + 1).Any(c => PackageSteps.Removes(c, "/var/lib/apt/lists") || (IsApt(c) && (c.Has("distclean") || (!updates && c.Has("clean")))));
        return cleans ? null : PackageSteps.Unclean(nameof(DL3009), run, script, updates ? "apt's package lists stay in this layer" : "apt's archives stay in this layer",
            updates ? "rm -rf /var/lib/apt/lists/*" : "apt-get clean");
    }

    private static bool Installs(ShellCommand command) => command.HasAny("install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep");

    // Whether an instruction from here on, or a stage built on this one, uses apt before it updates.
    private static bool NeedsLists(Dockerfile file, int stage, int from)
    {
        ShellCommand? first = file.Stages[stage].Instructions.Skip(from).OfType<RunInstruction>().SelectMany(r => RunScript.Of(file, r).Commands).FirstOrDefault(c => IsApt(c) && (c.Has("update") || c.Has("download") || Installs(c)));
        return first is not null ? !first.Has("update")
            : Enumerable.Range(stage + 1, file.Stages.Length - stage - 1).Any(child => StageFacts.ParentOf(file, child) == stage && NeedsLists(file, child, 0));
    }
}
