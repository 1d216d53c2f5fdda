using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Dockerfiles;

public sealed class VariableExpanderTests
{
    private static readonly Dictionary<string, string> s_values = new() { ["file"] = "/a/b.tar.gz", ["empty"] = "", ["x"] = "aXbXc", ["lines"] = "a\nb", ["blank"] = "p  q" };

    [Theory]
    [InlineData("${file##*/}", "b.tar.gz")]
    [InlineData("${file#*/}", "a/b.tar.gz")]
    [InlineData("${file%.*}", "/a/b.tar")]
    [InlineData("${file%%.*}", "/a/b")]
    [InlineData("${file%.zip}", "/a/b.tar.gz")]
    [InlineData("${x/X/-}", "a-bXc")]
    [InlineData("${x//X/-}", "a-b-c")]
    [InlineData("${x//?X/}", "c")]
    [InlineData("${x/*X/<}", "<c")]
    [InlineData("${file//\\//:}", ":a:b.tar.gz")]
    [InlineData("${none#a}", "")]
    [InlineData("${none//a/b}", "")]
    [InlineData("${lines#*b}", "a\nb")]
    [InlineData("${empty:-w}${empty-w}${none-w}", "ww")]
    [InlineData("${empty:+w}${empty+w}", "w")]
    [InlineData("${none:-\"a b\"}", "a b")]
    [InlineData("a\\$x \"$x\" '$x'", "a$x aXbXc $x")]
    public void Substitutions_are_a_shells(string word, string expected) => Assert.Equal(expected, new VariableExpander('\\', s_values.GetValueOrDefault).Expand(word));

    [Theory]
    [InlineData("${none?}", "failed to process \"${none?}\": none: is not allowed to be unset")]
    [InlineData("${empty:?}", "failed to process \"${empty:?}\": empty: is not allowed to be empty")]
    [InlineData("${none:?set it}", "failed to process \"${none:?set it}\": none: set it")]
    [InlineData("${x", "failed to process \"${x\": syntax error: missing '}'")]
    [InlineData("${x:-a", "failed to process \"${x:-a\": syntax error: missing '}'")]
    [InlineData("${}", "failed to process \"${}\": syntax error: bad substitution")]
    [InlineData("${x!}", "failed to process \"${x!}\": unsupported modifier (!) in substitution")]
    [InlineData("${x#\\a}", "failed to process \"${x#\\a}\": invalid pattern (\\a) in substitution: invalid escape '\\a'")]
    [InlineData("'a", "failed to process \"'a\": unexpected end of statement while looking for matching single-quote")]
    public void What_is_no_substitution_is_said_in_Dockers_words(string word, string message)
        => Assert.Equal(message, Assert.Throws<FormatException>(() => new VariableExpander('\\', s_values.GetValueOrDefault).Expand(word)).Message);

    [Fact]
    public void The_escape_character_is_the_files()
    {
        var expander = new VariableExpander('`', s_values.GetValueOrDefault);
        Assert.Equal("C:\\dir\\aXbXc $x", expander.Expand("C:\\dir\\$x `$x"));
    }

    [Fact]
    public void Words_split_at_blanks_of_values_unless_quoted()
    {
        var expander = new VariableExpander('\\', s_values.GetValueOrDefault);
        Assert.Equal(["p", "q", "p  q", "c d"], expander.ExpandWords("$blank \"$blank\" c\\ d $empty"));
    }

    [Fact]
    public void Text_of_documents_keeps_its_quotes()
        => Assert.Equal("echo \"aXbXc\" 'aXbXc' $x\n", new VariableExpander('`', s_values.GetValueOrDefault).ExpandText("echo \"$x\" '${x}' \\$x\n"));

    [Fact]
    public void It_knows_what_it_was_asked_for()
    {
        var expander = new VariableExpander('\\', s_values.GetValueOrDefault);
        _ = expander.Expand("$x ${none:-$file}");
        Assert.Equal(["file", "x"], expander.Used);
        Assert.Equal(["none"], expander.Unset);
    }

    [Fact]
    public void Hostile_nesting_ends_in_an_error_and_hostile_patterns_in_time()
    {
        var expander = new VariableExpander('\\', _ => new string('a', 2000));
        Assert.Throws<FormatException>(() => expander.Expand(string.Concat(Enumerable.Repeat("${a:+", 100_000))));
        Assert.Throws<FormatException>(() => expander.Expand(string.Concat(Enumerable.Repeat("\"${a:+", 100_000))));
        Assert.Equal(2000, expander.Expand("${x%" + string.Concat(Enumerable.Repeat("*a", 200)) + "b}").Length);
    }
}
