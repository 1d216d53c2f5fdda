using Strata.Distribution;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Distribution;

/// <summary>What Docker, containerd and Podman were told holds for us too, where our own files say nothing.</summary>
public sealed class ForeignConfigurationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-config-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Write(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
        return path;
    }

    private RegistryFiles Files => new()
    {
        Own = [Path.Combine(_folder, "strata.toml")], DockerDaemon = Path.Combine(_folder, "daemon.json"), Certificates = [Path.Combine(_folder, "docker-certs")],
        ContainerdHosts = Path.Combine(_folder, "containerd"), ContainersRegistries = [Path.Combine(_folder, "registries.conf")],
    };

    private RegistryEndpoint[] Find(string registry, string? repository = null) => new MirrorMap(RegistryConfiguration.Load(Files), TimeProvider.System).All(registry, repository);

    private static string Show(RegistryEndpoint e, string path = "v2/a/b/manifests/t") => $"{new Uri(e.Address, e.PathOf(path))}{(e.MayBePlain ? " plain" : "")}{(e.IsUnverified ? " unverified" : "")}{(e.IsForDigests ? " digests" : "")}";

    [Fact]
    public void Without_files_there_is_the_registry_alone()
        => Assert.Equal(["https://h.example.com/v2/a/b/manifests/t"], Find("h.example.com").Select(e => Show(e)));

    [Fact]
    public void Docker_s_mirrors_are_for_its_own_hub_and_its_insecure_ones_may_be_networks()
    {
        Write("daemon.json", """{"registry-mirrors":["http://m1:5000","https://m2"],"insecure-registries":["h.example.com:5000","10.0.0.0/8","http://x.example.com"],"log-driver":"x"}""");
        Assert.Equal(["http://m1:5000/v2/a/b/manifests/t plain", "https://m2/v2/a/b/manifests/t", "https://registry-1.docker.io/v2/a/b/manifests/t"], Find("docker.io").Select(e => Show(e)));
        Assert.Equal(["https://h.example.com:5000/v2/a/b/manifests/t plain unverified"], Find("h.example.com:5000").Select(e => Show(e)));
        Assert.Equal(["https://10.1.2.3:80/v2/a/b/manifests/t plain unverified"], Find("10.1.2.3:80").Select(e => Show(e)));
        Assert.Equal(["https://x.example.com/v2/a/b/manifests/t plain unverified"], Find("x.example.com").Select(e => Show(e)));
        Assert.Equal(["https://11.1.2.3/v2/a/b/manifests/t"], Find("11.1.2.3").Select(e => Show(e)));
    }

    [Fact]
    public void Hosts_toml_is_read_in_its_order()
    {
        Write("containerd/h.example.com_5000_/hosts.toml", """
            server = "https://up.example.com"
            [host."http://m1:5000"]
              capabilities = ["pull", "resolve"]
            [host."https://m2/pre"]
              capabilities = ["pull"]
              skip_verify = true
              ca = "m2.crt"
            [host."https://m3/v2/hub"]
              override_path = true
              client = [["/c/me.cert", "/c/me.key"]]
            [host."https://pushonly"]
              capabilities = ["push"]
            """);
        RegistryEndpoint[] all = Find("h.example.com:5000");
        Assert.Equal(["http://m1:5000/v2/a/b/manifests/t plain", "https://m2/pre/v2/a/b/manifests/t unverified digests", "https://m3/v2/hub/a/b/manifests/t", "https://up.example.com/v2/a/b/manifests/t"], all.Select(e => Show(e)));
        Assert.Equal([Path.Combine(_folder, "containerd/h.example.com_5000_/m2.crt")], all[1].Tls!.Authorities);
        Assert.Equal(("/c/me.cert", "/c/me.key"), (all[2].Tls!.Certificate, all[2].Tls!.Key));
    }

    [Fact]
    public void Registries_conf_moves_blocks_and_mirrors_parts()
    {
        Write("registries.conf", """
            unqualified-search-registries = ["docker.io"]
            [[registry]]
            prefix = "h.example.com/team"
            location = "other.example.com/moved"
            mirror-by-digest-only = true
            [[registry.mirror]]
            location = "m.example.com:5000/t"
            insecure = true
            [[registry]]
            location = "h.example.com"
            [[registry]]
            prefix = "*.bad.example.com"
            blocked = true
            """);
        Assert.Equal(["https://m.example.com:5000/v2/t/app/manifests/t plain unverified digests", "https://other.example.com/v2/moved/app/manifests/t"], Find("h.example.com", "team/app").Select(e => Show(e, "v2/team/app/manifests/t")));
        Assert.Equal(["m.example.com:5000", "other.example.com"], Find("h.example.com", "team/app").Select(e => e.CredentialKey)); // a password goes to its own host
        Assert.Equal("repository:moved/app:pull repository:x:pull", Find("h.example.com", "team/app")[^1].ScopeOf("repository:team/app:pull repository:x:pull"));
        Assert.Equal(["https://h.example.com/v2/teams/app/manifests/t"], Find("h.example.com", "teams/app").Select(e => Show(e, "v2/teams/app/manifests/t")));
        StrataException e = Assert.Throws<StrataException>(() => Find("x.bad.example.com", "a"));
        Assert.Equal((ErrorKind.Denied, $"ask x.bad.example.com/a: {_folder}/registries.conf blocks '*.bad.example.com'"), (e.Kind, e.Message));
    }

    [Fact]
    public void The_hub_behind_its_own_name_keeps_its_password()
    {
        Write("containerd/docker.io/hosts.toml", "server = \"https://registry-1.docker.io\"");
        Assert.Equal("registry-1.docker.io", Find("docker.io")[0].CredentialKey);
        Assert.Equal("https://index.docker.io/v1/", CredentialFile.KeyOf("registry-1.docker.io"));
    }

    [Fact]
    public async Task A_part_of_a_registry_that_was_moved_is_asked_for_where_it_is()
    {
        await using FaultServer server = new(r => r.Path == "/v2/moved/app/tags/list" ? new FaultServer.Reply(200, "{\"tags\":[\"t\"]}") : new FaultServer.Reply(404));
        Write("registries.conf", $"[[registry]]\nprefix = \"h.example.com/team\"\nlocation = \"{server.Host}/moved\"");
        using RegistryClient client = new(new RegistryOptions { Files = Files, Credentials = CredentialStore.Empty });
        List<string> tags = [];
        await foreach (string tag in client.GetRepository(ImageReference.Parse("h.example.com/team/app")).ListTagsAsync(TestContext.Current.CancellationToken))
        {
            tags.Add(tag);
        }
        Assert.Equal(["t"], tags);
    }

    [Fact]
    public void Certificates_lie_in_a_folder_for_each_server()
    {
        string authority = Write("docker-certs/h.example.com:5000/ca.crt", ""), certificate = Write("docker-certs/h.example.com:5000/client.cert", ""), key = Write("docker-certs/h.example.com:5000/client.key", "");
        Assert.Equal(new TlsFiles { Authorities = [authority], Certificate = certificate, Key = key }, Find("h.example.com:5000")[0].Tls);
        Assert.Null(Find("h.example.com")[0].Tls);
        File.Delete(key);
        Assert.Equal($"read {certificate}: there is no client.key beside it", Assert.Throws<StrataException>(() => Find("h.example.com:5000")).Message);
    }

    [Fact]
    public void A_wrong_file_is_named_with_its_place_where_it_is_needed_and_only_there()
    {
        Write("daemon.json", "{\n  \"registry-mirrors\": [\n    \"https://a\"\n    \"https://b\"\n  ]\n}");
        Write("strata.toml", "[registries.\"known.example.com\"]");
        StrataException e = Assert.Throws<StrataException>(() => Find("docker.io"));
        Assert.StartsWith($"{_folder}/daemon.json:4:5: ", e.Message, StringComparison.Ordinal);
        Assert.StartsWith($"strata config check {_folder}/daemon.json", e.Hint, StringComparison.Ordinal);
        Assert.Equal(["https://known.example.com/v2/a/b/manifests/t"], Find("known.example.com").Select(x => Show(x)));
    }

    [Fact]
    public void What_our_own_file_says_goes_before_the_others_and_the_later_of_ours_before_the_earlier()
    {
        Write("daemon.json", """{"registry-mirrors":["https://dockers"]}""");
        string machine = Write("machine.toml", "[registries.\"docker.io\"]\nmirrors = [\"https://machine\"]\n[registries.\"h:5000\"]\ninsecure = true"), user = Write("user.toml", "[registries.\"docker.io\"]\nmirrors = [\"https://mine\"]");
        RegistryConfiguration configuration = RegistryConfiguration.Load(Files with { Own = [machine, user, Path.Combine(_folder, "none.toml")] });
        Assert.Equal(["https://mine/"], configuration.Mirrors["docker.io"].Select(m => m.AbsoluteUri));
        Assert.Equal(["https://mine/"], configuration.Find("docker.io", null).Mirrors.Select(m => m.Address.AbsoluteUri));
        Assert.True(configuration.Find("h:5000", null).IsInsecure);
        Assert.Throws<StrataException>(() => RegistryConfiguration.Load(Files with { Own = [Path.Combine(_folder, "none.toml")], MustExist = true }));
    }
}
