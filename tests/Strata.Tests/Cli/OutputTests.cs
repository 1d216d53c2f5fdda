using Strata.Cli.Output;
using Xunit;

namespace Strata.Tests.Cli;

public sealed class OutputTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-output-").FullName;

    [Theory]
    [InlineData(0, "0B")]
    [InlineData(1, "1B")]
    [InlineData(999, "999B")]
    [InlineData(1000, "1kB")]
    [InlineData(1024, "1.02kB")]
    [InlineData(9999, "10kB")]
    [InlineData(999_499, "999kB")]
    [InlineData(999_999, "1MB")]
    [InlineData(52_428_800, "52.4MB")]
    [InlineData(202_000_000, "202MB")]
    [InlineData(1_234_567_890, "1.23GB")]
    [InlineData(long.MaxValue, "9.22EB")]
    public void A_size_is_written_as_docker_writes_it(long bytes, string expected) => Assert.Equal(expected, Sizes.Human(bytes));

    [Theory]
    [InlineData(52_428_800, "52.43MB")]
    [InlineData(123_456, "123.5kB")]
    [InlineData(7, "7B")]
    public void Sums_have_four_digits(long bytes, string expected) => Assert.Equal(expected, Sizes.Human(bytes, 4));

    [Theory]
    [InlineData(-5, "Less than a second")]
    [InlineData(0, "Less than a second")]
    [InlineData(1, "1 second")]
    [InlineData(59, "59 seconds")]
    [InlineData(60, "About a minute")]
    [InlineData(119, "About a minute")]
    [InlineData(120, "2 minutes")]
    [InlineData(3599, "59 minutes")]
    [InlineData(3600, "About an hour")]
    [InlineData(5399, "About an hour")]
    [InlineData(5400, "2 hours")]
    [InlineData(9000, "3 hours")]
    [InlineData(47 * 3600, "47 hours")]
    [InlineData(48 * 3600, "2 days")]
    [InlineData(13 * 86400, "13 days")]
    [InlineData(14 * 86400, "2 weeks")]
    [InlineData(59 * 86400, "8 weeks")]
    [InlineData(60 * 86400, "2 months")]
    [InlineData(729 * 86400, "24 months")]
    [InlineData(730 * 86400, "2 years")]
    public void An_age_is_worded_as_docker_words_it(int seconds, string expected) => Assert.Equal(expected, Ages.Duration(TimeSpan.FromSeconds(seconds)));

    [Fact]
    public void An_age_that_nobody_knows_is_not_available_and_the_oldest_is_no_overflow()
    {
        DateTimeOffset now = new(2026, 11, 21, 0, 0, 0, TimeSpan.Zero);
        Assert.Equal("N/A", Ages.Ago(null, now));
        Assert.Equal("2027 years ago", Ages.Ago(DateTimeOffset.MinValue, now));
    }

    [Fact]
    public void A_column_is_as_wide_as_its_widest_cell_and_three_blanks()
        => Assert.Equal("NAME          SIZE\nabcdefghijk   1B\n", Text(new Table("NAME", "SIZE"), ["abcdefghijk", "1B"]));

    [Fact]
    public void A_narrow_column_has_ten_places() => Assert.Equal("A         B\nx         y\n", Text(new Table("A", "B"), ["x", "y"]));

    [Fact]
    public void Rows_may_be_longer_or_shorter_than_the_heading()
        => Assert.Equal("A         B\nx\n1         2         3\n", Text(new Table("A", "B"), ["x"], ["1", "2", "3"]));

    [Fact]
    public void Wide_characters_take_two_places_and_combining_ones_none()
    {
        Assert.Equal((6, 4, 1, 2), (Table.WidthOf("基础像"), Table.WidthOf("cafe\u0301"), Table.WidthOf("é"), Table.WidthOf("\U0001F600")));
        Assert.Equal("A          B\n基础镜像   1\nabcdefgh   2\n", Text(new Table("A", "B"), ["基础镜像", "1"], ["abcdefgh", "2"]));
    }

    [Theory]
    [InlineData("plain ünïcödé 基础 😀", "plain ünïcödé 基础 😀")]
    [InlineData("\u001b]0;title\u0007", "\\x1b]0;title\\x07")]
    [InlineData("a\nb\tc\rd", "a\\nb\\tc\\rd")]
    [InlineData("\u007f\u0080\u009b", "\\x7f\\x80\\x9b")]
    [InlineData("safe\u202etxt.exe", "safe\\u202etxt.exe")]
    [InlineData("\u2066\u2069\u200e\u200f\u061c\ufeff\u2028\u2029", "\\u2066\\u2069\\u200e\\u200f\\u061c\\ufeff\\u2028\\u2029")]
    [InlineData("", "")]
    [InlineData(null, "")]
    public void Text_from_outside_cannot_speak_to_the_terminal(string? text, string expected) => Assert.Equal(expected, SafeText.Escape(text));

    // No theory: attributes cannot hold halves of surrogate pairs.
    [Fact]
    public void A_byte_that_is_no_utf8_and_half_a_character_are_escaped()
        => Assert.Equal(("byte \\xff", "half \\ud83d", "\\udc00 😀"), (SafeText.Escape("byte \udcff"), SafeText.Escape("half \ud83d"), SafeText.Escape("\udc00 😀")));

    [Fact]
    public void Lines_and_tabs_stay_where_lines_are_wanted() => Assert.Equal("a\n\tb\\x1b", SafeText.Lines("a\n\tb\u001b"));

    [Fact]
    public async Task An_output_file_is_there_whole_or_as_it_was()
    {
        string path = Path.Combine(_folder, "out");
        await OutputFile.WriteAsync(path, s => s.WriteAsync("first"u8.ToArray()).AsTask());
        await Assert.ThrowsAsync<IOException>(() => OutputFile.WriteAsync(path, async s =>
        {
            await s.WriteAsync("sec"u8.ToArray());
            throw new IOException("cut");
        }));
        Assert.Equal("first", await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
        Assert.Equal([path], Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public async Task What_is_no_regular_file_is_written_to_and_not_replaced()
    {
        string link = Path.Combine(_folder, "null");
        File.CreateSymbolicLink(link, "/dev/null");
        await OutputFile.WriteAsync(link, s => s.WriteAsync("gone"u8.ToArray()).AsTask());
        Assert.Equal("/dev/null", new FileInfo(link).LinkTarget);
        Assert.Equal(Strata.Linux.FileKind.CharacterDevice, Strata.Linux.FileSystems.TryGetStatus("/dev/null")!.Value.Kind);
    }

    [Fact]
    public async Task A_link_stays_a_link_and_its_target_is_replaced()
    {
        string target = Path.Combine(_folder, "target"), link = Path.Combine(_folder, "link");
        await File.WriteAllTextAsync(target, "old", TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(link, "target");
        await OutputFile.WriteAsync(link, s => s.WriteAsync("new"u8.ToArray()).AsTask());
        Assert.Equal(("target", "new"), (new FileInfo(link).LinkTarget, await File.ReadAllTextAsync(target, TestContext.Current.CancellationToken)));
    }

    [Theory]
    [InlineData("", "is a directory")]
    [InlineData("no/such/out", "there is no directory")]
    public async Task A_place_that_cannot_be_written_to_is_named(string place, string problem)
        => Assert.Contains(problem, (await Assert.ThrowsAsync<StrataException>(() => OutputFile.WriteAsync(Path.Combine(_folder, place), _ => Task.CompletedTask))).Message, StringComparison.Ordinal);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string Text(Table table, params string[][] rows)
    {
        foreach (string[] row in rows)
        {
            table.Add(row);
        }
        using var output = new StringWriter { NewLine = "\n" };
        table.Write(output);
        return output.ToString();
    }
}
