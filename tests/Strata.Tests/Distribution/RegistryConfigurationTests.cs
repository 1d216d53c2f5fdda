using System.Text;
using Strata.Distribution;
using Xunit;

namespace Strata.Tests.Distribution;

public sealed class RegistryConfigurationTests
{
    [Fact]
    public void Mirrors_keep_their_order()
    {
        RegistryConfiguration configuration = Parse("""
            { "registries": { "docker.io": { "mirrors": ["http://127.0.0.1:5000", "https://m.example.com/x"], "insecure": false }, "10.0.0.1:8080": { "insecure": true } } }
            """);
        Assert.Equal(["http://127.0.0.1:5000/", "https://m.example.com/x"], configuration.Mirrors["docker.io"].Select(u => u.AbsoluteUri));
        Assert.Equal(["10.0.0.1:8080"], configuration.Insecure);
    }

    [Fact]
    public void Dockers_own_words_are_understood()
    {
        RegistryConfiguration configuration = Parse("""{"registry-mirrors":["https://a","https://b"],"insecure-registries":["h:5000"]}""");
        Assert.Equal(2, configuration.Mirrors["docker.io"].Count);
        Assert.Contains("h:5000", configuration.Insecure);
    }

    [Theory]
    [InlineData("{\n  \"registry-mirrors\": [\n    \"https://a\"\n    \"https://b\"\n  ]\n}", "f.json:4:5: ", "put a comma between the entries")]
    [InlineData("{\n  \"registries\": { \"docker.io\": { \"mirrors\": [\"127.0.0.1:5000\"] } }\n}", "f.json:2:46: mirror '127.0.0.1:5000' has no scheme", "write \"https://127.0.0.1:5000\" (or http:// where it has no TLS)")]
    [InlineData("{\"registries\":{\"docker.io\":{\"mirrors\":[\"https://u:p@a\"]}}}", "f.json:1:40: mirror 'https://u:p@a' is not the address of a registry", "write scheme and host, as in https://mirror.example.com:5000")]
    [InlineData("{\"registries\":{\"https://docker.io\":{}}}", "f.json:1:16: 'https://docker.io' is not the name of a registry", "write host and port, without scheme or path, as in registry.example.com:5000")]
    [InlineData("{\"registries\":{\"docker.io\":{\"mirror\":[]}}}", "f.json:1:29: 'mirror' is not known here", "there are mirrors, insecure, ca, client-cert, client-key, pin")]
    [InlineData("{\"registries\":{},\"registries\":{}}", "f.json:1:", null)]
    [InlineData("", "f.json:1:1: ", null)]
    public void A_mistake_is_shown_where_it_is(string json, string start, string? hint)
    {
        StrataException e = Assert.Throws<StrataException>(() => Parse(json));
        Assert.StartsWith(start, e.Message, StringComparison.Ordinal);
        Assert.Equal(hint, e.Hint);
    }

    [Fact]
    public void A_file_that_is_named_must_be_there()
        => Assert.Equal(ErrorKind.NotFound, Assert.Throws<StrataException>(() => RegistryConfiguration.LoadFile("/nowhere/at/all.json")).Kind);

