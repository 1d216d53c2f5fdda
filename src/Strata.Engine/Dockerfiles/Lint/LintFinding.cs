namespace Strata.Dockerfiles.Lint;

/// <summary>Something a rule found.</summary>
/// <param name="Rule">The rule's name: docs/lint/NAME.md explains it. BuildKit's or hadolint's name where they have the rule.</param>
/// <param name="Span">Where.</param>
/// <param name="Message">What is so; in BuildKit's words where BuildKit has the rule.</param>
/// <param name="Advice">What to do.</param>
/// <param name="Fix">The text that does it; null where only a person can know.</param>
public sealed record LintFinding(string Rule, SourceSpan Span, string Message, string Advice, LintFix? Fix = null);

/// <summary>Lines to replace.</summary>
/// <param name="Span">The lines that go.</param>
/// <param name="Text">What comes; lines between newlines, none at the end.</param>
public sealed record LintFix(SourceSpan Span, string Text)
{
    /// <summary>
    /// Whether the image surely holds the same files afterwards, but for caches that the rule is about. Others are made only on request
    /// (<c>--unsafe-fixes</c>).
    /// </summary>
    public bool IsSafe { get; init; } = true;
}
