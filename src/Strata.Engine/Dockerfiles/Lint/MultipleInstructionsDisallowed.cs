namespace Strata.Dockerfiles.Lint;

/// <summary>Of several CMD, ENTRYPOINT or HEALTHCHECK in a stage only the last counts.</summary>
internal static class MultipleInstructionsDisallowed
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (IGrouping<Type, Instruction> same in file.Stages.SelectMany(s => s.Instructions
            .Where(i => i is CmdInstruction or EntrypointInstruction or HealthcheckInstruction).GroupBy(i => i.GetType())))
        {
            Instruction last = same.Last();
            foreach (Instruction instruction in same.SkipLast(1))
            {
                yield return new LintFinding(nameof(MultipleInstructionsDisallowed), instruction.Span,
                    $"Multiple {instruction.Keyword} instructions should not be used in the same stage because only the last one will be used", $"remove it: line {last.Span.FirstLine} counts");
            }
        }
    }
}
