using System.Text;
using Strata.Content;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Content;

public sealed class StoreSettingsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-settings-").FullName;

    private StoreLayout Layout => new(_folder);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("0", 0)]
    [InlineData("1048576", 1_048_576)]
    [InlineData("20GB", 20_000_000_000)]
    [InlineData("20GiB", 20L << 30)]
    [InlineData("20gib", 20L << 30)]
    [InlineData("1.5TB", 1_500_000_000_000)]
    [InlineData("512k", 512_000)]
    [InlineData("7 MB", 7_000_000)]
    [InlineData("12B", 12)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void A_size_is_read_as_people_write_it(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out long read));
        Assert.Equal(bytes, read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("GB")]
    [InlineData("20XB")]
    [InlineData("-1GB")]
    [InlineData("1e3")]
    [InlineData("9223372036854775808")]
    [InlineData("9999999999TB")]
    [InlineData("20 G B")]
    [InlineData("1,5GB")]
    public void What_is_no_size_is_not_read(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData("72h", 72 * 3600)]
    [InlineData("1h30m", 5400)]
    [InlineData("3d", 3 * 86_400)]
    [InlineData("45s", 45)]
    [InlineData("0", 0)]
    public void A_duration_is_read_and_written_so_that_it_can_be_read_again(string text, long seconds)
    {
        Assert.Equal(TimeSpan.FromSeconds(seconds), StoreSettings.ParseDuration(text, "x"));
        Assert.Equal(TimeSpan.FromSeconds(seconds), StoreSettings.ParseDuration(StoreSettings.Format(TimeSpan.FromSeconds(seconds)), "x"));
    }

    [Fact]
    public async Task A_snapshotter_that_is_set_stays_when_something_else_is_changed()
    {
        await File.WriteAllTextAsync(Layout.Settings, """{"snapshotter":"erofs"}""", Token);
        StoreSettings changed = await StoreSettings.UpdateAsync(Layout, s => s with { MaxSize = 5 }, Token);
        Assert.Equal("erofs", changed.Snapshotter);
        Assert.Equal(5, changed.MaxSize);
        Assert.Equal(changed, StoreSettings.Read(Layout));
        Assert.NotEqual(changed, changed with { Snapshotter = null });
    }

    [Theory]
    [InlineData("")]
    [InlineData("72")]
    [InlineData("h")]
    [InlineData("1w")]
    [InlineData("1h-2m")]
    [InlineData("99999999999h")]
    [InlineData("999999999d")]
    public void What_is_no_duration_is_refused(string text)
        => Assert.Equal($"gc.keep: '{text}' is not a duration", Assert.Throws<StrataException>(() => StoreSettings.ParseDuration(text, "gc.keep")).Message);

    [Theory]
    [InlineData("""{}""", null, 0, "")]
    [InlineData("""{"gc":{"maxSize":"20GB","keep":"72h"},"pins":["docker.io/library/a:1"]}""", 20_000_000_000, 259_200, "docker.io/library/a:1")]
    [InlineData("""{"gc":{"maxSize":1048576}}""", 1_048_576L, 0, "")]
    [InlineData("""{"gc":{},"pins":[]}""", null, 0, "")]
    public void Settings_are_read(string json, long? maxSize, int keep, string pins)
    {
        File.WriteAllText(Layout.Settings, json);
        Assert.Equal(new StoreSettings(maxSize, TimeSpan.FromSeconds(keep), [.. pins.Split(' ', StringSplitOptions.RemoveEmptyEntries)]), StoreSettings.Read(Layout));
    }

    [Theory]
    [InlineData("""{"gc":{"maxsize":"20GB"}}""", "gc.maxsize: there is no such setting")]
    [InlineData("""{"colour":1}""", "colour: there is no such setting")]
    [InlineData("""{"gc":{"maxSize":"many"}}""", "gc.maxSize: 'many' is not a size")]
    [InlineData("""{"gc":{"maxSize":0}}""", "gc.maxSize: '0' is not a size")]
    [InlineData("""{"gc":{"maxSize":true}}""", "gc.maxSize: expected a string, found true or false")]
    [InlineData("""{"gc":{"keep":"3 weeks"}}""", "gc.keep: '3 weeks' is not a duration")]
    [InlineData("""{"gc":7}""", "gc: expected an object, found 7")]
    [InlineData("""{"pins":"a"}""", "pins: expected an array, found a string")]
    [InlineData("""{"gc":""", "")]
    public void What_is_wrong_is_said_in_one_line_with_file_and_key(string json, string problem)
    {
        StrataException failure = Assert.Throws<StrataException>(() => StoreSettings.Parse(Encoding.UTF8.GetBytes(json), "/s/settings.json"));
        Assert.Equal(ErrorKind.Invalid, failure.Kind);
        Assert.StartsWith("/s/settings.json: " + problem, failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', failure.Message);
        Assert.NotNull(failure.Hint);
    }

    [Fact]
    public async Task Changes_of_many_are_all_kept()
    {
        await Parallel.ForEachAsync(Enumerable.Range(0, 20), Token, async (i, token) => await StoreSettings.UpdateAsync(Layout, s => s with { Pins = s.Pins.Add($"p{i}") }, token));
        StoreSettings settings = await StoreSettings.UpdateAsync(Layout, s => s with { MaxSize = 5, Keep = TimeSpan.FromHours(1) }, Token);
        Assert.Equal(20, settings.Pins.Distinct().Count());
        Assert.Equal(settings, StoreSettings.Read(Layout));
    }

    [Fact]
    public async Task A_turn_is_waited_for_only_while_somebody_has_it()
    {
        Assert.False(await BudgetTurn.WaitAsync(Layout, Token));
        FileLock turn = await BudgetTurn.TakeAsync(Layout, Token);
        Task<bool> waiting = BudgetTurn.WaitAsync(Layout, Token).AsTask();
        Assert.False(waiting.IsCompleted);
        turn.Dispose();
        Assert.True(await waiting);
        Assert.False(await BudgetTurn.WaitAsync(Layout, Token));
    }

    public void Dispose() => FileSystems.RemoveTree(_folder);
}
