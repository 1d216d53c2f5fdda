using Strata.Images;
using Strata.Layers;
using Strata.Oci;
using Xunit;
using static Strata.Tests.Images.ImageFixture;

namespace Strata.Tests.Images;

public sealed class WasteAnalyzerTests
{
    [Fact]
    public Task A_file_that_a_later_layer_deletes_is_wasted_and_both_layers_are_named()
        => CheckAsync([[File("home/50M.file", 5000)], [new WhiteoutEntry("home/50M.file")]], ("home/50M.file", 5000, 1, 2));

    [Fact]
    public Task A_file_that_is_written_again_is_wasted_once_per_hidden_copy()
        => CheckAsync([[File("f", 10)], [File("f", 20)], [File("f", 30)]], ("f", 20, 2, 3), ("f", 10, 1, 3));

    [Fact]
    public Task A_change_of_mode_alone_costs_the_whole_file_again()
        => CheckAsync([[File("big", 900)], [File("big", 900, 0b111_101_101)]], ("big", 900, 1, 2));

    [Fact]
    public Task All_below_a_deleted_folder_is_wasted()
        => CheckAsync([[MakeFolder("d"), File("d/a", 3), File("d/e/b", 4), File("dx", 5)], [new WhiteoutEntry("d")]], ("d/e/b", 4, 1, 2), ("d/a", 3, 1, 2));

    [Fact]
    public Task An_opaque_folder_hides_what_is_below_it_and_nothing_of_its_own_layer()
        => CheckAsync([[File("d/old", 7)], [MakeFolder("d"), new OpaqueEntry("d"), File("d/new", 8)]], ("d/old", 7, 1, 2));

    [Fact]
    public Task An_opaque_root_hides_all_layers_below()
        => CheckAsync([[File("a", 1), File("d/b", 2)], [new OpaqueEntry(""), File("c", 3)]], ("d/b", 2, 1, 2), ("a", 1, 1, 2));

    [Fact]
    public Task A_folder_that_is_there_in_both_layers_hides_nothing()
        => CheckAsync([[MakeFolder("d"), File("d/a", 1)], [MakeFolder("d"), File("d/b", 2)]]);

    [Fact]
    public Task Bytes_that_another_name_still_shows_are_not_wasted()
        => CheckAsync([[File("a", 50), new HardLinkEntry("b", Dress(0b110_100_100), "a")], [new WhiteoutEntry("a")]]);

    [Fact]
    public Task Empty_files_waste_nothing()
        => CheckAsync([[File("empty", 0)], [new WhiteoutEntry("empty")]]);

    [Fact]
    public async Task An_image_without_layers_is_fully_efficient()
    {
        using var fixture = new ImageFixture();
        (_, ImageManifest manifest) = await fixture.ImageAsync(null);
        WasteReport report = await WasteAnalyzer.AnalyzeAsync(fixture.Content, manifest, TestContext.Current.CancellationToken);
        Assert.Equal((0, 0, 1.0), (report.TotalBytes, report.WastedBytes, report.Efficiency));
    }

    private static async Task CheckAsync(LayerEntry[][] layers, params (string Path, long Bytes, int Layer, int HiddenBy)[] wasted)
    {
        using var fixture = new ImageFixture();
        var committed = new List<CommittedLayer>();
        foreach (LayerEntry[] entries in layers)
        {
            committed.Add(await fixture.LayerAsync(entries));
        }
        (_, ImageManifest manifest) = await fixture.ImageAsync(null, [.. committed]);
        WasteReport report = await WasteAnalyzer.AnalyzeAsync(fixture.Content, manifest, TestContext.Current.CancellationToken);
        Assert.Equal(wasted, report.Files.Select(f => (f.Path, f.Bytes, f.Layer, f.HiddenBy)));
        Assert.Equal(wasted.Sum(w => w.Bytes), report.WastedBytes);
        Assert.Equal(layers.SelectMany(l => l).OfType<FileEntry>().Sum(f => f.Size), report.TotalBytes);
    }
}
