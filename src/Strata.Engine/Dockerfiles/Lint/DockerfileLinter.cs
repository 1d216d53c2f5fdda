using System.Collections.Immutable;

namespace Strata.Dockerfiles.Lint;

/// <summary>Looks for what builds well and should be written otherwise. Pure: the text decides.</summary>
public static class DockerfileLinter
{
    private const int MaxRounds = 40; // fixes make room for fixes; no file needs so many rounds

    // What the parser itself found has no check of its own; the name is enough.
    private static readonly Func<Dockerfile, IEnumerable<LintFinding>> s_parser = static _ => [];

    private static readonly LintRule[] s_rules =
    [
        // BuildKit's
        new(nameof(ConsistentInstructionCasing), ConsistentInstructionCasing.Check), new(nameof(CopyIgnoredFile), CopyIgnoredFile.Check),
        new(nameof(DuplicateStageName), DuplicateStageName.Check, "DL3024"), new(nameof(ExposeInvalidFormat), ExposeInvalidFormat.Check),
        new(nameof(ExposeProtoCasing), ExposeProtoCasing.Check), new(nameof(FromAsCasing), FromAsCasing.Check),
        new(nameof(FromPlatformFlagConstDisallowed), FromPlatformFlagConstDisallowed.Check, "DL3029"), new(nameof(InvalidDefaultArgInFrom), InvalidDefaultArgInFrom.Check),
        new(nameof(InvalidDefinitionDescription), InvalidDefinitionDescription.Check) { IsOptional = true },
        new(JsonArgsRecommended.Name, JsonArgsRecommended.Check, "DL3025"), new(nameof(LegacyKeyValueFormat), s_parser), new(nameof(MaintainerDeprecated), MaintainerDeprecated.Check, "DL4000"),
        new(nameof(MultipleInstructionsDisallowed), MultipleInstructionsDisallowed.Check, "DL3012", "DL4003", "DL4004"), new(nameof(NoEmptyContinuation), s_parser),
        new(nameof(RedundantTargetPlatform), RedundantTargetPlatform.Check), new(nameof(ReservedStageName), ReservedStageName.Check),
        new(nameof(SecretsUsedInArgOrEnv), SecretsUsedInArgOrEnv.Check), new(nameof(StageNameCasing), StageNameCasing.Check), new(nameof(UndefinedArgInFrom), UndefinedArgInFrom.Check),
        new(nameof(UndefinedVar), UndefinedVar.Check), new(nameof(WorkdirRelativePath), WorkdirRelativePath.Check, "DL3000"),

        // hadolint's
        new(nameof(DL3006), DL3006.Check), new(nameof(DL3007), DL3007.Check), new(nameof(DL3009), DL3009.Check), new(nameof(DL3010), DL3010.Check), new(nameof(DL3014), DL3014.Check),
        new(nameof(DL3015), DL3015.Check), new(nameof(DL3019), DL3019.Check), new(nameof(DL3020), DL3020.Check), new(nameof(DL3030), DL3030.Check), new(nameof(DL3032), DL3032.Check),
        new(nameof(DL3034), DL3034.Check), new(nameof(DL3035), DL3035.Check), new(nameof(DL3036), DL3036.Check), new(nameof(DL3037), DL3037.Check) { IsOptional = true },
        new(nameof(DL3038), DL3038.Check), new(nameof(DL3040), DL3040.Check), new(nameof(DL3042), DL3042.Check), new(nameof(DL3059), DL3059.Check, "ConsecutiveRuns"), new(nameof(DL3060), DL3060.Check),

        // our own
        new(nameof(FileDeletedInLaterLayer), FileDeletedInLaterLayer.Check), new(nameof(InlineComment), s_parser), new(nameof(ModeChangedInLaterLayer), ModeChangedInLaterLayer.Check),
    ];

    /// <summary>The names of all rules, in the order of the alphabet.</summary>
    public static ImmutableArray<string> Rules { get; } = [.. s_rules.Select(r => r.Name).Order(StringComparer.Ordinal)];

    /// <summary>A rule's own name and the others that mean it; empty where there is no such rule. Case does not count.</summary>
    public static ImmutableArray<string> NamesOf(string rule) => s_rules.FirstOrDefault(r => r.Is(rule)) is { } found ? [found.Name, .. found.Aliases] : [];

