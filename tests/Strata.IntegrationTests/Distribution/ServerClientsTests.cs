using System.Text;
using Strata.Linux;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>Unmodified clients at a registry with TLS, passwords and rules, and at one that fetches from it.</summary>
public sealed class ServerClientsTests : IAsyncLifetime
{
    // htpasswd -nbB -C 4 alice secret
    private const string Passwords = "alice:$2y$04$GhnpbM13mktp13t9oBMqq.dtsXvjr5evpJd951Qm7aYP2SeJQ.Q2K\n";
    private const string Rules = """
        { "rules": [
          { "repositories": "**",        "users": ["alice"],     "actions": ["read", "write", "delete"] },
          { "repositories": "public/**", "users": ["anonymous"], "actions": ["read"] }
        ] }
        """;

    private readonly string _root = Directory.CreateTempSubdirectory("strata-clients-").FullName;
    private Engine _engine = null!;
    private RegistryServer _server = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _engine = Engine.Open(new EngineOptions { Root = Path.Combine(_root, "store") });
        await File.WriteAllTextAsync(Path.Combine(_root, "passwords"), Passwords, Token);
        await File.WriteAllTextAsync(Path.Combine(_root, "rules.json"), Rules, Token);
        _server = await RegistryServer.StartAsync(_engine, "127.0.0.1:0", new RegistryServerOptions
        {
            Tls = new RegistryTlsOptions { IsOwn = true },
            Access = new RegistryAccessOptions { HtpasswdFile = Path.Combine(_root, "passwords"), RulesFile = Path.Combine(_root, "rules.json") },
        }, Token);
        Directory.CreateDirectory(Path.Combine(_root, "certs"));
        File.Copy(_server.Certificate!.CertificateFile, Path.Combine(_root, "certs", "ca.crt"));
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _engine.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    private static async Task<ChildResult> RunAsync(string program, params string[] arguments)
    {
        Assert.SkipUnless(File.Exists(program), $"{program} is not installed");
        return await ChildProcess.RunAsync(new ChildStart { Program = program, Arguments = arguments }, cancellationToken: Token);
    }

    // An OCI layout with one image of one layer.
    private async Task<(string Layout, Digest Manifest)> MakeLayoutAsync()
    {
        string layout = Path.Combine(_root, "layout");
        Directory.CreateDirectory(Path.Combine(layout, "blobs", "sha256"));
        byte[] layer = new byte[10_240]; // an empty tar
        ImageConfig config = new() { Architecture = "amd64", Os = "linux", RootFs = new RootFs("layers", [Digest.Of(layer)]) };
        byte[] configuration = OciJson.Serialize(config);
        byte[] manifest = OciJson.Serialize(new ImageManifest(Describe(MediaTypes.OciConfig, configuration), [Describe(MediaTypes.OciLayer, layer)]) { MediaType = MediaTypes.OciManifest });
        foreach (byte[] blob in (byte[][])[layer, configuration, manifest])
        {
            await File.WriteAllBytesAsync(Path.Combine(layout, "blobs", "sha256", Digest.Of(blob).Hex.ToString()), blob, Token);
        }
        await File.WriteAllBytesAsync(Path.Combine(layout, "index.json"), OciJson.Serialize(new ImageIndex([Describe(MediaTypes.OciManifest, manifest)]) { MediaType = MediaTypes.OciIndex }), Token);
        await File.WriteAllBytesAsync(Path.Combine(layout, "oci-layout"), Encoding.ASCII.GetBytes("""{"imageLayoutVersion":"1.0.0"}"""), Token);
        return (layout, Digest.Of(manifest));

        static Descriptor Describe(string type, byte[] content) => new(type, Digest.Of(content), content.Length);
    }

    [Fact]
    public async Task Skopeo_pushes_with_a_name_and_reads_without_one_where_it_may()
    {
        (string layout, Digest manifest) = await MakeLayoutAsync();
        string certificates = Path.Combine(_root, "certs");
        foreach (string repository in (string[])["public/app", "private/app"])
        {
            ChildResult push = await RunAsync("/usr/bin/skopeo", "copy", "--preserve-digests", "--dest-cert-dir", certificates, "--dest-creds", "alice:secret", $"oci:{layout}", $"docker://{_server.Address}/{repository}:1");
            Assert.True(push.ExitCode == 0, push.ErrorText);
        }
        ChildResult wrong = await RunAsync("/usr/bin/skopeo", "inspect", "--cert-dir", certificates, "--creds", "alice:wrong", $"docker://{_server.Address}/public/app:1");
        Assert.NotEqual(0, wrong.ExitCode);
        ChildResult anonymous = await RunAsync("/usr/bin/skopeo", "inspect", "--cert-dir", certificates, "--no-creds", "--format", "{{.Digest}}", $"docker://{_server.Address}/public/app:1");
        Assert.Equal((0, manifest.ToString()), (anonymous.ExitCode, anonymous.OutputText));
        ChildResult hidden = await RunAsync("/usr/bin/skopeo", "inspect", "--cert-dir", certificates, "--no-creds", $"docker://{_server.Address}/private/app:1");
        Assert.NotEqual(0, hidden.ExitCode);
        Assert.Contains("unauthorized", hidden.ErrorText, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Skopeo_pulls_through_a_registry_that_fetches_and_the_digests_are_equal()
    {
        (string layout, Digest manifest) = await MakeLayoutAsync();
        using Engine origin = Engine.Open(new EngineOptions { Root = Path.Combine(_root, "origin") }), cache = Engine.Open(new EngineOptions { Root = Path.Combine(_root, "cache") });
        RegistryServer upstream = await RegistryServer.StartAsync(origin, "127.0.0.1:0", cancellationToken: Token);
        await using RegistryServer proxy = await RegistryServer.StartAsync(cache, "127.0.0.1:0", new RegistryServerOptions { Upstreams = [new RegistryUpstream("up", new Uri($"http://{upstream.Address}"))] }, Token);
        await using (upstream)
        {
            ChildResult push = await RunAsync("/usr/bin/skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", $"oci:{layout}", $"docker://{upstream.Address}/app:1");
            Assert.True(push.ExitCode == 0, push.ErrorText);
            ChildResult pull = await RunAsync("/usr/bin/skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", $"docker://{proxy.Address}/up/app:1", $"oci:{Path.Combine(_root, "pulled")}:1");
            Assert.True(pull.ExitCode == 0, pull.ErrorText);
        }
        Assert.True(File.Exists(Path.Combine(_root, "pulled", "blobs", "sha256", manifest.Hex.ToString())));
        ChildResult again = await RunAsync("/usr/bin/skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", $"docker://{proxy.Address}/up/app:1");
        Assert.Equal((0, manifest.ToString()), (again.ExitCode, again.OutputText));
        Assert.Empty(await cache.CheckAsync(deep: true, repair: false, Token));
    }
}
