using Strata.Content;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;
using Xunit;
using static Strata.Tests.Images.ImageFixture;

namespace Strata.Tests.Images;

public sealed class TreeVerifierTests : IDisposable
{
    private static readonly LayerEntry[] s_entries =
    [
        MakeFolder("d"), File("d/text", 4), File("d/other", 4), new SymbolicLinkEntry("d/link", Dress(0b111_111_111), "text"), new HardLinkEntry("d/same", Dress(0b110_100_100), "d/text"), File("way/to/file", 2),
    ];

    private readonly ImageFixture _fixture = new();

    [Fact]
    public async Task What_was_just_unpacked_is_as_it_should_be()
    {
        (CommittedLayer layer, string tree) = await UnpackAsync(s_entries);
        Assert.Empty(await VerifyAsync(layer, tree));
    }

    public static TheoryData<string, Action<string>, string> Changes => new()
    {
        { "content of the same length", t => System.IO.File.WriteAllText(t + "/d/other", "evil"), "layer 1 /d/other: its content was changed" },
        { "another length", t => System.IO.File.AppendAllText(t + "/d/other", "!"), "layer 1 /d/other: it has 5 bytes, not 4" },
        { "mode", t => System.IO.File.SetUnixFileMode(t + "/d/other", (UnixFileMode)0b111_101_101), "layer 1 /d/other: its mode was changed" },
        { "removed", t => System.IO.File.Delete(t + "/d/other"), "layer 1 /d/other: it is not there" },
        { "a file more", t => System.IO.File.WriteAllText(t + "/d/more", ""), "layer 1 /d/more: it is not in the layer" },
        { "a folder more", t => Directory.CreateDirectory(t + "/way/off"), "layer 1 /way/off: it is not in the layer" },
        { "a link in place of a file", t => Replace(t + "/d/other", p => System.IO.File.CreateSymbolicLink(p, "/etc/passwd")), "layer 1 /d/other: it is a SymbolicLink now" },
        { "a file in place of a link", t => Replace(t + "/d/link", p => System.IO.File.WriteAllText(p, "text")), "layer 1 /d/link: it is a Regular now" },
        { "a link elsewhere", t => Replace(t + "/d/link", p => System.IO.File.CreateSymbolicLink(p, "other")), "layer 1 /d/link: it links elsewhere" },
        { "a copy in place of a hard link", t => Replace(t + "/d/same", p => System.IO.File.Copy(t + "/d/text", p)), "layer 1 /d/same: it is no link to /d/text any more" },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task Any_change_on_disk_is_found(string what, Action<string> change, string problem)
    {
        Assert.NotEmpty(what);
        (CommittedLayer layer, string tree) = await UnpackAsync(s_entries);
        change(tree);
        Assert.Equal([problem], (await VerifyAsync(layer, tree)).Select(p => $"{p.Path}: {p.What}"));
    }

    [Fact]
    public async Task The_last_of_two_entries_of_a_name_is_what_counts()
    {
        LayerEntry[] entries = [File("f", 1), File("f", 3), MakeFolder("d"), File("d/gone", 1), File("d", 2)];
        (CommittedLayer layer, string tree) = await UnpackAsync(entries);
        Assert.Empty(await VerifyAsync(layer, tree));
    }

    [Fact]
    public async Task Without_unpacked_files_only_the_archive_is_compared()
    {
        (CommittedLayer layer, _) = await UnpackAsync(s_entries);
        Assert.Empty(await VerifyAsync(layer, null));
        CommittedLayer other = await _fixture.LayerAsync([File("f", 1)]);
        StoreProblem problem = Assert.Single(await VerifyAsync(other with { DiffId = layer.DiffId }, null));
        Assert.Contains(layer.DiffId.ToString(), problem.What, StringComparison.Ordinal);
    }

    public void Dispose() => _fixture.Dispose();

    private static void Replace(string path, Action<string> make)
    {
        System.IO.File.Delete(path);
        make(path);
    }

    // Without whiteouts, which need root to be made: integration tests have those.
    private async Task<(CommittedLayer Layer, string Tree)> UnpackAsync(LayerEntry[] entries)
    {
        CommittedLayer layer = await _fixture.LayerAsync(entries);
        string tree = Directory.CreateDirectory(Path.Combine(_fixture.Folder, Guid.NewGuid().ToString("n"))).FullName;
        await using Stream blob = await _fixture.Content.OpenAsync(layer.Layer, TestContext.Current.CancellationToken);
        using var reader = new LayerReader(blob);
        using RootedDirectory root = RootedDirectory.Open(tree);
        LayerExtractor.Extract(reader, root, new ExtractOptions { OverlayWhiteouts = true }, TestContext.Current.CancellationToken);
        return (layer, tree);
    }

    private async Task<List<StoreProblem>> VerifyAsync(CommittedLayer layer, string? tree)
    {
        await using Stream blob = await _fixture.Content.OpenAsync(layer.Layer, TestContext.Current.CancellationToken);
        return TreeVerifier.Verify(blob, layer.DiffId, tree, "layer 1");
    }
}