    /// <summary>All findings, in the order of lines.</summary>
    /// <exception cref="DockerfileException">The file's check directive is malformed.</exception>
    public static ImmutableArray<LintFinding> Lint(Dockerfile file) => Lint(file, new LintOptions());

    /// <summary>All findings, in the order of lines.</summary>
    /// <exception cref="DockerfileException">The file's check directive is malformed.</exception>
    public static ImmutableArray<LintFinding> Lint(Dockerfile file, LintOptions options)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(options);
        var check = CheckDirective.Of(file, options.Check);
        HashSet<string> asked = [.. s_rules.Where(r => IsAsked(r, options, check)).Select(r => r.Name)];
        IEnumerable<LintFinding> found = s_rules.Where(r => asked.Contains(r.Name)).SelectMany(rule => rule.Check(file, options))
            .Concat(file.Warnings.Where(w => asked.Contains(w.Rule)).Select(w => FromWarning(file, w)));
        Dictionary<int, List<string>> comments = CheckDirective.Comments(file);
        found = comments.Count == 0 ? found : found.Where(f => !IsIgnored(f, comments));
        return [.. found.OrderBy(f => f.Span.FirstLine).ThenBy(f => f.Rule, StringComparer.Ordinal).ThenBy(f => f.Message, StringComparer.Ordinal)];
    }

    /// <summary>Whether the file, or what was said from outside, makes findings an error of the build: <c># check=error=true</c>.</summary>
    /// <exception cref="DockerfileException">The file's check directive is malformed.</exception>
    public static bool MakesErrors(Dockerfile file, LintOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return CheckDirective.Of(file, options.Check).IsError;
    }

    /// <summary>The file's text with all fixes that can be made without a person.</summary>
    /// <exception cref="DockerfileException">The check directive is malformed.</exception>
    public static string Fix(Dockerfile file) => Fix(file, new LintOptions(), withUnsafe: false);

    /// <summary>The file's text with the fixes of the rules that are asked.</summary>
    /// <param name="file">What is mended.</param>
    /// <param name="options">Which rules.</param>
    /// <param name="withUnsafe">Also those after which the image may hold other files.</param>
    /// <exception cref="DockerfileException">The check directive is malformed.</exception>
    public static string Fix(Dockerfile file, LintOptions options, bool withUnsafe)
    {
        ArgumentNullException.ThrowIfNull(file);
        for (int round = 0; round < MaxRounds; round++)
        {
            string text = SourceLines.Apply(file, Lint(file, options).Select(f => f.Fix).OfType<LintFix>().Where(f => f.IsSafe || withUnsafe));
            if (text == file.Source)
            {
                break;
            }
            string name = file.Stages[0].Span.File;
            file = Dockerfile.Parse(text, name);
        }
        return file.Source;
    }

    private static bool IsAsked(LintRule rule, LintOptions options, CheckDirective check)
    {
        if (options.Disabled.Any(rule.Is))
        {
            return false;
        }
        if (options.Only.Length > 0)
        {
            return options.Only.Any(rule.Is);
        }
        return !check.Skipped.Any(n => n == "all" || rule.Is(n)) && (!rule.IsOptional || options.Enabled.Any(rule.Is) || check.Enabled.Any(n => n == "all" || rule.Is(n)));
    }

    private static bool IsIgnored(LintFinding finding, Dictionary<int, List<string>> comments)
        => new[] { 0, finding.Span.FirstLine }.Any(line => comments.TryGetValue(line, out List<string>? names) && names.Any(n => NamesOf(n).Contains(finding.Rule)));

    private static LintFinding FromWarning(Dockerfile file, DockerfileWarning warning) => warning.Rule switch
    {
        nameof(NoEmptyContinuation) => NoEmptyContinuation.Finding(file, warning),
        // A comment that was taken for a part of a path or name changes it when it goes.
        _ => new LintFinding(warning.Rule, warning.Span, warning.Message, warning.Fix is null ? "" : "write: " + warning.Fix,
            warning.Fix is null ? null : new LintFix(warning.Span, warning.Fix) { IsSafe = warning.Rule != nameof(InlineComment) }),
    };
}
