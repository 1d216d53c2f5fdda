using System.Text;
using System.Text.Json;
using Strata.Oci;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>Who may do what; bad cases 26 and 27 of the reliability plan.</summary>
public sealed class ServerAccessTests
{
    private const string Rules = """
        { "rules": [
          { "repositories": "team/**",    "users": ["alice"],     "actions": ["read", "write", "delete"] },
          { "repositories": "release/*",  "users": ["bob"],       "actions": ["read", "create"] },
          { "repositories": "public/**",  "users": ["*", "anonymous"], "actions": ["read"] },
          { "repositories": "public/**",  "users": ["alice"],     "actions": ["write"] },
        ] }
        """;

    private static readonly (string, string) s_alice = TestRegistry.Basic("alice", "secret"), s_bob = TestRegistry.Basic("bob", "other");

    private static Task<TestRegistry> StartAsync(bool rules = false, bool anonymousRead = false) => TestRegistry.StartAsync(root => new RegistryServerOptions
    {
        Access = new RegistryAccessOptions
        {
            HtpasswdFile = TestRegistry.Write(root, "passwords", TestRegistry.Passwords),
            RulesFile = rules ? TestRegistry.Write(root, "rules.json", Rules) : null,
            IsAnonymousRead = anonymousRead,
        },
    });

