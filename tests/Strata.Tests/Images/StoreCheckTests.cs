using Strata.Content;
using Strata.Images;
using Strata.Oci;
using Xunit;
using static Strata.Tests.Images.ImageFixture;

namespace Strata.Tests.Images;

public sealed class StoreCheckTests : IDisposable
{
    private readonly ImageFixture _fixture = new();

    [Fact]
    public async Task A_sound_store_has_no_problems()
    {
        await _fixture.ImageAsync("a:1", await _fixture.LayerAsync([File("f", 10)]));
        Assert.Empty(await CheckAsync(deep: true));
    }

    [Fact]
    public async Task A_damaged_record_of_a_name_is_told_and_repaired_and_the_other_names_stay()
    {
        (Descriptor image, _) = await _fixture.ImageAsync("a:1", await _fixture.LayerAsync([File("f", 10)]));
        await _fixture.ImageAsync("b:1", await _fixture.LayerAsync([File("g", 10)]));
        string record = Directory.GetFiles(_fixture.Content.Layout.Images, "1", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Last();
        System.IO.File.WriteAllText(record, "{\"manifest\":");
        Assert.Throws<StrataException>(() => _fixture.Images.List());

        Assert.Equal(record, Assert.Single(await CheckAsync()).Path);
        Assert.Equal(record, Assert.Single(await CheckAsync(repair: true)).Path);
        Assert.Empty(await CheckAsync(deep: true));
        Assert.Equal(image.Digest, Assert.Single(_fixture.Images.List()).Record.Manifest.Digest);
    }

    [Fact]
    public async Task A_flipped_bit_in_a_blob_is_found_by_a_deep_look_only_and_repair_takes_the_blob_away()
    {
        CommittedLayer layer = await _fixture.LayerAsync([File("f", 10)]);
        await _fixture.ImageAsync("a:1", layer);
        string path = _fixture.Content.Layout.Blob(layer.Layer.Digest);
        byte[] bytes = System.IO.File.ReadAllBytes(path);
        bytes[^1] ^= 1;
        System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        System.IO.File.WriteAllBytes(path, bytes);

        Assert.Empty(await CheckAsync());
        Assert.Contains(layer.Layer.Digest.ToString(), Assert.Single(await CheckAsync(deep: true)).Path, StringComparison.Ordinal);
        await CheckAsync(deep: true, repair: true);
        Assert.False(System.IO.File.Exists(path));
        StoreProblem missing = Assert.Single(await CheckAsync(deep: true));
        Assert.Contains("a:1", missing.Path, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_among_the_blobs_that_no_digest_names_is_told()
    {
        string stray = Path.Combine(_fixture.Content.Layout.Blobs, "sha256", "aa", "notes.txt");
        Directory.CreateDirectory(Path.GetDirectoryName(stray)!);
        System.IO.File.WriteAllText(stray, "x");
        Assert.Equal(stray, Assert.Single(await CheckAsync()).Path);
    }

    public void Dispose() => _fixture.Dispose();

    private async Task<IReadOnlyList<StoreProblem>> CheckAsync(bool deep = false, bool repair = false)
        => await StoreCheck.RunAsync(_fixture.Content, _fixture.Images, deep, repair, TestContext.Current.CancellationToken);
}
