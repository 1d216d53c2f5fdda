namespace Strata.Dockerfiles.Lint;

/// <summary>MAINTAINER is a label now.</summary>
internal static class MaintainerDeprecated
{
    internal static IEnumerable<LintFinding> Check(Dockerfile file)
    {
        foreach (MaintainerInstruction maintainer in file.Stages.SelectMany(s => s.Instructions).OfType<MaintainerInstruction>())
        {
            string author = maintainer.Author.Length > 1 && maintainer.Author[0] == '"' && maintainer.Author[^1] == '"' ? maintainer.Author[1..^1] : maintainer.Author;
            foreach (char special in new[] { file.Escape, '"', '$' })
            {
                author = author.Replace(special.ToString(), $"{file.Escape}{special}", StringComparison.Ordinal);
            }
            string line = $"LABEL org.opencontainers.image.authors=\"{author}\"";
            yield return new LintFinding(nameof(MaintainerDeprecated), maintainer.Span, "Maintainer instruction is deprecated in favor of using label", $"write: {line}", new LintFix(maintainer.Span, line));
        }
    }
}
