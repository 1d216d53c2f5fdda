using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Build;

/// <summary>What leaves a build: pushes, indexes in every format that has a place for them, documents about each image, caches in registries; contexts by http.</summary>
public sealed class OutputTests(SeedStore store)
{
    private const string TwoPlatforms = "linux/amd64,linux/arm64";
    private const string PlatformFile = "FROM scratch\nARG TARGETARCH\nCOPY f /of-$TARGETARCH\nLABEL arch=$TARGETARCH\n";

    private static Outcome Shell(string script) => SeedStore.Exec("sh", null, "-euc", script);

    private string Meta(string name) => Path.Combine(store.Folder, name + ".json");

    private static JsonNode Json(string text) => JsonNode.Parse(text)!;

    private string DigestOf(string meta) => Json(File.ReadAllText(Meta(meta)))["containerimage.digest"]!.GetValue<string>();

    [Fact]
    public async Task A_build_pushes_under_its_names_or_under_its_digest_alone()
    {
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        await using RegistryProcess registry = await RegistryProcess.StartAsync(Path.Combine(store.Folder, "push-registry"), cancellation);
        using var http = new HttpClient { BaseAddress = new Uri($"http://{registry.Address}") };
        string context = store.Context(("Dockerfile", PlatformFile), ("f", "x"));
        store.Run("build", "--push", "-t", $"{registry.Address}/pushed:1", "-t", $"{registry.Address}/pushed:2", "--metadata-file", Meta("pushed"), context).Ok();
        string[] digests = [.. await Task.WhenAll(((string[])["1", "2"]).Select(t => DigestAsync(http, "pushed", t)))];
        Assert.Equal([DigestOf("pushed"), DigestOf("pushed")], digests);

        // By digest: the manifest is there, no tag is. Of several platforms, with documents about each.
        store.Run("build", "--platform", TwoPlatforms, "--sbom", "--provenance", "-o", $"type=image,name={registry.Address}/quiet,push=true,push-by-digest=true", "--metadata-file", Meta("quiet"), context).Ok();
        string index = DigestOf("quiet");
        Assert.Equal(index, await DigestAsync(http, "quiet", index));
        Assert.Equal("", string.Join(' ', (Json(await http.GetStringAsync($"/v2/quiet/tags/list", cancellation))["tags"]?.AsArray() ?? []).Select(t => t!.GetValue<string>())));
        JsonArray images = Json(await http.GetStringAsync($"/v2/quiet/manifests/{index}", cancellation))["manifests"]!.AsArray();
        Assert.Equal(["amd64", "arm64"], images.Select(i => i!["platform"]!["architecture"]!.GetValue<string>()));
        foreach (JsonNode? image in images)
        {
            JsonArray about = Json(await http.GetStringAsync($"/v2/quiet/referrers/{image!["digest"]}", cancellation))["manifests"]!.AsArray();
            Assert.Equal(["application/spdx+json", "application/vnd.in-toto+json"], about.Select(a => a!["artifactType"]!.GetValue<string>()).Order(StringComparer.Ordinal));
            JsonNode statement = await DocumentAsync(http, "quiet", about.Single(a => a!["artifactType"]!.GetValue<string>().EndsWith("in-toto+json", StringComparison.Ordinal))!["digest"]!.GetValue<string>());
            Assert.Equal(image["digest"]!.GetValue<string>()["sha256:".Length..], statement["subject"]![0]!["digest"]!["sha256"]!.GetValue<string>());
            Assert.Contains($"linux/{image["platform"]!["architecture"]}", statement.ToJsonString().Replace("\\/", "/", StringComparison.Ordinal), StringComparison.Ordinal);
        }
        Assert.Contains("the image has no name", store.Run("build", "--push", context).Fails(1).Err, StringComparison.Ordinal);
    }

