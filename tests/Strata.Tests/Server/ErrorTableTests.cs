using Strata.Server;
using Xunit;

namespace Strata.Tests.Server;

public sealed class ErrorTableTests
{
    public static TheoryData<ErrorKind> Kinds => [.. Enum.GetValues<ErrorKind>()];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void The_page_about_errors_says_what_the_table_does(ErrorKind kind)
    {
        string page = File.ReadAllText(Path.Combine(LayeringTests.RepositoryRoot(), "docs", "errors.md"));
        string[] row = Assert.Single(page.Split('\n'), l => l.StartsWith($"| {kind} |", StringComparison.Ordinal)).Split('|', StringSplitOptions.TrimEntries);
        int[] statuses = [ErrorTable.HttpStatus(kind), ErrorTable.HttpStatus(kind, isFromClient: false)];
        Assert.Equal(string.Join(" or ", statuses.Distinct()), row[4]);
        Assert.Equal(ErrorTable.DistributionCode(kind), row[5]);
        Assert.Equal(1, ErrorTable.ExitCode(kind));
        Assert.NotEqual("", row[3]);
    }
}
