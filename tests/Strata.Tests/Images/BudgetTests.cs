using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Xunit;
using static Strata.Tests.Images.ImageFixture;

namespace Strata.Tests.Images;

public sealed class BudgetTests : IDisposable
{
    private const int LayerBytes = 400_000;

    private readonly ImageFixture _fixture = new();
    private readonly Engine _engine;
    private int _layers;

    public BudgetTests() => _engine = Engine.Open(new EngineOptions { Root = Root });

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private string Root => _fixture.Content.Layout.Root;

    private long Used => FileSystems.GetDiskUsage(Root);

    // An image of one layer of its own, last used so many hours ago. Named by the fixture's store, not by the engine's: another program's work.
    private async Task<Descriptor> ImageAsync(string name, int hoursAgo)
    {
        (Descriptor manifest, _) = await _fixture.ImageAsync(name, await _fixture.LayerAsync([File($"f{_layers++}", LayerBytes)], compression: CompressionKind.None));
        Age(name, hoursAgo);
        return manifest;
    }

    private void Age(string name, int hours) => System.IO.File.SetLastWriteTimeUtc(_engine.Images.PathOf(ImageReference.Parse(name)), TimeProvider.System.GetUtcNow().AddHours(-hours).UtcDateTime);

    private string Names() => string.Join(' ', _engine.Images.List().Select(i => i.Reference.Familiar));

    [Fact]
    public async Task Images_go_in_the_order_of_their_last_use_until_the_limit_is_kept()
    {
        await ImageAsync("c:1", 1);
        await ImageAsync("a:1", 3);
        await ImageAsync("b:1", 2);
        long before = Used;
        BudgetReport report = (await _engine.KeepBudgetAsync((before - (LayerBytes * 3 / 2)).ToString(System.Globalization.CultureInfo.InvariantCulture), Token))!;
        Assert.Equal(["a:1", "b:1"], report.Victims.Select(v => v.Item.Name));
        Assert.Equal("c:1", Names());
        Assert.Equal(Used, report.LeftBytes);
        Assert.InRange(before - Used - report.Victims.Sum(v => v.Bytes), -4 * 4096, 0); // directories of the store that were not there yet
        Assert.False(report.IsOver);
    }

    [Fact]
    public async Task Looking_is_no_use_and_tagging_is_one()
    {
        await ImageAsync("a:1", 3);
        await ImageAsync("b:1", 2);
        _engine.ListImages();
        await _engine.GetHistoryAsync("a:1", Token);
        Assert.Equal(["a:1", "b:1"], (await _engine.GetBudgetAsync(cancellationToken: Token)).Next.Select(v => v.Item.Name));
        using Engine other = Engine.Open(new EngineOptions { Root = Root });
        await other.TagAsync("a:1", ImageReference.Parse("a:1"), Token);
        Assert.Equal(["b:1", "a:1"], (await _engine.GetBudgetAsync(cancellationToken: Token)).Next.Select(v => v.Item.Name));
    }

    [Fact]
    public async Task What_is_pinned_young_or_this_programs_own_stays_and_the_report_says_so()
    {
        await ImageAsync("pinned:1", 5);
        await ImageAsync("old:1", 4);
        await ImageAsync("young:1", 1);
        Descriptor own = await ImageAsync("own:1", 4);
        _engine.Images.NoteUse(null, own.Digest);
        await _engine.PinAsync(["pinned:1"], Token);
        await _engine.SetBudgetAsync("1", "2h", Token);
        BudgetReport report = (await _engine.KeepBudgetAsync(cancellationToken: Token))!;
        Assert.Equal("own:1 pinned:1 young:1", Names());
        Assert.True(report.IsOver);
        Assert.Equal([BudgetHold.Pin, BudgetHold.InUse, BudgetHold.Recent], report.Held.Where(h => h.Value >= LayerBytes).Select(h => h.Key));
    }

    [Fact]
    public async Task A_pin_by_name_follows_the_name_and_one_by_id_the_image()
    {
        Descriptor first = await ImageAsync("a:1", 5);
        Assert.Equal(["docker.io/library/a:1"], await _engine.PinAsync(["a:1"], Token));
        Assert.Equal([first.Digest.ToString()], await _engine.PinAsync([first.Digest.ToString()], Token));
        Descriptor second = await ImageAsync("a:1", 5);
        StoreSettings settings = StoreSettings.Read(_engine.Layout);
        Assert.All(_engine.ListImages(), i => Assert.True(Engine.IsPinned(i, settings)));
        await _engine.UnpinAsync(["a:1"], Token);
        settings = StoreSettings.Read(_engine.Layout);
        Assert.Equal([first.Digest], _engine.ListImages().Where(i => Engine.IsPinned(i, settings)).Select(i => i.Record.Manifest.Digest));
        Assert.Equal(ErrorKind.NotFound, (await Assert.ThrowsAsync<StrataException>(async () => await _engine.PinAsync(["nothing:1"], Token))).Kind);
        Assert.Contains("is not pinned", (await Assert.ThrowsAsync<StrataException>(async () => await _engine.UnpinAsync([second.Digest.ToString()], Token))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_another_process_is_at_work_images_stay_whole()
    {
        await ImageAsync("a:1", 5);
        BudgetReport report;
        using (_fixture.Content.AcquireLease("build"))
        {
            report = (await _engine.KeepBudgetAsync("1", Token))!;
        }
        Assert.Equal("a:1", Names());
        Assert.True(report.OthersAtWork && report.IsOver);
        using (_fixture.Content.AcquireLease(StoreLease.Registry)) // counts on what it has pinned and on nothing else
        {
            await _engine.KeepBudgetAsync("1", Token);
        }
        Assert.Equal("", Names());
        Assert.Empty(_fixture.Content.List());
    }

    [Fact]
    public async Task Pruning_spares_what_is_pinned_and_what_is_younger_than_asked()
    {
        await ImageAsync("pinned:1", 5);
        await ImageAsync("other:1", 5);
        await _engine.PinAsync(["pinned:1"], Token);
        ImageRecord young = (await _engine.ResolveImageAsync("other:1", Token)).Record with { Created = TimeProvider.System.GetUtcNow() };
        await _engine.Images.SetAsync(ImageReference.Parse("other:1"), young, Token);
        await _engine.PruneAsync(new PruneOptions { All = true, Until = TimeProvider.System.GetUtcNow().AddHours(-1) }, Token);
        Assert.Equal("other:1 pinned:1", Names());
        await _engine.PruneAsync(all: true, dryRun: false, Token);
        Assert.Equal("pinned:1", Names());
    }

    [Fact]
    public async Task Without_a_limit_nothing_is_done()
    {
        await ImageAsync("a:1", 5);
        Assert.Null(await _engine.KeepBudgetAsync(cancellationToken: Token));
        await _engine.SetBudgetAsync("1", null, Token);
        Assert.Null(await _engine.KeepBudgetAsync("off", Token));
        await _engine.SetBudgetAsync("off", null, Token);
        Assert.Null(_engine.GetBudgetLimit());
        Assert.Equal("a:1", Names());
    }

    public void Dispose()
    {
        _engine.Dispose();
        _fixture.Dispose();
    }
}
