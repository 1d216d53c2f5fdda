using System.Net;
using System.Net.Sockets;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Strata.Oci;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>The executable pushes to and pulls from Debian's docker-registry, with and without its htpasswd login; skopeo says which digest is there.</summary>
public sealed class DockerRegistryTests : IDisposable
{
    // htpasswd -nbB -C 4 alice secret
    private const string Passwords = "alice:$2y$04$GhnpbM13mktp13t9oBMqq.dtsXvjr5evpJd951Qm7aYP2SeJQ.Q2K\n";
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-peer-").FullName;
    private ChildProcess? _registry;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _registry?.Kill(15);
        _registry?.Wait();
        _registry?.Dispose();
        FileSystems.RemoveTree(_folder);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task We_push_to_and_pull_from_docker_registry_and_the_digests_are_equal(bool login)
    {
        string address = await StartAsync(login), root = Path.Combine(_folder, "author"), tar = Path.Combine(_folder, "root.tar"), name = $"{address}/team/app:1", copy = $"{address}/copy/app:1";
        File.WriteAllText(Path.Combine(_folder, "greeting"), "hello");
        SeedStore.Exec("tar", null, "-C", _folder, "-cf", tar, "greeting").Ok();
        Outcome Strata(string? input, string store, params string[] arguments)
            => SeedStore.Exec("env", input, ["DOCKER_CONFIG=" + Path.Combine(_folder, "docker"), "STRATA_CONFIG=/dev/null", SeedStore.Binary, "--root", store, .. arguments]);
        Strata(null, root, "import", tar, name).Ok();
        if (login)
        {
            Assert.Contains("log in first", Strata(null, root, "push", name).Fails(1).Err, StringComparison.Ordinal);
            Strata("wrong", root, "login", "--username", "alice", "--password-stdin", address).Fails(1);
            Strata("secret", root, "login", "--username", "alice", "--password-stdin", address).Ok();
        }
        string digest = Strata(null, root, "push", name).Ok().Lines[^1].Split(' ')[2];
        string[] credentials = login ? ["--creds", "alice:secret"] : ["--no-creds"];
        string SkopeoDigest(string image) => SeedStore.Exec("skopeo", null, ["inspect", "--tls-verify=false", .. credentials, "--format", "{{.Digest}}", "docker://" + image]).Ok().Out.Trim();
        Assert.Equal(digest, SkopeoDigest(name));
        Assert.Equal(digest, Strata(null, root, "push", name).Ok().Lines[^1].Split(' ')[2]); // once more: all is there

        string reader = Path.Combine(_folder, "reader");
        Assert.Contains($"Digest: {digest}\n", Strata(null, reader, "pull", name).Ok().Out, StringComparison.Ordinal);
        Strata(null, reader, "verify", name).Ok();
        Strata(null, Path.Combine(_folder, "by-digest"), "pull", $"{address}/team/app@{digest}").Ok();
        Strata(null, reader, "copy", name, copy).Ok();
        Assert.Equal(digest, SkopeoDigest(copy));
        Assert.Equal(Digest.Parse(digest), Digest.Of(File.ReadAllBytes(Path.Combine(reader, "blobs/sha256", digest[7..9], digest[7..]))));
        if (login)
        {
            Strata(null, root, "logout", address).Ok();
            Strata(null, Path.Combine(_folder, "stranger"), "pull", name).Fails(1);
        }
    }

    private async Task<string> StartAsync(bool login)
    {
        int port;
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }
        string config = Path.Combine(_folder, "registry.yml"), passwords = Path.Combine(_folder, "passwords");
        File.WriteAllText(passwords, Passwords);
        string auth = login ? $"auth: {{ htpasswd: {{ realm: test, path: {passwords} }} }}\n" : "";
        File.WriteAllText(config, $"version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\nstorage:\n  filesystem: {{ rootdirectory: {_folder}/registry }}\n{auth}http: {{ addr: 127.0.0.1:{port} }}\n");
        _registry = ChildProcess.Start(new ChildStart { Program = ChildProcess.FindProgram("docker-registry") ?? throw new InvalidOperationException("docker-registry is not installed"), Arguments = ["serve", config] });
        for (int i = 0; ; i++)
        {
            try
            {
                using var client = new TcpClient();
                await client.ConnectAsync(IPAddress.Loopback, port, Token);
                return $"127.0.0.1:{port}";
            }
            catch (SocketException) when (i < 200)
            {
                await Task.Delay(50, Token);
            }
        }
    }
}
