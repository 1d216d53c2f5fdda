using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Strata.IntegrationTests.Reliability;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Seeds;

/// <summary>Rows A4, A5, E and F5 to F8 of the checklist: registries, mirrors, lists and search.</summary>
public sealed class RegistrySeeds(SeedStore store) : IDisposable
{
    private const string PrivateAddress = "192.168.164.129:8080";
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-registry-seeds-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => FileSystems.RemoveTree(_folder);

    [Fact]
    public async Task A4_A5_E6_E9_E10_official_images_come_from_the_first_mirror_that_has_them()
    {
        await using RegistryProcess good = await RegistryProcess.StartAsync(Path.Combine(_folder, "good"), Token);
        await using RegistryProcess empty = await RegistryProcess.StartAsync(Path.Combine(_folder, "empty"), Token);
        foreach ((string id, string tag) in ((string, string)[])[("ubuntu", "18.04"), ("ubuntu", "14.04"), ("debian", "bookworm"), ("centos", "latest"), ("alpine", "latest")])
        {
            string name = $"{good.Address}/library/{id}:{tag}";
            store.MakeBusybox(name, id, ("etc/release-of-" + tag, tag));
            store.Run("push", name).Ok();
        }
        string dead = $"127.0.0.1:{FreePort()}", config = Path.Combine(_folder, "daemon.json"), root = Path.Combine(_folder, "store");
        File.WriteAllText(config, $$"""{ "registry-mirrors": ["http://{{dead}}", "http://{{empty.Address}}", "http://{{good.Address}}"] }""");
        Task<Outcome> Run(params string[] arguments) => Programs.RunAsync(SeedStore.Binary, ["STRATA_CONFIG=" + config], ["--root", root, .. arguments]);

        Outcome pull = (await Run("pull", "-v", "ubuntu:18.04")).Ok();
        Assert.Equal("18.04: Pulling from library/ubuntu", pull.Lines[0]);
        Assert.EndsWith(": Pull complete", pull.Lines[1], StringComparison.Ordinal);
        Assert.Matches("^Digest: sha256:[0-9a-f]{64}$", pull.Lines[2]);
        Assert.Equal(["Status: Downloaded newer image for ubuntu:18.04", "docker.io/library/ubuntu:18.04"], pull.Lines[3..]);
        string[] asked = [.. pull.Err.Split('\n').Where(l => l.Contains("/manifests/18.04", StringComparison.Ordinal))];
        Assert.Contains($"http://{dead}/v2/library/ubuntu/manifests/18.04 Connection refused", asked[0], StringComparison.Ordinal);
        Assert.Contains($"http://{empty.Address}/v2/library/ubuntu/manifests/18.04 404", asked[1], StringComparison.Ordinal);
        Assert.Contains($"http://{good.Address}/v2/library/ubuntu/manifests/18.04 200", asked[2], StringComparison.Ordinal);

        foreach (string name in (string[])["ubuntu:14.04", "debian:bookworm", "alpine"])
        {
            (await Run("pull", "-q", name)).Ok();
        }
        Assert.Equal("docker.io/library/centos:latest", (await Run("pull", "-q", "centos")).Ok().Out.Trim());
        foreach ((string id, string name) in ((string, string)[])[("ubuntu", "ubuntu:18.04"), ("debian", "debian:bookworm"), ("centos", "centos"), ("alpine", "alpine")])
        {
            Assert.Contains($"ID={id}\n", (await Run("run", "--rm", "--network", "none", name, "cat", "/etc/os-release")).Ok().Out, StringComparison.Ordinal);
        }
        string[] rows = (await Run("images", "ubuntu")).Ok().Lines;
        Assert.Equal(3, rows.Length);
        Assert.StartsWith("REPOSITORY", rows[0], StringComparison.Ordinal);
        string[][] cells = [.. rows[1..].Select(r => r.Split(' ', StringSplitOptions.RemoveEmptyEntries)).OrderBy(c => c[1], StringComparer.Ordinal)];
        Assert.Equal([("ubuntu", "14.04"), ("ubuntu", "18.04")], cells.Select(c => (c[0], c[1])));
        Assert.NotEqual(cells[0][2], cells[1][2]);
        // Not there, neither: the registry itself is asked last, and cannot be reached.
        Outcome missing = (await Run("pull", "-v", "nothing:1")).Fails(1);
        Assert.Contains("docker.io", missing.Err, StringComparison.Ordinal);
    }

    [Fact]
    public async Task E1_to_E5_E11_a_private_registry_in_a_network_of_its_own()
    {
        string space = $"strata-{Guid.NewGuid():n}"[..20];
        SeedStore.Exec("ip", null, "netns", "add", space).Ok();
        try
        {
            SeedStore.Exec("ip", null, "-n", space, "link", "set", "lo", "up").Ok();
            SeedStore.Exec("ip", null, "-n", space, "addr", "add", PrivateAddress.Split(':')[0] + "/24", "dev", "lo").Ok();
            await UseAsync(space);
        }
        finally
        {
            SeedStore.Exec("ip", null, "netns", "delete", space).Ok();
        }
    }

