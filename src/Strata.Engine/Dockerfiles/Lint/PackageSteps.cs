namespace Strata.Dockerfiles.Lint;

/// <summary>What the rules about package managers have in common.</summary>
internal static class PackageSteps
{
    /// <summary>The RUNs whose layers get into an image, with their scripts.</summary>
    internal static IEnumerable<(RunInstruction Run, RunScript Script)> Shipped(Dockerfile file)
        => Scripts(file, StageFacts.ShippedStages(file));

    /// <summary>All RUNs.</summary>
    internal static IEnumerable<(RunInstruction Run, RunScript Script)> All(Dockerfile file) => Scripts(file, file.Stages);

    /// <summary>Whether a step has a folder, one above it or one in it on a mount that is in no layer.</summary>
    internal static bool IsMounted(RunInstruction run, string path)
        => run.Mounts.Any(m => m.Type is "cache" or "tmpfs" && m.Options.Any(o => o.Key is "target" or "dst" or "destination" && o.Value?.TrimEnd('/') is { } target
            && (path.StartsWith(target, StringComparison.Ordinal) || target.StartsWith(path, StringComparison.Ordinal))));

    /// <summary>Whether a command removes what is in a folder.</summary>
    internal static bool Removes(ShellCommand command, string folder)
        => command.Program is "rm" or "find" && command.Operands.Any(o => o.StartsWith(folder, StringComparison.Ordinal) || (o.TrimEnd('/', '*') is { Length: > 4 } parent && folder.StartsWith(parent + "/", StringComparison.Ordinal)));

    /// <summary>A finding at a RUN whose cache a command at its end removes.</summary>
    internal static LintFinding Unclean(string rule, RunInstruction run, RunScript script, string message, string clean)
        => new(rule, run.Span, message, $"end the step with: && {clean}", script.Append(clean));

    /// <summary>A finding for each RUN with a command that lacks a word.</summary>
    internal static IEnumerable<LintFinding> Lacking(Dockerfile file, string rule, Func<ShellCommand, bool> lacks, string message, string word, params string[] behind)
    {
        foreach ((RunInstruction run, RunScript script) in All(file))
        {
            if (script.Commands.FirstOrDefault(lacks) is { } command)
            {
                yield return new LintFinding(rule, run.Span, message, $"write: {command.Program} {command.Words.FirstOrDefault(behind.Contains)} {word}", script.InsertBehind(command, word, behind));
            }
        }
    }

    private static IEnumerable<(RunInstruction Run, RunScript Script)> Scripts(Dockerfile file, IEnumerable<Stage> stages)
        => stages.SelectMany(s => s.Instructions).OfType<RunInstruction>().Select(run => (run, RunScript.Of(file, run)));
}
