using System.Collections.Immutable;

namespace Strata.Dockerfiles.Lint;

/// <summary>Something a rule found.</summary>
/// <param name="Rule">The rule's name: docs/lint/NAME.md explains it. BuildKit's name where BuildKit has the rule.</param>
/// <param name="Span">Where.</param>
/// <param name="Message">What is so; in BuildKit's words where BuildKit has the rule.</param>
/// <param name="Advice">What to do.</param>
/// <param name="Fix">The text that does it; null where only a person can know.</param>
public sealed record LintFinding(string Rule, SourceSpan Span, string Message, string Advice, LintFix? Fix = null);

/// <summary>Lines to replace.</summary>
/// <param name="Span">The lines that go.</param>
/// <param name="Text">What comes; lines between newlines, none at the end.</param>
public sealed record LintFix(SourceSpan Span, string Text);

/// <summary>What the text of a Dockerfile does not say.</summary>
public sealed record LintOptions
{
    /// <summary>
    /// The variables that an image sets, by the name after FROM; null where the image is not known. Where none is known,
    /// <c>UndefinedVar</c> speaks only of what looks like a slip of a declared name.
    /// </summary>
    public Func<string, IReadOnlyCollection<string>?> BaseVariables { get; init; } = static _ => null;
}

/// <summary>Looks for what builds well and should be written otherwise. Pure: the text decides.</summary>
public static class DockerfileLinter
{
    private const int MaxRounds = 20; // fixes make room for fixes; no file needs so many rounds

    private static readonly Func<Dockerfile, IEnumerable<LintFinding>>[] s_rules =
    [
        ConsecutiveRuns.Check, ConsistentInstructionCasing.Check, DuplicateStageName.Check, ExposeProtoCasing.Check, FileDeletedInLaterLayer.Check, FromAsCasing.Check,
        InvalidDefaultArgInFrom.Check, JsonArgsRecommended.Check, MaintainerDeprecated.Check, MultipleInstructionsDisallowed.Check, PackageCacheLeft.Check,
        RedundantTargetPlatform.Check, ReservedStageName.Check, SecretsUsedInArgOrEnv.Check, StageNameCasing.Check, UndefinedArgInFrom.Check, WorkdirRelativePath.Check,
    ];

    /// <summary>The names of all rules.</summary>
    public static ImmutableArray<string> Rules { get; } =
    [
        nameof(ConsecutiveRuns), nameof(ConsistentInstructionCasing), nameof(DuplicateStageName), nameof(ExposeProtoCasing), nameof(FileDeletedInLaterLayer),
        nameof(FromAsCasing), nameof(InlineComment), nameof(InvalidDefaultArgInFrom), JsonArgsRecommended.Name, nameof(LegacyKeyValueFormat), nameof(MaintainerDeprecated),
        nameof(MultipleInstructionsDisallowed), nameof(NoEmptyContinuation), nameof(PackageCacheLeft), nameof(RedundantTargetPlatform), nameof(ReservedStageName),
        nameof(SecretsUsedInArgOrEnv), nameof(StageNameCasing), nameof(UndefinedArgInFrom), nameof(UndefinedVar), nameof(WorkdirRelativePath),
    ];

    /// <summary>All findings, in the order of lines.</summary>
    public static ImmutableArray<LintFinding> Lint(Dockerfile file) => Lint(file, new LintOptions());

    /// <summary>All findings, in the order of lines.</summary>
    public static ImmutableArray<LintFinding> Lint(Dockerfile file, LintOptions options)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(options);
        IEnumerable<LintFinding> found = s_rules.SelectMany(rule => rule(file)).Concat(UndefinedVar.Check(file, options)).Concat(file.Warnings.Select(w => FromWarning(file, w)));
        return [.. found.OrderBy(f => f.Span.FirstLine).ThenBy(f => f.Rule, StringComparer.Ordinal).ThenBy(f => f.Message, StringComparer.Ordinal)];
    }

    /// <summary>The file's text with all fixes that can be made without a person.</summary>
    /// <exception cref="DockerfileException">The text is no Dockerfile to begin with.</exception>
    public static string Fix(Dockerfile file)
    {
        ArgumentNullException.ThrowIfNull(file);
        for (int round = 0; round < MaxRounds; round++)
        {
            string text = SourceLines.Apply(file, Lint(file).Select(f => f.Fix).OfType<LintFix>());
            if (text == file.Source)
            {
                break;
            }
            string name = file.Stages[0].Span.File;
            file = Dockerfile.Parse(text, name);
        }
        return file.Source;
    }

    private static LintFinding FromWarning(Dockerfile file, DockerfileWarning warning) => warning.Rule switch
    {
        nameof(NoEmptyContinuation) => NoEmptyContinuation.Finding(file, warning),
        _ => new LintFinding(warning.Rule, warning.Span, warning.Message, warning.Fix is null ? "" : "write: " + warning.Fix, warning.Fix is null ? null : new LintFix(warning.Span, warning.Fix)),
    };
}
