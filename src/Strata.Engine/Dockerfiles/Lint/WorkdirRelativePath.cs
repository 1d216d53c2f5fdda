namespace Strata.Dockerfiles.Lint;

/// <summary>A relative WORKDIR depends on what the base image left.</summary>
internal static class WorkdirRelativePath
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        bool[] known = new bool[file.Stages.Length];
        for (int i = 0; i < file.Stages.Length; i++)
        {
            known[i] = StageFacts.ParentOf(file, i) is { } parent && known[parent];
            foreach (WorkdirInstruction workdir in file.Stages[i].Instructions.OfType<WorkdirInstruction>())
            {
                // From the first on the path is known; one that starts with a variable may be either.
                if (!known[i] && workdir.Path.TrimStart('"', '\'') is not (['/' or '$' or '\\', ..] or [_, ':', ..]))
                {
                    yield return new LintFinding(nameof(WorkdirRelativePath), workdir.Span, $"Relative workdir \"{workdir.Path}\" can have unexpected results if the base image changes", $"write: {workdir.Keyword} /{workdir.Path}");
                }
                known[i] = true;
            }
        }
    }
}
