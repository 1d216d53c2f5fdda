namespace Strata.Dockerfiles.Lint;

/// <summary>chmod or chown of files that an earlier step made: a layer holds whole files, so theirs are in the image twice.</summary>
internal static class ModeChangedInLaterLayer
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Stage stage in StageFacts.ShippedStages(file))
        {
            var made = new List<(string Path, Instruction By)>();
            string folder = "";
            for (int i = 0; i < stage.Instructions.Length; i++)
            {
                Instruction instruction = stage.Instructions[i];
                folder = instruction is WorkdirInstruction workdir ? LayerPaths.Combine(folder, workdir.Path) : folder;
                if (instruction is CopyInstruction copy)
                {
                    // Of a folder's content nothing is known but where it goes.
                    string[] paths = [.. LayerPaths.MadeBy(copy, folder)];
                    made.AddRange((paths.Length > 0 ? paths : [LayerPaths.Combine(folder, copy.Destination)]).Select(p => (p, instruction)));
                }
                if (instruction is RunInstruction run && Find(file, run, folder, made, i > 0 ? stage.Instructions[i - 1] : null) is { } finding)
                {
                    yield return finding;
                }
            }
        }
    }

    // At most one for a RUN; what it makes itself is added to what is made.
    private static LintFinding? Find(Dockerfile file, RunInstruction run, string folder, List<(string Path, Instruction By)> made, Instruction? before)
    {
        LintFinding? finding = null;
        foreach (ShellCommand command in ShellCommands.Of(run))
        {
            folder = command.Program == "cd" ? LayerPaths.Combine(folder, command.Operands.FirstOrDefault() ?? "/root") : folder;
            if (finding is null && command.Program is "chmod" or "chown" or "chgrp")
            {
                bool all = command.HasLetter('R') || command.Has("--recursive");
                string[] targets = [.. command.Operands.Skip(command.Words.Any(w => w.StartsWith("--reference", StringComparison.Ordinal)) ? 0 : 1).Select(o => LayerPaths.Combine(folder, o))];
                finding = made.Where(m => m.By.Span != run.Span && targets.Any(t => Touches(t, m.Path, all))).Select(m => Finding(file, run, command, m.Path, m.By, before)).FirstOrDefault();
            }
            made.AddRange(LayerPaths.MadeBy(command, folder).Select(p => (p, (Instruction)run)));
        }
        return finding;
    }

    private static bool Touches(string target, string path, bool all)
        => target.Length > 1 && (target == path || target.StartsWith(path.TrimEnd('/') + "/", StringComparison.Ordinal) || (all && path.StartsWith(target + "/", StringComparison.Ordinal)) || LayerPaths.Covers(target, path) && target.Contains('*', StringComparison.Ordinal));

    private static LintFinding Finding(Dockerfile file, RunInstruction run, ShellCommand command, string path, Instruction by, Instruction? before)
    {
        string flag = command.Program == "chmod" ? "--chmod=MODE" : "--chown=USER:GROUP";
        return new LintFinding(nameof(ModeChangedInLaterLayer), run.Span,
            $"{command.Program} changes {path}, which line {by.Span.FirstLine} put into an earlier layer: what it changes is in the image twice",
            by is CopyInstruction copy ? $"say it where it is copied (line {by.Span.FirstLine}): {copy.Keyword} {flag} …" : $"do it in the step that makes it (line {by.Span.FirstLine}), joined with &&",
            by is RunInstruction maker && before == by ? RunJoiner.Join(file, [maker, run]) : null);
    }
}
