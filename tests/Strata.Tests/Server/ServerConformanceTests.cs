using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>
/// The scenarios of the distribution-spec's own conformance suite, by its four workflows and in its order. docs/registry.md has the table of endpoints.
/// What the spec leaves open (201 or 202, 202 or 405) is what the table says we do.
/// </summary>
/// <remarks><see href="https://github.com/opencontainers/distribution-spec/tree/v1.1.1/conformance"/></remarks>
public sealed class ServerConformanceTests : IAsyncLifetime
{
    private const string Repository = "conform/ance", Nothing = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    private static readonly byte[] s_empty = "{}"u8.ToArray(), s_blob = RandomNumberGenerator.GetBytes(3000);
    private static readonly Descriptor s_emptyDescriptor = new("application/vnd.oci.empty.v1+json", Digest.Of(s_empty), s_empty.Length);

    private TestRegistry _registry = null!;

    public async ValueTask InitializeAsync() => _registry = await TestRegistry.StartAsync();

    public ValueTask DisposeAsync() => _registry.DisposeAsync();

    private Task<Answer> SendAsync(string method, string path, byte[]? body = null, params (string, string)[] headers) => _registry.SendAsync(method, path, body, headers);

    private async Task<string> BeginAsync(string repository = Repository)
    {
        Answer begun = await SendAsync("POST", $"/v2/{repository}/blobs/uploads/", []);
        Assert.Equal(202, begun.Status);
        return begun.Headers.Location!.ToString();
    }

    // The suite puts the digest behind a Location that may have a query already.
    private static string Finish(string location, byte[] blob) => $"{location}{(location.Contains('?', StringComparison.Ordinal) ? '&' : '?')}digest={Digest.Of(blob)}";

    private static (string, string)[] Chunk(int from, byte[] chunk) => [("Content-Range", $"{from}-{from + chunk.Length - 1}"), ("Content-Type", "application/octet-stream")];

    private Task<Answer> PutManifestAsync(string reference, byte[] manifest, string type = MediaTypes.OciManifest) => SendAsync("PUT", $"/v2/{Repository}/manifests/{reference}", manifest, ("Content-Type", type));

    private async Task<Descriptor> PushArtifactAsync(string? artifactType, Descriptor? subject, string configType = "application/vnd.oci.empty.v1+json")
    {
        await SendAsync("POST", $"/v2/{Repository}/blobs/uploads/?digest={s_emptyDescriptor.Digest}", s_empty);
        byte[] bytes = OciJson.Serialize(new ImageManifest(s_emptyDescriptor with { MediaType = configType }, [s_emptyDescriptor])
        {
            MediaType = MediaTypes.OciManifest,
            ArtifactType = artifactType,
            Subject = subject,
            Annotations = ImmutableSortedDictionary<string, string>.Empty.Add("org.example.test", artifactType ?? "none"),
        });
        Answer put = await PutManifestAsync(Digest.Of(bytes).ToString(), bytes);
        Assert.True(put.Status == 201, put.Text);
        Assert.Equal(subject is null ? null : subject.Digest.ToString(), put.Headers.TryGetValues("OCI-Subject", out IEnumerable<string>? said) ? said.Single() : null);
        return new Descriptor(MediaTypes.OciManifest, Digest.Of(bytes), bytes.Length);
    }

    private async Task<ImageIndex> ReferrersAsync(Digest subject, string query = "")
    {
        Answer answer = await SendAsync("GET", $"/v2/{Repository}/referrers/{subject}{query}");
        Assert.Equal(200, answer.Status);
        return OciJson.ParseIndex(answer.Body, MediaTypes.OciIndex);
    }

    [Fact]
    public async Task Pull_blobs_end_2()
    {
        TestImage image = await _registry.PushAsync(Repository, "t");
        string path = $"/v2/{Repository}/blobs/{Digest.Of(image.Layer)}", none = $"/v2/{Repository}/blobs/{Nothing}";
        Assert.Equal(404, (await SendAsync("HEAD", none)).Status);
        Answer head = await SendAsync("HEAD", path);
        Assert.Equal((200, Digest.Of(image.Layer).ToString()), (head.Status, head.Headers.GetValues("Docker-Content-Digest").Single()));
        Assert.Empty(head.Body);
        Answer missing = await SendAsync("GET", none);
        Assert.Equal((404, "BLOB_UNKNOWN"), (missing.Status, missing.Code));
        Answer got = await SendAsync("GET", path);
        Assert.Equal(200, got.Status);
        Assert.Equal(image.Layer, got.Body);
    }

