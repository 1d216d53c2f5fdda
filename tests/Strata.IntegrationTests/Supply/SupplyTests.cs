using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Supply;

/// <summary>Lock file, repeated builds, documents about images: with the real executable.</summary>
public sealed class SupplyTests(SeedStore store)
{
    [Fact]
    public async Task A_locked_build_fails_with_the_old_and_the_new_digest_of_what_changed()
    {
        await using var server = new OneFileServer("first");
        store.Run("tag", store.Busybox, "locked-base:1").Ok();
        string context = store.Context(("Dockerfile", $"FROM locked-base:1\nADD {server.Address}file /file\n"));
        Assert.Contains("there is no lock file", store.Run("build", "--locked", context).Fails(1).Err, StringComparison.Ordinal);
        store.Run("build", "--lock", "-t", "locked:1", context).Ok();
        string text = await File.ReadAllTextAsync(Path.Combine(context, "Dockerfile.lock"), TestContext.Current.CancellationToken);
        using var json = JsonDocument.Parse(text);
        JsonElement[] sources = [.. json.RootElement.GetProperty("sources").EnumerateArray()];
        Assert.Equal(["image docker.io/library/locked-base:1", $"url {server.Address}file"], sources.Select(s => $"{s.GetProperty("kind")} {s.GetProperty("name")}"));
        store.Run("build", "--locked", "-t", "locked:1", context).Ok();

        server.Content = "second";
        Outcome drift = store.Run("build", "--locked", "-t", "locked:2", context).Fails(1);
        string oldFile = sources[1].GetProperty("digest").GetString()!, newFile = "sha256:" + Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData("second"u8));
        Assert.Contains($"is {newFile} now, not {oldFile}", drift.Err, StringComparison.Ordinal);

