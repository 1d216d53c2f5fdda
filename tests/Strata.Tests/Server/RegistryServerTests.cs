using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Strata.Distribution;
using Strata.Oci;
using Strata.Server;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>The registry on a socket of this machine, over a store in a temporary folder.</summary>
public sealed class RegistryServerTests : IAsyncLifetime
{
    private static readonly byte[] s_blob = RandomNumberGenerator.GetBytes(200_000);
    private static readonly Digest s_digest = Digest.Of(s_blob);
    private static readonly byte[] s_config = Encoding.UTF8.GetBytes($$"""{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["{{s_digest}}"] } }""");
    private static readonly byte[] s_manifest = OciJson.Serialize(new ImageManifest(
        new Descriptor(MediaTypes.OciConfig, Digest.Of(s_config), s_config.Length), [new Descriptor(MediaTypes.OciLayer, s_digest, s_blob.Length)]) { MediaType = MediaTypes.OciManifest });
    private static readonly Digest s_manifestDigest = Digest.Of(s_manifest);

    private readonly string _root = Directory.CreateTempSubdirectory("strata-registry-").FullName;
    private Engine _engine = null!;
    private RegistryServer _server = null!;
    private HttpClient _http = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _engine = Engine.Open(new EngineOptions { Root = _root });
        _server = await RegistryServer.StartAsync(_engine, "127.0.0.1:0", new RegistryServerOptions { MaxUploads = 5 }, Token);
        _http = new HttpClient { BaseAddress = new Uri($"http://{_server.Address}") };
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _server.DisposeAsync();
        _engine.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    private async Task<HttpResponseMessage> SendAsync(string method, string path, byte[]? body = null, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(new HttpMethod(method), path) { Content = body is null ? null : new ByteArrayContent(body) };
        foreach ((string name, string value) in headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
            {
                request.Content ??= new ByteArrayContent([]);
                request.Content.Headers.TryAddWithoutValidation(name, value);
            }
        }
        return await _http.SendAsync(request, Token);
    }

