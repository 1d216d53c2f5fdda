using Strata.Cli;
using Strata.Cli.Commands;
using Strata.Cli.Syntax;
using Xunit;

namespace Strata.Tests.Cli;

public sealed class SyntaxTests
{
    [Theory]
    [InlineData("run --bad image", "unknown option --bad")]
    [InlineData("run --bad=1 image", "unknown option --bad")]
    [InlineData("run -itZ image", "unknown option -itZ")]
    [InlineData("run --rm -it -e A=1 -eB=2 --name x image --whatever -Z", null)]
    [InlineData("run --name --rm image", null)] // a name may look like an option: it is the value
    [InlineData("run --rm", "IMAGE is missing")]
    [InlineData("run image --name", null)]
    [InlineData("run --name", "--name needs a value: NAME")]
    [InlineData("images --nope", "unknown option --nope")]
    [InlineData("images -qa", null)]
    [InlineData("images a b", "'b' is one word too many")]
    [InlineData("images --quiet=yes", "--quiet yes: it is true or false")]
    [InlineData("system df -v", null)]
    [InlineData("system df --nope", "unknown option --nope")]
    [InlineData("system", "it needs one of df, prune, budget, check, migrate, dedupe")]
    [InlineData("system du", "'du' is none of df, prune, budget, check, migrate, dedupe")]
    [InlineData("build -t a -f - .", null)]
    [InlineData("stop -t soon box", "-t soon: it is a whole number")]
    [InlineData("layer ls image second", "LAYER 'second': it is a whole number")]
    [InlineData("tag a", "TARGET is missing")]
    public void A_line_is_understood_or_said_to_be_wrong(string line, string? problem) => Assert.Equal(problem, Parse(line).Problem);

    [Theory]
    [InlineData("-q", "True|False||", "")]
    [InlineData("-qa", "True|True||", "")]
    [InlineData("--quiet=false -a", "False|True||", "")]
    [InlineData("-n x w", "False|False|x|", "w")]
    [InlineData("-nx w", "False|False|x|", "w")]
    [InlineData("-n=x w", "False|False|x|", "w")]
    [InlineData("-qnx w", "True|False|x|", "w")]
    [InlineData("--name=x=y w", "False|False|x=y|", "w")]
    [InlineData("--name= w", "False|False||", "w")]
    [InlineData("--name a --name b w", "False|False|b|", "w")]
    [InlineData("w -q v", "True|False||", "w v")]
    [InlineData("-- -q v", "False|False||", "-q v")]
    [InlineData("- v", "False|False||", "- v")]
    [InlineData("--add 1 w --add=2 -q", "True|False||1,2", "w")]
    public void Words_are_read_as_other_programs_read_them(string line, string options, string words)
    {
        (Command command, Func<ParseResult, string> show, Argument<string[]> rest) = Make();
        ParseResult parsed = command.Parse(line.Split(' '));
        Assert.Null(parsed.Problem);
        Assert.Equal(options, show(parsed));
        Assert.Equal(words, string.Join(' ', parsed.GetValue(rest)));
    }

    [Theory]
    [InlineData("img cmd -q", "False|False||", "img cmd -q")]
    [InlineData("-q img ls -l", "True|False||", "img ls -l")]
    [InlineData("-n n img --help", "False|False|n|", "img --help")]
    [InlineData("-- img -x -- y", "False|False||", "img -x -- y")]
    [InlineData("-q -- img -x", "True|False||", "img -x")]
    [InlineData("img -- x", "False|False||", "img -- x")]
    public void What_stands_behind_the_image_belongs_to_the_container(string line, string options, string words)
    {
        (Command command, Func<ParseResult, string> show, Argument<string[]> rest) = Make();
        ParseResult parsed = command.Parse(line.Split(' '), takesCommand: true);
        Assert.Null(parsed.Problem);
        Assert.False(parsed.WantsHelp);
        Assert.Equal(options, show(parsed));
        Assert.Equal(words, string.Join(' ', parsed.GetValue(rest)));
    }

    [Theory]
    [InlineData("a", "a", "", "")]
    [InlineData("a b", "a", "", "b")]
    [InlineData("a b c", "a", "b", "c")]
    public void Words_go_to_arguments_from_the_left_save_those_the_later_ones_need(string line, string one, string maybe, string last)
    {
        Argument<string> first = Options.One("FIRST", ""), third = Options.One("THIRD", "");
        Argument<string?> second = Options.Maybe("SECOND", "");
        ParseResult parsed = new Command("x") { first, second, third }.Parse(line.Split(' '));
        if (last.Length == 0)
        {
            Assert.Equal("THIRD is missing", parsed.Problem);
            return;
        }
        Assert.Equal((one, maybe, last), (parsed.GetValue(first), parsed.GetValue(second) ?? "", parsed.GetValue(third)));
    }

    [Theory]
    [InlineData("images --help", null)]
    [InlineData("images -h", null)]
    [InlineData("run -?", null)]
    [InlineData("system --help", "system")]
    [InlineData("system df --help", "df")]
    public void Help_is_asked_for_where_an_option_may_stand(string line, string? command)
    {
        ParseResult parsed = Parse(line);
        Assert.True(parsed.WantsHelp);
        Assert.Equal(command ?? parsed.Command.Name, parsed.Command.Name);
    }

    [Theory]
    [InlineData("run -h name image", false)] // -h is its host name
    [InlineData("run image --help", false)]
    public void Help_is_not_what_only_looks_like_it(string line, bool wantsHelp) => Assert.Equal(wantsHelp, Parse(line).WantsHelp);

    private static (Command Command, Func<ParseResult, string> Show, Argument<string[]> Words) Make()
    {
        Option<bool> quiet = Options.Flag("--quiet", "", "-q"), all = Options.Flag("--all", "", "-a");
        Option<string?> name = Options.Value("--name", "NAME", "", "-n");
        Option<string[]> add = Options.Values("--add", "X", "");
        Argument<string[]> rest = Options.Many("WORDS", "", atLeastOne: false);
        return (new Command("x") { quiet, all, name, add, rest },
            p => $"{p.GetValue(quiet)}|{p.GetValue(all)}|{p.GetValue(name)}|{string.Join(',', p.GetValue(add))}", rest);
    }

    private static ParseResult Parse(string line)
    {
        string[] words = line.Split(' ');
        using var context = new CommandContext(new GlobalOptions { Root = "/nonexistent" });
        CommandEntry entry = CommandTable.TryCreate(words[0])!;
        return entry.Create(context).Parse(words[1..], entry.TakesCommand);
    }
}