    [Fact]
    public async Task Pull_manifests_end_3()
    {
        TestImage image = await _registry.PushAsync(Repository, "t");
        Assert.Equal(404, (await SendAsync("HEAD", $"/v2/{Repository}/manifests/undefined-manifest")).Status);
        Assert.Equal(404, (await SendAsync("GET", $"/v2/{Repository}/manifests/undefined-manifest")).Status);
        Assert.Equal(404, (await SendAsync("GET", $"/v2/{Repository}/manifests/{Nothing}")).Status);
        foreach (string reference in (string[])["t", image.Digest.ToString()])
        {
            foreach (string method in (string[])["HEAD", "GET"])
            {
                Answer answer = await SendAsync(method, $"/v2/{Repository}/manifests/{reference}");
                Assert.Equal((200, image.Digest.ToString()), (answer.Status, answer.Headers.GetValues("Docker-Content-Digest").Single()));
                Assert.Equal(method == "HEAD" ? [] : image.Manifest, answer.Body);
            }
        }
    }

    [Fact]
    public async Task Errors_have_the_specs_form()
    {
        Answer wrong = await SendAsync("PUT", $"/v2/{Repository}/manifests/sha256:totallywrong", "blah"u8.ToArray(), ("Content-Type", MediaTypes.OciManifest));
        Assert.Equal(400, wrong.Status);
        using JsonDocument json = JsonDocument.Parse(wrong.Body);
        JsonElement error = Assert.Single(json.RootElement.GetProperty("errors").EnumerateArray());
        Assert.Matches("^[A-Z_]+$", error.GetProperty("code").GetString());
        Assert.NotEmpty(error.GetProperty("message").GetString()!);
    }

    [Fact]
    public async Task Push_in_one_stream_end_5_end_6()
    {
        string upload = await BeginAsync();
        Answer patched = await SendAsync("PATCH", upload, s_blob, ("Content-Type", "application/octet-stream"));
        Assert.Equal((202, $"0-{s_blob.Length - 1}"), (patched.Status, patched.Headers.GetValues("Range").Single()));
        Answer put = await SendAsync("PUT", Finish(patched.Headers.Location!.ToString(), s_blob), [], ("Content-Type", "application/octet-stream"));
        Assert.Equal((201, $"/v2/{Repository}/blobs/{Digest.Of(s_blob)}"), (put.Status, put.Headers.Location!.ToString()));
        Assert.Equal(s_blob, (await SendAsync("GET", put.Headers.Location.ToString())).Body);
    }

    [Fact]
    public async Task Push_as_a_whole_end_4b_end_4a_end_6()
    {
        Assert.Equal(404, (await SendAsync("GET", $"/v2/{Repository}/blobs/{Digest.Of(s_blob)}")).Status);
        Answer single = await SendAsync("POST", $"/v2/{Repository}/blobs/uploads/?digest={Digest.Of(s_blob)}", s_blob, ("Content-Type", "application/octet-stream"));
        Assert.Equal((201, $"/v2/{Repository}/blobs/{Digest.Of(s_blob)}"), (single.Status, single.Headers.Location!.ToString()));
        byte[] other = RandomNumberGenerator.GetBytes(100);
        Answer put = await SendAsync("PUT", Finish(await BeginAsync(), other), other, ("Content-Type", "application/octet-stream"));
        Assert.Equal((201, $"/v2/{Repository}/blobs/{Digest.Of(other)}"), (put.Status, put.Headers.Location!.ToString()));
        Assert.Equal(other, (await SendAsync("GET", put.Headers.Location.ToString())).Body);
        Answer wrong = await SendAsync("PUT", Finish(await BeginAsync(), other), s_blob);
        Assert.Equal((400, "DIGEST_INVALID"), (wrong.Status, wrong.Code));
        Assert.Equal((400, "DIGEST_INVALID"), ((await SendAsync("PUT", await BeginAsync(), other)).Status, (await SendAsync("PUT", await BeginAsync(), other)).Code)); // no digest
        string empty = (await SendAsync("PUT", Finish(await BeginAsync(), []), [])).Headers.Location!.ToString(); // a blob of no bytes is one
        Assert.Empty((await SendAsync("GET", empty)).Body);
    }