    [Fact]
    public void All_platforms_are_in_every_output_that_has_a_place_for_them()
    {
        string context = store.Context(("Dockerfile", PlatformFile), ("f", "x")), place = Path.Combine(store.Folder, "platforms"), other = place + "-store";
        store.Run("build", "--platform", TwoPlatforms, "-t", "two:1", "--metadata-file", Meta("two"), "-o", $"type=oci,dest={place}.oci", "-o", $"type=oci,tar=false,dest={place}.layout", "-o", $"type=tar,dest={place}.tar", "-o", $"{place}.files", context).Ok();
        Assert.Equal("x", File.ReadAllText(Path.Combine(place + ".files", "linux_amd64/of-amd64")));
        Assert.Equal("x", File.ReadAllText(Path.Combine(place + ".files", "linux_arm64/of-arm64")));
        Assert.Equal(["linux_amd64/of-amd64", "linux_arm64/of-arm64"], Shell($"tar -tf {place}.tar | grep of-").Ok().Lines.Order(StringComparer.Ordinal));
        foreach (string from in (string[])[place + ".oci", place + ".layout"])
        {
            // skopeo reads it as anybody's layout.
            string source = from.EndsWith(".oci", StringComparison.Ordinal) ? $"oci-archive:{from}:1" : $"oci:{from}:1";
            foreach (string architecture in (string[])["amd64", "arm64"])
            {
                Outcome seen = SeedStore.Exec("skopeo", null, "--override-arch", architecture, "inspect", source).Ok();
                Assert.Equal(architecture, Json(seen.Out)["Labels"]!["arch"]!.GetValue<string>());
            }
        }
        SeedStore.RunIn(other, null, "load", "-q", "-i", place + ".oci").Ok();
        Assert.Equal("amd64", SeedStore.RunIn(other, null, "inspect", "-f", "{{index .Config.Labels \"arch\"}}", "two:1").Ok().Out.Trim());
        string blobs = Path.Combine(place + ".layout", "blobs/sha256");
        Assert.True(File.Exists(Path.Combine(blobs, DigestOf("two")["sha256:".Length..])));

        Outcome refused = store.Run("build", "--platform", TwoPlatforms, "-o", $"type=docker,dest={place}.docker", context).Fails(1);
        Assert.Contains("images of one platform", refused.Err, StringComparison.Ordinal);
        Assert.Contains("type=oci", refused.Err, StringComparison.Ordinal);
        Assert.False(File.Exists(place + ".docker"));
    }

