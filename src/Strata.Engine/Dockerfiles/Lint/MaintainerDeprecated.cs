namespace Strata.Dockerfiles.Lint;

/// <summary>MAINTAINER is a label now.</summary>
internal static class MaintainerDeprecated
{
    internal static IEnumerable<LintFinding> Check(Stage stage) => stage.Instructions.OfType<MaintainerInstruction>().Select(m => new LintFinding(nameof(MaintainerDeprecated), m.Span,
        "MAINTAINER instruction is deprecated in favor of using label", $"write: LABEL org.opencontainers.image.authors=\"{m.Author.Replace("\"", "\\\"", StringComparison.Ordinal)}\""));
}