    private static async Task<string> CodeAsync(HttpResponseMessage response)
    {
        using JsonDocument json = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(Token));
        return json.RootElement.GetProperty("errors")[0].GetProperty("code").GetString()!;
    }

    private async Task PushAsync(string repository = "a/b", string tag = "t")
    {
        await SendAsync("POST", $"/v2/{repository}/blobs/uploads/?digest={s_digest}", s_blob);
        await SendAsync("POST", $"/v2/{repository}/blobs/uploads/?digest={Digest.Of(s_config)}", s_config);
        Assert.Equal(HttpStatusCode.Created, (await SendAsync("PUT", $"/v2/{repository}/manifests/{tag}", s_manifest, ("Content-Type", MediaTypes.OciManifest))).StatusCode);
    }

    [Fact]
    public async Task The_base_answers()
    {
        foreach (string path in (string[])["/v2", "/v2/"])
        {
            HttpResponseMessage response = await SendAsync("GET", path);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal("registry/2.0", response.Headers.GetValues("Docker-Distribution-API-Version").Single());
        }
    }

    [Fact]
    public async Task A_blob_goes_up_in_one_request_and_comes_down_whole_or_in_part()
    {
        HttpResponseMessage created = await SendAsync("POST", $"/v2/a/b/blobs/uploads/?digest={s_digest}", s_blob);
        Assert.Equal(HttpStatusCode.Created, created.StatusCode);
        Assert.Equal($"/v2/a/b/blobs/{s_digest}", created.Headers.Location?.ToString());
        string path = $"/v2/a/b/blobs/{s_digest}";
        HttpResponseMessage head = await SendAsync("HEAD", path);
        Assert.Equal((HttpStatusCode.OK, (long)s_blob.Length), (head.StatusCode, head.Content.Headers.ContentLength));
        Assert.Equal(s_digest.ToString(), head.Headers.GetValues("Docker-Content-Digest").Single());
        Assert.Equal(s_blob, await (await SendAsync("GET", path)).Content.ReadAsByteArrayAsync(Token));
        Assert.Equal(HttpStatusCode.NotModified, (await SendAsync("GET", path, null, ("If-None-Match", $"\"{s_digest}\""))).StatusCode);
    }

    [Theory]
    [InlineData("bytes=0-9", 206, 0, 10)]
    [InlineData("bytes=199990-", 206, 199_990, 10)]
    [InlineData("bytes=-10", 206, 199_990, 10)]
    [InlineData("bytes=100-1000000", 206, 100, 199_900)]
    [InlineData("bytes=-999999", 206, 0, 200_000)]
    [InlineData("bytes=0-1,5-6", 200, 0, 200_000)]
    [InlineData("lines=0-1", 200, 0, 200_000)]
    [InlineData("bytes=9-0", 200, 0, 200_000)]
    [InlineData("bytes=200000-", 416, 0, 0)]
    [InlineData("bytes=-0", 416, 0, 0)]
    public async Task Ranges_are_served(string range, int status, int from, int count)
    {
        await SendAsync("POST", $"/v2/a/b/blobs/uploads/?digest={s_digest}", s_blob);
        HttpResponseMessage response = await SendAsync("GET", $"/v2/a/b/blobs/{s_digest}", null, ("Range", range));
        Assert.Equal(status, (int)response.StatusCode);
        if (status == 416)
        {
            Assert.Equal("bytes */200000", response.Content.Headers.ContentRange?.ToString());
            return;
        }
        Assert.Equal(s_blob[from..(from + count)], await response.Content.ReadAsByteArrayAsync(Token));
        Assert.Equal(status == 206 ? $"bytes {from}-{from + count - 1}/200000" : null, response.Content.Headers.ContentRange?.ToString());
    }

    [Fact]
    public async Task A_blob_goes_up_in_chunks_in_order()
    {
        HttpResponseMessage started = await SendAsync("POST", "/v2/a/b/blobs/uploads/");
        Assert.Equal((HttpStatusCode.Accepted, "0-0"), (started.StatusCode, started.Headers.GetValues("Range").Single()));
        string upload = started.Headers.Location!.ToString();
        HttpResponseMessage first = await SendAsync("PATCH", upload, s_blob[..1000], ("Content-Range", "0-999"));
        Assert.Equal((HttpStatusCode.Accepted, "0-999"), (first.StatusCode, first.Headers.GetValues("Range").Single()));
        // out of order, overlapping, of another length than it says
        foreach (string range in (string[])["1001-2000", "999-1998", "0-999", "1000-1001", "x-y", "1000-"])
        {
            HttpResponseMessage refused = await SendAsync("PATCH", upload, s_blob[1000..2000], ("Content-Range", range));
            Assert.Equal((HttpStatusCode.RequestedRangeNotSatisfiable, "0-999"), (refused.StatusCode, refused.Headers.GetValues("Range").Single()));
        }
        HttpResponseMessage status = await SendAsync("GET", upload);
        Assert.Equal((HttpStatusCode.NoContent, "0-999"), (status.StatusCode, status.Headers.GetValues("Range").Single()));
        Assert.Equal(HttpStatusCode.Accepted, (await SendAsync("PATCH", upload, s_blob[1000..2000], ("Content-Range", "1000-1999"))).StatusCode);
        Assert.Equal(HttpStatusCode.Created, (await SendAsync("PUT", $"{upload}?digest={s_digest}", s_blob[2000..])).StatusCode);
        Assert.Equal(s_blob, await (await SendAsync("GET", $"/v2/a/b/blobs/{s_digest}")).Content.ReadAsByteArrayAsync(Token));
        Assert.Equal((HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN"), await StatusAndCodeAsync("PUT", $"{upload}?digest={s_digest}"));
    }

    [Fact]
    public async Task Wrong_bytes_are_never_stored()
    {
        Assert.Equal((HttpStatusCode.BadRequest, "DIGEST_INVALID"), await StatusAndCodeAsync("POST", $"/v2/a/b/blobs/uploads/?digest={s_digest}", s_blob[..^1]));
        string upload = (await SendAsync("POST", "/v2/a/b/blobs/uploads/")).Headers.Location!.ToString();
        Assert.Equal((HttpStatusCode.BadRequest, "DIGEST_INVALID"), await StatusAndCodeAsync("PUT", $"{upload}?digest={s_digest}", "x"u8.ToArray()));
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync("HEAD", $"/v2/a/b/blobs/{s_digest}")).StatusCode);
        Assert.Empty(_engine.Content.List());
        // the upload is still there, its bytes with it: under their right name they are taken
        HttpResponseMessage status = await SendAsync("GET", upload);
        Assert.Equal((HttpStatusCode.NoContent, "0-0"), (status.StatusCode, status.Headers.GetValues("Range").Single()));
        Assert.Equal((HttpStatusCode.BadRequest, "DIGEST_INVALID"), await StatusAndCodeAsync("PUT", $"{upload}?digest={Digest.Of("yz"u8)}", "yz"u8.ToArray()));
        Assert.Equal(HttpStatusCode.Created, (await SendAsync("PUT", $"{upload}?digest={Digest.Of("xyz"u8)}")).StatusCode);
        Assert.Equal("xyz", await _http.GetStringAsync($"/v2/a/b/blobs/{Digest.Of("xyz"u8)}", Token));
        Assert.Empty(Directory.GetFiles(_engine.Layout.Ingest, "blob*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Of_two_that_finish_one_upload_one_does()
    {
        string upload = (await SendAsync("POST", "/v2/a/b/blobs/uploads/")).Headers.Location!.ToString();
        await SendAsync("PATCH", upload, s_blob);
        HttpResponseMessage[] answers = await Task.WhenAll(SendAsync("PUT", $"{upload}?digest={s_digest}"), SendAsync("PUT", $"{upload}?digest={s_digest}"));
        Assert.Equal([HttpStatusCode.Created, HttpStatusCode.NotFound], answers.Select(a => a.StatusCode).Order());
    }

    [Fact]
    public async Task Uploads_can_be_cancelled_and_are_limited()
    {
        List<string> uploads = [];
        for (int i = 0; i < 5; i++)
        {
            uploads.Add((await SendAsync("POST", "/v2/a/b/blobs/uploads/")).Headers.Location!.ToString());
        }
        HttpResponseMessage refused = await SendAsync("POST", "/v2/a/b/blobs/uploads/");
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.NotNull(refused.Headers.RetryAfter);
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync("DELETE", uploads[0])).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync("GET", uploads[0])).StatusCode);
        Assert.Equal(HttpStatusCode.Accepted, (await SendAsync("POST", "/v2/a/b/blobs/uploads/")).StatusCode);
        // an upload of another repository is not ours to see
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync("GET", uploads[1].Replace("/a/b/", "/c/", StringComparison.Ordinal))).StatusCode);
    }

    [Fact]
    public async Task A_blob_is_mounted_where_it_is_and_uploaded_where_it_is_not()
    {
        HttpResponseMessage missing = await SendAsync("POST", $"/v2/c/blobs/uploads/?mount={s_digest}&from=a/b");
        Assert.Equal(HttpStatusCode.Accepted, missing.StatusCode);
        await PushAsync();
        HttpResponseMessage mounted = await SendAsync("POST", $"/v2/c/blobs/uploads/?mount={s_digest}&from=a/b");
        Assert.Equal((HttpStatusCode.Created, $"/v2/c/blobs/{s_digest}"), (mounted.StatusCode, mounted.Headers.Location?.ToString()));
    }

    [Fact]
    public async Task A_manifest_comes_back_byte_for_byte_by_tag_and_by_digest()
    {
        await PushAsync();
        foreach (string reference in (string[])["t", s_manifestDigest.ToString()])
        {
            HttpResponseMessage response = await SendAsync("GET", $"/v2/a/b/manifests/{reference}");
            Assert.Equal(s_manifest, await response.Content.ReadAsByteArrayAsync(Token));
            Assert.Equal(MediaTypes.OciManifest, response.Content.Headers.ContentType?.MediaType);
            Assert.Equal($"\"{s_manifestDigest}\"", response.Headers.ETag?.Tag);
            HttpResponseMessage head = await SendAsync("HEAD", $"/v2/a/b/manifests/{reference}");
            Assert.Equal((HttpStatusCode.OK, (long)s_manifest.Length), (head.StatusCode, head.Content.Headers.ContentLength));
        }
        // another repository does not have it, though the store does
        Assert.Equal((HttpStatusCode.NotFound, "MANIFEST_UNKNOWN"), await StatusAndCodeAsync("GET", $"/v2/c/manifests/{s_manifestDigest}"));
    }

    [Fact]
    public async Task A_tag_that_moves_on_leaves_the_old_manifest()
    {
        await PushAsync();
        byte[] other = OciJson.Serialize(OciJson.ParseManifest(s_manifest) with { ArtifactType = "application/x.y" });
        Assert.Equal(HttpStatusCode.Created, (await SendAsync("PUT", "/v2/a/b/manifests/t", other, ("Content-Type", MediaTypes.OciManifest))).StatusCode);
        Assert.Equal(other, await _http.GetByteArrayAsync("/v2/a/b/manifests/t", Token));
        Assert.Equal(s_manifest, await _http.GetByteArrayAsync($"/v2/a/b/manifests/{s_manifestDigest}", Token));
    }

    [Fact]
    public async Task A_manifest_whose_parts_are_missing_is_refused()
    {
        Assert.Equal((HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN"), await StatusAndCodeAsync("PUT", "/v2/a/b/manifests/t", s_manifest, ("Content-Type", MediaTypes.OciManifest)));
        byte[] index = OciJson.Serialize(new ImageIndex([new Descriptor(MediaTypes.OciManifest, s_manifestDigest, s_manifest.Length)]) { MediaType = MediaTypes.OciIndex });
        Assert.Equal((HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN"), await StatusAndCodeAsync("PUT", "/v2/a/b/manifests/t", index, ("Content-Type", MediaTypes.OciIndex)));
        await PushAsync();
        Assert.Equal(HttpStatusCode.Created, (await SendAsync("PUT", "/v2/a/b/manifests/i", index, ("Content-Type", MediaTypes.OciIndex))).StatusCode);
    }

    /// <summary>Requests that are wrong: method, path, body, content type; status and code.</summary>
    public static TheoryData<string, string, string?, string?, int, string> Wrong => new()
    {
        { "GET", "/v2/nonsense", null, null, 404, "UNSUPPORTED" },
        { "GET", "/v2/A/manifests/t", null, null, 400, "NAME_INVALID" },
        { "GET", "/v2/a/%2e%2e%2fb/manifests/t", null, null, 400, "NAME_INVALID" },
        { "GET", "/v2/a//b/tags/list", null, null, 400, "NAME_INVALID" },
        { "GET", "/v2//manifests/t", null, null, 400, "NAME_INVALID" },
        { "GET", "/v2/a/b/manifests/none", null, null, 404, "MANIFEST_UNKNOWN" },
        { "GET", "/v2/a/b/manifests/-x", null, null, 404, "MANIFEST_UNKNOWN" },
        { "GET", "/v2/a/b/tags/list", null, null, 404, "NAME_UNKNOWN" },
        { "GET", "/v2/_catalog?n=x", null, null, 400, "UNSUPPORTED" },
        { "GET", "/v2/a/b/blobs/sha256:../../../../etc/passwd", null, null, 404, "UNSUPPORTED" },
        { "GET", "/v2/a/b/blobs/sha256:..%2f..%2fetc%2fpasswd", null, null, 400, "DIGEST_INVALID" },
        { "GET", "/v2/a/b/blobs/sha256:ABC", null, null, 400, "DIGEST_INVALID" },
        { "GET", "/v2/a/b/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", null, null, 400, "DIGEST_INVALID" },
        { "GET", "/v2/a/b/blobs/sha256:" + "0000000000000000000000000000000000000000000000000000000000000000", null, null, 404, "BLOB_UNKNOWN" },
        { "GET", "/v2/a/b/blobs/uploads/..%2f..%2fx", null, null, 404, "BLOB_UPLOAD_UNKNOWN" },
        { "PATCH", "/v2/a/b/blobs/uploads/00000000000000000000000000000000", "x", null, 404, "BLOB_UPLOAD_UNKNOWN" },
        { "POST", "/v2/a/b/blobs/uploads/?digest=sha256:x", "x", null, 400, "DIGEST_INVALID" },
        { "POST", "/v2/a/b/blobs/uploads/?mount=x&from=c", "", null, 400, "DIGEST_INVALID" },
        { "DELETE", "/v2/a/b/blobs/sha256:" + "0000000000000000000000000000000000000000000000000000000000000000", null, null, 405, "UNSUPPORTED" },
        { "POST", "/v2/a/b/manifests/t", "{}", null, 405, "UNSUPPORTED" },
        { "PUT", "/v2/a/b/manifests/t", "{}", null, 400, "MANIFEST_INVALID" },
        { "PUT", "/v2/a/b/manifests/t", "nonsense", MediaTypes.OciManifest, 400, "MANIFEST_INVALID" },
        { "PUT", "/v2/a/b/manifests/t", "{}", "text/plain", 400, "MANIFEST_INVALID" },
        { "PUT", "/v2/a/b/manifests/t", """{"schemaVersion":2,"manifests":[],"layers":[]}""", MediaTypes.OciIndex, 400, "MANIFEST_INVALID" },
        { "PUT", "/v2/a/b/manifests/t", """{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}""", MediaTypes.OciIndex, 400, "MANIFEST_INVALID" },
        { "PUT", "/v2/a/b/manifests/-t", "{}", MediaTypes.OciIndex, 400, "MANIFEST_INVALID" },
        { "PUT", "/v2/a/b/manifests/sha256:0", "{}", MediaTypes.OciIndex, 400, "DIGEST_INVALID" },
        { "PUT", "/v2/a/b/manifests/sha256:" + "0000000000000000000000000000000000000000000000000000000000000000", """{"schemaVersion":2,"manifests":[]}""", MediaTypes.OciIndex, 400, "DIGEST_INVALID" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public async Task A_wrong_request_gets_the_specs_answer(string method, string path, string? body, string? type, int status, string code)
    {
        (string, string)[] headers = type is null ? [] : [("Content-Type", type)];
        Assert.Equal(((HttpStatusCode)status, code), await StatusAndCodeAsync(method, path, body is null ? null : Encoding.UTF8.GetBytes(body), headers));
    }

    [Fact]
    public async Task A_manifest_of_more_than_4_MiB_is_refused()
        => Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "MANIFEST_INVALID"), await StatusAndCodeAsync("PUT", "/v2/a/b/manifests/t", new byte[(4 << 20) + 1], ("Content-Type", MediaTypes.OciManifest)));

    [Fact]
    public async Task Lists_come_in_pages()
    {
        foreach (string tag in (string[])["b", "a", "C", "d"])
        {
            await PushAsync("z", tag);
        }
        await PushAsync("y/x", "t");
        Assert.Equal("""{"name":"z","tags":["C","a","b","d"]}""", await _http.GetStringAsync("/v2/z/tags/list", Token));
        HttpResponseMessage page = await SendAsync("GET", "/v2/z/tags/list?n=2");
        Assert.Equal("""{"name":"z","tags":["C","a"]}""", await page.Content.ReadAsStringAsync(Token));
        Assert.Equal("</v2/z/tags/list?n=2&last=a>; rel=\"next\"", page.Headers.GetValues("Link").Single());
        HttpResponseMessage last = await SendAsync("GET", "/v2/z/tags/list?n=2&last=a");
        Assert.Equal("""{"name":"z","tags":["b","d"]}""", await last.Content.ReadAsStringAsync(Token));
        Assert.False(last.Headers.Contains("Link"));
        Assert.Equal("""{"name":"z","tags":[]}""", await _http.GetStringAsync("/v2/z/tags/list?n=0", Token));
        Assert.Equal("""{"name":"z","tags":["C","a","b","d"]}""", await _http.GetStringAsync("/v2/z/tags/list?n=999999999", Token));
        Assert.Equal("""{"repositories":["y/x","z"]}""", await _http.GetStringAsync("/v2/_catalog", Token));
    }

    [Fact]
    public async Task Referrers_are_found_by_their_subject()
    {
        await PushAsync();
        ImageManifest signature = OciJson.ParseManifest(s_manifest) with { ArtifactType = "application/x.signature", Subject = new Descriptor(MediaTypes.OciManifest, s_manifestDigest, s_manifest.Length) };
        byte[] bytes = OciJson.Serialize(signature);
        HttpResponseMessage put = await SendAsync("PUT", $"/v2/a/b/manifests/{Digest.Of(bytes)}", bytes, ("Content-Type", MediaTypes.OciManifest));
        Assert.Equal(s_manifestDigest.ToString(), put.Headers.GetValues("OCI-Subject").Single());
        ImageIndex found = OciJson.ParseIndex(await _http.GetByteArrayAsync($"/v2/a/b/referrers/{s_manifestDigest}", Token), MediaTypes.OciIndex);
        Assert.Equal((Digest.Of(bytes), "application/x.signature"), (found.Manifests.Single().Digest, found.Manifests[0].ArtifactType));
        HttpResponseMessage none = await SendAsync("GET", $"/v2/a/b/referrers/{s_manifestDigest}?artifactType=other");
        Assert.Empty(OciJson.ParseIndex(await none.Content.ReadAsByteArrayAsync(Token)).Manifests);
        Assert.Equal("artifactType", none.Headers.GetValues("OCI-Filters-Applied").Single());
    }

    [Fact]
    public async Task Deleting_a_tag_keeps_the_manifest_and_deleting_the_manifest_deletes_its_tags()
    {
        await PushAsync(tag: "one");
        await PushAsync(tag: "two");
        Assert.Equal(HttpStatusCode.Accepted, (await SendAsync("DELETE", "/v2/a/b/manifests/one")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync("GET", "/v2/a/b/manifests/one")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await SendAsync("GET", "/v2/a/b/manifests/two")).StatusCode);
        Assert.Equal(HttpStatusCode.Accepted, (await SendAsync("DELETE", $"/v2/a/b/manifests/{s_manifestDigest}")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync("GET", "/v2/a/b/manifests/two")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await SendAsync("GET", "/v2/a/b/tags/list")).StatusCode);
    }

    [Fact]
    public async Task Names_may_contain_the_words_of_routes()
    {
        await PushAsync("manifests/tags/list/blobs/uploads", "blobs");
        Assert.Equal(s_manifest, await _http.GetByteArrayAsync("/v2/manifests/tags/list/blobs/uploads/manifests/blobs", Token));
        Assert.Equal("""{"name":"manifests/tags/list/blobs/uploads","tags":["blobs"]}""", await _http.GetStringAsync("/v2/manifests/tags/list/blobs/uploads/tags/list", Token));
    }

    [Fact]
    public async Task Our_client_pushes_and_reads_back()
    {
        using RegistryClient client = new(new RegistryOptions { Configuration = RegistryConfiguration.Empty, Credentials = CredentialStore.Empty });
        RemoteRepository repository = client.GetRepository(ImageReference.Parse($"{_server.Address}/from/client:t"));
        Descriptor layer = new(MediaTypes.OciLayer, s_digest, s_blob.Length);
        Descriptor config = new(MediaTypes.OciConfig, Digest.Of(s_config), s_config.Length);
        Descriptor image = new(MediaTypes.OciManifest, s_manifestDigest, s_manifest.Length);
        Assert.False(await repository.ContainsAsync(layer, Token));
        await repository.WriteAsync(layer, new MemoryStream(s_blob), Token);
        await repository.WriteAsync(config, new MemoryStream(s_config), Token);
        await repository.WriteAsync(image, new MemoryStream(s_manifest), Token);
        await repository.TagAsync(image, "t", Token);
        Assert.True(await repository.ContainsAsync(layer, Token));
        Assert.Equal(s_manifestDigest, (await repository.ResolveAsync("t", Token)).Digest);
        static ValueTask<Stream> OpenFrom(long start, CancellationToken token) => ValueTask.FromResult<Stream>(new MemoryStream(s_blob[(int)start..]));
        Assert.False(await client.GetRepository(ImageReference.Parse($"{_server.Address}/other"), _ => "from/client").WriteAsync(layer, OpenFrom, Token));
        byte[] other = "not there yet"u8.ToArray();
        Assert.True(await client.GetRepository(ImageReference.Parse($"{_server.Address}/third"), _ => "from/client").WriteAsync(new Descriptor(MediaTypes.OciLayer, Digest.Of(other), other.Length), (_, _) => ValueTask.FromResult<Stream>(new MemoryStream(other)), Token));
        await repository.DeleteAsync("t", Token);
        StrataException e = await Assert.ThrowsAsync<RegistryException>(async () => await repository.ResolveAsync("t", Token));
        Assert.Equal(ErrorKind.NotFound, e.Kind);
        await client.PingAsync(_server.Address, Token);
    }

    [Fact]
    public void Every_kind_of_error_has_its_codes()
    {
        foreach (ErrorKind kind in Enum.GetValues<ErrorKind>())
        {
            Assert.InRange(ErrorTable.HttpStatus(kind), 400, 599);
            Assert.InRange(ErrorTable.ExitCode(kind), 1, 125);
            Assert.NotEmpty(ErrorTable.DistributionCode(kind));
        }
        Assert.Equal((400, 500), (ErrorTable.HttpStatus(ErrorKind.Corrupt), ErrorTable.HttpStatus(ErrorKind.Corrupt, isFromClient: false)));
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:99999")]
    [InlineData("example.com:80")]
    [InlineData("::1")]
    public async Task An_address_that_is_none_is_refused(string address)
        => Assert.Equal(ErrorKind.Invalid, (await Assert.ThrowsAsync<StrataException>(() => RegistryServer.StartAsync(_engine, address, cancellationToken: Token))).Kind);

    [Fact]
    public async Task An_address_in_use_is_said_so()
        => Assert.Equal(ErrorKind.Unavailable, (await Assert.ThrowsAsync<StrataException>(() => RegistryServer.StartAsync(_engine, _server.Address, cancellationToken: Token))).Kind);

    private async Task<(HttpStatusCode, string)> StatusAndCodeAsync(string method, string path, byte[]? body = null, params (string, string)[] headers)
    {
        // Uri would take dot segments out of the path before it is sent.
        using HttpRequestMessage request = new(new HttpMethod(method), new Uri($"http://{_server.Address}{path}", new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }))
        {
            Content = body is null ? null : new ByteArrayContent(body),
        };
        foreach ((string _, string value) in headers)
        {
            request.Content!.Headers.ContentType = MediaTypeHeaderValue.Parse(value);
        }
        using HttpResponseMessage response = await _http.SendAsync(request, Token);
        return (response.StatusCode, await CodeAsync(response));
    }
}
