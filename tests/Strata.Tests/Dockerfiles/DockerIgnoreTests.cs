using System.Diagnostics;
using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Dockerfiles;

public sealed class DockerIgnoreTests
{
    [Theory]
    [InlineData("node_modules", "node_modules/a/b.js", true)]
    [InlineData("node_modules", "src/node_modules", false)]
    [InlineData("**/node_modules", "src/node_modules/x", true)]
    [InlineData("/abs", "abs", true)]
    [InlineData("./here/", "here/x", true)]
    [InlineData("a/../b", "b", true)]
    [InlineData("# a comment\n#b\n *.log ", "x.log", true)]
    [InlineData(" #b", "#b", true)]
    [InlineData("*\n!keep", "keep/x", false)]
    [InlineData("*\n! keep/a.txt", "keep/a.txt", false)]
    [InlineData("*\n!keep\nkeep/tmp", "keep/tmp/x", true)]
    [InlineData("**/*.md\n!README.md", "README.md", false)]
    [InlineData("**/*.md\n!README.md", "docs/README.md", true)]
    [InlineData("[^a]*", "b", true)]
    [InlineData("[^a]*", "a", false)]
    [InlineData("?.txt", "你.txt", true)]
    [InlineData("?.txt", "😀.txt", true)]
    [InlineData("[😀-😂].txt", "😁.txt", true)]
    [InlineData("a\\*b", "a*b", true)]
    [InlineData("a\\*b", "axb", false)]
    [InlineData("\uFEFFa\r\nb\r\n", "b", true)]
    [InlineData("\uFEFFa\r\nb\r\n", "a", true)]
    public void The_last_pattern_that_matches_decides(string text, string path, bool ignored) => Assert.Equal(ignored, DockerIgnore.Parse(text).IsIgnored(path));

    [Theory]
    [InlineData("[")]
    [InlineData("a\\")]
    [InlineData("[z-a]")]
    [InlineData("!")]
    [InlineData("! ")]
    public void A_pattern_that_is_none_is_refused(string text) => Assert.Throws<FormatException>(() => DockerIgnore.Parse(text));

    [Theory]
    [InlineData("dir", "dir", false)]
    [InlineData("dir\n!other/x", "dir", false)]
    [InlineData("dir\n!dir/a/b", "dir", true)]
    [InlineData("dir\n!dir/a/b", "dir/a", true)]
    [InlineData("dir\n!dir/a/b", "dir/c", false)]
    [InlineData("*\n!**/x", "dir/c", true)]
    [InlineData("*\n!src/*/y", "src/a", true)]
    [InlineData("*\n!src/*/y", "src/a/b", false)]
    [InlineData("*\n!src/*/y", "other", false)]
    [InlineData("*\n!src/**/y", "src/a/b/c", true)]
    [InlineData("*\n!a*a", "ab", false)]
    [InlineData("*\n!a*/a", "ab", true)]
    [InlineData("other", "dir", true)]
    public void A_walk_enters_what_may_hold_something_brought_back(string text, string directory, bool may)
        => Assert.Equal(may, DockerIgnore.Parse(text).MayContainIncluded(directory));

    [Fact]
    public void Combined_rules_hide_what_either_hides()
    {
        var both = DockerIgnore.Combine(DockerIgnore.Parse("a\n!a/b"), DockerIgnore.FromPatterns(["*.tmp", "#x"]));
        Assert.Equal([true, false, true, true, false], new[] { "a/c", "a/b", "x.tmp", "#x", "y" }.Select(both.IsIgnored));
        Assert.True(both.MayContainIncluded("a"));
    }

    [Fact]
    public void What_a_walk_passes_by_holds_nothing_that_counts()
    {
        string[] names = ["a", "b", "ab", "x.txt"];
        string[] patterns = ["a", "*", "**/b", "!a/b", "!**/x.txt", "!a*/b/*", "b/**", "!b/a/[a-b]", "?", "!ab"];
        string[] folders = [.. names, .. names.SelectMany(n => names.Select(m => $"{n}/{m}"))];
        var random = new Random(7);
        for (int round = 0; round < 400; round++)
        {
            string text = string.Join('\n', Enumerable.Range(0, 4).Select(_ => patterns[random.Next(patterns.Length)]));
            var ignore = DockerIgnore.Parse(text);
            foreach (string folder in folders.Where(f => !ignore.MayContainIncluded(f)))
            {
                string[] below = [.. names.Select(n => $"{folder}/{n}"), .. names.SelectMany(n => names.Select(m => $"{folder}/{n}/{m}"))];
                Assert.All(below, path => Assert.True(ignore.IsIgnored(path), $"{text}: {path}"));
            }
        }
    }

    [Fact]
    public void No_pattern_makes_matching_explode()
    {
        var ignore = DockerIgnore.Parse(string.Join('\n', Enumerable.Range(0, 100).Select(i => $"**/*a*{i}*b*c*[0-9]?{i}/**/z")));
        var watch = Stopwatch.StartNew();
        for (int i = 0; i < 500; i++)
        {
            Assert.False(ignore.IsIgnored($"some/folder/{i}/aaaaaaaaaaaaaaaaaaaaaaaaab/file{i}.txt"));
        }
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), watch.Elapsed.ToString());
    }
}
