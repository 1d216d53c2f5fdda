using System.Globalization;
using System.Security.Cryptography;
using Strata.Content;
using Strata.Distribution;
using Strata.Oci;
using Xunit;
using static Strata.Tests.Distribution.FaultServer;

namespace Strata.Tests.Distribution;

/// <summary>Uploads that break off, registries that keep no list of referrers, and layers that must not be handed on.</summary>
public sealed class PushTests
{
    private const int CutAfter = 5_000_000;
    private static readonly byte[] s_blob = RandomNumberGenerator.GetBytes(6_000_000); // more than is sent with the last request
    private static readonly Descriptor s_layer = new(MediaTypes.OciLayerGzip, Digest.Of(s_blob), s_blob.Length);
    private static readonly Descriptor s_subject = new(MediaTypes.OciManifest, Digest.Of("subject"u8), 7);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static RegistryOptions Options() => new() { Configuration = RegistryConfiguration.Empty, Credentials = CredentialStore.Empty, FirstDelay = TimeSpan.FromMilliseconds(1), Patience = TimeSpan.FromSeconds(2) };

    private static RemoteRepository Repository(RegistryClient client, string host, Func<Digest, string?>? mountsFrom = null) => client.GetRepository(ImageReference.Parse(host + "/a/b:t"), mountsFrom);

    private static ValueTask<Stream> OpenFrom(long start, CancellationToken token) => ValueTask.FromResult<Stream>(new MemoryStream(s_blob[(int)start..], writable: false));

    /// <summary>A registry that keeps what came of a part that broke off.</summary>
    private sealed class Uploads
    {
        private readonly List<byte> _bytes = [];
        internal int Sessions { get; private set; }
        internal bool Forgets { get; init; }
        internal byte[] Bytes => [.. _bytes];

        internal Reply Answer(Request request)
        {
            switch (request.Method)
            {
                case "POST":
                    Sessions++;
                    _bytes.Clear();
                    return new Reply(202, "", ("Location", $"/u/{Sessions}-0"));
                case "PATCH":
                    bool isNext = request.Header("Content-Range") is not { } range || range.StartsWith(string.Create(CultureInfo.InvariantCulture, $"{_bytes.Count}-"), StringComparison.Ordinal);
                    _bytes.AddRange(isNext ? request.Body : []);
                    return new Reply(isNext ? 202 : 416, "", ("Location", $"/u/{Sessions}-{_bytes.Count}"));
                case "GET":
                    return Forgets ? new Reply(404) : new Reply(204, "", ("Location", $"/u/{Sessions}-{_bytes.Count}"), ("Range", $"0-{Math.Max(0, _bytes.Count - 1)}"));
                case "PUT":
                    _bytes.AddRange(request.Body);
                    return new Reply(Digest.Of(Bytes) == s_layer.Digest ? 201 : 400);
                default:
                    return new Reply(404);
            }
        }
    }

    [Fact]
    public async Task An_upload_that_breaks_off_goes_on_with_the_byte_the_registry_lacks()
    {
        var uploads = new Uploads();
        await using FaultServer server = new(uploads.Answer) { CutBodyAfter = CutAfter };
        using RegistryClient client = new(Options());
        Assert.True(await Repository(client, server.Host).WriteAsync(s_layer, OpenFrom, Token));
        Assert.Equal(s_blob, uploads.Bytes);
        Assert.Equal(1, uploads.Sessions);
        Request[] parts = [.. server.Requests.Where(r => r.Method == "PATCH")];
        Assert.Equal([null, $"{CutAfter}-{s_blob.Length - 1}"], parts.Select(p => p.Header("Content-Range")));
        Assert.Equal(s_blob.Length, parts.Sum(p => p.Body.Length)); // no byte twice
    }

