using Strata.Build;
using Strata.Dockerfiles;
using Strata.Layers;
using Strata.Linux;
using Xunit;
using static Strata.Tests.Images.ImageFixture;

namespace Strata.Tests.Images;

public sealed class UsageTests : IDisposable
{
    private readonly ImageFixture _fixture = new();
    private readonly Engine _engine;

    public UsageTests() => _engine = Engine.Open(new EngineOptions { Root = _fixture.Content.Layout.Root });

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Rows_of_disk_usage_add_up_and_tell_what_can_be_reclaimed()
    {
        await _fixture.ImageAsync("a:1", await _fixture.LayerAsync([File("f", 100_000)], compression: CompressionKind.None));
        _engine.CreateVolume(new Strata.Containers.VolumeRecord("v", null));
        DiskUsage usage = _engine.GetDiskUsage();
        IReadOnlyList<UsageRow> rows = await _engine.GetUsageSummaryAsync(usage, Token);
        Assert.Equal(["Images", "Containers", "Local Volumes", "Build Cache"], rows.Select(r => r.Type));
        Assert.Equal(usage.TotalBytes, rows.Sum(r => r.Bytes));
        Assert.Equal([(1, 0), (0, 0), (1, 0), (0, 0)], rows.Select(r => (r.Total, r.Active)));
        Assert.All(rows, r => Assert.InRange(r.ReclaimableBytes, 0, r.Bytes));
        Assert.InRange(rows[0].ReclaimableBytes, 100_000, long.MaxValue);
        Assert.Equal(rows[2].Bytes - FileSystems.GetDiskUsage(_fixture.Content.Layout.Volumes) + FileSystems.GetDiskUsage(Path.Combine(_fixture.Content.Layout.Volumes, "v")), rows[2].ReclaimableBytes);
        await _engine.RemoveImageAsync("a:1", force: false, Token);
        Assert.Equal(0, (await _engine.GetUsageSummaryAsync(_engine.GetDiskUsage(), Token))[0].ReclaimableBytes);
    }

    [Fact]
    public async Task An_image_is_saved_as_a_folder_that_is_a_layout()
    {
        await _fixture.ImageAsync("a:1", await _fixture.LayerAsync([File("f", 1000)]));
        string folder = Path.Combine(_fixture.Folder, "layout");
        Directory.CreateDirectory(folder);
        await _engine.SaveFolderAsync(["a:1"], folder, Token);
        Assert.Equal(["blobs", "index.json", "oci-layout"], Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).Order());
        Assert.Equal(3, Directory.GetFiles(Path.Combine(folder, "blobs", "sha256")).Length);
        Assert.Equal(ErrorKind.Conflict, (await Assert.ThrowsAsync<StrataException>(async () => await _engine.SaveFolderAsync(["a:1"], folder, Token))).Kind);
        Assert.Equal(["layout", "store"], Directory.EnumerateFileSystemEntries(_fixture.Folder).Select(Path.GetFileName).Order());

        using var other = new ImageFixture();
        using Engine there = Engine.Open(new EngineOptions { Root = other.Content.Layout.Root });
        Assert.Equal(_engine.ListImages()[0].Record.Manifest, (await there.ResolveImageAsync(Assert.Single(await there.LoadAsync(null, folder, Token)).Name!.Familiar, Token)).Descriptor);
    }

    [Theory]
    [InlineData("src", "*.txt", "sub sub/b.txt z")]
    [InlineData("src", "**/*.txt", "sub z")]
    [InlineData("src", "sub", "a.txt z")]
    [InlineData("src", "#x", "a.txt sub sub/b.txt z")]
    [InlineData("src", "*|!sub/b.txt", "sub sub/b.txt")]
    [InlineData("src/*", "*.txt", "src/z")]
    [InlineData("src/*.txt", "*.txt", "")]
    public void Exclude_speaks_of_paths_below_the_source(string source, string patterns, string expected)
    {
        string folder = Path.Combine(_fixture.Folder, "context");
        Directory.CreateDirectory(Path.Combine(folder, "src", "sub"));
        foreach (string file in new[] { "src/a.txt", "src/z", "src/sub/b.txt" })
        {
            System.IO.File.WriteAllText(Path.Combine(folder, file), "");
        }
        using RootedDirectory root = RootedDirectory.Open(folder);
        CopySelection selection = CopySelection.Find(new TreeWalker(root, null), [source], parents: false, DockerIgnore.FromPatterns(patterns.Split('|')));
        IEnumerable<string> found = selection.Sources.SelectMany(s => s.IsDirectory ? selection.Walk(s).Select(e => CopySelection.Relative(s, e)) : [s.Path]);
        Assert.Equal(expected, string.Join(' ', found.Order(StringComparer.Ordinal)));
    }

    public void Dispose()
    {
        _engine.Dispose();
        _fixture.Dispose();
    }
}
