using Strata.Dockerfiles;
using Xunit;

namespace Strata.Tests.Dockerfiles;

/// <summary>"Environment replacement" of the Dockerfile reference: every form of a substitution, with a variable that is set, empty, and not set.</summary>
public sealed class ReferenceExpansionTests
{
    private static readonly Dictionary<string, string> s_values = new() { ["set"] = "foobarbaz", ["empty"] = "", ["w"] = "word", ["path"] = "/usr/local/bin", ["_x1"] = "under" };

    [Theory]
    [InlineData("$set", "foobarbaz")]
    [InlineData("${set}", "foobarbaz")]
    [InlineData("${set}_suffix", "foobarbaz_suffix")]
    [InlineData("$set_suffix", "")]
    [InlineData("$_x1", "under")]
    [InlineData("$w-$w", "word-word")]
    [InlineData("$w.$w", "word.word")]
    [InlineData("$", "$")]
    [InlineData("a$", "a$")]
    [InlineData("\\$set", "$set")]
    [InlineData("\\${set}", "${set}")]
    [InlineData("\\\\$w", "\\word")]
    // :- and -
    [InlineData("${set:-w}", "foobarbaz")]
    [InlineData("${empty:-w}", "w")]
    [InlineData("${none:-w}", "w")]
    [InlineData("${set-w}", "foobarbaz")]
    [InlineData("${empty-w}", "")]
    [InlineData("${none-w}", "w")]
    [InlineData("${none:-$w}", "word")]
    [InlineData("${none:-${none:-deep}}", "deep")]
    [InlineData("${none:-}", "")]
    [InlineData("${none:-a b}", "a b")]
    [InlineData("${none:-\"q\"}", "q")]
    [InlineData("${none:-\\}}", "}")]
    // :+ and +
    [InlineData("${set:+w}", "w")]
    [InlineData("${empty:+w}", "")]
    [InlineData("${none:+w}", "")]
    [InlineData("${set+w}", "w")]
    [InlineData("${empty+w}", "w")]
    [InlineData("${none+w}", "")]
    [InlineData("${set:+$w}", "word")]
    // :? and ?
    [InlineData("${set:?w}", "foobarbaz")]
    [InlineData("${set?w}", "foobarbaz")]
    [InlineData("${empty?w}", "")]
    // # and ##
    [InlineData("${set#f*b}", "arbaz")]
    [InlineData("${set##f*b}", "az")]
    [InlineData("${set#x}", "foobarbaz")]
    [InlineData("${set#foo}", "barbaz")]
    [InlineData("${set#???}", "barbaz")]
    [InlineData("${set##*}", "")]
    [InlineData("${set#*}", "foobarbaz")]
    [InlineData("${path##*/}", "bin")]
    [InlineData("${path#/*/}", "local/bin")]
    // % and %%
    [InlineData("${set%b*}", "foobar")]
    [InlineData("${set%%b*}", "foo")]
    [InlineData("${set%x}", "foobarbaz")]
    [InlineData("${path%/*}", "/usr/local")]
    [InlineData("${path%%/*}", "")]
    [InlineData("${set%%*}", "")]
    // / and //
    [InlineData("${set/ba/fo}", "fooforbaz")]
    [InlineData("${set//ba/fo}", "fooforfoz")]
    [InlineData("${set//ba/}", "foorz")]
    [InlineData("${set/x/y}", "foobarbaz")]
    [InlineData("${path//\\//-}", "-usr-local-bin")]
    [InlineData("${set/b*/X}", "fooX")]
    [InlineData("${set//?a/X}", "fooXrXz")]
    // quotes
    [InlineData("'$set'", "$set")]
    [InlineData("\"$w\"", "word")]
    [InlineData("\"'$w'\"", "'word'")]
    [InlineData("'\"$w\"'", "\"$w\"")]
    [InlineData("\"\\$w\"", "$w")]
    [InlineData("\"\\\"\"", "\"")]
    [InlineData("a'b'c\"d\"", "abcd")]
    [InlineData("''", "")]
    [InlineData("\\'", "'")]
    [InlineData("\"a\\b\"", "a\\b")]
    public void A_word_becomes(string word, string expected) => Assert.Equal(expected, new VariableExpander('\\', s_values.GetValueOrDefault).Expand(word));

    [Theory]
    [InlineData("${empty:?must be}", "empty: must be")]
    [InlineData("${none?must be}", "none: must be")]
    [InlineData("${none:?}", "none: is not allowed to be unset")]
    [InlineData("${set", "missing '}'")]
    [InlineData("\"$w", "looking for matching double-quote")]
    [InlineData("'x", "looking for matching single-quote")]
    [InlineData("${set^}", "unsupported modifier (^)")]
    [InlineData("${set:x}", "unsupported modifier (:x)")]
    [InlineData("${set/a}", "")]
    public void What_cannot_be_expanded_is_said(string word, string said)
    {
        FormatException failure = Assert.Throws<FormatException>(() => new VariableExpander('\\', s_values.GetValueOrDefault).Expand(word));
        Assert.Contains(said, failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a b", "a|b")]
    [InlineData("  a   b  ", "a|b")]
    [InlineData("\"a b\" c", "a b|c")]
    [InlineData("a\\ b c", "a b|c")]
    [InlineData("'a  b'", "a  b")]
    [InlineData("$w $w", "word|word")]
    [InlineData("$empty", "")]
    [InlineData("x$empty y", "x|y")]
    public void Words_are_split_at_blanks(string text, string expected) => Assert.Equal(expected, string.Join('|', new VariableExpander('\\', s_values.GetValueOrDefault).ExpandWords(text)));
}
