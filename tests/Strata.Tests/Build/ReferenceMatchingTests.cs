using Strata.Build;
using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Build;

/// <summary>Patterns and modes of the Dockerfile reference: the wildcards of COPY and ADD (Go's filepath.Match), --chmod, .dockerignore.</summary>
public sealed class ReferenceMatchingTests
{
    [Theory]
    // ADD, "Source": the examples, then Go's rules
    [InlineData("*.png", "a.png", true)]
    [InlineData("*.png", "a.jpg", false)]
    [InlineData("*.png", ".png", true)]
    [InlineData("index.?s", "index.js", true)]
    [InlineData("index.?s", "index.ts", true)]
    [InlineData("index.?s", "index.s", false)]
    [InlineData("arr[[]0].txt", "arr[0].txt", true)]
    [InlineData("arr[[]0].txt", "arr0.txt", false)]
    [InlineData("hom*", "home.txt", true)]
    [InlineData("hom*", "hom", true)]
    [InlineData("*", "", true)]
    [InlineData("a*b*c", "axxbyyc", true)]
    [InlineData("a*b*c", "axxbyy", false)]
    [InlineData("[a-c]x", "bx", true)]
    [InlineData("[a-c]x", "dx", false)]
    [InlineData("[^a-c]x", "dx", true)]
    [InlineData("[^a-c]x", "ax", false)]
    [InlineData("[abc-e]", "d", true)]
    [InlineData("\\*", "*", true)]
    [InlineData("\\*", "a", false)]
    [InlineData("[\\]]", "]", true)]
    [InlineData("[\\-x]", "-", true)]
    [InlineData("ab[c]", "abc", true)]
    [InlineData("?", "é", true)]
    [InlineData("a?c", "a/c", true)] // one component at a time: no slash ever comes here
    public void Wildcards_match_as_Go_matches(string pattern, string name, bool matches) => Assert.Equal(matches, PathPattern.Matches(pattern, name));

    [Theory]
    // --chmod: octal, and chmod(1)'s letters; the mode before is 0644 for a file and 0755 for a directory
    [InlineData("755", 0b110_100_100, false, "755")]
    [InlineData("0644", 0b111_111_111, false, "644")]
    [InlineData("4755", 0b110_100_100, false, "4755")]
    [InlineData("07777", 0, false, "7777")]
    [InlineData("0", 0b111_111_111, false, "0")]
    [InlineData("u=rwX,go=rX", 0b110_100_100, false, "644")]
    [InlineData("u=rwX,go=rX", 0b111_101_101, true, "755")]
    [InlineData("u=rwX,go=rX", 0b111_000_000, false, "755")]
    [InlineData("+x", 0b110_100_100, false, "755")]
    [InlineData("a+x", 0b110_100_100, false, "755")]
    [InlineData("u+x", 0b110_100_100, false, "744")]
    [InlineData("go-r", 0b110_100_100, false, "600")]
    [InlineData("g=u", 0b110_100_100, false, "664")]
    [InlineData("o=", 0b110_100_100, false, "640")]
    [InlineData("u=rw,g=r,o=", 0b111_111_111, false, "640")]
    [InlineData("ug+s", 0b111_101_101, false, "6755")]
    [InlineData("+t", 0b111_111_111, true, "1777")]
    [InlineData("u+w-x", 0b101_101_101, false, "655")]
    [InlineData("a=r,u+w", 0b111_111_111, false, "644")]
    [InlineData("+X", 0b110_100_100, false, "644")]
    [InlineData("+X", 0b110_100_100, true, "755")]
    public void A_mode_is_octal_or_chmod_s(string expression, int mode, bool isDirectory, string expected)
    {
        Assert.True(ModeExpression.IsValid(expression));
        Assert.Equal(expected, Convert.ToString(ModeExpression.Apply(expression, mode, isDirectory), 8));
    }

    [Theory]
    [InlineData("")]
    [InlineData("8")]
    [InlineData("10000")]
    [InlineData("rwx")]
    [InlineData("u")]
    [InlineData("u=q")]
    [InlineData("u=r,")]
    public void What_is_no_mode_is_refused(string expression) => Assert.False(ModeExpression.IsValid(expression));

    [Theory]
    // ".dockerignore file": the table of the documentation, the exceptions below it
    [InlineData("# comment\n*/temp*\n*/*/temp*\ntemp?", "somedir/temporary.txt", true)]
    [InlineData("# comment\n*/temp*\n*/*/temp*\ntemp?", "somedir/temp", true)]
    [InlineData("# comment\n*/temp*\n*/*/temp*\ntemp?", "somedir/subdir/temporary.txt", true)]
    [InlineData("# comment\n*/temp*\n*/*/temp*\ntemp?", "tempa", true)]
    [InlineData("# comment\n*/temp*\n*/*/temp*\ntemp?", "tempb", true)]
    [InlineData("# comment\n*/temp*\n*/*/temp*\ntemp?", "temp", false)]
    [InlineData("# comment\n*/temp*\n*/*/temp*\ntemp?", "a/b/c/temp", false)]
    [InlineData("# comment\n*/temp*\n*/*/temp*\ntemp?", "# comment", false)]
    [InlineData("**/*.go", "a.go", true)]
    [InlineData("**/*.go", "a/b/c.go", true)]
    [InlineData("*.md\n!README.md", "README.md", false)]
    [InlineData("*.md\n!README.md", "other.md", true)]
    [InlineData("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true)]
    [InlineData("*.md\n!README*.md\nREADME-secret.md", "README-public.md", false)]
    [InlineData("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false)]
    [InlineData("/foo/bar", "foo/bar", true)]
    [InlineData("foo/bar", "foo/bar/x", true)]
    [InlineData("foo/bar/", "foo/bar", true)]
    [InlineData("foo/../bar", "bar", true)]
    [InlineData(".", "anything", false)]
    [InlineData("*\n!src\n!Makefile", "src/a/b", false)]
    [InlineData("*\n!src\n!Makefile", "other", true)]
    [InlineData("**/.git", "sub/.git/config", true)]
    [InlineData("dir/**/x", "dir/a/b/x", true)]
    [InlineData("dir/**/x", "dir/x", true)]
    [InlineData("dir/**", "dir/a", true)]
    [InlineData("dir/**", "dir", false)]
    [InlineData("**", "a", true)]
    [InlineData("a?c", "a/c", false)]
    [InlineData("a*c", "a/c", false)]
    [InlineData("\n\n  \nx", "x", true)]
    [InlineData("Dockerfile*\n.dockerignore", "Dockerfile.dev", true)]
    public void Ignored_is_what_the_last_matching_line_says(string rules, string path, bool ignored) => Assert.Equal(ignored, DockerIgnore.Parse(rules).IsIgnored(path));
}