    [Fact]
    public async Task An_upload_that_the_registry_has_forgotten_is_begun_again()
    {
        var uploads = new Uploads { Forgets = true };
        await using FaultServer server = new(uploads.Answer) { CutBodyAfter = CutAfter };
        using RegistryClient client = new(Options());
        Assert.True(await Repository(client, server.Host).WriteAsync(s_layer, OpenFrom, Token));
        Assert.Equal(s_blob, uploads.Bytes);
        Assert.Equal(2, uploads.Sessions);
    }

    [Fact]
    public async Task What_can_be_read_only_once_is_not_sent_twice()
    {
        await using FaultServer server = new(new Uploads().Answer) { CutBodyAfter = CutAfter };
        using RegistryClient client = new(Options());
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await Repository(client, server.Host).WriteAsync(s_layer, new Once(s_blob), Token));
        Assert.Contains("can be read only once", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_registry_that_stands_still_is_not_waited_for()
    {
        await using FaultServer server = new(r => r.Method switch { "POST" => new Reply(202, "", ("Location", "/u/1")), "HEAD" => new Reply(404), _ => new Reply(200) { CutAfter = 0, SayLength = 1, Stall = true } }) { Deaf = true };
        using RegistryClient client = new(Options() with { Attempts = 1, Patience = TimeSpan.FromMilliseconds(200) });
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await Repository(client, server.Host).WriteAsync(s_layer, OpenFrom, Token));
        Assert.Equal(ErrorKind.Unavailable, e.Kind);
        Assert.Contains("stands still", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_blob_that_another_repository_has_is_not_sent()
    {
        await using FaultServer server = new(r => r.Path.EndsWith("?mount=" + s_layer.Digest + "&from=base%2Fone", StringComparison.Ordinal) ? new Reply(201) : new Reply(500));
        using RegistryClient client = new(Options());
        Assert.False(await Repository(client, server.Host, _ => "base/one").WriteAsync(s_layer, OpenFrom, Token));
        Assert.Single(server.Requests);
    }

    private static (Descriptor Descriptor, byte[] Bytes) Artifact(string type)
    {
        byte[] bytes = OciJson.Serialize(new ImageManifest(new Descriptor(MediaTypes.OciEmpty, Digest.Of("{}"u8), 2), []) { MediaType = MediaTypes.OciManifest, ArtifactType = type, Subject = s_subject });
        return (new Descriptor(MediaTypes.OciManifest, Digest.Of(bytes), bytes.Length), bytes);
    }

    [Fact]
    public async Task Where_the_registry_keeps_no_list_of_referrers_it_stands_under_a_tag()
    {
        var documents = new Dictionary<string, byte[]>();
        await using FaultServer server = new(r =>
        {
            string name = r.Path[(r.Path.LastIndexOf('/') + 1)..];
            if (r.Method == "PUT")
            {
                documents[name] = r.Body;
                return new Reply(201);
            }
            return documents.TryGetValue(name, out byte[]? bytes) && r.Path.Contains("/manifests/", StringComparison.Ordinal) ? new Reply(200, bytes, ("Content-Type", OciJson.DetectMediaType(bytes))) : new Reply(404);
        });
        using RegistryClient client = new(Options());
        RemoteRepository repository = Repository(client, server.Host);
        Assert.Empty(await repository.ListReferrersAsync(s_subject.Digest, cancellationToken: Token));
        foreach (string type in new[] { "application/x.one", "application/x.two", "application/x.one" })
        {
            (Descriptor artifact, byte[] bytes) = Artifact(type);
            await repository.WriteAsync(artifact, new MemoryStream(bytes), Token);
        }
        IReadOnlyList<Descriptor> all = await repository.ListReferrersAsync(s_subject.Digest, cancellationToken: Token);
        Assert.Equal(["application/x.one", "application/x.two"], all.Select(d => d.ArtifactType));
        Assert.Equal(Artifact("application/x.two").Descriptor.Digest, Assert.Single(await repository.ListReferrersAsync(s_subject.Digest, "application/x.two", Token)).Digest);
        Assert.True(documents.ContainsKey(s_subject.Digest.ToString().Replace(':', '-')));
    }

    [Fact]
    public async Task Where_the_registry_says_it_noted_the_subject_no_tag_is_made()
    {
        await using FaultServer server = new(r => r.Method == "PUT" ? new Reply(201, "", ("OCI-Subject", s_subject.Digest.ToString())) : new Reply(500));
        using RegistryClient client = new(Options());
        (Descriptor artifact, byte[] bytes) = Artifact("application/x.one");
        await Repository(client, server.Host).WriteAsync(artifact, new MemoryStream(bytes), Token);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task A_list_of_referrers_comes_page_by_page()
    {
        byte[] Page(string type) => OciJson.Serialize(new ImageIndex([Artifact(type).Descriptor with { ArtifactType = type }]) { MediaType = MediaTypes.OciIndex });
        await using FaultServer server = new(r => r.Path.EndsWith("?next", StringComparison.Ordinal)
            ? new Reply(200, Page("application/x.two"), ("Content-Type", MediaTypes.OciIndex))
            : new Reply(200, Page("application/x.one"), ("Content-Type", MediaTypes.OciIndex), ("Link", $"<{r.Path}?next>; rel=\"next\"")));
        using RegistryClient client = new(Options());
        Assert.Equal(["application/x.one", "application/x.two"], (await Repository(client, server.Host).ListReferrersAsync(s_subject.Digest, cancellationToken: Token)).Select(d => d.ArtifactType));
    }

    [Fact]
    public async Task A_foreign_layer_is_fetched_only_when_that_is_asked_for()
    {
        await using FaultServer server = new(_ => new Reply(404));
        Descriptor foreign = s_layer with { MediaType = MediaTypes.DockerForeignLayerGzip, Urls = ["https://evil.example.com/layer"] };
        using RegistryClient client = new(Options());
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await Repository(client, server.Host).OpenAsync(foreign, Token));
        Assert.Equal(ErrorKind.Denied, e.Kind);
        Assert.Contains("https://evil.example.com/layer", e.Message, StringComparison.Ordinal);
        Assert.Contains("--foreign-layers", e.Hint, StringComparison.Ordinal);
        // Asked for, an address of this machine's inside is still not followed.
        using RegistryClient willing = new(Options() with { ForeignLayers = true });
        Descriptor inside = foreign with { Urls = [$"http://{server.Host}/secret", "http://169.254.169.254/meta"] };
        Assert.Equal(ErrorKind.NotFound, (await Assert.ThrowsAsync<RegistryException>(async () => await Repository(willing, server.Host).OpenAsync(inside, Token))).Kind);
        Assert.DoesNotContain(server.Requests, r => r.Path == "/secret");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_foreign_layer_is_left_out_of_a_push_unless_it_is_asked_for(bool leaves)
    {
        byte[] config = "{}"u8.ToArray();
        Descriptor foreign = s_layer with { MediaType = MediaTypes.DockerForeignLayerGzip, Urls = ["https://go.example.com/layer"] };
        byte[] manifest = OciJson.Serialize(new ImageManifest(new Descriptor(MediaTypes.DockerConfig, Digest.Of(config), config.Length), [foreign]) { MediaType = MediaTypes.DockerManifest });
        Descriptor image = new(MediaTypes.DockerManifest, Digest.Of(manifest), manifest.Length);
        using var folder = new TempFolder();
        ContentStore from = ContentStore.Open(folder.File("from")), to = ContentStore.Open(folder.File("to"));
        await from.WriteAsync(foreign.MediaType, s_blob, Token);
        await from.WriteAsync(MediaTypes.DockerConfig, config, Token);
        await from.WriteAsync(image.MediaType, manifest, Token);
        await ContentCopier.CopyAsync(from, to, image, new CopyOptions { LeavesForeign = leaves }, Token);
        Assert.Equal(leaves ? null : s_blob.Length, to.TryGetSize(foreign.Digest));
        Assert.NotNull(to.TryGetSize(image.Digest));
    }

    private sealed class Once(byte[] bytes) : MemoryStream(bytes, writable: false)
    {
        public override bool CanSeek => false;
    }
}