        store.Build("other-base", $"FROM {store.Busybox}\nLABEL a=b\n").Ok();
        store.Run("tag", "other-base", "locked-base:1").Ok();
        Outcome moved = store.Run("build", "--locked", context).Fails(1);
        Assert.Contains(sources[0].GetProperty("digest").GetString()!, moved.Err, StringComparison.Ordinal);
        Assert.Contains(store.Inspect("other-base", "{{.Descriptor.Digest}}"), moved.Err, StringComparison.Ordinal);
        Assert.Equal(text, await File.ReadAllTextAsync(Path.Combine(context, "Dockerfile.lock"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_second_build_names_the_first_difference_by_path_and_field()
    {
        string own = OwnStore("verify", store.Busybox);
        string[] epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000"];
        string same = store.Context(("Dockerfile", $"FROM {store.Busybox}\nCOPY a /a\nRUN echo b >/b\n"), ("a", "a"));
        Assert.Contains("Reproducible", SeedStore.RunIn(own, null, ["build", "--verify-reproducible", .. epoch, "-t", "same:1", same]).Ok().Err, StringComparison.Ordinal);
        string other = store.Context(("Dockerfile", $"FROM {store.Busybox}\nRUN echo a >/a && cat /proc/sys/kernel/random/uuid >/b && cat /proc/sys/kernel/random/uuid >/c\n"));
        Outcome found = SeedStore.RunIn(own, null, ["build", "--verify-reproducible", .. epoch, "-t", "other:1", other]).Answers(3);
        Assert.Matches(@"Not reproducible: layer \d+ \(.*\): /b: content, from byte \d", found.Err);
        Assert.Equal("", SeedStore.RunIn(own, null, "images", "-q", "--filter", "dangling=true").Ok().Out);
    }

    [Fact]
    public async Task Documents_are_attached_and_pushed_and_go_with_their_image()
    {
        string own = OwnStore("documents", store.Debian);
        Outcome Run(params string[] arguments) => SeedStore.RunIn(own, null, arguments);
        string context = store.Context(("Dockerfile", $"FROM {store.Debian}\nLABEL about=documents\n"));
        Run("build", "-t", "documents:plain", context).Ok();
        Run("build", "--sbom", "--provenance", "-t", "documents:1", context).Ok();
        string digest = Run("inspect", "-f", "{{.Descriptor.Digest}}", "documents:1").Ok().Out.Trim();
        Assert.Equal(Run("inspect", "-f", "{{.Descriptor.Digest}}", "documents:plain").Ok().Out.Trim(), digest); // they are no part of the image

        Outcome sbom = Run("sbom", "documents:1").Ok();
        using (var document = JsonDocument.Parse(sbom.Out))
        {
            string[] urls = [.. document.RootElement.GetProperty("packages").EnumerateArray().Where(p => p.TryGetProperty("externalRefs", out _)).Select(p => p.GetProperty("externalRefs")[0].GetProperty("referenceLocator").GetString()!)];
            string[] installed = Run("run", "--rm", "documents:1", "dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n").Ok().Lines;
            Assert.Equal(installed.Count(l => l.StartsWith("installed ", StringComparison.Ordinal)), urls.Length);
            Assert.Contains(urls, u => u.StartsWith("pkg:deb/debian/libc6@", StringComparison.Ordinal) && u.EndsWith("&distro=debian-12", StringComparison.Ordinal));
        }
        Run("system", "prune", "--force").Ok();
        Assert.Equal(sbom.Out, Run("sbom", "documents:1").Ok().Out);

        CancellationToken cancellation = TestContext.Current.CancellationToken;
        await using (RegistryProcess registry = await RegistryProcess.StartAsync(Path.Combine(store.Folder, "documents-registry"), cancellation))
        {
            string name = $"{registry.Address}/documents:1";
            Run("tag", "documents:1", name).Ok();
            Run("push", name).Ok();
            using var http = new HttpClient();
            using var listed = JsonDocument.Parse(await http.GetStringAsync(new Uri($"http://{registry.Address}/v2/documents/referrers/{digest}"), cancellation));
            JsonElement[] artifacts = [.. listed.RootElement.GetProperty("manifests").EnumerateArray()];
            Assert.Equal(["application/spdx+json", "application/vnd.in-toto+json"], artifacts.Select(a => a.GetProperty("artifactType").GetString()).Order(StringComparer.Ordinal));
            using var ask = new HttpRequestMessage(HttpMethod.Get, new Uri($"http://{registry.Address}/v2/documents/manifests/{artifacts[0].GetProperty("digest")}"));
            ask.Headers.Accept.ParseAdd("application/vnd.oci.image.manifest.v1+json");
            using HttpResponseMessage answer = await http.SendAsync(ask, cancellation);
            using var manifest = JsonDocument.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(cancellation));
            Assert.Equal(digest, manifest.RootElement.GetProperty("subject").GetProperty("digest").GetString());
            Run("rmi", name).Ok();
        }
        Assert.True(Directory.Exists(Path.Combine(own, "referrers", digest.Replace(':', '-'))));
        Run("rmi", "documents:1", "documents:plain").Ok();
        Run("system", "prune", "--force").Ok();
        Assert.False(Directory.Exists(Path.Combine(own, "referrers", digest.Replace(':', '-'))));
        Run("system", "check").Ok();
    }

    // What prunes or counts has a store that nobody else uses.
    private string OwnStore(string name, string image)
    {
        string root = Path.Combine(store.Folder, name + "-store"), archive = Path.Combine(store.Folder, name + ".tar");
        store.Run("save", "-o", archive, image).Ok();
        SeedStore.RunIn(root, null, "load", "-i", archive).Ok();
        File.Delete(archive);
        return root;
    }

    private sealed class OneFileServer : IAsyncDisposable
    {
        private readonly HttpListener _listener = new();
        private readonly Task _serving;

        internal OneFileServer(string content)
        {
            Content = content;
            Address = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{Random.Shared.Next(20000, 30000)}/");
            _listener.Prefixes.Add(Address);
            _listener.Start();
            _serving = ServeAsync();
        }

        internal string Address { get; }

        internal string Content { get; set; }

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
                    await asked.Response.OutputStream.WriteAsync(Encoding.ASCII.GetBytes(Content));
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
