using System.Security.Cryptography;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

public sealed class ServerQuotaTests
{
    private static Task<TestRegistry> StartAsync(params RepositoryQuota[] quotas) => TestRegistry.StartAsync(_ => new RegistryServerOptions { Quotas = quotas });

    [Fact]
    public async Task A_repository_takes_what_fits_its_quota_and_others_take_theirs()
    {
        // An image of the tests has 1,000 bytes and some, its config and its manifest less than 700.
        await using TestRegistry registry = await StartAsync(new RepositoryQuota("free/**", long.MaxValue), new RepositoryQuota("**", 2500));
        TestImage first = await registry.PushAsync("team/app", "1", "one");
        await registry.PushAsync("team/app", "1-again", "one"); // what is there costs nothing
        TestImage second = TestImage.Make("two", null);
        Answer layer = await registry.SendAsync("POST", $"/v2/team/app/blobs/uploads/?digest={Digest.Of(second.Layer)}", second.Layer);
        Assert.Equal((413, "DENIED"), (layer.Status, layer.Code));
        Assert.Contains("2500", layer.Text, StringComparison.Ordinal);
        await registry.PushAsync("team/other", "1", "two");
        await registry.PushAsync("free/app", "1", "one");
        await registry.PushAsync("free/app", "2", "two");
        await registry.PushAsync("free/app", "3", "three");
        // The layer is here, from another repository: a manifest that would make it this one's is refused all the same.
        Assert.Equal(201, (await registry.SendAsync("POST", $"/v2/team/app/blobs/uploads/?mount={Digest.Of(second.Layer)}&from=team/other", [])).Status);
        Answer manifest = await registry.SendAsync("PUT", "/v2/team/app/manifests/2", second.Manifest, ("Content-Type", MediaTypes.OciManifest));
        Assert.Equal((413, "DENIED"), (manifest.Status, manifest.Code));
        Assert.Equal(404, (await registry.SendAsync("GET", "/v2/team/app/manifests/2")).Status);
        // A deletion makes room at once.
        Assert.Equal(202, (await registry.SendAsync("DELETE", $"/v2/team/app/manifests/{first.Digest}")).Status);
        await registry.PushAsync("team/app", "2", "two");
    }

    [Fact]
    public async Task An_upload_that_cannot_fit_is_refused_however_it_comes()
    {
        await using TestRegistry registry = await StartAsync(new RepositoryQuota("**", 1000));
        byte[] large = RandomNumberGenerator.GetBytes(1001);
        string upload = (await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [])).Headers.Location!.ToString();
        Assert.Equal(413, (await registry.SendAsync("PATCH", upload, large)).Status);
        Assert.Equal(202, (await registry.SendAsync("PATCH", upload, large[..600])).Status);
        Assert.Equal(413, (await registry.SendAsync("PATCH", upload, large[600..])).Status);
        Assert.Equal(413, (await registry.SendAsync("PUT", $"{upload}?digest={Digest.Of(large)}", large[600..])).Status);
        Assert.Equal(201, (await registry.SendAsync("PUT", $"{upload}?digest={Digest.Of(large.AsSpan(0, 1000))}", large[600..1000])).Status);
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData("*a*b*c*d*e", 1)]
    [InlineData("a", 0)]
    [InlineData("a", -1)]
    public async Task A_quota_that_is_none_is_refused_at_the_start(string pattern, long bytes)
        => Assert.Equal(ErrorKind.Invalid, (await Assert.ThrowsAsync<StrataException>(() => StartAsync(new RepositoryQuota(pattern, bytes)))).Kind);
}
