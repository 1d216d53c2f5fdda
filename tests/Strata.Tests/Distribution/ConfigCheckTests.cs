using Strata.Distribution;
using Xunit;

namespace Strata.Tests.Distribution;

/// <summary>What people paste, and what they meant.</summary>
public sealed class ConfigCheckTests
{
    [Theory]
    [InlineData("daemon.json", "{\n  \"registry-mirrors\": [\n    \"https://a.example\"\n    \"https://b.example\"\n    \"https://c.example\"\n  ]\n",
        "{\n  \"registry-mirrors\": [\n    \"https://a.example\",\n    \"https://b.example\",\n    \"https://c.example\"\n  ]\n}\n", "daemon.json:4:5: a comma is missing before this", "daemon.json:5:5: a comma is missing before this", "daemon.json:7:1: the closing } is missing")]
    [InlineData("daemon.json", "{\"registry-mirrors\":[\"https://a\" \"https://b\"]", "{\"registry-mirrors\":[\"https://a\", \"https://b\"]}", "daemon.json:1:34: a comma is missing before this", "daemon.json:1:46: the closing } is missing")]
    [InlineData("daemon.json", "{\"registry-mirrors\":[\"m.example.com\", \"127.0.0.1:5000\"]}", "{\"registry-mirrors\":[\"https://m.example.com\", \"http://127.0.0.1:5000\"]}",
        "daemon.json:1:22: mirror 'm.example.com' has no scheme", "daemon.json:1:39: mirror '127.0.0.1:5000' has no scheme")]
    [InlineData("daemon.json", "{\"debug\": true,}", "{\"debug\": true}", "daemon.json:1:16: there is nothing behind the last comma")]
    [InlineData("daemon.json", "{\u201Cdebug\u201D: true}", "{\"debug\": true}", "daemon.json:1:2: here are quotes, commas or colons of a word processor")]
    [InlineData("daemon.json", "{\n \"debug\": true // why\n}", "{\n \"debug\": true \n}", "daemon.json:2:16: JSON has no comments")]
    [InlineData("daemon.json", "{\n \"debug\" true\n}", "{\n \"debug\": true\n}", "daemon.json:2:10: a colon is missing before this")]
    [InlineData("registries.json", "{\"registries\":{\"docker.io\":{\"mirrors\":[\"m\" \"https://n\"]}}}", "{\"registries\":{\"docker.io\":{\"mirrors\":[\"https://m\", \"https://n\"]}}}", "registries.json:1:40: mirror 'm' has no scheme", "registries.json:1:44: a comma is missing before this")]
    [InlineData("strata.toml", "[registries.\"docker.io\"]\nmirrors = [\"https://a\" \"https://b\"]\n", "[registries.\"docker.io\"]\nmirrors = [\"https://a\", \"https://b\"]\n", "strata.toml:2:24: a comma is missing before this")]
    [InlineData("strata.toml", "[registries.\"docker.io\"]\nmirrors = [\"https://a\"\n", "[registries.\"docker.io\"]\nmirrors = [\"https://a\"\n]\n", "strata.toml:3:1: the closing ] is missing")]
    [InlineData("strata.toml", "[registries.\"h:1\"]\ninsecure true\n", "[registries.\"h:1\"]\ninsecure = true\n", "strata.toml:2:10: an equals sign is missing before this")]
    public void The_corrected_text_is_shown(string name, string text, string corrected, params string[] mistakes)
    {
        ConfigCheck check = ConfigCheck.Check(text, name);
        Assert.Equal(mistakes, check.Mistakes.Select(m => $"{m.Place}: {m.Message}"));
        Assert.Equal(corrected, check.Corrected);
        Assert.Empty(ConfigCheck.Check(check.Corrected!, name).Mistakes);
    }

    [Theory]
    [InlineData("strata.toml", "[registries.\"h:1\"]\ninsecur = true", "strata.toml:2:1: 'insecur' is not known here")]
    [InlineData("hosts.toml", "[host.\"m.example.com/?x\"]", "hosts.toml:1:7: 'm.example.com/?x' is not the address of a registry")]
    [InlineData("registries.conf", "[[registry]]\nlocation = \"https://h\"\nprefix = \"x\"", "registries.conf:2:12: location 'https://h' is no host and path")]
    [InlineData("registries.conf", "[[registry]]\nblocked = true", "registries.conf:1:1: a registry has a prefix or a location; only prefixes that begin with *. do without a location")]
    [InlineData("x.json", "hello", "x.json:1:1: ")]
    public void What_was_meant_is_not_always_known(string name, string text, string mistake)
    {
        ConfigCheck check = ConfigCheck.Check(text, name);
        Assert.StartsWith(mistake, Assert.Single(check.Mistakes.Select(m => $"{m.Place}: {m.Message}")), StringComparison.Ordinal);
        Assert.Null(check.Corrected);
    }

    [Theory]
    [InlineData("daemon.json", "{\"registry-mirrors\":[\"https://a\"],\"data-root\":\"/x\"}")]
    [InlineData("hosts.toml", "server = \"https://h\"\n[host.\"https://m\"]\ncapabilities = [\"pull\"]")]
    [InlineData("registries.conf", "unqualified-search-registries = [\"docker.io\"]\n[[registry]]\nlocation = \"h\"\n[[registry.mirror]]\nlocation = \"m:5000/x\"")]
    [InlineData("strata.toml", "")]
    public void What_is_right_is_left_alone(string name, string text)
    {
        ConfigCheck check = ConfigCheck.Check(text, name);
        Assert.Empty(check.Mistakes);
        Assert.Null(check.Corrected);
    }
}
