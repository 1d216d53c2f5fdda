namespace Strata.Dockerfiles.Lint;

/// <summary>A file made in one step and removed in a later one stays in the image: the later layer only hides it.</summary>
internal static class FileDeletedInLaterLayer
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Stage stage in StageFacts.ShippedStages(file))
        {
            var made = new List<(string Path, Instruction By)>();
            string folder = ""; // relative to what the base image has; WORKDIR / makes it absolute
            for (int i = 0; i < stage.Instructions.Length; i++)
            {
                Instruction instruction = stage.Instructions[i];
                if (instruction is WorkdirInstruction workdir)
                {
                    folder = LayerPaths.Combine(folder, workdir.Path);
                }
                if (instruction is CopyInstruction copy)
                {
                    made.AddRange(LayerPaths.MadeBy(copy, folder).Select(p => (p, instruction)));
                }
                foreach (LintFinding finding in instruction is RunInstruction run ? CheckRun(file, run, i > 0 ? stage.Instructions[i - 1] : null, folder, made) : [])
                {
                    yield return finding;
                }
            }
        }
    }

    private static IEnumerable<LintFinding> CheckRun(Dockerfile file, RunInstruction run, Instruction? before, string folder, List<(string Path, Instruction By)> made)
    {
        var said = new HashSet<int>();
        foreach (ShellCommand command in ShellCommands.Of(run))
        {
            if (command.Program == "cd")
            {
                folder = LayerPaths.Combine(folder, command.Operands.FirstOrDefault() ?? "/root");
            }
            foreach (string removed in LayerPaths.RemovedBy(command, folder))
            {
                foreach ((string path, Instruction by) in made.Where(m => LayerPaths.Covers(removed, m.Path)).ToArray())
                {
                    made.RemoveAll(m => m.Path == path);
                    if (by.Span != run.Span && said.Add(by.Span.FirstLine))
                    {
                        yield return new LintFinding(nameof(FileDeletedInLaterLayer), run.Span,
                            $"{removed} is removed here, but line {by.Span.FirstLine} made {(path == removed ? "it" : path)} in an earlier layer: it stays in the image and only becomes invisible",
                            by is RunInstruction ? $"remove it in the step that makes it (line {by.Span.FirstLine}), joined with &&" : $"do not copy it (line {by.Span.FirstLine}): leave it out with .dockerignore, or mount it with RUN --mount",
                            by is RunInstruction maker && before == by ? RunJoiner.Join(file, [maker, run]) : null);
                    }
                }
            }
            made.AddRange(LayerPaths.MadeBy(command, folder).Select(p => (p, (Instruction)run)));
        }
    }
}