    [Fact]
    public async Task Push_in_chunks_in_their_order_end_5_end_13()
    {
        byte[] first = s_blob[..1000], second = s_blob[1000..];
        string upload = await BeginAsync();
        Answer early = await SendAsync("PATCH", upload, second, Chunk(1000, second));
        Assert.Equal(416, early.Status);
        Answer patched = await SendAsync("PATCH", upload, first, Chunk(0, first));
        Assert.Equal((202, "0-999"), (patched.Status, patched.Headers.GetValues("Range").Single()));
        Assert.Equal(416, (await SendAsync("PATCH", upload, first, Chunk(0, first))).Status); // the same once more
        Answer stands = await SendAsync("GET", upload);
        Assert.Equal((204, "0-999", upload), (stands.Status, stands.Headers.GetValues("Range").Single(), stands.Headers.Location!.ToString()));
        Answer last = await SendAsync("PATCH", stands.Headers.Location.ToString(), second, Chunk(1000, second));
        Assert.Equal((202, $"0-{s_blob.Length - 1}"), (last.Status, last.Headers.GetValues("Range").Single()));
        Answer put = await SendAsync("PUT", Finish(last.Headers.Location!.ToString(), s_blob), []);
        Assert.Equal(201, put.Status);
        Assert.Equal(s_blob, (await SendAsync("GET", put.Headers.Location!.ToString())).Body);
        Assert.Equal(404, (await SendAsync("GET", upload)).Status);
        // The last chunk may come with the end.
        upload = await BeginAsync();
        byte[] other = RandomNumberGenerator.GetBytes(500);
        await SendAsync("PATCH", upload, other[..200], Chunk(0, other[..200]));
        Assert.Equal(416, (await SendAsync("PUT", Finish(upload, other), other[100..], Chunk(100, other[100..]))).Status);
        Assert.Equal(201, (await SendAsync("PUT", Finish(upload, other), other[200..], Chunk(200, other[200..]))).Status);
    }

    [Fact]
    public async Task Push_by_mounting_end_11()
    {
        await _registry.PushAsync(Repository, "t");
        Digest layer = Digest.Of(TestImage.Make("layer", null).Layer);
        Answer mounted = await SendAsync("POST", $"/v2/other/place/blobs/uploads/?mount={layer}&from={Repository}", []);
        Assert.Equal((201, $"/v2/other/place/blobs/{layer}"), (mounted.Status, mounted.Headers.Location!.ToString()));
        Assert.Equal(200, (await SendAsync("GET", mounted.Headers.Location.ToString())).Status);
        // Without from the registry may find it by itself, and does where everybody may see everything.
        Assert.Equal(201, (await SendAsync("POST", $"/v2/third/blobs/uploads/?mount={layer}", [])).Status);
        Answer none = await SendAsync("POST", $"/v2/third/blobs/uploads/?mount={Nothing}&from={Repository}", []);
        Assert.Equal(202, none.Status);
        Assert.Equal(201, (await SendAsync("PUT", Finish(none.Headers.Location!.ToString(), s_blob), s_blob)).Status); // it is an upload like any other
    }

