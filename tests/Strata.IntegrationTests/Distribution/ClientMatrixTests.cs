using Strata.IntegrationTests.Seeds;
using Strata.Oci;
using Xunit;
using Registry = Strata.IntegrationTests.Distribution.ClientNetwork.Registry;

namespace Strata.IntegrationTests.Distribution;

/// <summary>
/// docker, podman, buildah, skopeo and containerd's ctr as Debian has them pull from and push to <c>strata registry serve</c>, by http and by TLS (an
/// authority's certificate, and the registry's own), with and without a login: the digest that the client shows, ours and the registry's are one.
/// </summary>
public sealed class ClientMatrixTests(ClientNetwork network) : IClassFixture<ClientNetwork>
{
    /// <summary>Client, TLS, login.</summary>
    public static TheoryData<string, bool, bool> Rows()
    {
        var rows = new TheoryData<string, bool, bool>();
        foreach (string client in (string[])["docker", "podman", "buildah", "skopeo", "ctr"])
        {
            foreach ((bool tls, bool login) in ((bool, bool)[])[(false, false), (false, true), (true, false), (true, true)])
            {
                rows.Add(client, tls, login);
            }
        }
        return rows;
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Unmodified_clients_pull_and_push_and_all_see_one_digest(string client, bool tls, bool login) => PullAndPush(client, ClientNetwork.Of(tls, login));

    [Theory]
    [InlineData("docker")]
    [InlineData("podman")]
    [InlineData("buildah")]
    [InlineData("skopeo")]
    [InlineData("ctr")]
    public void Clients_that_show_their_certificate_are_let_in_where_one_is_asked_for(string client) => PullAndPush(client, Registry.Mutual);

    [Fact]
    public void Who_shows_no_certificate_is_not_let_in_where_one_is_asked_for()
    {
        Outcome refused = network.Exec(null, "curl", "-sS", "--cacert", network.CertificateOf(Registry.Mutual), $"https://{ClientNetwork.Address(Registry.Mutual)}/v2/");
        Assert.True(refused.Code != 0 && refused.Out.Length == 0, refused.Out); // in the handshake, or (TLS 1.3) at the first read after it
        Assert.True(network.Ctr("images", "pull", "--tlscacert", network.CertificateOf(Registry.Mutual), ClientNetwork.Address(Registry.Mutual) + "/seed:1").Code != 0);
    }

    // What --lan tells its operator to do.
    [Fact]
    public void Containerd_takes_a_certificate_from_its_folder_of_hosts()
    {
        string hosts = network.New("hosts"), address = ClientNetwork.Address(Registry.TlsOpen);
        Directory.CreateDirectory(Path.Combine(hosts, address));
        File.Copy(network.CertificateOf(Registry.TlsOpen), Path.Combine(hosts, address, "ca.crt"));
        network.Ctr("images", "pull", "--hosts-dir", hosts, "--snapshotter", "native", address + "/seed:1").Ok();
        Assert.Equal(network.SeedDigest, CtrDigest(address + "/seed:1"));
    }

    private void PullAndPush(string client, Registry registry)
    {
        string seed = $"{ClientNetwork.Address(registry)}/seed:1", pushed = $"{ClientNetwork.Address(registry)}/from/{client}:1";
        (string pulledDigest, string pushedDigest) = client switch
        {
            "docker" => Docker(seed, pushed),
            "podman" => Podman(registry, seed, pushed),
            "buildah" => Buildah(registry, seed, pushed),
            "skopeo" => Skopeo(registry, seed, pushed),
            _ => Ctr(registry, seed, pushed),
        };
        Assert.Equal(network.SeedDigest, pulledDigest);
        string root = network.New("reader");
        Assert.Contains($"Digest: {pushedDigest}\n", network.Strata(root, "pull", pushed).Ok().Out, StringComparison.Ordinal);
        network.Strata(root, "verify", pushed).Ok();
        if (client is "skopeo" or "ctr")
        {
            Assert.Equal(network.SeedDigest, pushedDigest); // they copy, and pack nothing anew
        }
    }

    private (string Pulled, string Pushed) Docker(string seed, string pushed)
    {
        string pull = network.Docker("pull", seed).Ok().Out;
        network.Docker("tag", seed, pushed).Ok();
        string push = network.Docker("push", pushed).Ok().Lines[^1];
        network.Docker("rmi", "-f", seed, pushed).Ok();
        return (pull.Split('\n').Single(l => l.StartsWith("Digest: ", StringComparison.Ordinal))["Digest: ".Length..], push.Split(' ')[2]);
    }

    private (string Pulled, string Pushed) Podman(Registry registry, string seed, string pushed)
    {
        string file = network.New("digest");
        network.Podman(["pull", "-q", .. Options(registry), seed]).Ok();
        string digest = network.Podman("image", "inspect", "--format", "{{.Digest}}", seed).Ok().Out.Trim();
        network.Podman(["push", "-q", .. Options(registry), "--digestfile", file, seed, pushed]).Ok();
        return (digest, File.ReadAllText(file).Trim());
    }

    private (string Pulled, string Pushed) Buildah(Registry registry, string seed, string pushed)
    {
        string file = network.New("digest");
        network.Buildah(["pull", "-q", .. Options(registry), seed]).Ok();
        string digest = network.Buildah("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", seed).Ok().Out.Trim();
        network.Buildah(["push", "-q", .. Options(registry), "--digestfile", file, seed, "docker://" + pushed]).Ok();
        return (digest, File.ReadAllText(file).Trim());
    }

    private (string Pulled, string Pushed) Skopeo(Registry registry, string seed, string pushed)
    {
        string folder = network.New("pulled"), file = network.New("digest");
        string[] credentials = ClientNetwork.HasLogin(registry) ? ["--src-creds", "alice:secret"] : [];
        string verify = ClientNetwork.HasTls(registry) ? "true" : "false";
        network.Skopeo(["copy", "-q", $"--src-tls-verify={verify}", .. credentials, "docker://" + seed, "dir:" + folder]).Ok();
        network.Skopeo(["copy", "-q", "--authfile", network.AuthFile, $"--src-tls-verify={verify}", $"--dest-tls-verify={verify}", "--digestfile", file, "docker://" + seed, "docker://" + pushed]).Ok();
        return (Digest.Of(File.ReadAllBytes(Path.Combine(folder, "manifest.json"))).ToString(), File.ReadAllText(file).Trim());
    }

    private (string Pulled, string Pushed) Ctr(Registry registry, string seed, string pushed)
    {
        string[] way = registry switch
        {
            Registry.Open => ["--plain-http"],
            Registry.TlsOpen => ["--tlscacert", network.CertificateOf(registry)],
            _ => ["--hosts-dir", network.HostsFolder, "--user", "alice:secret"],
        };
        network.Ctr(["images", "pull", .. way, "--snapshotter", "native", seed]).Ok();
        string digest = CtrDigest(seed);
        network.Ctr("images", "tag", seed, pushed).Ok();
        network.Ctr(["images", "push", .. way, pushed]).Ok();
        return (digest, CtrDigest(pushed));
    }

    private string CtrDigest(string name)
        => network.Ctr("images", "ls", $"name=={name}").Ok().Lines[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries)[2];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Without_the_password_no_client_gets_in(bool tls)
    {
        Registry registry = ClientNetwork.Of(tls, login: true);
        string seed = $"{ClientNetwork.Address(registry)}/seed:1", verify = $"--tls-verify={(tls ? "true" : "false")}", empty = network.New("empty");
        Directory.CreateDirectory(empty);
        foreach (Outcome refused in (Outcome[])
        [
            network.Exec(null, "docker", "--config", empty, "pull", seed),
            network.Podman("pull", "-q", verify, "--creds", "alice:wrong", seed),
            network.Buildah("pull", "-q", "--policy", "always", verify, "--creds", "alice:wrong", seed),
            network.Skopeo("inspect", verify, "--no-creds", "docker://" + seed),
            network.Ctr("images", "pull", "--hosts-dir", network.HostsFolder, "--user", "alice:wrong", seed),
            network.Exec(null, "env", "DOCKER_CONFIG=" + empty, SeedStore.Binary, "--root", network.New("stranger"), "pull", seed),
        ])
        {
            Assert.True(refused.Code != 0, refused.Command);
            Assert.Matches("(?i)unauthorized|no basic auth credentials|authentication required|log in first|401", refused.Err + refused.Out);
        }
    }

    [Fact]
    public void A_certificate_that_nobody_vouches_for_is_refused_by_every_client()
    {
        string seed = $"{ClientNetwork.Address(Registry.TlsOpen)}/seed:1";
        Outcome refused = network.Ctr("images", "pull", seed);
        Assert.True(refused.Code != 0, refused.Command);
        Assert.Contains("certificate", refused.Err, StringComparison.Ordinal);
        refused = network.Exec(null, "curl", "-sS", $"https://{ClientNetwork.Address(Registry.TlsLogin)}/v2/");
        Assert.Equal(60, refused.Code); // CURLE_PEER_FAILED_VERIFICATION
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Docker_search_finds_what_is_here(bool tls)
    {
        string[] found = network.Docker("search", ClientNetwork.Address(ClientNetwork.Of(tls, login: false)) + "/see").Ok().Lines;
        Assert.Equal(["NAME", "DESCRIPTION", "STARS", "OFFICIAL"], found[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)[..4]);
        Assert.StartsWith("seed ", found[1], StringComparison.Ordinal);
    }

    // containerd says with ns= which registry it means when it asks a mirror.
    [Fact]
    public void Containerd_pulls_another_registrys_image_from_ours_as_its_mirror()
    {
        string hosts = Path.Combine(network.HostsFolder, "registry.example"), address = ClientNetwork.Address(Registry.Open);
        Directory.CreateDirectory(hosts);
        File.WriteAllText(Path.Combine(hosts, "hosts.toml"), $"server = \"https://registry.example\"\n[host.\"http://{address}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
        network.Ctr("images", "pull", "--hosts-dir", network.HostsFolder, "--snapshotter", "native", "registry.example/seed:1").Ok();
        Assert.Equal(network.SeedDigest, CtrDigest("registry.example/seed:1"));
    }

    private string[] Options(Registry registry)
        => ["--authfile", network.AuthFile, $"--tls-verify={(ClientNetwork.HasTls(registry) ? "true" : "false")}"];
}
