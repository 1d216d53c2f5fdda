namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: avoid use of pip's cache directory.</summary>
internal static class DL3042
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        bool[] shipped = StageFacts.Shipped(file), off = new bool[file.Stages.Length];
        for (int i = 0; i < file.Stages.Length; i++)
        {
            off[i] = StageFacts.ParentOf(file, i) is { } parent && off[parent];
            foreach (Instruction instruction in file.Stages[i].Instructions)
            {
                off[i] |= instruction is EnvInstruction env && env.Values.Any(v => v.Key == "PIP_NO_CACHE_DIR" && v.Value.Trim('"', '\'') is not ("" or "0" or "off" or "no" or "false"));
                off[i] |= instruction is ArgInstruction { Name: "PIP_NO_CACHE_DIR", Default: not (null or "" or "0" or "off" or "no" or "false") };
                if (shipped[i] && !off[i] && instruction is RunInstruction run && CheckRun(file, run) is { } finding)
                {
                    yield return finding;
                }
            }
        }
    }

    private static LintFinding? CheckRun(Dockerfile file, RunInstruction run)
    {
        RunScript script = RunScript.Of(file, run);
        ShellCommand? command = script.Commands.Find(c => IsPip(c) && c.Has("install") && !c.Has("--no-cache-dir"));
        bool cleans = script.Commands.Any(c => PackageSteps.Removes(c, "/root/.cache/pip") || PackageSteps.Removes(c, "~/.cache") || (IsPip(c) && c.Has("purge")))
            || PackageSteps.IsMounted(run, "/root/.cache/pip") || run.Command.Words.Any(w => w.Contains("PIP_NO_CACHE_DIR=", StringComparison.Ordinal));
        return command is null || cleans ? null : new LintFinding(nameof(DL3042), run.Span, "Avoid use of cache directory with pip: what it fetched stays in this layer", "write: pip install --no-cache-dir",
            script.InsertBehind(command, "--no-cache-dir", "install"));
    }

    private static bool IsPip(ShellCommand command)
        => command.Program is "pip" or "pip3" or "pip2" || command.Program.StartsWith("pip3.", StringComparison.Ordinal)
            || (command.Program.StartsWith("python", StringComparison.Ordinal) && command.After("-m", "-m") is "pip" or "pip3");
}
