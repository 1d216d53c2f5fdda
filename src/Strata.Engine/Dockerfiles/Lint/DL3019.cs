namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: use apk's --no-cache switch.</summary>
internal static class DL3019
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach ((RunInstruction run, RunScript script) in PackageSteps.Shipped(file))
        {
            ShellCommand[] left = [.. script.Commands.Where(c => c.Program == "apk" && c.HasAny("add", "update", "upgrade", "fix") && !c.Has("--no-cache"))];
            if (left.Length == 0 || script.Commands.Any(c => PackageSteps.Removes(c, "/var/cache/apk")) || PackageSteps.IsMounted(run, "/var/cache/apk") || PackageSteps.IsMounted(run, "/etc/apk/cache"))
            {
                continue;
            }
            LintFix? fix = left is [var only] && !only.Has("update") ? script.InsertBehind(only, "--no-cache", "add", "upgrade", "fix") : script.Append("rm -rf /var/cache/apk/*");
            yield return new LintFinding(nameof(DL3019), run.Span, "apk's index stays in this layer", "write: apk add --no-cache, without apk update", fix);
        }
    }
}
