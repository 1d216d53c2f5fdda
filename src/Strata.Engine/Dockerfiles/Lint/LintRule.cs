namespace Strata.Dockerfiles.Lint;

/// <summary>A rule: its name, and what it finds.</summary>
/// <param name="Name">BuildKit's or hadolint's, where they have it.</param>
/// <param name="Check">Finds what breaks it.</param>
/// <param name="Aliases">Names that mean it too: hadolint's number for a rule of BuildKit's.</param>
internal sealed record LintRule(string Name, Func<Dockerfile, LintOptions, IEnumerable<LintFinding>> Check, params string[] Aliases)
{
    internal LintRule(string name, Func<Dockerfile, IEnumerable<LintFinding>> check, params string[] aliases)
        : this(name, (file, _) => check(file), aliases)
    {
    }

    /// <summary>Whether it speaks only where it is asked for: what many files do on purpose.</summary>
    internal bool IsOptional { get; init; }

    internal bool Is(string name) => Name.Equals(name, StringComparison.OrdinalIgnoreCase) || Aliases.Contains(name, StringComparer.OrdinalIgnoreCase);
}
