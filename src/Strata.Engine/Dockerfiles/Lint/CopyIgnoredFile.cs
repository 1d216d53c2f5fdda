namespace Strata.Dockerfiles.Lint;

/// <summary>COPY of what .dockerignore leaves out finds nothing. Only where the context is known.</summary>
internal static class CopyIgnoredFile
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file, LintOptions options)
    {
        foreach (CopyInstruction copy in options.Ignore is null ? [] : file.Stages.SelectMany(s => s.Instructions).OfType<CopyInstruction>().Where(c => c.From is null))
        {
            foreach (string source in copy.Sources.Where(s => !s.Contains("://", StringComparison.Ordinal) && !s.Contains('$', StringComparison.Ordinal) && !s.StartsWith("<<", StringComparison.Ordinal)))
            {
                string path = LayerPaths.Combine("/", source).TrimStart('/');
                if (path.Length > 0 && !path.AsSpan().ContainsAny("*?[") && options.Ignore!.IsIgnored(path) && !options.Ignore.MayContainIncluded(path))
                {
                    yield return new LintFinding(nameof(CopyIgnoredFile), copy.Span, $"Attempting to {(copy.IsAdd ? "Add" : "Copy")} file \"{source}\" that is excluded by .dockerignore",
                        $"bring it back with a line in .dockerignore: !{path}");
                }
            }
        }
    }
}