    [Fact]
    public async Task Push_manifests_end_7()
    {
        TestImage image = await _registry.PushAsync(Repository, "t0");
        foreach (string reference in (string[])["t1", "A.b_c-d", "_x", image.Digest.ToString()])
        {
            Answer put = await PutManifestAsync(reference, image.Manifest);
            Assert.Equal((201, $"/v2/{Repository}/manifests/{image.Digest}"), (put.Status, put.Headers.Location!.ToString()));
            Assert.Equal(image.Manifest, (await SendAsync("GET", put.Headers.Location.ToString())).Body);
            Assert.Equal(image.Manifest, (await SendAsync("GET", $"/v2/{Repository}/manifests/{reference}")).Body);
        }
        byte[] noLayers = OciJson.Serialize(new ImageManifest(new Descriptor(MediaTypes.OciConfig, Digest.Of(image.Config), image.Config.Length), []) { MediaType = MediaTypes.OciManifest });
        Assert.Equal(201, (await PutManifestAsync("empty", noLayers)).Status);
        byte[] lacks = OciJson.Serialize(new ImageManifest(s_emptyDescriptor with { Digest = Digest.Of("not here"u8) }, []) { MediaType = MediaTypes.OciManifest });
        Answer refused = await PutManifestAsync("lacks", lacks);
        Assert.Equal((404, "MANIFEST_BLOB_UNKNOWN"), (refused.Status, refused.Code));
        byte[] large = [.. "{\""u8, .. Encoding.ASCII.GetBytes(new string('x', OciJson.MaxDocumentBytes)), .. "\":1}"u8];
        Assert.Equal(413, (await PutManifestAsync("large", large)).Status);
        // Docker's own type, and its bytes, stay what they are.
        byte[] docker = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(image.Manifest).Replace(MediaTypes.OciManifest, MediaTypes.DockerManifest, StringComparison.Ordinal).Replace("\"schemaVersion\":2", "\"schemaVersion\": 2", StringComparison.Ordinal));
        Assert.Equal(201, (await PutManifestAsync("docker", docker, MediaTypes.DockerManifest)).Status);
        Assert.Equal(docker, (await SendAsync("GET", $"/v2/{Repository}/manifests/docker")).Body);
    }

    [Fact]
    public async Task Push_by_a_longer_digest()
    {
        string digest = "sha512:" + Convert.ToHexStringLower(SHA512.HashData(s_blob));
        Assert.Equal(201, (await SendAsync("POST", $"/v2/{Repository}/blobs/uploads/?digest={digest}", s_blob)).Status);
        Assert.Equal(s_blob, (await SendAsync("GET", $"/v2/{Repository}/blobs/{digest}")).Body);
        TestImage image = await _registry.PushAsync(Repository, "t");
        string named = "sha512:" + Convert.ToHexStringLower(SHA512.HashData(image.Manifest));
        Assert.Equal(201, (await PutManifestAsync(named, image.Manifest)).Status);
        Assert.Equal(image.Manifest, (await SendAsync("GET", $"/v2/{Repository}/manifests/{named}")).Body);
    }

    [Fact]
    public async Task Discovery_of_tags_end_8a_end_8b()
    {
        string[] tags = ["Zed", "test0", "test1", "test2", "test3"];
        foreach (string tag in tags)
        {
            await _registry.PushAsync(Repository, tag);
        }
        async Task<string[]> ListAsync(string query)
        {
            Answer answer = await SendAsync("GET", $"/v2/{Repository}/tags/list{query}");
            Assert.Equal(200, answer.Status);
            using JsonDocument json = JsonDocument.Parse(answer.Body);
            Assert.Equal(Repository, json.RootElement.GetProperty("name").GetString());
            return [.. json.RootElement.GetProperty("tags").EnumerateArray().Select(t => t.GetString()!)];
        }
        Assert.Equal(tags, await ListAsync("")); // in the order of their bytes
        Assert.Equal(tags[..3], await ListAsync("?n=3"));
        Assert.Equal(tags[3..], await ListAsync("?n=3&last=test1"));
        Assert.Equal(tags[3..], await ListAsync("?last=test1"));
        Assert.Empty(await ListAsync("?n=0"));
        List<string> paged = [];
        for (string? next = $"/v2/{Repository}/tags/list?n=2"; next is not null;)
        {
            Answer answer = await SendAsync("GET", next);
            using JsonDocument json = JsonDocument.Parse(answer.Body);
            paged.AddRange(json.RootElement.GetProperty("tags").EnumerateArray().Select(t => t.GetString()!));
            next = answer.Headers.TryGetValues("Link", out IEnumerable<string>? link) ? link.Single().Split('<', '>')[1] : null;
        }
        Assert.Equal(tags, paged);
    }

    [Fact]
    public async Task Discovery_of_referrers_end_12a_end_12b()
    {
        Answer none = await SendAsync("GET", $"/v2/{Repository}/referrers/{Nothing}");
        Assert.Equal((200, 0), (none.Status, OciJson.ParseIndex(none.Body, MediaTypes.OciIndex).Manifests.Length));
        Assert.Equal(400, (await SendAsync("GET", $"/v2/{Repository}/referrers/sha256:wrong")).Status);

        // The subject may come later than those who refer to it.
        TestImage image = TestImage.Make("subject", null);
        Descriptor subject = new(MediaTypes.OciManifest, image.Digest, image.Manifest.Length);
        Descriptor a = await PushArtifactAsync("application/vnd.example.a", subject), b = await PushArtifactAsync("application/vnd.example.b", subject), configured = await PushArtifactAsync(null, subject, "application/vnd.example.config");
        await PushArtifactAsync("application/vnd.example.a", subject: null);
        await _registry.PushAsync(Repository, "t", "subject");
        byte[] index = OciJson.Serialize(new ImageIndex([a]) { MediaType = MediaTypes.OciIndex, ArtifactType = "application/vnd.example.index", Subject = subject });
        Assert.Equal(subject.Digest.ToString(), (await PutManifestAsync("index", index, MediaTypes.OciIndex)).Headers.GetValues("OCI-Subject").Single());

        ImageIndex all = await ReferrersAsync(subject.Digest);
        Assert.Equal(((Digest[])[a.Digest, b.Digest, configured.Digest, Digest.Of(index)]).Select(d => d.ToString()).Order(StringComparer.Ordinal), all.Manifests.Select(m => m.Digest.ToString()).Order(StringComparer.Ordinal));
        Descriptor found = all.Manifests.Single(m => m.Digest == a.Digest);
        Assert.Equal((MediaTypes.OciManifest, a.Size, "application/vnd.example.a", "application/vnd.example.a"), (found.MediaType, found.Size, found.ArtifactType, found.Annotations!["org.example.test"]));
        Assert.Equal("application/vnd.example.config", all.Manifests.Single(m => m.Digest == configured.Digest).ArtifactType); // the config's type stands for it

        Answer filtered = await SendAsync("GET", $"/v2/{Repository}/referrers/{subject.Digest}?artifactType=application%2Fvnd.example.b");
        Assert.Equal("artifactType", filtered.Headers.GetValues("OCI-Filters-Applied").Single());
        Assert.Equal(b.Digest, Assert.Single(OciJson.ParseIndex(filtered.Body, MediaTypes.OciIndex).Manifests).Digest);
        Assert.False((await SendAsync("GET", $"/v2/{Repository}/referrers/{subject.Digest}")).Headers.Contains("OCI-Filters-Applied"));

        Assert.Equal(202, (await SendAsync("DELETE", $"/v2/{Repository}/manifests/{a.Digest}")).Status);
        Assert.DoesNotContain((await ReferrersAsync(subject.Digest)).Manifests, m => m.Digest == a.Digest);
    }

    [Fact]
    public async Task Management_end_9_end_10()
    {
        TestImage image = await _registry.PushAsync(Repository, "t");
        await _registry.PushAsync(Repository, "stays");
        Assert.Equal(202, (await SendAsync("DELETE", $"/v2/{Repository}/manifests/t")).Status);
        Assert.Equal(404, (await SendAsync("GET", $"/v2/{Repository}/manifests/t")).Status);
        Assert.Equal(404, (await SendAsync("DELETE", $"/v2/{Repository}/manifests/t")).Status);
        Assert.Equal("""{"name":"conform/ance","tags":["stays"]}""", (await SendAsync("GET", $"/v2/{Repository}/tags/list")).Text);
        Assert.Equal(202, (await SendAsync("DELETE", $"/v2/{Repository}/manifests/{image.Digest}")).Status);
        Assert.Equal(404, (await SendAsync("GET", $"/v2/{Repository}/manifests/{image.Digest}")).Status);
        Assert.Equal(404, (await SendAsync("GET", $"/v2/{Repository}/manifests/stays")).Status);
        Assert.Equal(404, (await SendAsync("DELETE", $"/v2/{Repository}/manifests/{Nothing}")).Status);
        // Blobs are the collector's: all repositories share them.
        Answer blob = await SendAsync("DELETE", $"/v2/{Repository}/blobs/{Digest.Of(image.Layer)}");
        Assert.Equal((405, "UNSUPPORTED"), (blob.Status, blob.Code));
    }

    [Fact]
    public async Task The_base_end_1_and_an_upload_that_is_given_up()
    {
        Assert.Equal(200, (await SendAsync("GET", "/v2/")).Status);
        string upload = await BeginAsync();
        Assert.Equal(204, (await SendAsync("DELETE", upload)).Status);
        Assert.Equal(404, (await SendAsync("GET", upload)).Status);
        Answer gone = await SendAsync("PATCH", upload, s_blob);
        Assert.Equal((404, "BLOB_UPLOAD_UNKNOWN"), (gone.Status, gone.Code));
    }

    // What containerd adds to all it asks of a mirror.
    [Fact]
    public async Task A_query_that_names_the_registry_that_is_meant_changes_nothing()
    {
        TestImage image = await _registry.PushAsync(Repository, "t");
        const string Query = "?ns=docker.io";
        Assert.Equal(200, (await SendAsync("HEAD", $"/v2/{Repository}/manifests/t{Query}")).Status);
        Assert.Equal(image.Manifest, (await SendAsync("GET", $"/v2/{Repository}/manifests/{image.Digest}{Query}")).Body);
        Assert.Equal(image.Layer, (await SendAsync("GET", $"/v2/{Repository}/blobs/{Digest.Of(image.Layer)}{Query}")).Body);
    }
}
