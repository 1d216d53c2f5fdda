using Strata.Content;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Xunit;
using static Strata.Tests.Images.ImageFixture;

namespace Strata.Tests.Images;

public sealed class EngineImagesTests : IDisposable
{
    private readonly ImageFixture _fixture = new();
    private readonly Engine _engine;

    public EngineImagesTests() => _engine = Engine.Open(new EngineOptions { Root = _fixture.Content.Layout.Root });

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_image_is_found_by_name_by_the_beginning_of_its_id_and_by_its_digest()
    {
        (Descriptor descriptor, ImageManifest manifest) = await _fixture.ImageAsync("app:1", await _fixture.LayerAsync([File("f", 10)]));
        string id = manifest.Config.Digest.Hex.ToString();
        foreach (string text in (string[])["app:1", "docker.io/library/app:1", id, id[..12], "sha256:" + id, descriptor.Digest.ToString(), $"app@{descriptor.Digest}"])
        {
            Assert.Equal(descriptor.Digest, (await _engine.ResolveImageAsync(text, Token)).Descriptor.Digest);
        }
    }

    [Theory]
    [InlineData("app:2", ErrorKind.NotFound, "No such image: app:2", "there is: app:1")]
    [InlineData("debian:bookworm", ErrorKind.NotFound, "No such image: debian:bookworm", "strata bootstrap debian:bookworm")]
    [InlineData("ffffffffffff", ErrorKind.NotFound, "No such image", "strata pull")]
    [InlineData("App", ErrorKind.Invalid, "lower case", "did you mean app?")]
    [InlineData("", ErrorKind.Invalid, "empty", null)]
    [InlineData("a b", ErrorKind.Invalid, "invalid image name", null)]
    public async Task What_is_not_here_is_named_with_what_to_do(string text, ErrorKind kind, string message, string? hint)
    {
        await _fixture.ImageAsync("app:1", await _fixture.LayerAsync([File("f", 10)]));
        StrataException failure = await Assert.ThrowsAsync<StrataException>(async () => await _engine.ResolveImageAsync(text, Token));
        Assert.Equal(kind, failure.Kind);
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
        Assert.Contains(hint ?? "", failure.Hint ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public async Task History_gives_each_layer_its_bytes_and_instructions_without_one_none()
    {
        CommittedLayer first = await _fixture.LayerAsync([File("50M", 5000)]), second = await _fixture.LayerAsync([File("g", 7)]);
        var config = new ImageConfig
        {
            Architecture = Platform.Host.Architecture, Os = Platform.Host.Os, RootFs = new RootFs("layers", [first.DiffId, second.DiffId]),
            History = [new HistoryEntry { CreatedBy = "ADD 50M" }, new HistoryEntry { CreatedBy = "ENV a=1", EmptyLayer = true }, new HistoryEntry { CreatedBy = "COPY g /" }],
        };
        Descriptor blob = await _fixture.Content.WriteAsync(MediaTypes.OciConfig, OciJson.Serialize(config), Token);
        Descriptor manifest = await _fixture.Content.WriteAsync(MediaTypes.OciManifest, OciJson.Serialize(new ImageManifest(blob, [first.Layer, second.Layer]) { MediaType = MediaTypes.OciManifest }), Token);
        await _fixture.Images.SetAsync(ImageReference.Parse("h"), manifest, Token);
        (string?, int?, long)[] expected = [("COPY g /", 2, 7), ("ENV a=1", null, 0), ("ADD 50M", 1, 5000)];
        Assert.Null(_engine.TryGetHistory("h")); // a record without the sizes of layers: they are asked
        ImageHistory asked = await _engine.GetHistoryAsync("h", Token);
        Assert.Equal(blob.Digest, asked.Id);
        Assert.Equal(expected, asked.Rows.Select(Shown));
        await _fixture.Images.SetAsync(ImageReference.Parse("h"), await _engine.MakeRecordAsync(manifest, Token), Token);
        Assert.Equal(expected, _engine.TryGetHistory("h")!.Rows.Select(Shown));
    }

    [Fact]
    public async Task Layers_of_which_no_history_tells_are_shown_above_those_it_tells_of()
    {
        CommittedLayer first = await _fixture.LayerAsync([File("a", 1)]), second = await _fixture.LayerAsync([File("b", 2)]), third = await _fixture.LayerAsync([File("c", 3)]);
        var config = new ImageConfig { Architecture = Platform.Host.Architecture, Os = Platform.Host.Os, RootFs = new RootFs("layers", [first.DiffId, second.DiffId, third.DiffId]), History = [new HistoryEntry { CreatedBy = "ADD a" }] };
        Descriptor blob = await _fixture.Content.WriteAsync(MediaTypes.OciConfig, OciJson.Serialize(config), Token);
        Descriptor manifest = await _fixture.Content.WriteAsync(MediaTypes.OciManifest, OciJson.Serialize(new ImageManifest(blob, [first.Layer, second.Layer, third.Layer]) { MediaType = MediaTypes.OciManifest }), Token);
        await _fixture.Images.SetAsync(ImageReference.Parse("h"), manifest, Token);
        Assert.Equal([(null, 3, 3), (null, 2, 2), ("ADD a", 1, 1)], (await _engine.GetHistoryAsync("h", Token)).Rows.Select(Shown));
    }

    private static (string?, int?, long) Shown(HistoryRow row) => (row.Entry.CreatedBy, row.Layer, row.Bytes);

    [Fact]
    public async Task A_name_is_taken_away_and_the_image_goes_with_its_last_name()
    {
        CommittedLayer layer = await _fixture.LayerAsync([File("f", 10)]);
        (_, ImageManifest manifest) = await _fixture.ImageAsync("app:1", layer);
        await _engine.TagAsync("app:1", ImageReference.Parse("app:2"), Token);
        StrataException several = await Assert.ThrowsAsync<StrataException>(async () => await _engine.RemoveImageAsync(manifest.Config.Digest.Hex[..12].ToString(), force: false, Token));
        Assert.Equal(ErrorKind.Conflict, several.Kind);
        Assert.Equal(["Untagged: app:1"], await _engine.RemoveImageAsync("app:1", force: false, Token));
        Assert.NotNull(_fixture.Content.TryGetSize(layer.Layer.Digest));
        Assert.Equal(["Untagged: app:2", $"Deleted: {manifest.Config.Digest}"], (await _engine.RemoveImageAsync("app:2", force: false, Token)).Take(2));
        Assert.Null(_fixture.Content.TryGetSize(layer.Layer.Digest));
    }

    [Fact]
    public async Task A_name_of_a_damaged_image_can_be_taken_away()
    {
        (Descriptor descriptor, _) = await _fixture.ImageAsync("broken", await _fixture.LayerAsync([File("f", 10)]));
        await _fixture.ImageAsync("sound", await _fixture.LayerAsync([File("g", 10)]));
        FileSystems.RemoveTree(_fixture.Content.Layout.Blob(descriptor.Digest));
        await Assert.ThrowsAsync<StrataException>(async () => await _engine.ResolveImageAsync("broken", Token));
        Assert.Equal("Untagged: broken:latest", (await _engine.RemoveImageAsync("broken", force: false, Token))[0]);
        Assert.Empty(await _engine.CheckAsync(deep: true, repair: false, Token));
        Assert.NotNull(await _engine.ResolveImageAsync("sound", Token));
    }

    [Fact]
    public async Task A_bad_bit_in_one_manifest_does_not_keep_the_others_from_being_collected()
    {
        (Descriptor descriptor, _) = await _fixture.ImageAsync("broken", await _fixture.LayerAsync([File("f", 10)]));
        CommittedLayer victim = await _fixture.LayerAsync([File("g", 10)]);
        await _fixture.ImageAsync("victim", victim);
        string path = _fixture.Content.Layout.Blob(descriptor.Digest);
        byte[] bytes = await System.IO.File.ReadAllBytesAsync(path, Token);
        bytes[^1] = (byte)'!';
        System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await System.IO.File.WriteAllBytesAsync(path, bytes, Token);
        await _engine.RemoveImageAsync("victim", force: false, Token);
        Assert.Null(_fixture.Content.TryGetSize(victim.Layer.Digest));
    }

    public static TheoryData<string> Strangers => ["an artifact", "an index for other machines"];

    [Theory]
    [MemberData(nameof(Strangers))]
    public async Task What_is_no_image_of_this_machine_is_listed_kept_and_removed_like_any_other(string kind)
    {
        Descriptor config = await _fixture.Content.WriteAsync(kind == "an artifact" ? "application/vnd.oci.empty.v1+json" : MediaTypes.OciConfig, "{}"u8.ToArray(), Token);
        Descriptor payload = await _fixture.Content.WriteAsync("application/vnd.example", new byte[100], Token);
        Descriptor root = await _fixture.Content.WriteAsync(MediaTypes.OciManifest, OciJson.Serialize(new ImageManifest(config, [payload]) { MediaType = MediaTypes.OciManifest, ArtifactType = kind == "an artifact" ? "application/vnd.example" : null }), Token);
        if (kind != "an artifact")
        {
            root = await _fixture.Content.WriteAsync(MediaTypes.OciIndex, OciJson.Serialize(new ImageIndex([root with { Platform = Platform.Parse("linux/s390x") }]) { MediaType = MediaTypes.OciIndex }), Token);
        }
        await _fixture.Images.SetAsync(ImageReference.Parse("strange"), root, Token);
        await _fixture.ImageAsync("app:1", await _fixture.LayerAsync([File("f", 10)]));

        Assert.Equal(2, _engine.ListImages().Length);
        Assert.Single(await _engine.GetImageUsageAsync(Token));
        await _engine.PruneAsync(all: false, dryRun: false, Token);
        Assert.NotNull(_fixture.Content.TryGetSize(payload.Digest));
        Assert.Equal("Untagged: strange:latest", (await _engine.RemoveImageAsync("strange", force: false, Token))[0]);
        Assert.Null(_fixture.Content.TryGetSize(payload.Digest));
        Assert.NotNull(await _engine.ResolveImageAsync("app:1", Token));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_dry_run_says_what_a_prune_then_reclaims_and_removes_nothing(bool all)
    {
        CommittedLayer shared = await _fixture.LayerAsync([File("base", 50_000)]), named = await _fixture.LayerAsync([File("named", 60_000)]), unnamed = await _fixture.LayerAsync([File("unnamed", 70_000)]);
        await _fixture.ImageAsync("app:1", shared, named);
        await _engine.UnpackImageAsync(await _engine.ResolveImageAsync("app:1", Token), Token);
        (Descriptor descriptor, ImageManifest manifest) = await _fixture.ImageAsync("app:old", shared, unnamed);
        await _engine.UnpackImageAsync(await _engine.ResolveImageAsync("app:old", Token), Token);
        _fixture.Images.AddUntagged(new ImageRecord(descriptor) { Config = manifest.Config.Digest });
        await _fixture.Images.RemoveAsync(ImageReference.Parse("app:old"), Token);

        CollectResult told = await _engine.PruneAsync(all, dryRun: true, Token);
        Assert.Equal(2, _engine.ListImages().Length);
        Assert.NotNull(_fixture.Content.TryGetSize(unnamed.Layer.Digest));
        CollectResult done = await _engine.PruneAsync(all, dryRun: false, Token);
        Assert.Equal((done.Blobs, done.Bytes), (told.Blobs, told.Bytes));
        Assert.True(done.Bytes >= (all ? 180_000 : 70_000), $"{done.Bytes}");
        Assert.Equal(all ? 0 : 1, _engine.ListImages().Length);
        Assert.Null(_fixture.Content.TryGetSize(unnamed.Layer.Digest));
        Assert.Equal(!all, _fixture.Content.TryGetSize(named.Layer.Digest) is not null);
    }

    [Fact]
    public async Task The_areas_of_the_store_add_up_to_what_du_says()
    {
        await _fixture.ImageAsync("app:1", await _fixture.LayerAsync([File("f", 100_000)]));
        await _engine.UnpackImageAsync(await _engine.ResolveImageAsync("app:1", Token), Token);
        ChildResult du = await ChildProcess.RunAsync(new ChildStart { Program = "/usr/bin/du", Arguments = ["-s", "--block-size=1", _engine.Layout.Root] }, cancellationToken: Token);
        Assert.Equal(long.Parse(du.OutputText.Split('\t')[0], null), _engine.GetDiskUsage().TotalBytes);
    }

    [Theory]
    [InlineData(ArchiveFormat.DockerArchive)]
    [InlineData(ArchiveFormat.OciArchive)]
    public async Task What_is_saved_and_loaded_elsewhere_has_the_same_digests_and_names(ArchiveFormat format)
    {
        CommittedLayer shared = await _fixture.LayerAsync([File("base", 5000)]);
        (Descriptor one, _) = await _fixture.ImageAsync("one:1", shared);
        (Descriptor two, _) = await _fixture.ImageAsync("registry.example:5000/two:2", shared, await _fixture.LayerAsync([File("more", 10)], compression: CompressionKind.Zstd));
        using var archive = new MemoryStream();
        await _engine.SaveAsync(["one:1", "registry.example:5000/two:2"], format, archive, Token);
        archive.Position = 0;
        using var other = new ImageFixture();
        using Engine there = Engine.Open(new EngineOptions { Root = other.Content.Layout.Root });
        Assert.Equal(["one:1", "registry.example:5000/two:2"], (await there.LoadAsync(archive, null, Token)).Select(l => l.Name!.Familiar).Order(StringComparer.Ordinal));
        Assert.Equal(one.Digest, (await there.ResolveImageAsync("one:1", Token)).Descriptor.Digest);
        Assert.Equal(two.Digest, (await there.ResolveImageAsync("registry.example:5000/two:2", Token)).Descriptor.Digest);
        Assert.Empty(await there.CheckAsync(deep: true, repair: false, Token));
        Assert.Empty(await there.VerifyAsync(await there.ResolveImageAsync("registry.example:5000/two:2", Token), Token));
    }

    [Fact]
    public async Task Saving_twice_gives_the_same_bytes()
    {
        await _fixture.ImageAsync("one:1", await _fixture.LayerAsync([File("base", 5000)]));
        using MemoryStream first = new(), second = new();
        await _engine.SaveAsync(["one:1"], ArchiveFormat.DockerArchive, first, Token);
        await _engine.SaveAsync(["one:1"], ArchiveFormat.DockerArchive, second, Token);
        Assert.Equal(first.ToArray(), second.ToArray());
    }

    [Theory]
    [InlineData("manifest.json", "[{\"Config\":\"gone.json\",\"RepoTags\":[\"a:1\"],\"Layers\":[]}]")]
    [InlineData("manifest.json", "[{\"Config\":")]
    [InlineData("manifest.json", "{}")]
    [InlineData("index.json", "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"size\":5}]}")]
    [InlineData("blobs/sha256/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "not what its name says")]
    [InlineData("blobs/sha256/evil", "x")]
    [InlineData("etc/passwd", "root")]
    public async Task A_bad_archive_is_refused_and_leaves_no_name(string path, string content)
    {
        using var tar = new MemoryStream();
        using (var writer = new LayerWriter(tar))
        {
            using var bytes = new MemoryStream(System.Text.Encoding.UTF8.GetBytes(content));
            writer.Write(File(path, bytes.Length), bytes);
            writer.Finish();
        }
        tar.Position = 0;
        StrataException failure = await Assert.ThrowsAnyAsync<StrataException>(async () => await _engine.LoadAsync(tar, null, Token));
        Assert.Contains(failure.Kind, new[] { ErrorKind.Corrupt, ErrorKind.Invalid });
        Assert.Empty(_engine.ListImages());
        Assert.Empty(await _engine.CheckAsync(deep: true, repair: false, Token));
    }

    [Fact]
    public async Task An_archive_that_is_cut_is_refused_and_leaves_no_name()
    {
        await _fixture.ImageAsync("one:1", await _fixture.LayerAsync([File("base", 5000)]));
        using var archive = new MemoryStream();
        await _engine.SaveAsync(["one:1"], ArchiveFormat.DockerArchive, archive, Token);
        using var other = new ImageFixture();
        using Engine there = Engine.Open(new EngineOptions { Root = other.Content.Layout.Root });
        byte[] whole = archive.ToArray();
        // The last thirteenth is padding, which nothing is lost with.
        foreach (int length in Enumerable.Range(0, 11).Select(i => i * whole.Length / 13 / 512 * 512 + (i % 2 * 100)))
        {
            using var cut = new MemoryStream(whole, 0, length);
            await Assert.ThrowsAnyAsync<StrataException>(async () => await there.LoadAsync(cut, null, Token));
            Assert.Empty(there.ListImages());
        }
    }

    public void Dispose()
    {
        _engine.Dispose();
        _fixture.Dispose();
    }
}