    [Fact]
    public void E7_F5_mirrors_without_commas_are_refused_with_the_corrected_text_and_nothing_runs_half_configured()
    {
        const string Snippet = "{\n  \"registry-mirrors\": [\n    \"https://docker.mirrors.ustc.edu.cn\"\n    \"https://hub-mirror.c.163.com\"\n    \"https://mirror.baidubce.com\"\n  ]\n}\n";
        string file = Path.Combine(_folder, "daemon.json"), corrected = Snippet.Replace("\"\n    \"", "\",\n    \"", StringComparison.Ordinal);
        File.WriteAllText(file, Snippet);
        Outcome check = store.Run("config", "check", file).Answers(3);
        Assert.StartsWith($"{file}:4:5: a comma is missing", check.Err, StringComparison.Ordinal);
        Assert.Equal(corrected.Trim(), check.Out.Trim());
        File.WriteAllText(file, corrected);
        store.Run("config", "check", file).Ok();
        File.WriteAllText(file, Snippet);
        Outcome pull = SeedStore.Exec("env", null, "STRATA_CONFIG=" + file, SeedStore.Binary, "--root", Path.Combine(_folder, "half"), "pull", "ubuntu:18.04").Fails(1);
        Assert.Contains($"{file}:4:5: ", pull.Err, StringComparison.Ordinal);
    }

    [Fact]
    public void F6_a_mirror_without_a_scheme_is_said_to_be_one()
    {
        string config = Path.Combine(_folder, "daemon.json");
        File.WriteAllText(config, """{ "registry-mirrors": ["hub-mirror.c.163.com"] }""");
        Outcome check = store.Run("config", "check", config).Answers(3);
        Assert.Contains($"{config}:1:24: mirror 'hub-mirror.c.163.com' has no scheme", check.Err, StringComparison.Ordinal);
        Assert.Contains("\"https://hub-mirror.c.163.com\"", check.Out, StringComparison.Ordinal);
    }

    private async Task UseAsync(string space)
    {
        string served = Path.Combine(_folder, "srv"), root = Path.Combine(_folder, "client"), config = Path.Combine(_folder, "strata.toml"), name = PrivateAddress + "/nginx:1.0";
        Task<Outcome> Run(string[] environment, params string[] arguments)
            => Programs.RunAsync("ip", environment, ["netns", "exec", space, SeedStore.Binary, "--root", root, .. arguments]);
        Task<Outcome> Curl(string path) => Programs.RunAsync("ip", [], "netns", "exec", space, "curl", "-s", "-o", "-", "-w", "\n%{http_code}", $"http://{PrivateAddress}{path}");
        string tar = Path.Combine(_folder, "nginx.tar");
        store.Run("save", "-o", tar, store.MakeBusybox("nginx:latest", "nginx")).Ok();
        (await Run([], "load", "-i", tar)).Ok();

        using ChildProcess registry = ChildProcess.Start(Programs.Start("ip", [], ["netns", "exec", space, SeedStore.Binary, "--root", served, "registry", "serve", "--addr", "0.0.0.0:8080"]));
        try
        {
            for (int i = 0; (await Curl("/v2/")).Out.Trim().Split('\n')[^1] != "200"; i++)
            {
                Assert.True(i < 100, "the registry does not answer"); // E1
                await Task.Delay(100, Token);
            }
            long before = FileSystems.GetDiskUsage(root);
            (await Run([], "tag", "nginx:latest", name)).Ok(); // E2
            string[] ids = [.. (await Run([], "images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")).Ok().Lines];
            Assert.Equal(2, ids.Length);
            Assert.Single(ids.Select(l => l.Split(' ')[1]).Distinct());
            Assert.InRange(FileSystems.GetDiskUsage(root) - before, 0, 64 << 10); // a name and its folders

            Outcome refused = (await Run([], "push", name)).Fails(1); // E5
            string setting = $"registries.\"{PrivateAddress}\".insecure = true";
            Assert.Contains(setting, refused.Err, StringComparison.Ordinal);
            File.WriteAllText(config, setting + "\n");
            string[] plain = ["STRATA_CONFIG=" + config];
            string pushed = (await Run(plain, "push", name)).Ok().Lines[^1]; // E3
            Assert.Matches("^1.0: digest: sha256:[0-9a-f]{64} size: [0-9]+$", pushed);
            string digest = pushed.Split(' ')[2];
            Assert.Contains("\"nginx\"", (await Curl("/v2/_catalog")).Out, StringComparison.Ordinal);
            using (JsonDocument tags = JsonDocument.Parse((await Curl("/v2/nginx/tags/list")).Out.Trim().Split('\n')[0]))
            {
                Assert.Equal("1.0", Assert.Single(tags.RootElement.GetProperty("tags").EnumerateArray()).GetString());
            }
            (await Run(plain, "rmi", name, "nginx:latest")).Ok(); // E4
            Assert.Contains($"Digest: {digest}", (await Run(plain, "pull", name)).Ok().Out, StringComparison.Ordinal);
            Outcome skopeo = (await Programs.RunAsync("ip", [], "netns", "exec", space, "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", $"docker://{name}")).Ok();
            Assert.Equal(digest, skopeo.Out.Trim());

            Outcome search = (await Run(plain, "search", PrivateAddress + "/ngi")).Ok(); // E11
            Assert.Equal(["NAME", "DESCRIPTION", "STARS", "OFFICIAL"], search.Lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries));
            Assert.StartsWith("nginx ", search.Lines[1], StringComparison.Ordinal);

            Outcome official = (await Run(plain, "push", "nginx")).Fails(1); // no such image here
            Assert.Contains("nginx", official.Err, StringComparison.Ordinal);
            (await Run(plain, "tag", name, "nginx")).Ok();
            official = (await Run(plain, "push", "nginx")).Fails(1); // F8
            Assert.Contains("a name without a registry goes to docker.io/library", official.Err, StringComparison.Ordinal);
            Assert.Contains("strata tag nginx:latest HOST:PORT/nginx:latest", official.Err, StringComparison.Ordinal);
        }
        finally
        {
            registry.Kill(15);
            await registry.WaitAsync(Token);
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
