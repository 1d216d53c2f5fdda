using System.Text;
using Strata.Containers;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class ContainerLogTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    private static string Line(int number, string text, string stream = "stdout", char tag = 'F') => $"2026-01-31T10:00:{number:00}.000000001+00:00 {stream} {tag} {text}\n";

    private async Task<List<LogLine>> ReadAsync(LogOptions? options = null, Func<bool>? isOver = null)
    {
        var lines = new List<LogLine>();
        await foreach (LogLine line in ContainerLog.ReadAsync(_path, options ?? new LogOptions(), isOver ?? (() => true), TimeProvider.System, TestContext.Current.CancellationToken))
        {
            lines.Add(line);
        }
        return lines;
    }

    private static string Text(IEnumerable<LogLine> lines) => string.Join('|', lines.Select(l => (l.IsError ? "!" : "") + Encoding.Latin1.GetString(l.Text.Span) + (l.IsPartial ? "…" : "")));

    [Fact]
    public async Task Lines_keep_their_bytes_their_stream_and_their_parts()
    {
        byte[] raw = [.. Encoding.ASCII.GetBytes(Line(1, "a b  c") + Line(2, "err", "stderr") + Line(3, "half", tag: 'P')), .. "2026-01-31T10:00:04Z stdout F "u8, 0xff, 0x0d, 0x80, 0x0a, .. Encoding.ASCII.GetBytes(Line(5, ""))];
        await File.WriteAllBytesAsync(_path, raw, TestContext.Current.CancellationToken);
        Assert.Equal("a b  c|!err|half…|\u00ff\r\u0080|", Text(await ReadAsync()));
    }

    [Theory]
    [InlineData(0, "")]
    [InlineData(1, "d")]
    [InlineData(2, "b…|c|d")]
    [InlineData(9, "a|b…|c|d")]
    public async Task The_tail_counts_whole_lines(int tail, string expected)
    {
        await File.WriteAllTextAsync(_path, Line(1, "a") + Line(2, "b", tag: 'P') + Line(2, "c") + Line(3, "d"), TestContext.Current.CancellationToken);
        Assert.Equal(expected, Text(await ReadAsync(new LogOptions { Tail = tail })));
    }

    [Fact]
    public async Task Since_leaves_out_what_is_older()
    {
        await File.WriteAllTextAsync(_path, Line(1, "a") + Line(2, "b") + Line(3, "c"), TestContext.Current.CancellationToken);
        Assert.Equal("b|c", Text(await ReadAsync(new LogOptions { Since = new DateTimeOffset(2026, 1, 31, 10, 0, 2, TimeSpan.Zero) })));
    }

    [Fact]
    public async Task Following_goes_on_to_the_end_and_misses_nothing()
    {
        await File.WriteAllTextAsync(_path, Line(1, "a") + "2026-01-31T10:00:02Z stdout F ha", TestContext.Current.CancellationToken);
        int asked = 0;
        bool IsOver()
        {
            if (++asked == 3)
            {
                File.AppendAllText(_path, "lf\n" + Line(3, "last"));
            }
            return asked >= 3;
        }
        Assert.Equal("a|half|last", Text(await ReadAsync(new LogOptions { Follow = true }, IsOver)));
    }

    [Fact]
    public async Task A_long_line_is_read_whole()
    {
        string text = new('x', 100_000);
        await File.WriteAllTextAsync(_path, Line(1, text) + Line(2, "y"), TestContext.Current.CancellationToken);
        Assert.Equal(text + "|y", Text(await ReadAsync()));
    }

    [Theory]
    [InlineData("no log\n")]
    [InlineData("2026-01-31T10:00:02Z stdwhat F x\n")]
    [InlineData("2026-01-31T10:00:02Z stdout X x\n")]
    public async Task What_is_no_log_is_told(string text)
    {
        await File.WriteAllTextAsync(_path, text, TestContext.Current.CancellationToken);
        Assert.Equal(ErrorKind.Corrupt, (await Assert.ThrowsAsync<StrataException>(() => ReadAsync())).Kind);
    }

    [Fact]
    public async Task A_container_that_never_ran_has_no_log()
    {
        File.Delete(_path);
        Assert.Empty(await ReadAsync());
    }

    public void Dispose() => File.Delete(_path);
}
