using System.CommandLine;
using Strata.Cli;
using Strata.Cli.Commands;
using Xunit;

namespace Strata.Tests.Cli;

public sealed class RawTailTests
{
    [Theory]
    [InlineData("run --bad image", "--bad")]
    [InlineData("run --bad=1 image", "--bad")]
    [InlineData("run -itZ image", "-itZ")]
    [InlineData("run --rm -it -e A=1 -eB=2 --name x image --whatever -Z", null)]
    [InlineData("run --name --rm image", null)] // a name may look like an option: it is the value
    [InlineData("images --nope", "--nope")]
    [InlineData("images -qa", null)]
    [InlineData("system df -v", null)]
    [InlineData("system df --nope", "--nope")]
    [InlineData("build -t a -f - .", null)]
    public void A_word_that_looks_like_an_option_and_is_none_is_found(string line, string? unknown)
    {
        string[] words = line.Split(' ');
        using var context = new CommandContext(new GlobalOptions { Root = "/nonexistent" });
        CommandEntry entry = CommandTable.TryCreate(words[0], context)!;
        Command command = entry.Create(context);
        string[] tokens = entry.TakesCommand ? RawTail.Protect(command, words[1..]) : words[1..];
        Assert.Equal(unknown, RawTail.FindUnknownOption(command, tokens));
    }
}
