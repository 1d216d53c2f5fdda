namespace Strata.Dockerfiles.Lint;

/// <summary>A comment right above ARG or FROM describes it where it starts with its name. Off by itself, as in BuildKit: many comments are no descriptions.</summary>
internal static class InvalidDefinitionDescription
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        string[] lines = [.. file.Source.Split('\n').Select(l => l.Trim().TrimStart('\uFEFF'))];
        int first = file.Directives.Length; // directives are no comments
        foreach ((string what, SourceSpan span, string[] names) in Definitions(file))
        {
            string above = span.FirstLine - 2 >= first ? lines[span.FirstLine - 2] : "";
            if (above.StartsWith('#') && !names.Contains(above[1..].Trim().Split(' ')[0]))
            {
                yield return new LintFinding(nameof(InvalidDefinitionDescription), span, $"Comment for {what} should follow the format: `# {(names.Length == 1 ? names[0] : "<arg_key>")} <description>`",
                    "put an empty line between the comment and the instruction where it is no description");
            }
        }
    }

    // A line with several ARGs is one definition.
    private static IEnumerable<(string What, SourceSpan Span, string[] Names)> Definitions(Dockerfile file)
        => file.GlobalArgs.Concat(file.Stages.SelectMany(s => s.Instructions).OfType<ArgInstruction>()).GroupBy(a => a.Span).Select(g => ("build argument", g.Key, g.Select(a => a.Name).ToArray()))
            .Concat(file.Stages.Where(s => s.WrittenName is not null).Select(s => ("build stage", s.Span, new[] { s.WrittenName! })));
}
