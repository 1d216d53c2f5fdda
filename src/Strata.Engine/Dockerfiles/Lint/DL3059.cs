namespace Strata.Dockerfiles.Lint;

/// <summary>hadolint: multiple consecutive RUN. RUN after RUN makes a layer each; what the later removes, the earlier keeps.</summary>
internal static class DL3059
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (Stage stage in StageFacts.ShippedStages(file))
        {
            var runs = new List<RunInstruction>();
            foreach (Instruction? instruction in stage.Instructions.Append<Instruction?>(null))
            {
                // Steps with mounts of their own, and documents, are mostly apart for a reason.
                bool joins = instruction is RunInstruction { Heredocs.IsEmpty: true } next && (runs.Count == 0 || RunJoiner.HaveSameFlags(runs[^1], next));
                if (!joins && runs.Count > 1)
                {
                    yield return new LintFinding(nameof(DL3059), runs[0].Span, $"{runs.Count} RUN instructions in a row, to line {runs[^1].Span.LastLine}: a layer each",
                        "join what belongs together with &&, or in one heredoc", RunJoiner.Join(file, runs));
                }
                if (!joins)
                {
                    runs.Clear();
                }
                if (instruction is RunInstruction { Heredocs.IsEmpty: true } run)
                {
                    runs.Add(run);
                }
            }
        }
    }
}