    [Fact]
    public void A_stage_may_be_of_another_platform_than_the_image()
    {
        string amd = store.Context(("Dockerfile", "FROM scratch\nCOPY f /of-amd64\nLABEL of=amd64\n"), ("f", "x")), file = Path.Combine(store.Folder, "cross.Dockerfile");
        File.WriteAllText(Path.Combine(amd, "arm"), "FROM scratch\nARG TARGETARCH\nCOPY f /of-$TARGETARCH\nLABEL of=$TARGETARCH\n");
        store.Run("build", "--platform", TwoPlatforms, "-t", "cross-base:1", "-f", Path.Combine(amd, "arm"), amd).Ok();
        File.WriteAllText(file, "FROM --platform=$BUILDPLATFORM cross-base:1 AS tools\nFROM cross-base:1\nCOPY --from=tools / /tools/\n");
        string files = Path.Combine(store.Folder, "cross");
        store.Run("build", "--platform", "linux/arm64", "-f", file, "-t", "cross:1", "-o", files, amd).Ok();
        Assert.Equal(["of-arm64", "tools", "tools/of-amd64"], Shell($"cd {files} && find . -mindepth 1 -printf '%P\\n'").Ok().Lines.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("type=registry,ref={0}/cached:c", "type=registry,ref={0}/cached:c", true)]
    [InlineData("type=registry,ref={0}/cached:d,mode=min,mounts=off", "{0}/cached:d", false)]
    [InlineData("type=inline", "{0}/cached:image", false)]
    public async Task A_cache_goes_through_a_registry(string to, string from, bool mounts)
    {
        await using RegistryProcess registry = await RegistryProcess.StartAsync(Path.Combine(store.Folder, "cache-registry-" + Guid.NewGuid().ToString("n")), TestContext.Current.CancellationToken);
        string id = "reg" + Guid.NewGuid().ToString("n"), image = $"{registry.Address}/cached:image";
        string context = store.Context(("f", "x"), ("Dockerfile", $"FROM {store.Busybox}\nRUN --mount=type=cache,target=/c,id={id} head -c 8 /dev/urandom | od -An -tx1 >>/c/log && cat /c/log >/first\nCOPY f /f\n"
            + $"ARG N=1\nRUN --mount=type=cache,target=/c,id={id} echo $N && cat /c/log >/log 2>/dev/null || echo none >/log\n"));
        string other = context + "-store", archive = context + ".tar";
        store.Run("save", "-o", archive, store.Busybox).Ok();
        SeedStore.RunIn(other, null, "load", "-qi", archive).Ok();
        store.Run("build", "--push", "-t", image, "--cache-to", Format(to), context).Ok();
        string first = store.Run("run", "--rm", "--network", "none", image, "cat", "/first").Ok().Out;
        Outcome again = SeedStore.RunIn(other, null, "build", "-t", "again", "--cache-from", Format(from), context).Ok();
        Assert.DoesNotContain("warning: cache", again.Err, StringComparison.Ordinal);
        Assert.Equal((1, 3), (again.Err.Split(" DONE ").Length - 1, again.Err.Split(" CACHED").Length - 1)); // the base was opened, nothing was run
        Assert.Equal(store.Inspect(image, "{{.Id}}"), SeedStore.RunIn(other, null, "inspect", "-f", "{{.Id}}", "again").Ok().Out.Trim());
        SeedStore.RunIn(other, null, "build", "-t", "more", "--cache-from", Format(from), "--build-arg", "N=2", context).Ok();
        Assert.Equal(mounts ? first : "none\n", SeedStore.RunIn(other, null, "run", "--rm", "--network", "none", "more", "cat", "/log").Ok().Out);

        string Format(string text) => string.Format(System.Globalization.CultureInfo.InvariantCulture, text, registry.Address);
    }

    [Fact]
    public async Task A_context_comes_from_a_URL_as_an_archive_or_as_a_Dockerfile_and_so_does_a_named_one()
    {
        string files = store.Context(("f", "from the archive"), ("Dockerfile", $"FROM {store.Busybox}\nCOPY f /f\nCOPY --from=more g /g\nRUN --mount=from=more,target=/m cat /m/g >/h\n")), more = store.Context(("g", "named"));
        Shell($"tar -C {files} -czf {files}.tgz . && tar -C {more} -cf {more}.tar .").Ok();
        await using var server = new FileServer(new() { ["/c.tgz"] = await File.ReadAllBytesAsync(files + ".tgz", TestContext.Current.CancellationToken), ["/more.tar"] = await File.ReadAllBytesAsync(more + ".tar", TestContext.Current.CancellationToken), ["/Dockerfile"] = Encoding.UTF8.GetBytes($"FROM {store.Busybox}\nRUN echo text >/t\n") });
        store.Run("build", "-t", "url:1", "--build-context", $"more={server.Address}more.tar", server.Address + "c.tgz").Ok();
        Assert.Equal("from the archivenamednamed", store.Run("run", "--rm", "--network", "none", "url:1", "cat", "/f", "/g", "/h").Ok().Out);
        store.Run("build", "-t", "url:2", server.Address + "Dockerfile").Ok();
        Assert.Equal("text\n", store.Run("run", "--rm", "--network", "none", "url:2", "cat", "/t").Ok().Out);
        Assert.Contains($"build context {server.Address}none.tar: the server answered 404", store.Run("build", server.Address + "none.tar").Fails(1).Err, StringComparison.Ordinal);
        Assert.Contains($"build context {server.Address}none.tar: the server answered 404", store.Run("build", "--build-context", $"more={server.Address}none.tar", files).Fails(1).Err, StringComparison.Ordinal);
    }

    [Fact]
    public void Raw_json_has_the_shape_of_BuildKit_s()
    {
        string context = store.Context(("Dockerfile", $"FROM {store.Busybox}\nRUN echo to-out; echo to-err >&2; exit 4\n"));
        Outcome failed = store.Run("build", "--no-cache", "--progress", "rawjson", context).Answers(1);
        JsonNode[] lines = [.. failed.Err.Split('\n').Where(l => l.StartsWith('{')).Select(Json)];
        JsonNode[] vertexes = [.. lines.Where(l => l["vertexes"] is not null).Select(l => l["vertexes"]![0]!)], logs = [.. lines.Where(l => l["logs"] is not null).Select(l => l["logs"]![0]!)];
        JsonNode over = vertexes[^1];
        Assert.Contains("RUN echo to-out", over["name"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Contains("exited with 4", over["error"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.True(over["completed"]!.GetValue<DateTimeOffset>() >= over["started"]!.GetValue<DateTimeOffset>());
        Assert.Equal(vertexes[0]["digest"]!.GetValue<string>(), over["inputs"]![0]!.GetValue<string>());
        Assert.All(logs, l => Assert.Equal(over["digest"]!.GetValue<string>(), l["vertex"]!.GetValue<string>()));
        Assert.Equal([(1, "to-out\n"), (2, "to-err\n")], logs.Select(l => (l["stream"]!.GetValue<int>(), Encoding.UTF8.GetString(Convert.FromBase64String(l["data"]!.GetValue<string>())))).Order());
        store.Build("raw:1", $"FROM {store.Busybox}\nRUN echo cached raw\n").Ok();
        Assert.Contains("\"cached\":true", store.Run("build", "--progress", "rawjson", store.Context(("Dockerfile", $"FROM {store.Busybox}\nRUN echo cached raw\n"))).Ok().Err, StringComparison.Ordinal);
    }

    private static async Task<string> DigestAsync(HttpClient http, string repository, string reference)
    {
        using HttpResponseMessage answer = await http.GetAsync(new Uri($"/v2/{repository}/manifests/{reference}", UriKind.Relative), TestContext.Current.CancellationToken);
        return answer.EnsureSuccessStatusCode().Headers.GetValues("Docker-Content-Digest").Single();
    }

    // The one layer of an artifact.
    private static async Task<JsonNode> DocumentAsync(HttpClient http, string repository, string digest)
    {
        JsonNode manifest = Json(await http.GetStringAsync($"/v2/{repository}/manifests/{digest}", TestContext.Current.CancellationToken));
        return Json(await http.GetStringAsync($"/v2/{repository}/blobs/{manifest["layers"]![0]!["digest"]}", TestContext.Current.CancellationToken));
    }

    private sealed class FileServer : IAsyncDisposable
    {
        private readonly HttpListener _listener = new();
        private readonly Dictionary<string, byte[]> _files;
        private readonly Task _serving;

        internal FileServer(Dictionary<string, byte[]> files)
        {
            _files = files;
            Address = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"http://127.0.0.1:{Random.Shared.Next(30000, 32000)}/");
            _listener.Prefixes.Add(Address);
            _listener.Start();
            _serving = ServeAsync();
        }

        internal string Address { get; }

        public async ValueTask DisposeAsync()
        {
            _listener.Stop();
            await _serving;
            _listener.Close();
        }

        private async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    HttpListenerContext asked = await _listener.GetContextAsync();
                    byte[]? file = _files.GetValueOrDefault(asked.Request.Url!.AbsolutePath);
                    asked.Response.StatusCode = file is null ? 404 : 200;
                    await asked.Response.OutputStream.WriteAsync(file ?? []);
                    asked.Response.Close();
                }
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                // stopped
            }
        }
    }
}
