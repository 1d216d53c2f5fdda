using System.Security.Cryptography;
using System.Text;
using Strata.Distribution;
using Strata.Oci;
using Xunit;
using static Strata.Tests.Distribution.FaultServer;

namespace Strata.Tests.Distribution;

/// <summary>The client against servers that fail, lie and forget: the right bytes or a clear error, and no password to strangers.</summary>
public sealed class RegistryClientTests
{
    private static readonly byte[] s_blob = RandomNumberGenerator.GetBytes(300_000);
    private static readonly Descriptor s_layer = new(MediaTypes.OciLayerGzip, Digest.Of(s_blob), s_blob.Length);
    private static readonly byte[] s_manifest = OciJson.Serialize(new ImageManifest(new Descriptor(MediaTypes.OciConfig, Digest.Of("{}"u8), 2), [s_layer]) { MediaType = MediaTypes.OciManifest });
    private static readonly Descriptor s_image = new(MediaTypes.OciManifest, Digest.Of(s_manifest), s_manifest.Length);
    private static readonly string s_blobPath = $"/v2/a/b/blobs/{s_layer.Digest}";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static RegistryOptions Options(string? password = null, string? host = null) => new()
    {
        Configuration = RegistryConfiguration.Empty,
        Credentials = password is null ? CredentialStore.Empty : CredentialStore.Of([new(host!, new Credential("me", password))]),
        FirstDelay = TimeSpan.FromMilliseconds(1),
        Patience = TimeSpan.FromSeconds(2),
    };

    private static RemoteRepository Repository(RegistryClient client, string host) => client.GetRepository(ImageReference.Parse(host + "/a/b:t"));

    private static async Task<byte[]> ReadAsync(RemoteRepository repository, Descriptor descriptor)
    {
        await using Stream stream = await repository.OpenAsync(descriptor, Token);
        using MemoryStream bytes = new();
        await stream.CopyToAsync(bytes, Token);
        return bytes.ToArray();
    }

    private static Reply Manifest(byte[]? bytes = null, string type = MediaTypes.OciManifest, string? digest = null)
        => new(200, bytes ?? s_manifest, ("Content-Type", type), ("Docker-Content-Digest", digest ?? s_image.Digest.ToString()));

    private static Reply Blob(Request request, byte[]? blob = null)
    {
        blob ??= s_blob;
        if (request.Header("Range") is not { } range)
        {
            return new Reply(200, blob);
        }
        int from = int.Parse(range["bytes=".Length..^1], System.Globalization.CultureInfo.InvariantCulture);
        return new Reply(206, blob[from..], ("Content-Range", $"bytes {from}-{blob.Length - 1}/{blob.Length}"));
    }

    [Theory]
    [InlineData("hangup")]
    [InlineData("500")]
    [InlineData("502")]
    [InlineData("503")]
    [InlineData("504")]
    [InlineData("408")]
    [InlineData("429")]
    [InlineData("cut-first")]
    [InlineData("cut-middle")]
    [InlineData("cut-last")]
    [InlineData("cut-without-length")]
    [InlineData("stall")]
    public async Task What_fails_once_is_mended_unseen(string fault)
    {
        int asked = 0;
        await using FaultServer server = new(r => Interlocked.Increment(ref asked) > 1 ? Blob(r) : fault switch
        {
            "hangup" => new Reply(200) { Hangup = true },
            "cut-first" => Blob(r) with { CutAfter = 0 },
            "cut-middle" => Blob(r) with { CutAfter = 123_456 },
            "cut-last" => Blob(r) with { CutAfter = s_blob.Length - 1 },
            "cut-without-length" => Blob(r) with { CutAfter = 1000, SayLength = -1 },
            "stall" => Blob(r) with { CutAfter = 1000, Stall = true },
            _ => new Reply(int.Parse(fault, System.Globalization.CultureInfo.InvariantCulture)),
        });
        using RegistryClient client = new(Options() with { Patience = TimeSpan.FromMilliseconds(300) });
        Assert.Equal(s_blob, await ReadAsync(Repository(client, server.Host), s_layer));
        Assert.Equal(2, server.Count("GET", s_blobPath));
        if (fault.StartsWith("cut-m", StringComparison.Ordinal))
        {
            Assert.Equal("bytes=123456-", server.Requests.Last().Header("Range"));
        }
    }

