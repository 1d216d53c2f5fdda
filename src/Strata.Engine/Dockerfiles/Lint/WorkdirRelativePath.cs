namespace Strata.Dockerfiles.Lint;

/// <summary>A relative WORKDIR depends on what the base image left.</summary>
internal static class WorkdirRelativePath
{
    internal static IEnumerable<LintFinding> Check(Stage stage)
    {
        foreach (WorkdirInstruction workdir in stage.Instructions.OfType<WorkdirInstruction>())
        {
            if (workdir.Path.TrimStart('"', '\'') is ['/' or '$', ..] or [_, ':', ..])
            {
                yield break; // from here on the path is known
            }
            yield return new LintFinding(nameof(WorkdirRelativePath), workdir.Span, $"Relative workdir \"{workdir.Path}\" can have unexpected results if the base image changes", $"write: WORKDIR /{workdir.Path}");
        }
    }
}
