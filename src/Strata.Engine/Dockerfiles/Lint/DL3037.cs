namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: specify versions with zypper install. Off by itself: a version that a repository no longer has ends the build.</summary>
internal static class DL3037
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach ((RunInstruction run, RunScript script) in PackageSteps.All(file))
        {
            foreach (ShellCommand command in script.Commands.Where(c => c.Program == "zypper" && c.HasAny("install", "in")))
            {
                string[] free = [.. command.Operands.Skip(1).Where(p => !p.AsSpan().ContainsAny("=<>~$") && !p.EndsWith(".rpm", StringComparison.Ordinal))];
                if (free.Length > 0)
                {
                    yield return new LintFinding(nameof(DL3037), run.Span, $"Specify version with zypper install: {string.Join(", ", free)}", $"write: {free[0]}=VERSION");
                }
            }
        }
    }
}
