namespace Strata.Dockerfiles.Lint;

/// <summary>A file should build without --build-arg: defaults must make a name.</summary>
internal static class InvalidDefaultArgInFrom
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        var variables = new FromVariables(file);
        foreach (Stage stage in file.Stages.Where(s => s.BaseName.Contains('$', StringComparison.Ordinal)))
        {
            string? name = variables.Expand(file, stage.BaseName, out _);
            if (name is not null && !LooksLikeName(name))
            {
                yield return new LintFinding(nameof(InvalidDefaultArgInFrom), stage.Span, $"Default value for ARG {stage.BaseName} results in empty or invalid base image name", "give the ARG a default");
            }
        }
    }

    // Whether the parts a default can leave out are there: repository, tag, digest.
    private static bool LooksLikeName(string name)
        => name.Length > 0 && name[^1] is not (':' or '@' or '/') && name[0] is not (':' or '@' or '/')
            && !name.Contains("//", StringComparison.Ordinal) && !name.Contains(":@", StringComparison.Ordinal) && !name.Any(char.IsWhiteSpace);
}
