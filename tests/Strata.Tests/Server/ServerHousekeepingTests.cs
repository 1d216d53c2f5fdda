using System.Net;
using System.Net.Sockets;
using System.Text;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

public sealed class ServerHousekeepingTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Garbage_is_collected_while_serving_and_nothing_else()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(_ => new RegistryServerOptions { Housekeeping = new HousekeepingOptions { Grace = TimeSpan.FromMilliseconds(200) } });
        Housekeeper keeper = new(registry.Server.Registry);
        TestImage stays = await registry.PushAsync("a", "stays", "stays"), goes = await registry.PushAsync("a", "goes", "goes");
        byte[] waiting = Encoding.UTF8.GetBytes("waits for its manifest");
        await registry.SendAsync("DELETE", $"/v2/a/manifests/{goes.Digest}");
        for (int i = 0; registry.Engine.Content.TryGetSize(Digest.Of(goes.Layer)) is not null; i++)
        {
            Assert.True(i < 100, "it is still there");
            await registry.SendAsync("POST", $"/v2/a/blobs/uploads/?digest={Digest.Of(waiting)}", waiting);
            await Task.Delay(100, Token);
            await keeper.CollectAsync(Token);
            Assert.Equal(200, (await registry.SendAsync("HEAD", $"/v2/a/blobs/{Digest.Of(waiting)}")).Status);
        }
        Assert.Equal(stays.Manifest, (await registry.SendAsync("GET", "/v2/a/manifests/stays")).Body);
        Assert.Equal(stays.Layer, (await registry.SendAsync("GET", $"/v2/a/blobs/{Digest.Of(stays.Layer)}")).Body);
        Assert.Equal(404, (await registry.SendAsync("GET", $"/v2/a/blobs/{Digest.Of(goes.Layer)}")).Status);
    }

    [Fact]
    public async Task Every_acknowledged_push_is_there_beside_collections()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(_ => new RegistryServerOptions { Housekeeping = new HousekeepingOptions { Grace = TimeSpan.FromSeconds(2) } });
        Housekeeper keeper = new(registry.Server.Registry);
        using CancellationTokenSource end = new();
        Task collector = Task.Run(async () =>
        {
            while (!end.IsCancellationRequested)
            {
                await keeper.CollectAsync(Token);
            }
        }, Token);
        (string Name, TestImage Image)[][] pushed = await Task.WhenAll(Enumerable.Range(0, 4).Select(async pusher =>
        {
            List<(string, TestImage)> images = [];
            for (int i = 0; i < 10; i++)
            {
                images.Add(($"p{pusher}/x", await registry.PushAsync($"p{pusher}/x", $"t{i}", $"{pusher} {i}")));
                if (i % 3 == 2)
                {
                    await registry.SendAsync("DELETE", $"/v2/p{pusher}/x/manifests/{images[^1].Item2.Digest}");
                    images.RemoveAt(images.Count - 1);
                }
            }
            return images.ToArray();
        }));
        await end.CancelAsync();
        await collector;
        await keeper.CollectAsync(Token);
        foreach ((string name, TestImage image) in pushed.SelectMany(p => p))
        {
            Assert.Equal(image.Manifest, (await registry.SendAsync("GET", $"/v2/{name}/manifests/{image.Digest}")).Body);
            Assert.Equal(image.Layer, (await registry.SendAsync("GET", $"/v2/{name}/blobs/{Digest.Of(image.Layer)}")).Body);
        }
    }

    [Fact]
    public async Task Retention_keeps_the_last_and_what_they_need()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        List<TestImage> builds = [];
        for (int i = 1; i <= 4; i++)
        {
            builds.Add(await registry.PushAsync("ci/app", $"build-{i}", $"build {i}"));
            await Task.Delay(20, Token); // times of files are the kernel's, of some milliseconds
        }
        await registry.PushAsync("ci/app", "latest", "build 1"); // the same image as build-1: its manifest stays
        await registry.PushAsync("other", "build-1", "other");
        string rules = TestRegistry.Write(registry.Root, "retain.json", """{"rules":[{"repositories":"ci/**","tags":"build-*","keepLast":2}]}""");
        string[] planned = [.. (await RegistryServer.RetainAsync(registry.Engine, rules, dryRun: true, Token)).Select(v => v.Name.Familiar)];
        Assert.Equal(["registry.local/ci/app:build-2", "registry.local/ci/app:build-1", $"registry.local/ci/app@{builds[1].Digest}"], planned);
        Assert.Equal(200, (await registry.SendAsync("HEAD", "/v2/ci/app/manifests/build-1")).Status);
        await Task.Delay(20, Token);
        await RegistryServer.RetainAsync(registry.Engine, rules, dryRun: false, Token);
        // build-1 was looked at since, by HEAD, which is no pull
        Assert.Equal("""{"name":"ci/app","tags":["build-3","build-4","latest"]}""", (await registry.SendAsync("GET", "/v2/ci/app/tags/list")).Text);
        Assert.Equal(404, (await registry.SendAsync("GET", $"/v2/ci/app/manifests/{builds[1].Digest}")).Status);
        Assert.Equal(200, (await registry.SendAsync("GET", $"/v2/ci/app/manifests/{builds[0].Digest}")).Status);
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/other/manifests/build-1")).Status);
    }

    [Theory]
    [InlineData("""{"keepLast":0,"olderThan":"1h"}""", 0)]
    [InlineData("""{"notPulledFor":"1h"}""", 0)]
    [InlineData("""{"olderThan":"0s"}""", 1)]
    [InlineData("""{"keepLast":1}""", 0)]
    [InlineData("""{"keepLast":0}""", 1)]
    [InlineData("""{"untagged":"0s"}""", 0)]
    public async Task Retention_takes_what_all_conditions_mean(string conditions, int tags)
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        await registry.PushAsync("a", "1");
        await Task.Delay(20, Token);
        RetentionRules rules = RetentionRules.Parse(Encoding.UTF8.GetBytes($$"""{"rules":[{"repositories":"**",{{conditions[1..]}}]}"""), "r");
        Assert.Equal(tags, (await new Retention(registry.Server.Registry).ApplyAsync(rules, dryRun: true, Token)).Count(v => v.Name.Tag is not null));
    }

    [Theory]
    [InlineData("""{"rules":[{"repositories":"a"}]}""")]
    [InlineData("""{"rules":[{"repositories":"a","keepLast":-1}]}""")]
    [InlineData("""{"rules":[{"repositories":"a","olderThan":"soon"}]}""")]
    [InlineData("""{"rules":[{"repositories":"a","keep":1}]}""")]
    [InlineData("""[]""")]
    public void Retention_that_cannot_be_understood_is_refused(string json)
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => RetentionRules.Parse(Encoding.UTF8.GetBytes(json), "r")).Kind);

    [Fact]
    public async Task A_damaged_blob_is_hidden_until_it_is_pushed_again()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        TestImage image = await registry.PushAsync("a", "1");
        string path = $"/v2/a/blobs/{Digest.Of(image.Layer)}", file = registry.Engine.Layout.Blob(Digest.Of(image.Layer));
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        byte[] damaged = File.ReadAllBytes(file);
        damaged[3] ^= 1;
        File.WriteAllBytes(file, damaged);
        Housekeeper keeper = new(registry.Server.Registry);
        await keeper.ScrubAsync(Token);
        Assert.Equal(404, (await registry.SendAsync("HEAD", path)).Status);
        await registry.PushAsync("a", "1");
        Assert.Equal(image.Layer, (await registry.SendAsync("GET", path)).Body);
        await keeper.ScrubAsync(Token);
        Assert.Equal(1, registry.Server.Registry.Metrics.Get(RegistryMetrics.DamagedBlobs));
    }

    [Fact]
    public async Task Events_are_posted_and_posted_again()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        await using TestRegistry registry = await TestRegistry.StartAsync(_ => new RegistryServerOptions { Webhooks = [new Uri($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/hook?key=hidden")] });
        TestImage image = await registry.PushAsync("a/b", "t");
        string first = await TakeAsync(listener, "500 Oops"), again = await TakeAsync(listener, "200 OK");
        Assert.StartsWith("POST /hook?key=hidden HTTP/1.1", first, StringComparison.Ordinal);
        Assert.Contains("application/vnd.docker.distribution.events.v1+json", again, StringComparison.Ordinal);
        foreach (string text in (string[])[first, again])
        {
            Assert.Contains("\"action\":\"push\"", text, StringComparison.Ordinal);
            Assert.Contains($"\"digest\":\"{image.Digest}\"", text, StringComparison.Ordinal);
            Assert.Contains("\"repository\":\"a/b\"", text, StringComparison.Ordinal);
            Assert.Contains("\"tag\":\"t\"", text, StringComparison.Ordinal);
        }
        await registry.SendAsync("DELETE", "/v2/a/b/manifests/t");
        Assert.Contains("\"action\":\"delete\"", await TakeAsync(listener, "200 OK"), StringComparison.Ordinal);
    }

    // One request, whole, and its answer.
    private static async Task<string> TakeAsync(TcpListener listener, string answer)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(Token);
        patience.CancelAfter(TimeSpan.FromSeconds(20));
        using TcpClient client = await listener.AcceptTcpClientAsync(patience.Token);
        NetworkStream stream = client.GetStream();
        byte[] buffer = new byte[16 << 10];
        int length = 0;
        for (string text = ""; !text.EndsWith("}]}", StringComparison.Ordinal); text = Encoding.UTF8.GetString(buffer, 0, length))
        {
            int read = await stream.ReadAsync(buffer.AsMemory(length), patience.Token);
            Assert.NotEqual(0, read);
            length += read;
        }
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), patience.Token);
        return Encoding.UTF8.GetString(buffer, 0, length);
    }
}
