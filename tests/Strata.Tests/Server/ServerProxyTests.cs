using System.Diagnostics;
using Strata.Oci;
using Strata.Server.Registry;
using Strata.Tests.Distribution;
using Xunit;

namespace Strata.Tests.Server;

public sealed class ServerProxyTests
{
    private static Task<TestRegistry> StartAsync(TestRegistry upstream, TimeSpan? life = null, bool isDefault = false) => TestRegistry.StartAsync(_ => new RegistryServerOptions
    {
        Upstreams = [new RegistryUpstream("up.example", upstream.Http.BaseAddress!)],
        DefaultUpstream = isDefault ? "up.example" : null,
        UpstreamTagLife = life ?? TimeSpan.FromHours(1),
    });

    private static async Task PullAsync(TestRegistry registry, string repository, string tag, TestImage image)
    {
        Assert.Equal(image.Manifest, (await registry.SendAsync("GET", $"/v2/{repository}/manifests/{tag}")).Body);
        foreach (byte[] blob in (byte[][])[image.Config, image.Layer])
        {
            Answer head = await registry.SendAsync("HEAD", $"/v2/{repository}/blobs/{Digest.Of(blob)}");
            Assert.Equal(200, head.Status);
            Assert.Equal(blob, (await registry.SendAsync("GET", $"/v2/{repository}/blobs/{Digest.Of(blob)}")).Body);
        }
    }

    [Fact]
    public async Task What_is_not_here_is_fetched_once_and_served_when_upstream_is_gone()
    {
        TestRegistry upstream = await TestRegistry.StartAsync();
        await using TestRegistry registry = await StartAsync(upstream, TimeSpan.Zero);
        TestImage image = await upstream.PushAsync("lib/x", "1");
        int before = upstream.Lines.Count;
        await PullAsync(registry, "up.example/lib/x", "1", image);
        await PullAsync(registry, "up.example/lib/x", "1", image);
        await PullAsync(registry, "up.example/lib/x", image.Digest.ToString(), image);
        string[] asked = [.. upstream.Lines.Skip(before)];
        Assert.Equal(2, asked.Count(l => l.Contains(" GET ", StringComparison.Ordinal) && l.Contains("/blobs/", StringComparison.Ordinal)));
        Assert.Equal(1, asked.Count(l => l.Contains(" GET ", StringComparison.Ordinal) && l.Contains("/manifests/", StringComparison.Ordinal)));
        // whole, it is an image of the store like any other
        Assert.NotNull(registry.Engine.Images.TryRead(ImageReference.Parse("registry.local/up.example/lib/x:1")));
        await upstream.DisposeAsync();
        await PullAsync(registry, "up.example/lib/x", "1", image);
        Assert.Equal(503, (await registry.SendAsync("GET", "/v2/up.example/lib/x/manifests/other")).Status);
    }

