namespace Strata.Dockerfiles.Lint;

/// <summary>Package managers leave lists and archives; what is not removed in the same step is in the image for ever.</summary>
internal static class PackageCacheLeft
{
    internal static IEnumerable<LintFinding> Check(Stage stage)
    {
        foreach (RunInstruction run in stage.Instructions.OfType<RunInstruction>().Where(r => r.Command.IsShell && !r.Mounts.Any(m => m.Contains("type=cache", StringComparison.Ordinal))))
        {
            string text = run.Command.Words[0] + string.Concat(run.Heredocs.Select(h => "\n" + h.Content));
            List<string[]> commands = [.. ShellCommands.Split(text)];
            bool Runs(string program, string verb) => commands.Any(c => c[0] == program && c.Contains(verb));
            if ((Runs("apt-get", "install") || Runs("apt", "install") || Runs("apt-get", "update")) && !text.Contains("/var/lib/apt/lists", StringComparison.Ordinal))
            {
                yield return Finding(run, "apt's package lists stay in this layer", "end the step with: && rm -rf /var/lib/apt/lists/*");
            }
            if ((Runs("yum", "install") || Runs("dnf", "install") || Runs("microdnf", "install")) && !text.Contains("clean all", StringComparison.Ordinal) && !text.Contains("/var/cache", StringComparison.Ordinal))
            {
                string program = commands.First(c => c[0] is "yum" or "dnf" or "microdnf")[0];
                yield return Finding(run, $"{program}'s cache stays in this layer", $"end the step with: && {program} clean all");
            }
            if (Runs("apk", "add") && !text.Contains("--no-cache", StringComparison.Ordinal) && !text.Contains("/var/cache/apk", StringComparison.Ordinal))
            {
                yield return Finding(run, "apk's index stays in this layer", "write: apk add --no-cache");
            }
        }
    }

    private static LintFinding Finding(RunInstruction run, string message, string advice) => new(nameof(PackageCacheLeft), run.Span, message, advice);
}