    [Fact]
    public async Task Without_a_name_nothing_is_shown_and_the_way_in_is_said()
    {
        await using TestRegistry registry = await StartAsync();
        await registry.PushAsync("a", "1", headers: s_alice);
        foreach (string path in (string[])["/v2/", "/v2/a/manifests/1", "/v2/not-there/manifests/1", "/v2/a/tags/list", "/v2/_catalog"])
        {
            Answer answer = await registry.SendAsync("GET", path);
            Assert.Equal((401, "UNAUTHORIZED", "Basic realm=\"strata\""), (answer.Status, answer.Code, answer.Headers.WwwAuthenticate.ToString()));
            Assert.Equal(401, (await registry.SendAsync("GET", path, null, TestRegistry.Basic("alice", "wrong"))).Status);
            Assert.Equal(401, (await registry.SendAsync("GET", path, null, TestRegistry.Basic("nobody", "secret"))).Status);
            Assert.Equal(401, (await registry.SendAsync("GET", path, null, ("Authorization", "Basic !!!"))).Status);
        }
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/", null, s_bob)).Status);
        Assert.Equal("""{"repositories":["a"]}""", (await registry.SendAsync("GET", "/v2/_catalog", null, s_bob)).Text);
        Assert.Contains("\"results\":[]", (await registry.SendAsync("GET", "/v1/search?q=a")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Passwords_are_read_again_when_their_file_changes_and_a_broken_file_changes_nothing()
    {
        await using TestRegistry registry = await StartAsync();
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/", null, s_bob)).Status);
        TestRegistry.Write(registry.Root, "passwords", TestRegistry.Passwords.Split('\n')[0] + "\n");
        await Task.Delay(1100, TestContext.Current.CancellationToken);
        Assert.Equal(401, (await registry.SendAsync("GET", "/v2/", null, s_bob)).Status);
        TestRegistry.Write(registry.Root, "passwords", "bob:{SHA}2kuSN7rMzfGcB2DKt67EqDWQELA=\n");
        await Task.Delay(1100, TestContext.Current.CancellationToken);
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/", null, s_alice)).Status);
    }

    [Fact]
    public async Task What_a_hash_would_not_look_at_is_no_part_of_a_password()
    {
        // Of 72 times an a: longer ones have the same.
        const string Hash = "$2b$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe";
        await using TestRegistry registry = await TestRegistry.StartAsync(root => new RegistryServerOptions { Access = new RegistryAccessOptions { HtpasswdFile = TestRegistry.Write(root, "p", TestRegistry.Passwords + "dave:" + Hash + "\n") } });
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/", null, TestRegistry.Basic("dave", new string('a', 72)))).Status);
        Assert.Equal(401, (await registry.SendAsync("GET", "/v2/", null, TestRegistry.Basic("dave", new string('a', 73)))).Status);
        Assert.Equal(401, (await registry.SendAsync("GET", "/v2/", null, TestRegistry.Basic("alice", "secret\0more"))).Status);
    }

    [Theory]
    [InlineData("bob:{SHA}2kuSN7rMzfGcB2DKt67EqDWQELA=")]
    [InlineData("bob:$apr1$abcdefgh$abcdefghijklmnopqrstuv")]
    [InlineData("bob:$1$abcdefgh$abcdefghijklmnopqrstuv")]
    [InlineData("bob:plain")]
    [InlineData("bob")]
    [InlineData(":$2y$04$x")]
    public async Task Hashes_that_guard_nothing_are_refused_at_the_start(string line)
    {
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => TestRegistry.StartAsync(root => new RegistryServerOptions { Access = new RegistryAccessOptions { HtpasswdFile = TestRegistry.Write(root, "p", line) } }));
        Assert.Equal(ErrorKind.Invalid, e.Kind);
        Assert.Contains("line 1", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Passwords_do_not_travel_in_the_clear_to_other_machines()
    {
        string root = Directory.CreateTempSubdirectory("strata-registry-").FullName;
        using (Engine engine = Engine.Open(new EngineOptions { Root = root }))
        {
            RegistryServerOptions options = new() { Access = new RegistryAccessOptions { HtpasswdFile = TestRegistry.Write(root, "p", TestRegistry.Passwords) } };
            StrataException e = await Assert.ThrowsAsync<StrataException>(() => RegistryServer.StartAsync(engine, ":0", options, TestContext.Current.CancellationToken));
            Assert.Contains("in the clear", e.Message, StringComparison.Ordinal);
        }
        Directory.Delete(root, recursive: true);
    }

    [Fact]
    public async Task Rules_decide_and_tell_nothing_of_what_they_hide()
    {
        await using TestRegistry registry = await StartAsync(rules: true);
        TestImage image = await registry.PushAsync("team/app", "1", headers: s_alice);
        await registry.PushAsync("public/x", "1", "public", headers: s_alice);
        // the same whether it is there or not
        foreach (string repository in (string[])["team/app", "team/none", "elsewhere"])
        {
            Answer denied = await registry.SendAsync("GET", $"/v2/{repository}/manifests/1", null, s_bob);
            Assert.Equal((403, "DENIED"), (denied.Status, denied.Code));
            Assert.Equal(401, (await registry.SendAsync("GET", $"/v2/{repository}/manifests/1")).Status);
        }
        // another repository's blob is no blob here, and cannot be mounted or named
        Assert.Equal(404, (await registry.SendAsync("GET", $"/v2/public/x/blobs/{Digest.Of(image.Layer)}", null, s_bob)).Status);
        Assert.Equal(202, (await registry.SendAsync("POST", $"/v2/release/x/blobs/uploads/?mount={Digest.Of(image.Layer)}&from=team/app", [], s_bob)).Status);
        Assert.Equal((404, "MANIFEST_BLOB_UNKNOWN"), Of(await registry.SendAsync("PUT", "/v2/release/x/manifests/1", image.Manifest, s_bob, ("Content-Type", MediaTypes.OciManifest))));
        Assert.Equal(201, (await registry.SendAsync("POST", $"/v2/team/other/blobs/uploads/?mount={Digest.Of(image.Layer)}&from=team/app", [], s_alice)).Status);
        Assert.Equal("""{"repositories":["public/x"]}""", (await registry.SendAsync("GET", "/v2/_catalog?n=1000000000", null, s_bob)).Text);
        Assert.Equal("""{"repositories":["public/x","team/app"]}""", (await registry.SendAsync("GET", "/v2/_catalog", null, s_alice)).Text);
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/public/x/manifests/1")).Status);
        Assert.Equal((403, "DENIED"), Of(await registry.SendAsync("DELETE", "/v2/public/x/manifests/1", null, s_bob)));
        Assert.Equal((403, "DENIED"), Of(await registry.SendAsync("DELETE", "/v2/public/x/manifests/1", null, s_alice)));
        Assert.Equal(202, (await registry.SendAsync("DELETE", "/v2/team/app/manifests/1", null, s_alice)).Status);
    }

    [Fact]
    public async Task Who_may_only_create_moves_no_tag()
    {
        await using TestRegistry registry = await StartAsync(rules: true);
        TestImage first = await registry.PushAsync("release/x", "1", "one", headers: s_bob);
        await registry.PushAsync("release/x", "1", "one", headers: s_bob);
        TestImage second = await registry.PushAsync("release/x", "2", "two", headers: s_bob);
        Assert.Equal((403, "DENIED"), Of(await registry.SendAsync("PUT", "/v2/release/x/manifests/1", second.Manifest, s_bob, ("Content-Type", MediaTypes.OciManifest))));
        Assert.Equal(first.Manifest, (await registry.SendAsync("GET", "/v2/release/x/manifests/1", null, s_bob)).Body);
        Assert.Equal((403, "DENIED"), Of(await registry.SendAsync("DELETE", "/v2/release/x/manifests/1", null, s_bob)));
    }

    [Fact]
    public async Task An_upload_is_its_users()
    {
        await using TestRegistry registry = await StartAsync();
        Answer started = await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [], s_alice);
        string upload = started.Headers.Location!.ToString();
        foreach (string method in (string[])["GET", "PATCH", "DELETE"])
        {
            Assert.Equal((404, "BLOB_UPLOAD_UNKNOWN"), Of(await registry.SendAsync(method, upload, method == "PATCH" ? [1] : null, s_bob)));
        }
        Assert.Equal(204, (await registry.SendAsync("GET", upload, null, s_alice)).Status);
    }

    [Fact]
    public async Task Anonymous_readers_get_a_token_for_nobody_and_read_only()
    {
        await using TestRegistry registry = await StartAsync(anonymousRead: true);
        TestImage image = await registry.PushAsync("a", "1", headers: s_alice);
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/a/manifests/1")).Status);
        Answer refused = await registry.SendAsync("GET", "/v2/");
        Assert.Equal(401, refused.Status);
        Assert.StartsWith($"Bearer realm=\"http://{registry.Server.Address}/token\",service=\"strata\"", refused.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("Basic", refused.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal); // docker would ask for a name
        (string, string) nobody = await TokenAsync(registry), alice = await TokenAsync(registry, s_alice);
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/", null, nobody)).Status);
        Assert.Equal(image.Manifest, (await registry.SendAsync("GET", "/v2/a/manifests/1", null, nobody)).Body);
        Answer push = await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [], nobody);
        Assert.Equal(401, push.Status);
        Assert.Contains("scope=\"repository:a:pull,push\"", push.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
        Assert.Equal(202, (await registry.SendAsync("POST", "/v2/a/blobs/uploads/", [], alice)).Status);
        Assert.Equal(401, (await registry.SendAsync("GET", "/token", null, TestRegistry.Basic("alice", "wrong"))).Status);
        Assert.Equal(401, (await registry.SendAsync("GET", "/v2/", null, (alice.Item1, alice.Item2[..^2] + "AA"))).Status);
    }

    private static async Task<(string, string)> TokenAsync(TestRegistry registry, params (string, string)[] headers)
    {
        using JsonDocument json = JsonDocument.Parse((await registry.SendAsync("GET", "/token?service=strata&scope=repository:a:pull", null, headers)).Body);
        return ("Authorization", "Bearer " + json.RootElement.GetProperty("token").GetString());
    }

    private static (int, string) Of(Answer answer) => (answer.Status, answer.Code);

    [Theory]
    [InlineData("a", "a", true)]
    [InlineData("a", "ab", false)]
    [InlineData("a/*", "a/b", true)]
    [InlineData("a/*", "a/b/c", false)]
    [InlineData("a/**", "a/b/c", true)]
    [InlineData("a/**", "a", false)]
    [InlineData("**/c", "a/b/c", true)]
    [InlineData("*", "a", true)]
    [InlineData("*", "a/b", false)]
    [InlineData("build-*", "build-", true)]
    [InlineData("*-x-*", "a-x-b-x-c", true)]
    [InlineData("**", "", true)]
    public void Patterns_mean_what_the_page_says(string pattern, string text, bool expected) => Assert.Equal(expected, Glob.IsMatch(pattern, text));

    [Theory]
    [InlineData("""{"rules":[{"repositories":"a","users":["*"],"actions":["push"]}]}""", "'push'")]
    [InlineData("""{"rules":[{"repositories":"a","users":["*"],"action":["read"]}]}""", "action")]
    [InlineData("""{"rules":[{"repositories":"","users":["*"],"actions":["read"]}]}""", "rule 1")]
    [InlineData("""{"rules":[{"repositories":"*a*b*c*d*e","users":["*"],"actions":["read"]}]}""", "rule 1")]
    [InlineData("""{}""", "rules")]
    [InlineData("""nonsense""", "n")]
    public void Rules_that_say_something_else_are_refused(string json, string word)
    {
        StrataException e = Assert.Throws<StrataException>(() => AccessRules.Parse(Encoding.UTF8.GetBytes(json), "rules.json"));
        Assert.StartsWith("rules.json: ", e.Message, StringComparison.Ordinal);
        Assert.Contains(word, e.Message, StringComparison.Ordinal);
    }
}