    [Theory]
    [InlineData("hangup", ErrorKind.Unavailable)]
    [InlineData("500", ErrorKind.Unavailable)]
    [InlineData("429", ErrorKind.Unavailable)]
    [InlineData("404", ErrorKind.NotFound)]
    [InlineData("401", ErrorKind.Unauthenticated)]
    [InlineData("403", ErrorKind.Denied)]
    [InlineData("cut", ErrorKind.Unavailable)]
    [InlineData("stall", ErrorKind.Unavailable)]
    [InlineData("wrong-bytes", ErrorKind.Corrupt)]
    [InlineData("one-bit", ErrorKind.Corrupt)]
    [InlineData("too-long", ErrorKind.Corrupt)]
    [InlineData("too-long-without-length", ErrorKind.Corrupt)]
    [InlineData("too-short", ErrorKind.Corrupt)]
    [InlineData("compressed", ErrorKind.Unavailable)]
    [InlineData("wrong-range", ErrorKind.Unavailable)]
    public async Task What_fails_always_ends_in_an_error_that_names_it(string fault, ErrorKind kind)
    {
        byte[] flipped = [.. s_blob];
        flipped[77_777] ^= 1;
        await using FaultServer server = new(r => fault switch
        {
            "hangup" => new Reply(200) { Hangup = true },
            "cut" => new Reply(200, s_blob) { CutAfter = 0 },
            "stall" => new Reply(200, s_blob) { CutAfter = 10, Stall = true },
            "wrong-bytes" => Blob(r, new byte[s_blob.Length]),
            "one-bit" => Blob(r, flipped),
            "too-long" => new Reply(200, new byte[s_blob.Length + 1]),
            "too-long-without-length" => new Reply(200, new byte[s_blob.Length + 1]) { SayLength = -1 },
            "too-short" => new Reply(200, s_blob[..^1]),
            "compressed" => new Reply(200, s_blob, ("Content-Encoding", "gzip")),
            "wrong-range" => r.Header("Range") is null ? Blob(r) with { CutAfter = 100 } : new Reply(206, s_blob[5..], ("Content-Range", $"bytes 5-{s_blob.Length - 1}/{s_blob.Length}")),
            _ => new Reply(int.Parse(fault, System.Globalization.CultureInfo.InvariantCulture), """{"errors":[{"code":"DENIED","message":"no \u001b[2J"}]}"""),
        });
        // Short only where the wait is what is tested: on a busy machine an answer may be late without being missing.
        TimeSpan patience = fault == "stall" ? TimeSpan.FromMilliseconds(100) : TimeSpan.FromSeconds(30);
        using RegistryClient client = new(Options() with { Patience = patience, Attempts = 3 });
        StrataException e = await Assert.ThrowsAnyAsync<StrataException>(() => ReadAsync(Repository(client, server.Host), s_layer));
        Assert.Equal(kind, e.Kind);
        Assert.Contains(server.Host, e.Message, StringComparison.Ordinal);
        Assert.Contains(s_layer.Digest.ToString(), e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', e.Message);
        Assert.InRange(server.Requests.Count, 1, 12);
    }

    [Fact]
    public async Task A_download_cut_many_times_goes_on_from_where_it_was()
    {
        long sent = 0;
        await using FaultServer server = new(r =>
        {
            Reply reply = Blob(r);
            int part = Math.Min(reply.Body.Length, 31_000);
            Interlocked.Add(ref sent, part);
            return reply with { CutAfter = part };
        });
        using RegistryClient client = new(Options() with { Attempts = 3 });
        Assert.Equal(s_blob, await ReadAsync(Repository(client, server.Host), s_layer));
        Assert.Equal(s_blob.Length, sent);
    }

    [Fact]
    public async Task A_server_that_ignores_ranges_is_read_again_from_the_start()
    {
        int asked = 0;
        await using FaultServer server = new(_ => new Reply(200, s_blob) { CutAfter = Interlocked.Increment(ref asked) == 1 ? 200_000 : null });
        using RegistryClient client = new(Options());
        Assert.Equal(s_blob, await ReadAsync(Repository(client, server.Host), s_layer));
    }

    [Theory]
    [InlineData("3600")]
    [InlineData("Fri, 31 Dec 2100 23:59:59 GMT")]
    public async Task A_server_that_wants_years_of_patience_gets_an_error(string retryAfter)
    {
        await using FaultServer server = new(_ => new Reply(429, "", ("Retry-After", retryAfter)));
        using RegistryClient client = new(Options());
        RegistryException e = await Assert.ThrowsAsync<RegistryException>(() => ReadAsync(Repository(client, server.Host), s_layer));
        Assert.Equal(429, (int)e.Status);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task Retry_After_is_waited_for()
    {
        int asked = 0;
        await using FaultServer server = new(r => Interlocked.Increment(ref asked) == 1 ? new Reply(503, "", ("Retry-After", "1")) : Blob(r));
        using RegistryClient client = new(Options());
        long started = TimeProvider.System.GetTimestamp();
        await ReadAsync(Repository(client, server.Host), s_layer);
        Assert.True(TimeProvider.System.GetElapsedTime(started) >= TimeSpan.FromMilliseconds(950));
    }

    [Fact]
    public async Task A_tag_is_resolved_by_HEAD_alone()
    {
        await using FaultServer server = new(_ => Manifest());
        using RegistryClient client = new(Options());
        RemoteRepository repository = Repository(client, server.Host);
        Descriptor descriptor = await repository.ResolveAsync("t", Token);
        Assert.Equal((s_image.MediaType, s_image.Digest, s_image.Size), (descriptor.MediaType, descriptor.Digest, descriptor.Size));
        Assert.Equal("HEAD", Assert.Single(server.Requests).Method);
        Assert.Contains(MediaTypes.DockerManifestList, server.Requests.First().Header("Accept"), StringComparison.Ordinal);
        Assert.Equal(s_manifest, await ReadAsync(repository, descriptor));
    }

    /// <summary>Answers that contradict themselves: Content-Type, Docker-Content-Digest, body (null: the right one), and the error.</summary>
    public static TheoryData<string, string?, string?, ErrorKind> Lies => new()
    {
        { MediaTypes.OciManifest, "sha256:../../../etc/passwd", null, ErrorKind.Invalid },
        { MediaTypes.OciManifest, "sha256:" + new string('A', 64), null, ErrorKind.Invalid },
        { MediaTypes.OciManifest, "md5:d41d8cd98f00b204e9800998ecf8427e", null, ErrorKind.Invalid },
        { MediaTypes.OciManifest, "sha256:" + new string('a', 64), null, ErrorKind.Corrupt },
        { MediaTypes.OciManifest, null, "{}", ErrorKind.Corrupt },
        { MediaTypes.OciIndex, null, null, ErrorKind.Invalid },
        { MediaTypes.DockerManifest, null, null, ErrorKind.Invalid },
        { MediaTypes.DockerSchema1Signed, null, null, ErrorKind.Unsupported },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public async Task A_registry_that_contradicts_itself_is_not_believed(string type, string? digest, string? body, ErrorKind kind)
    {
        // HEAD is refused, so that all is known by GET.
        await using FaultServer server = new(r => r.Method == "HEAD" ? new Reply(200) : Manifest(body is null ? null : Encoding.UTF8.GetBytes(body), type, digest));
        using RegistryClient client = new(Options());
        StrataException e = await Assert.ThrowsAnyAsync<StrataException>(async () => await Repository(client, server.Host).ResolveAsync("t", Token));
        Assert.Equal(kind, e.Kind);
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/json; charset=utf-8")]
    public async Task A_static_file_server_is_a_registry_too(string type)
    {
        await using FaultServer server = new(_ => new Reply(200, s_manifest, ("Content-Type", type)));
        using RegistryClient client = new(Options());
        Descriptor descriptor = await Repository(client, server.Host).ResolveAsync("t", Token);
        Assert.Equal((MediaTypes.OciManifest, s_image.Digest), (descriptor.MediaType, descriptor.Digest));
    }

    [Fact]
    public async Task A_bearer_token_is_fetched_once_and_kept()
    {
        await using FaultServer tokens = new(_ => new Reply(200, """{"token":"abc.def","expires_in":300}"""));
        await using FaultServer server = new(r => r.Header("Authorization") == "Bearer abc.def" ? Blob(r)
            : new Reply(401, "", ("WWW-Authenticate", $"Bearer realm=\"http://{tokens.Host}/token?x=1\",service=\"the, service\",scope=\"repository:a/b:pull\"")));
        using RegistryClient client = new(Options("secret", server.Host));
        RemoteRepository repository = Repository(client, server.Host);
        Assert.Equal(s_blob, await ReadAsync(repository, s_layer));
        Assert.Equal(s_blob, await ReadAsync(repository, s_layer));
        Request asked = Assert.Single(tokens.Requests);
        Assert.Equal("/token?x=1&service=the%2C%20service&scope=repository%3Aa%2Fb%3Apull&account=me", asked.Path);
        Assert.Equal("Basic " + Convert.ToBase64String("me:secret"u8), asked.Header("Authorization"));
        Assert.Equal(3, server.Requests.Count);
        Assert.DoesNotContain(server.Requests, r => r.Header("Authorization")?.StartsWith("Basic", StringComparison.Ordinal) == true);
    }

    [Fact]
    public async Task An_expired_token_is_renewed_once_per_request()
    {
        int issued = 0;
        await using FaultServer tokens = new(_ => new Reply(200, $$"""{"access_token":"t{{Interlocked.Increment(ref issued)}}"}"""));
        await using FaultServer server = new(r => r.Header("Authorization") == "Bearer t2" ? Blob(r)
            : new Reply(401, "", ("WWW-Authenticate", $"Bearer realm=\"http://{tokens.Host}/\"")));
        using RegistryClient client = new(Options());
        RemoteRepository repository = Repository(client, server.Host);
        await Assert.ThrowsAsync<RegistryException>(() => ReadAsync(repository, s_layer)); // t1 was refused: one token per request
        Assert.Equal(s_blob, await ReadAsync(repository, s_layer));
        Assert.Equal(2, issued);
    }

    [Fact]
    public async Task A_wrong_password_is_sent_once()
    {
        await using FaultServer server = new(_ => new Reply(401, "", ("WWW-Authenticate", "Basic realm=\"x\"")));
        using RegistryClient client = new(Options("wrong", server.Host));
        RegistryException e = await Assert.ThrowsAsync<RegistryException>(() => ReadAsync(Repository(client, server.Host), s_layer));
        Assert.Equal(ErrorKind.Unauthenticated, e.Kind);
        Assert.DoesNotContain("wrong", e.ToString(), StringComparison.Ordinal);
        Assert.Equal([null, "Basic " + Convert.ToBase64String("me:wrong"u8)], server.Requests.Select(r => r.Header("Authorization")));
    }

    [Theory]
    [InlineData("http://169.254.169.254/token")]
    [InlineData("file:///etc/passwd")]
    [InlineData("http://user:pw@127.0.0.1/")]
    [InlineData("nonsense")]
    public async Task A_token_server_at_a_strange_place_is_not_asked(string realm)
    {
        await using FaultServer server = new(_ => new Reply(401, "", ("WWW-Authenticate", $"Bearer realm=\"{realm}\"")));
        using RegistryClient client = new(Options("secret", server.Host));
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => ReadAsync(Repository(client, server.Host), s_layer));
        Assert.Equal(ErrorKind.Denied, e.Kind);
    }

    [Theory]
    [InlineData(301)]
    [InlineData(302)]
    [InlineData(303)]
    [InlineData(307)]
    [InlineData(308)]
    public async Task A_redirect_to_another_server_takes_no_password_along(int status)
    {
        await using FaultServer storage = new(r => Blob(r));
        await using FaultServer server = new(r => r.Header("Authorization") is null
            ? new Reply(401, "", ("WWW-Authenticate", "Basic realm=\"x\""))
            : new Reply(status, "", ("Location", $"http://{storage.Host}/bucket?signature=1"), ("Set-Cookie", "canary=1")));
        using RegistryClient client = new(Options("secret", server.Host));
        RemoteRepository repository = Repository(client, server.Host);
        Assert.Equal(s_blob, await ReadAsync(repository, s_layer));
        Assert.Equal(s_blob, await ReadAsync(repository, s_layer));
        Assert.All(storage.Requests, r =>
        {
            Assert.Null(r.Header("Authorization"));
            Assert.Null(r.Header("Cookie"));
            Assert.Equal("/bucket?signature=1", r.Path);
        });
        Assert.All(server.Requests, r => Assert.Null(r.Header("Cookie")));
    }

    [Fact]
    public async Task The_place_a_blob_is_redirected_to_gets_no_password_even_if_it_asks()
    {
        await using FaultServer storage = new(_ => new Reply(401, "", ("WWW-Authenticate", "Basic realm=\"please\"")));
        await using FaultServer server = new(_ => new Reply(307, "", ("Location", $"http://{storage.Host}/x")));
        using RegistryClient client = new(Options("secret", server.Host));
        await Assert.ThrowsAsync<RegistryException>(() => ReadAsync(Repository(client, server.Host), s_layer));
        Assert.All(storage.Requests.Concat(server.Requests), r => Assert.Null(r.Header("Authorization")));
    }

    [Theory]
    [InlineData("file:///etc/passwd", ErrorKind.Denied)]
    [InlineData("ftp://127.0.0.1/x", ErrorKind.Denied)]
    [InlineData("http://169.254.169.254/latest/meta-data", ErrorKind.Denied)]
    [InlineData("http://[fe80::1]/x", ErrorKind.Denied)]
    [InlineData("http://u:p@127.0.0.1/", ErrorKind.Denied)]
    [InlineData("/v2/a/b/blobs/round", ErrorKind.Unavailable)]
    public async Task A_redirect_to_a_strange_place_is_not_followed(string location, ErrorKind kind)
    {
        await using FaultServer server = new(_ => new Reply(302, "", ("Location", location)));
        using RegistryClient client = new(Options());
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => ReadAsync(Repository(client, server.Host), s_layer));
        Assert.Equal(kind, e.Kind);
    }

    [Theory]
    [InlineData("dead")]
    [InlineData("404")]
    [InlineData("500")]
    [InlineData("401")]
    public async Task Mirrors_are_tried_in_order_then_the_registry(string first)
    {
        await using FaultServer bad = new(_ => first == "dead" ? new Reply(200) { Hangup = true } : new Reply(int.Parse(first, System.Globalization.CultureInfo.InvariantCulture)));
        await using FaultServer good = new(r => Blob(r));
        await using FaultServer origin = new(r => Blob(r));
        RegistryOptions options = Options("secret", origin.Host) with
        {
            Configuration = RegistryConfiguration.Parse(Encoding.UTF8.GetBytes($$$"""{"registries":{"{{{origin.Host}}}":{"mirrors":["http://{{{bad.Host}}}","http://{{{good.Host}}}/prefix"] } } }"""), "x"),
        };
        using RegistryClient client = new(options);
        Assert.Equal(s_blob, await ReadAsync(Repository(client, origin.Host), s_layer));
        // A connection that closes without a word is tried again by the transport below us; everything else is asked once.
        Assert.InRange(bad.Requests.Count, 1, first == "dead" ? 4 : 1);
        Assert.Equal("/prefix" + s_blobPath, Assert.Single(good.Requests).Path);
        Assert.Empty(origin.Requests);
        Assert.Null(good.Requests.First().Header("Authorization"));
    }

    [Fact]
    public async Task Where_no_mirror_has_it_the_registry_answers()
    {
        await using FaultServer empty = new(_ => new Reply(404));
        await using FaultServer origin = new(r => r.Path.Contains("/blobs/", StringComparison.Ordinal) ? Blob(r) : new Reply(404));
        RegistryOptions options = Options() with { Configuration = new RegistryConfiguration { Mirrors = new Dictionary<string, IReadOnlyList<Uri>> { [origin.Host] = [new Uri("http://" + empty.Host)] } } };
        using RegistryClient client = new(options);
        Assert.Equal(s_blob, await ReadAsync(Repository(client, origin.Host), s_layer));
        RegistryException e = await Assert.ThrowsAsync<RegistryException>(async () => await Repository(client, origin.Host).ResolveAsync("t", Token));
        Assert.Contains(origin.Host, e.Message, StringComparison.Ordinal);
        Assert.Equal(2, empty.Requests.Count);
    }

    [Fact]
    public async Task A_mirror_that_lies_is_passed_over_when_asked_again()
    {
        await using FaultServer liar = new(_ => new Reply(200, new byte[s_blob.Length]));
        await using FaultServer origin = new(r => Blob(r));
        RegistryOptions options = Options() with { Configuration = new RegistryConfiguration { Mirrors = new Dictionary<string, IReadOnlyList<Uri>> { [origin.Host] = [new Uri("http://" + liar.Host)] } } };
        using RegistryClient client = new(options);
        RemoteRepository repository = Repository(client, origin.Host);
        await Assert.ThrowsAsync<DigestMismatchException>(() => ReadAsync(repository, s_layer));
        Assert.True(repository.PassOverMirrors());
        Assert.Equal(s_blob, await ReadAsync(repository, s_layer));
        Assert.False(repository.PassOverMirrors());
    }

    [Fact]
    public async Task A_push_sends_the_blob_once_and_the_manifest_as_it_is()
    {
        await using FaultServer server = new(r => (r.Method, r.Path) switch
        {
            ("HEAD", _) => new Reply(404),
            ("POST", "/v2/a/b/blobs/uploads/") => new Reply(202, "", ("Location", "/upload/1?state=x")),
            ("PUT", _) => new Reply(201),
            _ => new Reply(500),
        });
        using RegistryClient client = new(Options());
        RemoteRepository repository = Repository(client, server.Host);
        Assert.False(await repository.ContainsAsync(s_layer, Token));
        await repository.WriteAsync(s_layer, new MemoryStream(s_blob), Token);
        await repository.WriteAsync(s_image, new MemoryStream(s_manifest), Token);
        await repository.TagAsync(s_image, "t", Token);
        Request[] puts = [.. server.Requests.Where(r => r.Method == "PUT")];
        Assert.Equal(
            [$"/upload/1?state=x&digest={Uri.EscapeDataString(s_layer.Digest.ToString())}", $"/v2/a/b/manifests/{s_image.Digest}", "/v2/a/b/manifests/t"],
            puts.Select(r => r.Path));
        Assert.Equal(s_blob, puts[0].Body);
        Assert.All(puts[1..], p => Assert.Equal((MediaTypes.OciManifest, Convert.ToHexString(s_manifest)), (p.Header("Content-Type"), Convert.ToHexString(p.Body))));
        DigestMismatchException e = await Assert.ThrowsAsync<DigestMismatchException>(async () => await repository.WriteAsync(s_image, new MemoryStream("{}"u8.ToArray()), Token));
        Assert.Equal(s_image.Digest, e.Expected);
    }

    [Fact]
    public async Task An_upload_sent_to_another_host_takes_no_password_along()
    {
        await using FaultServer storage = new(_ => new Reply(201));
        await using FaultServer server = new(r => r.Header("Authorization") is null
            ? new Reply(401, "", ("WWW-Authenticate", "Basic realm=\"x\""))
            : new Reply(202, "", ("Location", $"http://{storage.Host}/u")));
        using RegistryClient client = new(Options("secret", server.Host));
        await Repository(client, server.Host).WriteAsync(s_layer, new MemoryStream(s_blob), Token);
        Assert.Null(Assert.Single(storage.Requests).Header("Authorization"));
    }

    [Fact]
    public async Task Tags_come_page_by_page_and_circles_end()
    {
        await using FaultServer server = new(r => r.Path.Contains("last=b", StringComparison.Ordinal)
            ? new Reply(200, """{"name":"a/b","tags":["c","../x"]}""", ("Link", "</v2/a/b/tags/list?last=b>; rel=\"next\""))
            : new Reply(200, """{"name":"a/b","tags":["a","b"]}""", ("Link", "</v2/a/b/tags/list?last=b>; rel=\"next\"")));
        using RegistryClient client = new(Options());
        List<string> tags = [];
        await foreach (string tag in Repository(client, server.Host).ListTagsAsync(Token))
        {
            tags.Add(tag);
        }
        Assert.Equal(["a", "b", "c"], tags);
    }

    [Fact]
    public async Task Answers_are_told_for_the_curious()
    {
        await using FaultServer server = new(r => Blob(r));
        List<RegistryAnswer> answers = [];
        using RegistryClient client = new(Options() with { Answers = new Collect(answers) });
        await ReadAsync(Repository(client, server.Host), s_layer);
        Assert.Contains(answers, a => a.Address.ToString() == $"http://{server.Host}{s_blobPath}" && (int)a.Status == 200);
    }

    private sealed class Collect(List<RegistryAnswer> answers) : IProgress<RegistryAnswer>
    {
        public void Report(RegistryAnswer value) => answers.Add(value);
    }
}