    [Fact]
    public async Task Of_many_first_pulls_upstream_sees_one()
    {
        await using TestRegistry upstream = await TestRegistry.StartAsync();
        await using TestRegistry registry = await StartAsync(upstream);
        TestImage image = await upstream.PushAsync("x", "1", new string('x', 3_000_000));
        await registry.SendAsync("GET", "/v2/up.example/x/manifests/1");
        int before = upstream.Lines.Count;
        Answer[] answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => registry.SendAsync("GET", $"/v2/up.example/x/blobs/{Digest.Of(image.Layer)}")));
        Assert.All(answers, a => Assert.Equal(image.Layer, a.Body));
        Assert.Single(upstream.Lines.Skip(before), l => l.Contains("/blobs/", StringComparison.Ordinal));
        Answer part = await registry.SendAsync("GET", $"/v2/up.example/x/blobs/{Digest.Of(image.Config)}", null, ("Range", "bytes=0-9"));
        Assert.Equal((206, 10), (part.Status, part.Body.Length));
    }

    [Fact]
    public async Task A_tag_is_asked_for_again_when_its_time_is_over()
    {
        await using TestRegistry upstream = await TestRegistry.StartAsync();
        await using TestRegistry patient = await StartAsync(upstream), curious = await StartAsync(upstream, TimeSpan.Zero);
        TestImage old = await upstream.PushAsync("x", "1", "old");
        await PullAsync(patient, "up.example/x", "1", old);
        await PullAsync(curious, "up.example/x", "1", old);
        TestImage now = await upstream.PushAsync("x", "1", "new");
        await PullAsync(patient, "up.example/x", "1", old);
        await PullAsync(curious, "up.example/x", "1", now);
        await upstream.SendAsync("DELETE", "/v2/x/manifests/1");
        Assert.Equal((404, "MANIFEST_UNKNOWN"), Of(await curious.SendAsync("GET", "/v2/up.example/x/manifests/1")));
    }

    [Fact]
    public async Task Its_own_names_are_pushed_to_and_upstreams_are_not()
    {
        await using TestRegistry upstream = await TestRegistry.StartAsync();
        await using TestRegistry registry = await StartAsync(upstream, isDefault: true);
        TestImage theirs = await upstream.PushAsync("lib/x", "1", "theirs"), ours = await registry.PushAsync("own/x", "1", "ours");
        await PullAsync(registry, "own/x", "1", ours);
        await PullAsync(registry, "lib/x", "1", theirs); // of no name of its own: the default's
        Assert.Equal((403, "DENIED"), Of(await registry.SendAsync("POST", "/v2/up.example/lib/x/blobs/uploads/", [])));
        Assert.Equal((403, "DENIED"), Of(await registry.SendAsync("PUT", "/v2/up.example/lib/x/manifests/1", [])));
        Assert.Equal((404, "BLOB_UNKNOWN"), Of(await registry.SendAsync("GET", $"/v2/up.example/lib/x/blobs/{Digest.Of("none"u8)}")));
        Assert.Equal((404, "MANIFEST_UNKNOWN"), Of(await registry.SendAsync("GET", "/v2/up.example/none/manifests/1")));
    }

    [Fact]
    public async Task A_blob_that_upstream_has_damaged_is_never_whole_here()
    {
        await using TestRegistry upstream = await TestRegistry.StartAsync();
        await using TestRegistry registry = await StartAsync(upstream);
        TestImage image = await upstream.PushAsync("x", "1", new string('x', 1_000_000));
        await registry.SendAsync("GET", "/v2/up.example/x/manifests/1");
        string file = upstream.Engine.Layout.Blob(Digest.Of(image.Layer));
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        byte[] damaged = File.ReadAllBytes(file);
        damaged[^1] ^= 1;
        File.WriteAllBytes(file, damaged);
        await Assert.ThrowsAsync<HttpRequestException>(() => registry.SendAsync("GET", $"/v2/up.example/x/blobs/{Digest.Of(image.Layer)}"));
        Assert.Null(registry.Engine.Content.TryGetSize(Digest.Of(image.Layer)));
    }

    // Bad case 24, with this server as the client that is told to wait.
    [Theory]
    [InlineData("429 in 10 years", 200, 503)]
    [InlineData("429 on a date", 200, 503)]
    [InlineData("503", 200, 503)]
    [InlineData("500", 200, 503)]
    [InlineData("hangup", 200, 503)]
    [InlineData("401 for ever", 404, 404)]
    [InlineData("another manifest than its digest says", 500, 500)]
    public async Task An_upstream_that_misbehaves_is_waited_for_a_little_and_what_is_here_is_served(string fault, int withCopy, int without)
    {
        TestImage image = TestImage.Make("upstream", null);
        bool isBroken = false;
        FaultServer.Reply Good(byte[] manifest) => new(200, manifest, ("Content-Type", MediaTypes.OciManifest), ("Docker-Content-Digest", image.Digest.ToString()));
        await using FaultServer upstream = new(request => !isBroken ? Good(image.Manifest) : fault switch
        {
            "429 in 10 years" => new FaultServer.Reply(429, "", ("Retry-After", "315360000")),
            "429 on a date" => new FaultServer.Reply(429, "", ("Retry-After", "Fri, 31 Dec 2999 23:59:59 GMT")),
            "503" => new FaultServer.Reply(503, "<html>"),
            "500" => new FaultServer.Reply(500, "{}"),
            "hangup" => new FaultServer.Reply(200) { Hangup = true },
            "401 for ever" => new FaultServer.Reply(401, "", ("WWW-Authenticate", "Basic realm=\"x\"")),
            _ => new FaultServer.Reply(200, "{\"schemaVersion\":2}", ("Content-Type", MediaTypes.OciManifest), ("Docker-Content-Digest", Digest.Of("else"u8).ToString())),
        });
        await using TestRegistry registry = await TestRegistry.StartAsync(_ => new RegistryServerOptions
        {
            Upstreams = [new RegistryUpstream("up.example", new Uri($"http://{upstream.Host}"))],
            UpstreamTagLife = TimeSpan.Zero,
        });
        Assert.Equal(image.Manifest, (await registry.SendAsync("GET", "/v2/up.example/lib/app/manifests/1")).Body);
        isBroken = true;
        Stopwatch time = Stopwatch.StartNew();
        Answer has = await registry.SendAsync("GET", "/v2/up.example/lib/app/manifests/1");
        Assert.True(has.Status == withCopy, has.Text);
        if (withCopy == 200)
        {
            Assert.Equal(image.Manifest, has.Body);
        }
        Answer none = await registry.SendAsync("GET", "/v2/up.example/lib/other/manifests/1");
        Assert.True(none.Status == without, none.Text);
        Assert.NotEmpty(none.Code);
        Assert.True(time.Elapsed < TimeSpan.FromSeconds(25), $"{time.Elapsed}");
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/")).Status);
    }

    private static (int, string) Of(Answer answer) => (answer.Status, answer.Code);

    [Theory]
    [InlineData("Up", "http://127.0.0.1:1")]
    [InlineData("", "http://127.0.0.1:1")]
    [InlineData("up", "ftp://127.0.0.1")]
    [InlineData("up", "http://user:password@127.0.0.1")]
    public async Task An_upstream_that_is_none_is_refused_at_the_start(string name, string address)
        => Assert.Equal(ErrorKind.Invalid, (await Assert.ThrowsAsync<StrataException>(() => TestRegistry.StartAsync(_ => new RegistryServerOptions { Upstreams = [new RegistryUpstream(name, new Uri(address))] }))).Kind);
}
