namespace Strata.Dockerfiles.Lint;

/// <summary>Package managers leave lists and archives; what is not removed in the same step is in the image for ever.</summary>
internal static class PackageCacheLeft
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (RunInstruction run in StageFacts.ShippedStages(file).SelectMany(s => s.Instructions).OfType<RunInstruction>())
        {
            List<ShellCommand> commands = ShellCommands.Of(run);
            foreach (LintFinding? finding in new[] { Apt(file, run, commands), Yum(file, run, commands), Apk(file, run, commands), Zypper(file, run, commands) })
            {
                if (finding is not null)
                {
                    yield return finding;
                }
            }
        }
    }

    private static LintFinding? Apt(Dockerfile file, RunInstruction run, List<ShellCommand> commands)
    {
        int last = commands.FindLastIndex(c => c.Program is "apt-get" or "apt" or "aptitude" && (c.Has("update") || c.Has("install") || c.Has("upgrade") || c.Has("dist-upgrade")));
        if (last < 0 || IsMounted(run, "/var/lib/apt") || IsMounted(run, "/var/cache/apt"))
        {
            return null;
        }
        bool updates = commands.Any(c => c.Program is "apt-get" or "apt" or "aptitude" && c.Has("update"));
        bool cleans = commands.Skip(last + 1).Any(c => Removes(c, "/var/lib/apt/lists") || (!updates && c.Program.StartsWith("apt", StringComparison.Ordinal) && c.Has("clean")));
        return cleans ? null : Finding(file, run, updates ? "apt's package lists stay in this layer" : "apt's archives stay in this layer", "rm -rf /var/lib/apt/lists/*");
    }

    private static LintFinding? Yum(Dockerfile file, RunInstruction run, List<ShellCommand> commands)
    {
        int last = commands.FindLastIndex(c => c.Program is "yum" or "dnf" or "microdnf" or "tdnf" && (c.Has("install") || c.Has("update") || c.Has("upgrade") || c.Has("groupinstall") || c.Has("localinstall")));
        if (last < 0 || IsMounted(run, "/var/cache/yum") || IsMounted(run, "/var/cache/dnf"))
        {
            return null;
        }
        string program = commands[last].Program;
        bool cleans = commands.Skip(last + 1).Any(c => (c.Program == program && c.Has("clean")) || Removes(c, "/var/cache/yum") || Removes(c, "/var/cache/dnf"));
        return cleans ? null : Finding(file, run, $"{program}'s cache stays in this layer", $"{program} clean all");
    }

    private static LintFinding? Zypper(Dockerfile file, RunInstruction run, List<ShellCommand> commands)
    {
        int last = commands.FindLastIndex(c => c.Program == "zypper" && (c.Has("install") || c.Has("in") || c.Has("update") || c.Has("refresh")));
        bool cleans = commands.Skip(last + 1).Any(c => c.Program == "zypper" && (c.Has("clean") || c.Has("cc")));
        return last < 0 || cleans || IsMounted(run, "/var/cache/zypp") ? null : Finding(file, run, "zypper's cache stays in this layer", "zypper clean --all");
    }

    private static LintFinding? Apk(Dockerfile file, RunInstruction run, List<ShellCommand> commands)
    {
        ShellCommand? left = commands.FindLast(c => c.Program == "apk" && (c.Has("add") || c.Has("update") || c.Has("upgrade")) && !c.Has("--no-cache"));
        if (left is null || commands.Any(c => Removes(c, "/var/cache/apk")) || IsMounted(run, "/var/cache/apk") || IsMounted(run, "/etc/apk/cache"))
        {
            return null;
        }
        // A fix only where nothing but the flag is missing.
        string[] lines = SourceLines.Of(file, run.Span);
        bool simple = !commands.Any(c => c.Program == "apk" && (c.Has("update") || c.Has("upgrade")));
        string text = string.Join('\n', lines.Select(l => l.Contains("--no-cache", StringComparison.Ordinal) ? l : l.Replace("apk add ", "apk add --no-cache ", StringComparison.Ordinal)));
        return new LintFinding(nameof(PackageCacheLeft), run.Span, "apk's index stays in this layer", "write: apk add --no-cache",
            simple && text != string.Join('\n', lines) ? new LintFix(run.Span, text) : null);
    }

    private static bool IsMounted(RunInstruction run, string path)
        => run.Mounts.Any(m => m.Type is "cache" or "tmpfs" && m.Options.Any(o => o.Key is "target" or "dst" or "destination" && o.Value?.TrimEnd('/') is { } target
            && (path.StartsWith(target, StringComparison.Ordinal) || target.StartsWith(path, StringComparison.Ordinal))));

    private static bool Removes(ShellCommand command, string folder)
        => command.Program is "rm" or "find" && command.Operands.Any(o => o.StartsWith(folder, StringComparison.Ordinal) || (o.TrimEnd('/', '*') is { Length: > 4 } parent && folder.StartsWith(parent + "/", StringComparison.Ordinal)));

    private static LintFinding Finding(Dockerfile file, RunInstruction run, string message, string clean)
    {
        string[] lines = SourceLines.Of(file, run.Span);
        // Behind a plain chain of commands the clean-up can be added; a comment or a loop at the end would swallow it.
        LintFix? fix = RunJoiner.CanJoin(run) ? new LintFix(run.Span, $"{string.Join('\n', lines).TrimEnd()} {file.Escape}\n    && {clean}") : null;
        return new LintFinding(nameof(PackageCacheLeft), run.Span, message, $"end the step with: && {clean}", fix);
    }
}
