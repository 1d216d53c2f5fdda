using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;
using static Strata.IntegrationTests.Snapshots.TarItem;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>An image of which a layer hides all below: fewer directories are seen than it has layers.</summary>
public sealed class OpaqueRootTests : IDisposable
{
    private readonly string _folder = System.IO.Directory.CreateTempSubdirectory("strata-opaque").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Theory]
    [InlineData("overlay")]
    [InlineData("union")]
    public async Task Each_layer_is_compared_with_its_own_files(string snapshotter)
    {
        using var layers = new SnapshotStore(l => OverlaySnapshotter.Open(l));
        using Engine engine = Engine.Open(new EngineOptions { Root = _folder, Snapshotter = snapshotter });
        (Descriptor Layer, Digest DiffId)[] stack = [layers.Layer(File("old")), layers.Layer(Opaque(""), File("new"), File("gone")), layers.Layer(File("newer"), Whiteout("gone"))];
        foreach ((Descriptor layer, _) in stack)
        {
            using Stream tar = await layers.OpenAsync(layer, Token);
            await engine.Content.WriteAsync(layer, tar, Token);
        }
        var config = new ImageConfig { Architecture = "amd64", Os = "linux", RootFs = new RootFs("layers", [.. stack.Select(l => l.DiffId)]) };
        Descriptor configBlob = await engine.Content.WriteAsync(MediaTypes.OciConfig, OciJson.Serialize(config), Token);
        var manifest = new ImageManifest(configBlob, [.. stack.Select(l => l.Layer)]);
        var image = new LocalImage(null, new(configBlob), configBlob, manifest, config);
        CommittedSnapshot top = (await ImageUnpacker.UnpackAsync(engine.Content, manifest, config, engine.Snapshots, Token))!;
        Assert.Empty(await engine.VerifyAsync(image, Token));
        IReadOnlyList<string> seen = engine.Snapshots.GetDirectories(top);
        Assert.Equal(2, seen.Count);
        await System.IO.File.WriteAllTextAsync(Path.Combine(seen[0], "new"), "X", Token);
        await System.IO.File.WriteAllTextAsync(Path.Combine(seen[1], "more"), "X", Token);
        Assert.Equal(["layer 2 /new", "layer 3 /more"], (await engine.VerifyAsync(image, Token)).Select(p => p.Path));
    }
}
