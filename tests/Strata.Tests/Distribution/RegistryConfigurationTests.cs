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
    [InlineData("{\"registries\":{\"docker.io\":{\"mirror\":[]}}}", "f.json:1:", null)]
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
    public void Passwords_are_found_by_registry(string json, string registry, string? expected)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, json);
            Credential? credential = CredentialStore.FromFile(path).Find(registry);
            Assert.Equal(expected, credential is null ? null : $"{credential.UserName}:{credential.Password}");
            Assert.DoesNotContain("pw", credential?.ToString() ?? "", StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static RegistryConfiguration Parse(string json) => RegistryConfiguration.Parse(Encoding.UTF8.GetBytes(json), "f.json");
}
