using System.Collections.Immutable;

namespace Strata.Dockerfiles.Lint;

/// <summary>Something a rule found.</summary>
/// <param name="Rule">The rule's name: docs/lint/NAME.md explains it.</param>
/// <param name="Span">Where.</param>
/// <param name="Message">What is so.</param>
/// <param name="Advice">What to do.</param>
public sealed record LintFinding(string Rule, SourceSpan Span, string Message, string Advice);

/// <summary>Looks for what builds well and should be written otherwise. Pure: the text decides.</summary>
public static class DockerfileLinter
{
    private static readonly Func<Stage, IEnumerable<LintFinding>>[] s_rules =
        [MaintainerDeprecated.Check, FileDeletedInLaterLayer.Check, PackageCacheLeft.Check, ConsecutiveRuns.Check, WorkdirRelativePath.Check, JsonArgsRecommended.Check];

    /// <summary>All findings, in the order of lines.</summary>
    public static ImmutableArray<LintFinding> Lint(Dockerfile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        IEnumerable<LintFinding> warned = file.Warnings.Select(w => new LintFinding(w.Rule, w.Span, w.Message, w.Fix is null ? "" : "write: " + w.Fix));
        return [.. file.Stages.SelectMany(stage => s_rules.SelectMany(rule => rule(stage))).Concat(warned).OrderBy(f => f.Span.FirstLine).ThenBy(f => f.Rule, StringComparer.Ordinal)];
    }
}
