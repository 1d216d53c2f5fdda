using Strata.Content;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>Lists of names that are kept, and never out of date.</summary>
public sealed class ServerNamesTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_another_program_does_to_the_names_shows_at_once()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        TestImage image = await registry.PushAsync("team/app", "1");
        using Engine other = Engine.Open(new EngineOptions { Root = registry.Engine.Layout.Root });
        Descriptor manifest = await other.Images.ResolveAsync(ImageReference.Parse("registry.local/team/app:1"), Token);
        async Task<string> TagsAsync() => (await registry.SendAsync("GET", "/v2/team/app/tags/list")).Text;
        for (int i = 0; i < 40; i++)
        {
            ImageReference name = ImageReference.Parse("registry.local/team/app:other" + i);
            await other.Images.SetAsync(name, manifest, Token);
            Assert.Contains($"\"other{i}\"", await TagsAsync(), StringComparison.Ordinal);
            if (i % 2 == 0)
            {
                await other.Images.RemoveAsync(name, Token);
                Assert.DoesNotContain($"\"other{i}\"", await TagsAsync(), StringComparison.Ordinal);
            }
        }
        ImageReference elsewhere = ImageReference.Parse("registry.local/team/app/below:x");
        await other.Images.SetAsync(elsewhere, manifest, Token);
        Assert.Equal("""{"repositories":["team/app","team/app/below"]}""", (await registry.SendAsync("GET", "/v2/_catalog")).Text);
        Assert.Equal(202, (await registry.SendAsync("DELETE", $"/v2/team/app/manifests/{image.Digest}")).Status);
        Assert.Equal(404, (await registry.SendAsync("GET", "/v2/team/app/tags/list")).Status);
        Assert.Equal("""{"repositories":["team/app/below"]}""", (await registry.SendAsync("GET", "/v2/_catalog")).Text);
    }

    [Fact]
    public async Task A_list_that_is_kept_is_dropped_when_a_name_moves_on()
    {
        string root = Directory.CreateTempSubdirectory("strata-names-").FullName;
        try
        {
            using Engine engine = Engine.Open(new EngineOptions { Root = root });
            RepositoryNames names = new(engine.Images, TimeProvider.System);
            ImageReference tag = ImageReference.Parse("registry.local/a:1");
            Descriptor one = await engine.Content.WriteAsync(MediaTypes.OciManifest, "1"u8.ToArray(), Token), two = await engine.Content.WriteAsync(MediaTypes.OciManifest, "2"u8.ToArray(), Token);
            await engine.Images.SetAsync(tag, one, Token);
            Assert.Equal(one.Digest, Assert.Single(names.List(tag)).Record.Manifest.Digest);
            await Task.Delay(150, Token); // older than a tick: from now on it is kept
            IReadOnlyList<NamedImage> kept = names.List(tag);
            Assert.Same(kept, names.List(tag));
            engine.TouchName(tag); // a pull is no change
            Assert.Same(kept, names.List(tag));
            await engine.Images.SetAsync(tag, two, Token);
            Assert.Equal(two.Digest, Assert.Single(names.List(tag)).Record.Manifest.Digest);
            await engine.Images.SetAsync(tag, one, Token); // in the same tick
            Assert.Equal(one.Digest, Assert.Single(names.List(tag)).Record.Manifest.Digest);
            await engine.Images.RemoveAsync(tag, Token);
            Assert.Empty(names.List(tag));
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    [Fact]
    public async Task Other_repositories_cost_a_list_nothing()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        await registry.PushAsync("small", "1");
        Descriptor manifest = await registry.Engine.Images.ResolveAsync(ImageReference.Parse("registry.local/small:1"), Token);
        string folder = Path.GetDirectoryName(Path.GetDirectoryName(registry.Engine.Images.PathOf(ImageReference.Parse("registry.local/small:1"))))!;
        await registry.Engine.Images.SetAsync(ImageReference.Parse("registry.local/large:t0"), manifest, Token);
        string large = Path.Combine(Path.GetDirectoryName(folder)!, "large", "_tags");
        // Whoever reads these is told that they are damaged.
        for (int i = 1; i < 50; i++)
        {
            await File.WriteAllTextAsync(Path.Combine(large, "t" + i), "nonsense", Token);
        }
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/small/tags/list")).Status);
        Assert.Equal(200, (await registry.SendAsync("GET", $"/v2/small/referrers/{manifest.Digest}")).Status);
        Assert.Equal("""{"repositories":["large","small"]}""", (await registry.SendAsync("GET", "/v2/_catalog")).Text);
        Assert.Equal(202, (await registry.SendAsync("DELETE", $"/v2/small/manifests/{manifest.Digest}")).Status);
    }
}
