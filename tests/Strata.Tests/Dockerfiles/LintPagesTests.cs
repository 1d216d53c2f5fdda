using System.Text.RegularExpressions;
using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Xunit;

namespace Strata.Tests.Dockerfiles;

/// <summary>docs/lint: each rule's page is true.</summary>
public sealed partial class LintPagesTests
{
    private static readonly string s_folder = Path.Combine(LayeringTests.RepositoryRoot(), "docs", "lint");

    private static readonly LintOptions s_options = new() { Ignore = DockerIgnore.Parse("secret.txt") };

    public static TheoryData<string> Rules => [.. DockerfileLinter.Rules];

    [Fact]
    public void There_is_a_page_for_each_rule_and_no_other()
        => Assert.Equal(DockerfileLinter.Rules.Order(StringComparer.Ordinal), Directory.EnumerateFiles(s_folder).Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Rules))]
    public void The_bad_example_breaks_the_rule_and_the_good_one_breaks_none(string rule)
    {
        string page = File.ReadAllText(Path.Combine(s_folder, rule + ".md"));
        Assert.StartsWith($"# {rule}\n", page, StringComparison.Ordinal);
        string[] examples = [.. Example().Matches(page).Select(m => m.Groups[1].Value)];
        Assert.Equal(2, examples.Length);
        Assert.Contains(rule, Lint(examples[0]).Select(f => f.Rule));
        Assert.Empty(Lint(examples[1]));
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_page_promises_a_fix_where_there_is_one(string rule)
    {
        string page = File.ReadAllText(Path.Combine(s_folder, rule + ".md"));
        string bad = Example().Match(page).Groups[1].Value;
        bool isFixed = Lint(bad).Any(f => f.Rule == rule && f.Fix is not null);
        Assert.Equal(isFixed, !page.Contains("Only a person can mend it.", StringComparison.Ordinal));
        Assert.Equal(!isFixed, Lint(DockerfileLinter.Fix(Dockerfile.Parse(bad), s_options, withUnsafe: true)).Any(f => f.Rule == rule));
        bool isSafe = Lint(bad).Any(f => f.Rule == rule && f.Fix is { IsSafe: true });
        Assert.Equal(isFixed && !isSafe, page.Contains("strata lint --fix --unsafe-fixes", StringComparison.Ordinal));
    }

    private static System.Collections.Immutable.ImmutableArray<LintFinding> Lint(string text) => DockerfileLinter.Lint(Dockerfile.Parse(text), s_options);

    [GeneratedRegex("```dockerfile\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Example();
}
