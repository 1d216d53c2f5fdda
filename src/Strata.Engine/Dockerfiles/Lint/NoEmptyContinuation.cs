namespace Strata.Dockerfiles.Lint;

/// <summary>An empty line between continuation lines: Docker means to refuse it. The parser finds it; this removes it.</summary>
internal static class NoEmptyContinuation
{
    internal static LintFinding Finding(Dockerfile file, DockerfileWarning warning)
    {
        SourceSpan span = file.Stages.SelectMany(s => s.Instructions.Select(i => i.Span).Prepend(s.Span)).Concat(file.GlobalArgs.Select(a => a.Span))
            .FirstOrDefault(s => s.FirstLine <= warning.Span.LastLine && warning.Span.LastLine <= s.LastLine, warning.Span);
        // Only the lines before the warning's are the instruction's own; a heredoc that follows keeps its empty lines.
        var own = new SourceSpan(span.File, span.FirstLine, warning.Span.LastLine);
        string[] kept = [.. SourceLines.Of(file, own).Where(l => l.Trim().Length > 0)];
        return new LintFinding(nameof(NoEmptyContinuation), warning.Span, warning.Message, $"remove the empty lines between line {own.FirstLine} and line {own.LastLine}", new LintFix(own, string.Join('\n', kept)));
    }
}
