using Strata.Content;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Content;

public sealed class GarbageCollectorTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-collect-").FullName;

    // Somebody who is about to read a named image has pinned its manifest, and nothing below it yet.
    [Fact]
    public async Task What_a_named_manifest_needs_stays_when_a_lease_has_pinned_the_manifest_alone()
    {
        CancellationToken token = TestContext.Current.CancellationToken;
        ContentStore store = ContentStore.Open(Path.Combine(_folder, "store"));
        Descriptor config = await store.WriteAsync(MediaTypes.OciConfig, "{}"u8.ToArray(), token);
        Descriptor layer = await store.WriteAsync(MediaTypes.OciLayer, "layer"u8.ToArray(), token);
        Descriptor stray = await store.WriteAsync(MediaTypes.OciLayer, "stray"u8.ToArray(), token);
        Descriptor manifest = await store.WriteAsync(MediaTypes.OciManifest, OciJson.Serialize(new ImageManifest(config, [layer]) { MediaType = MediaTypes.OciManifest }), token);
        using (StoreLease lease = store.AcquireLease("test"))
        {
            Assert.True(await store.ContainsAsync(manifest, token));
            await GarbageCollector.CollectAsync(store, () => [manifest], [], dryRun: false, token);
        }
        Assert.Equal([true, true, true, false], new[] { manifest, config, layer, stray }.Select(d => store.TryGetSize(d.Digest) is not null));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
