using System.Security.Cryptography;
using System.Text;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>Limits and abuse; §6.3 and bad case 28 of the reliability plan. What RegistryServerTests has is not here again.</summary>
public sealed class ServerLimitsTests
{
    [Fact]
    public async Task A_read_only_registry_takes_and_deletes_nothing()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(_ => new RegistryServerOptions { IsReadOnly = true });
        string digest = Digest.Of("x"u8).ToString();
        foreach ((string method, string path) in ((string, string)[])[("POST", "/v2/a/blobs/uploads/"), ("POST", $"/v2/a/blobs/uploads/?digest={digest}"), ("PUT", "/v2/a/manifests/1"), ("DELETE", "/v2/a/manifests/1"), ("PATCH", "/v2/a/blobs/uploads/1")])
        {
            Answer answer = await registry.SendAsync(method, path, method == "DELETE" ? null : [1]);
            Assert.Equal((405, "UNSUPPORTED"), (answer.Status, answer.Code));
        }
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/")).Status);
        Assert.Empty(registry.Engine.Content.List());
    }

    [Fact]
    public async Task A_disk_below_its_floor_takes_nothing_and_still_serves_and_deletes()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        await registry.PushAsync("a", "1");
        await using RegistryServer full = await RegistryServer.StartAsync(registry.Engine, "127.0.0.1:0", new RegistryServerOptions { FreeFloorPercent = 99.99 }, TestContext.Current.CancellationToken);
        using HttpClient http = new() { BaseAddress = new Uri($"http://{full.Address}") };
        using ByteArrayContent body = new([1]);
        using HttpResponseMessage refused = await http.PostAsync($"/v2/a/blobs/uploads/?digest={Digest.Of([1])}", body, TestContext.Current.CancellationToken);
        Assert.Equal(507, (int)refused.StatusCode);
        Assert.Contains("\"code\":\"DENIED\"", await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Equal(200, (int)(await http.GetAsync("/v2/a/manifests/1", TestContext.Current.CancellationToken)).StatusCode);
        Assert.Equal(202, (int)(await http.DeleteAsync("/v2/a/manifests/1", TestContext.Current.CancellationToken)).StatusCode);
    }

    [Fact]
    public async Task A_blob_that_is_too_large_is_refused_however_it_comes()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(_ => new RegistryServerOptions { MaxBlobBytes = 1000 });
        byte[] large = RandomNumberGenerator.GetBytes(1001);
        Answer whole = await registry.SendAsync("POST", $"/v2/a/blobs/uploads/?digest={Digest.Of(large)}", large);
        Assert.Equal((413, "SIZE_INVALID"), (whole.Status, whole.Code));
        string upload = (await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [])).Headers.Location!.ToString();
        Assert.Equal(202, (await registry.SendAsync("PATCH", upload, large[..1000])).Status);
        Assert.Equal(413, (await registry.SendAsync("PATCH", upload, large[1000..])).Status);
        Assert.Equal(201, (await registry.SendAsync("PUT", $"{upload}?digest={Digest.Of(large.AsSpan(0, 1000))}", [])).Status);
    }

    [Fact]
    public async Task A_user_has_so_many_uploads_and_no_more()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(root => new RegistryServerOptions
        {
            MaxUploadsPerUser = 2,
            Access = new RegistryAccessOptions { HtpasswdFile = TestRegistry.Write(root, "p", TestRegistry.Passwords) },
        });
        (string, string) alice = TestRegistry.Basic("alice", "secret"), bob = TestRegistry.Basic("bob", "other");
        Assert.Equal(202, (await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [], alice)).Status);
        Assert.Equal(202, (await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [], alice)).Status);
        Answer third = await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [], alice);
        Assert.Equal((429, "TOOMANYREQUESTS"), (third.Status, third.Code));
        Assert.Equal(202, (await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [], bob)).Status);
    }

    [Fact]
    public async Task An_upload_that_nobody_goes_on_with_is_dropped()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(_ => new RegistryServerOptions
        {
            UploadLife = TimeSpan.FromMilliseconds(100),
            Housekeeping = new HousekeepingOptions { Grace = TimeSpan.FromMilliseconds(50) },
        });
        string upload = (await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [])).Headers.Location!.ToString();
        for (int i = 0; (await registry.SendAsync("GET", "/metrics")).Text.Contains("strata_registry_uploads 1\n", StringComparison.Ordinal); i++)
        {
            Assert.True(i < 100, "it is still there");
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }
        Assert.Equal(404, (await registry.SendAsync("GET", upload)).Status);
        Assert.Empty(Directory.GetFiles(registry.Engine.Layout.Ingest, "blob*", SearchOption.AllDirectories));
    }

    [Theory]
    [InlineData(255, 404)]
    [InlineData(256, 400)]
    public async Task A_name_has_at_most_255_characters(int length, int status)
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        Assert.Equal(status, (await registry.SendAsync("GET", $"/v2/{new string('a', length)}/tags/list")).Status);
    }

    [Fact]
    public async Task A_tag_has_at_most_128_characters()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        await registry.PushAsync("a", new string('t', 128));
        Answer refused = await registry.SendAsync("PUT", $"/v2/a/manifests/{new string('t', 129)}", "{}"u8.ToArray());
        Assert.Equal((400, "MANIFEST_INVALID"), (refused.Status, refused.Code));
    }

    [Fact]
    public async Task A_manifest_names_at_most_10000_blobs()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        string one = $$"""{"mediaType":"{{MediaTypes.OciManifest}}","digest":"{{Digest.Of("x"u8)}}","size":1}""";
        byte[] index = Encoding.UTF8.GetBytes($$"""{"schemaVersion":2,"manifests":[{{string.Join(',', Enumerable.Repeat(one, 10_001))}}]}""");
        Answer refused = await registry.SendAsync("PUT", "/v2/a/manifests/1", index, ("Content-Type", MediaTypes.OciIndex));
        Assert.Equal((400, "MANIFEST_INVALID"), (refused.Status, refused.Code));
        Assert.Contains("10000", refused.Text.Replace(",", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }
}
