namespace Strata.Dockerfiles.Lint;

/// <summary>FROM sees only ARGs from before the first FROM.</summary>
internal static class UndefinedArgInFrom
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        var variables = new FromVariables(file);
        foreach (Stage stage in file.Stages)
        {
            foreach (string text in new[] { stage.BaseName, stage.Platform }.OfType<string>())
            {
                _ = variables.Expand(file, text, out IReadOnlyCollection<string> unset);
                foreach (string name in unset.Except(variables.Names))
                {
                    string? near = Suggestion.Find(name, variables.Names);
                    yield return new LintFinding(nameof(UndefinedArgInFrom), stage.Span, $"FROM argument '{name}' is not declared{(near is null ? "" : $" (did you mean {near}?)")}",
                        near is null ? $"write before the first FROM: ARG {name}=VALUE" : $"write: {near}");
                }
            }
        }
    }
}
