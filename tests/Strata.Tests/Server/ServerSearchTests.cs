using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

public sealed class ServerSearchTests
{
    [Fact]
    public async Task Search_finds_names_before_descriptions_in_dockers_shape()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        await registry.PushAsync("web/nginx", "1", "a", "old words");
        await registry.PushAsync("web/nginx", "2", "b", "a web server");
        await registry.PushAsync("tools/x", "1", "c", "beside nginx");
        await registry.PushAsync("tools/y", "1", "d", "nothing of that");
        Assert.Equal("""{"query":"ngi","num_results":2,"num_pages":1,"page":1,"page_size":25,"results":[{"name":"web/nginx","description":"a web server","star_count":0,"is_official":false,"is_automated":false},{"name":"tools/x","description":"beside nginx","star_count":0,"is_official":false,"is_automated":false}]}""",
            (await registry.SendAsync("GET", "/v1/search?q=ngi&n=25")).Text);
        Assert.Contains("\"num_results\":2,\"num_pages\":2,\"page\":2,\"page_size\":1,\"results\":[{\"name\":\"tools/x\"", (await registry.SendAsync("GET", "/v1/search?q=NGI&n=1&page=2")).Text, StringComparison.Ordinal);
        Assert.Contains("\"results\":[]", (await registry.SendAsync("GET", "/v1/search?q=ngi&n=1000000000000&page=99999999999")).Text, StringComparison.Ordinal);
        Assert.Equal(400, (await registry.SendAsync("GET", "/v1/search?q=ngi&n=x")).Status);
        Answer ping = await registry.SendAsync("GET", "/v1/_ping");
        Assert.Equal((200, "true"), (ping.Status, ping.Headers.GetValues("X-Docker-Registry-Standalone").Single()));
    }

    [Fact]
    public async Task Health_says_alive_and_ready_and_counts()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        Assert.Equal((200, "ok\n"), ((await registry.SendAsync("GET", "/healthz")).Status, (await registry.SendAsync("GET", "/healthz")).Text));
        Assert.Equal(200, (await registry.SendAsync("GET", "/readyz")).Status);
        registry.Server.Registry.IsStopping = true;
        Assert.Equal(503, (await registry.SendAsync("GET", "/readyz")).Status);
        Assert.Equal(405, (await registry.SendAsync("DELETE", "/healthz")).Status);
        await registry.PushAsync("a", "1");
        string metrics = (await registry.SendAsync("GET", "/metrics")).Text;
        Assert.Contains("strata_registry_requests_total{method=\"PUT\",resource=\"manifest\",status=\"201\"} 1\n", metrics, StringComparison.Ordinal);
        Assert.Contains("strata_registry_request_duration_seconds_bucket{le=\"+Inf\"} ", metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("strata_registry_received_bytes_total 0\n", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_line_of_the_access_log_tells_what_happened_and_no_secret()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(root => new RegistryServerOptions
        {
            Access = new RegistryAccessOptions { HtpasswdFile = TestRegistry.Write(root, "passwords", TestRegistry.Passwords) },
        });
        TestImage image = await registry.PushAsync("a/b", "t", headers: TestRegistry.Basic("alice", "secret"));
        await registry.SendAsync("GET", "/v2/a/b/manifests/t?token=hidden", null, TestRegistry.Basic("alice", "secret"));
        await registry.SendAsync("GET", "/nowhere/%0aforged%20line");
        string[] lines = [.. registry.Lines];
        Assert.Matches($@"^\d{{4}}-\d\d-\d\dT[0-9:.]+Z 127\.0\.0\.1 alice GET /v2/a/b/manifests/t 200 {image.Manifest.Length} \d+\.\d$", lines[^2]);
        Assert.Contains(" - GET /nowhere/%0Aforged%20line 404 ", lines[^1], StringComparison.Ordinal);
        Assert.DoesNotContain(lines, l => l.Contains("hidden", StringComparison.Ordinal) || l.Contains("secret", StringComparison.Ordinal) || l.Contains('\n', StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_access_log_that_was_moved_away_is_begun_anew()
    {
        string folder = Directory.CreateTempSubdirectory("strata-log-").FullName;
        try
        {
            string path = Path.Combine(folder, "log");
            using (AccessLog log = AccessLog.ToFile(path))
            {
                log.Write(new AccessLine("c", null, "GET", "/1", 200, 0, TimeSpan.Zero));
                File.Move(path, path + ".1");
                await Task.Delay(1100, TestContext.Current.CancellationToken);
                log.Write(new AccessLine("c", "u v", "GET", "/2", 200, 0, TimeSpan.Zero));
            }
            Assert.Contains(" c - GET /1 200 0 0.0\n", File.ReadAllText(path + ".1"), StringComparison.Ordinal);
            Assert.Contains(" c u%20v GET /2 200 0 0.0\n", File.ReadAllText(path), StringComparison.Ordinal);
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
