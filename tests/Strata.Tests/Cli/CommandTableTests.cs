using Strata.Cli;
using Strata.Cli.Commands;
using Strata.Cli.Syntax;
using Xunit;

namespace Strata.Tests.Cli;

public sealed class CommandTableTests
{
    public static TheoryData<string> Names => [.. CommandTable.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_command_can_be_made_and_says_what_it_is_for(string name)
    {
        using var context = new CommandContext(new GlobalOptions { Root = "/nonexistent" });
        CommandEntry entry = CommandTable.TryCreate(name)!;
        Command command = entry.Create(context);
        Assert.Equal(name, command.Name);
        Assert.NotEmpty(entry.Summary);
        Assert.NotEmpty(entry.Group);
        Assert.InRange(entry.Examples.Length, 1, Math.Max(3, command.Parts.Length)); // each part has one
        foreach (Command part in command.Parts.Append(command))
        {
            Assert.All(part.Options, o => Assert.False(string.IsNullOrEmpty(o.Description), $"{part.Name} {o.Name} is not described"));
            string[] words = [.. part.Options.SelectMany(o => o.Aliases.Append(o.Name))];
            Assert.Equal(words.Distinct().Count(), words.Length);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Help_shows_an_example_of_every_command_and_of_every_part_of_it(string name)
    {
        using var context = new CommandContext(new GlobalOptions { Root = "/nonexistent" });
        string[] parts = [.. CommandTable.TryCreate(name)!.Create(context).Parts.Select(s => s.Name)];
        foreach (string? part in parts.Append(null))
        {
            using var output = new StringWriter();
            Help.Write(context, output, name, part);
            string[] lines = output.ToString().Split('\n');
            string words = part is null ? name : $"{name} {part}";
            Assert.StartsWith($"Usage: strata {words}", lines[0], StringComparison.Ordinal);
            Assert.Contains(lines.SkipWhile(l => l != "Examples:").Skip(1), l => l.Contains($"strata {words}", StringComparison.Ordinal));
        }
    }

    public static TheoryData<string, string> Examples => [.. CommandTable.All.SelectMany(c => c.Examples.Select(e => new TheoryDataRow<string, string>(c.Name, e)))];

    [Theory]
    [MemberData(nameof(Examples))]
    public void Every_example_is_a_command_line_that_is_understood(string name, string example)
    {
        using var context = new CommandContext(new GlobalOptions { Root = "/nonexistent" });
        string line = example[example.IndexOf("strata ", StringComparison.Ordinal)..].Split(" | ")[0].Split(" >")[0].TrimEnd(')').Replace("$(strata ps -aq", "x", StringComparison.Ordinal);
        string[] words = [.. System.Text.RegularExpressions.Regex.Matches(line, @"'(?<w>[^']*)'|(?<w>\S+)").Select(m => m.Groups["w"].Value)];
        Assert.Equal((string[])["strata", name], words[..2]);
        CommandEntry entry = CommandTable.TryCreate(name)!;
        Command command = entry.Create(context);
        Assert.Null(command.Parse(words[2..], entry.TakesCommand).Problem);
    }

    [Theory]
    [InlineData("imagse", "images")]
    [InlineData("image", "images")]
    [InlineData("histroy", "history")]
    [InlineData("biuld", "build")]
    [InlineData("completly-else", null)]
    [InlineData("", null)]
    public void A_slip_of_the_finger_gets_the_nearest_command(string typed, string? meant) => Assert.Equal(meant, CommandTable.Nearest(typed));
}