    [Theory]
    [InlineData("""{"auths":{"h:5000":{"auth":"bWU6cHc="}}}""", "h:5000", "me:pw")]
    [InlineData("""{"auths":{"https://h:5000/v1/":{"auth":"bWU6cDp3"}},"credsStore":"x"}""", "h:5000", "me:p:w")]
    [InlineData("""{"auths":{"https://index.docker.io/v1/":{"username":"me","password":"pw"}}}""", "docker.io", "me:pw")]
    [InlineData("""{"auths":{"h:5000":{"auth":"bWU6cHc="}}}""", "h:5001", null)]
    [InlineData("""{"auths":{"h:5000":{}}}""", "h:5000", null)]
    [InlineData("""{}""", "h:5000", null)]
    public async Task Passwords_are_found_by_registry(string json, string registry, string? expected)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, json);
            Credential? credential = await CredentialStore.FromFile(path).FindAsync(registry, cancellationToken: TestContext.Current.CancellationToken);
            Assert.Equal(expected, credential is null ? null : $"{credential.UserName}:{credential.Password}");
            Assert.DoesNotContain("pw", credential?.ToString() ?? "", StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void The_same_can_be_said_in_TOML()
    {
        RegistryConfiguration configuration = RegistryConfiguration.Parse("""
            # a comment
            registry-mirrors = ["https://last.example.com"]
            registries."10.0.0.1:8080".insecure = true
            [registries."docker.io"]
            mirrors = [
              'http://127.0.0.1:5000', # the nearest
              "https://m.example.com/x",
            ]
            [registries."own.example.com"]
            ca = "ca.pem"
            client-cert = "/etc/me.pem"
            client-key = "me.key"
            """u8, "/cfg/strata.toml");
        Assert.Equal(["http://127.0.0.1:5000/", "https://m.example.com/x", "https://last.example.com/"], configuration.Mirrors["docker.io"].Select(u => u.AbsoluteUri));
        Assert.Equal(["10.0.0.1:8080"], configuration.Insecure);
        Assert.Equal(new TlsFiles { Authorities = ["/cfg/ca.pem"], Certificate = "/etc/me.pem", Key = "/cfg/me.key" }, configuration.Tls["own.example.com"]);
    }

    [Theory]
    [InlineData("a = 1\na = 2", "f.toml:2:1: 'a' stands here twice")]
    [InlineData("[registries]\n\"docker.io\" = { mirror = [] }", "f.toml:2:17: 'mirror' is not known here")]
    [InlineData("registry-mirrors = [\n  \"https://a\"\n  \"https://b\"\n]", "f.toml:3:3: the list ends with ]")]
    [InlineData("[registries.\"docker.io\"]\nmirrors = [\"127.0.0.1:5000\"]", "f.toml:2:12: mirror '127.0.0.1:5000' has no scheme")]
    [InlineData("registries = 3", "f.toml:1:14: 'registries' is a table")]
    [InlineData("registry-mirrors = \"https://a", "f.toml:1:20: this text has no end")]
    [InlineData("[registries.\"docker.io\"", "f.toml:1:24: the header ends with ]")]
    [InlineData("[registries.\"h:1\"]\ninsecure = yes", "f.toml:2:12: 'yes' is no value")]
    [InlineData("[registries.\"h:1\"]\nclient-key = \"k\"", "f.toml:2:14: a client-key without a client-cert")]
    public void A_mistake_in_TOML_is_shown_where_it_is(string toml, string start)
        => Assert.StartsWith(start, Assert.Throws<StrataException>(() => RegistryConfiguration.Parse(Encoding.UTF8.GetBytes(toml), "f.toml")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_name_without_quotes_is_shown_with_them()
        => Assert.Equal("a name with dots stands in quotes: [registries.\"docker.io\"]", Assert.Throws<StrataException>(() => RegistryConfiguration.Parse("[registries.docker.io]"u8, "f.toml")).Hint);

    // Whatever is in a file, it is read or refused, and mending it comes to an end.
    [Fact]
    public void Any_text_is_read_or_refused()
    {
        string[] starts = ["{\"registry-mirrors\":[\"https://a\",\"b\"],\"x\":{\"y\":[1,true,null]}}", "[registries.\"docker.io\"]\nmirrors = [\"https://a\", 'b']\n[[registry]]\nx = {a = 1, b.c = \"\"\"q\\n\"\"\"}\n"];
        const string Letters = "{}[]\",':=#\\\n\r\t .a0\u201C\u0000\u00e9\"\"\"";
        Random random = new(1);
        for (int i = 0; i < 2000; i++)
        {
            StringBuilder text = new(starts[i % 2]);
            for (int edits = random.Next(1, 6); edits > 0; edits--)
            {
                int at = random.Next(text.Length);
                _ = random.Next(3) switch
                {
                    0 => text.Remove(at, 1),
                    1 => text.Insert(at, Letters[random.Next(Letters.Length)]),
                    _ => text.Remove(at, Math.Min(text.Length - at, random.Next(1, 10))),
                };
            }
            ConfigCheck check = ConfigCheck.Check(text.ToString(), i % 2 == 0 ? "daemon.json" : "x.toml");
            Assert.True(check.Corrected is null || ConfigCheck.Check(check.Corrected, i % 2 == 0 ? "daemon.json" : "x.toml").Mistakes.Count == 0, $"{text} became {check.Corrected}");
        }
    }

    [Theory]
    [InlineData("a = \"\\u00e9\\n\"", "é\n")]
    [InlineData("a = '''\nx\\'y'''", "x\\'y")]
    [InlineData("a = \"\"\"x \\\n   y\"\"\"\"", "x y\"")]
    [InlineData("[b.c]\n[a1]\n[[d]]\nx = 1979-05-27T07:32:00Z\ny = { z.w = -1_000.5e3, v = [[1], []] }\n[d.e]\n[[d]]\na = 'no'\n[f]\n[a]\n", null)]
    public void TOML_is_read_as_it_is_written(string toml, string? text)
    {
        ConfigNode root = new TomlConfig(toml).Read();
        Assert.Equal(text, root.Find("a") is { Kind: ConfigKind.Text } node ? node.Text : null);
    }

    [Theory]
    [InlineData("[a]\n[a]")]
    [InlineData("a = {b = 1}\n[a.c]")]
    [InlineData("a = [1]\n[[a]]")]
    [InlineData("a.b = 1\na.b.c = 2")]
    [InlineData("a = 10.0.0.1")]
    [InlineData("a = \"\\q\"")]
    [InlineData("a = 1 b = 2")]
    [InlineData("= 1")]
    public void What_is_no_TOML_is_refused(string toml) => Assert.Throws<ConfigSyntaxException>(() => new TomlConfig(toml).Read());

    private static RegistryConfiguration Parse(string json) => RegistryConfiguration.Parse(Encoding.UTF8.GetBytes(json), "f.json");
}
