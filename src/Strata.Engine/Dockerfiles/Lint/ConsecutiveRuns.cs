namespace Strata.Dockerfiles.Lint;

/// <summary>RUN after RUN makes a layer each; what the later removes, the earlier keeps.</summary>
internal static class ConsecutiveRuns
{
    private const int Tolerated = 2; // two in a row are often a wish for a cached first half

    internal static IEnumerable<LintFinding> Check(Stage stage)
    {
        var runs = new List<RunInstruction>();
        foreach (Instruction? instruction in stage.Instructions.Append<Instruction?>(null))
        {
            if (instruction is RunInstruction run)
            {
                runs.Add(run);
                continue;
            }
            if (runs.Count > Tolerated)
            {
                yield return new LintFinding(nameof(ConsecutiveRuns), runs[0].Span, $"{runs.Count} RUN instructions in a row, to line {runs[^1].Span.LastLine}: a layer each", "join what belongs together with &&, or in one heredoc");
            }
            runs.Clear();
        }
    }
}
