using System.Collections.Concurrent;
using System.Text;
using Strata.Distribution;
using Strata.Oci;
using Xunit;
using static Strata.Tests.Distribution.FaultServer;

namespace Strata.Tests.Distribution;

/// <summary>Search, deletion, documents, explanations and waits, against a server that answers as it is told.</summary>
public sealed class RegistryCommandsTests
{
    private static readonly byte[] s_manifest = OciJson.Serialize(new ImageManifest(new Descriptor(MediaTypes.OciConfig, Digest.Of("{}"u8), 2), []) { MediaType = MediaTypes.OciManifest });
    private static readonly Digest s_digest = Digest.Of(s_manifest);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static RegistryClient Client(RegistryOptions? options = null)
        => new((options ?? new()) with { Configuration = options?.Configuration ?? RegistryConfiguration.Empty, Credentials = CredentialStore.Empty, FirstDelay = TimeSpan.FromMilliseconds(1), Patience = TimeSpan.FromSeconds(3) });

    private static Reply Manifest() => new(200, s_manifest, ("Content-Type", MediaTypes.OciManifest), ("Docker-Content-Digest", s_digest.ToString()));

    [Fact]
    public async Task A_registry_with_Docker_s_search_is_asked_by_it()
    {
        await using FaultServer server = new(r => r.Path == "/v1/search?q=a%20b&n=7"
            ? new Reply(200, """{"query":"a b","num_results":2,"results":[{"name":"one","description":"first\nline","star_count":3,"is_official":true},{"name":"two"}],"page":1}""") : new Reply(500));
        using RegistryClient client = Client();
        SearchResult[] expected = [new("one") { Description = "first\nline", Stars = 3, IsOfficial = true }, new("two")];
        Assert.Equal(expected, await client.SearchAsync(server.Host, "a b", 7, Token));
    }

    [Theory]
    [InlineData(404, "")]
    [InlineData(200, "<html>front page</html>")]
    public async Task A_registry_without_search_lists_its_repositories(int status, string body)
    {
        await using FaultServer server = new(r => r.Path.StartsWith("/v2/_catalog", StringComparison.Ordinal) ? new Reply(200, """{"repositories":["x/nginx","apache","Nginx","nginx-2","nginx-3"]}""") : new Reply(status, body));
        using RegistryClient client = Client();
        Assert.Equal(["x/nginx", "nginx-2"], (await client.SearchAsync(server.Host, "NGI", 2, Token)).Select(r => r.Name));
    }

    [Fact]
    public async Task A_registry_with_neither_says_so()
    {
        await using FaultServer server = new(_ => new Reply(404));
        using RegistryClient client = Client();
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await client.SearchAsync(server.Host, "x", 5, Token));
        Assert.Equal(ErrorKind.Unsupported, e.Kind);
    }

    [Fact]
    public async Task A_tag_is_removed_alone_where_the_registry_can()
    {
        await using FaultServer server = new(r => r.Method == "DELETE" ? new Reply(r.Path.EndsWith("/t", StringComparison.Ordinal) ? 202 : 500) : Manifest());
        using RegistryClient client = Client();
        Assert.Equal($"{server.Host}/a:t", (await client.DeleteAsync(ImageReference.Parse(server.Host + "/a:t"), Token)).ToString());
    }

    [Theory]
    [InlineData("t", true)]
    [InlineData("t,u", false)]
    public async Task Where_it_cannot_the_image_goes_if_the_tag_is_its_only_one(string tags, bool isRemoved)
    {
        string list = $"{{\"tags\":[{string.Join(',', tags.Split(',').Select(t => $"\"{t}\""))}]}}";
        await using FaultServer server = new(r => r.Path.EndsWith("/tags/list", StringComparison.Ordinal) ? new Reply(200, list)
            : r.Method == "DELETE" ? new Reply(r.Path.EndsWith("/t", StringComparison.Ordinal) ? 405 : 202) : Manifest());
        using RegistryClient client = Client();
        ImageReference reference = ImageReference.Parse(server.Host + "/a:t");
        if (isRemoved)
        {
            Assert.Equal($"{server.Host}/a@{s_digest}", (await client.DeleteAsync(reference, Token)).ToString());
            return;
        }
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await client.DeleteAsync(reference, Token));
        Assert.Equal((ErrorKind.Conflict, $"to remove it with all of them: strata registry rm {server.Host}/a@{s_digest}"), (e.Kind, e.Hint));
        Assert.DoesNotContain(server.Requests, r => r.Method == "DELETE" && r.Path.Contains("sha256", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_document_comes_byte_for_byte()
    {
        await using FaultServer server = new(_ => Manifest());
        using RegistryClient client = Client();
        (Descriptor descriptor, byte[] bytes) = await client.ReadDocumentAsync(ImageReference.Parse(server.Host + "/a:t"), cancellationToken: Token);
        Assert.Equal(s_digest, descriptor.Digest);
        Assert.Equal(s_manifest, bytes);
    }

    [Fact]
    public async Task Each_server_s_answer_is_told_until_one_serves()
    {
        await using FaultServer empty = new(_ => new Reply(404)), good = new(_ => Manifest()), origin = new(_ => Manifest());
        string dead;
        await using (FaultServer gone = new(_ => new Reply(200)))
        {
            dead = gone.Host;
        }
        string json = $"{{\"registries\":{{\"{origin.Host}\":{{\"mirrors\":[\"http://{dead}\",\"http://{empty.Host}\",\"http://{good.Host}\"]}}}}}}";
        using RegistryClient client = Client(new() { Configuration = RegistryConfiguration.Parse(Encoding.UTF8.GetBytes(json), "x.json") });
        List<MirrorAnswer> answers = [];
        await foreach (MirrorAnswer answer in client.ExplainAsync(ImageReference.Parse(origin.Host + "/a:t"), Token))
        {
            answers.Add(answer);
        }
        Assert.Equal([$"http://{dead}/", $"http://{empty.Host}/", $"http://{good.Host}/", $"https://{origin.Host}/"], answers.Select(a => a.Address.ToString()));
        Assert.Contains("refused", answers[0].Failure, StringComparison.OrdinalIgnoreCase);
        Assert.Equal([(false, null), (false, 404), (true, 200), (false, (int?)null)], answers.Select(a => (a.IsServing, (int?)a.Status)));
        Assert.Equal("not asked", answers[3].Failure);
        Assert.Empty(origin.Requests);
    }

    [Fact]
    public async Task A_wait_that_was_asked_for_is_told_with_host_and_status()
    {
        int asked = 0;
        await using FaultServer server = new(_ => ++asked == 1 ? new Reply(429, "", ("Retry-After", "1")) : asked == 2 ? new Reply(503) : Manifest());
        ConcurrentQueue<RegistryWait> waits = [];
        using RegistryClient client = Client(new() { OnWait = waits.Enqueue });
        await client.ReadDocumentAsync(ImageReference.Parse(server.Host + "/a:t"), cancellationToken: Token);
        Assert.Equal($"waiting 1 s: {server.Host} asks for it (429)", waits.First().ToString());
        Assert.EndsWith($": {server.Host} fails (503)", waits.Last().ToString(), StringComparison.Ordinal);
        Assert.Equal([true, false], waits.Select(w => w.IsLong));
    }
}
