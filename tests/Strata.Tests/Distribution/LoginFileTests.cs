using System.Text.Json.Nodes;
using Strata.Distribution;
using Xunit;

namespace Strata.Tests.Distribution;

public sealed class LoginFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-login-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private LoginFile NewFile => new(Path.Combine(_folder, "docker", "config.json"));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task What_is_saved_is_found_and_only_its_owner_reads_it()
    {
        LoginFile file = NewFile;
        Assert.Null(await file.SaveAsync("h:5000", new Credential("me", "p:w ü"), Token));
        Credential? found = await CredentialStore.FromFile(file.FilePath).FindAsync("h:5000", cancellationToken: Token);
        Assert.Equal(("me", "p:w ü"), (found?.UserName, found?.Password));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file.FilePath));
        Assert.True(await file.RemoveAsync("h:5000", Token));
        Assert.False(await file.RemoveAsync("h:5000", Token));
        Assert.Null(await CredentialStore.FromFile(file.FilePath).FindAsync("h:5000", cancellationToken: Token));
    }

    [Fact]
    public async Task A_refresh_token_takes_the_password_s_place()
    {
        LoginFile file = NewFile;
        await file.SaveAsync("h:5000", new Credential("me", "") { IdentityToken = "refresh" }, Token);
        Assert.Equal("refresh", (await CredentialStore.FromFile(file.FilePath).FindAsync("h:5000", cancellationToken: Token))?.IdentityToken);
    }

    [Fact]
    public async Task Everything_else_in_the_file_stays()
    {
        const string Before = """{"HttpHeaders":{"X":"<é>"},"auths":{"other":{"auth":"eDp5","email":"a@b"}},"proxies":{"n":1.50},"psFormat":"a\u00e4"}""";
        LoginFile file = NewFile;
        Directory.CreateDirectory(Path.GetDirectoryName(file.FilePath)!);
        await File.WriteAllTextAsync(file.FilePath, Before, Token);
        await file.SaveAsync("h:5000", new Credential("me", "pw"), Token);
        Assert.True(await file.RemoveAsync("h:5000", Token));
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(Before), JsonNode.Parse(await File.ReadAllBytesAsync(file.FilePath, Token))));
        Assert.Contains("1.50", await File.ReadAllTextAsync(file.FilePath, Token), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"auths\":[]}")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{\"auths\":{},\"auths\":{}}")]
    public async Task A_file_that_is_not_of_the_form_is_left_alone(string text)
    {
        LoginFile file = NewFile;
        Directory.CreateDirectory(Path.GetDirectoryName(file.FilePath)!);
        await File.WriteAllTextAsync(file.FilePath, text, Token);
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await file.SaveAsync("h:5000", new Credential("me", "pw"), Token));
        Assert.Equal(ErrorKind.Invalid, e.Kind);
        Assert.Contains(file.FilePath, e.Message, StringComparison.Ordinal);
        Assert.Equal(text, await File.ReadAllTextAsync(file.FilePath, Token));
    }

    [Fact]
    public async Task A_link_stays_a_link()
    {
        string behind = Path.Combine(_folder, "dotfiles.json");
        await File.WriteAllTextAsync(behind, "{}", Token);
        string link = Path.Combine(_folder, "config.json");
        File.CreateSymbolicLink(link, behind);
        await new LoginFile(link).SaveAsync("h:5000", new Credential("me", "pw"), Token);
        Assert.Equal(behind, new FileInfo(link).LinkTarget);
        Assert.NotNull(await CredentialStore.FromFile(behind).FindAsync("h:5000", cancellationToken: Token));
    }

    [Fact]
    public async Task Logins_at_once_are_all_kept()
    {
        LoginFile file = NewFile;
        string[] keys = [.. Enumerable.Range(0, 20).Select(i => $"h{i}:5000")];
        await Task.WhenAll(keys.Select(k => Task.Run(async () => await file.SaveAsync(k, new Credential(k[..^5], "pw"), Token), Token)));
        CredentialStore store = CredentialStore.FromFile(file.FilePath);
        foreach (string key in keys)
        {
            Assert.Equal(key[..^5], (await store.FindAsync(key, cancellationToken: Token))?.UserName);
        }
    }

    [Theory]
    [InlineData(null, "https://index.docker.io/v1/")]
    [InlineData("docker.io", "https://index.docker.io/v1/")]
    [InlineData("https://index.docker.io/v1/", "https://index.docker.io/v1/")]
    [InlineData("h:5000", "h:5000")]
    [InlineData("https://h.example.com/v2/", "h.example.com")]
    [InlineData("localhost", "localhost")]
    [InlineData("[::1]:5000", "[::1]:5000")]
    [InlineData("h.example.com/team/app", "h.example.com/team/app")]
    public void A_server_has_one_name_in_the_file(string? server, string key) => Assert.Equal(key, LoginFile.KeyOf(server));

    [Theory]
    [InlineData("word")]
    [InlineData("h:port")]
    [InlineData("h:5000/App")]
    [InlineData("h:5000@x")]
    public void What_no_image_can_be_named_by_is_no_server(string server)
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => LoginFile.KeyOf(server)).Kind);

    [Theory]
    [InlineData("h:5000", "team/app", "app")]
    [InlineData("h:5000", "team/other", "team")]
    [InlineData("h:5000", "else/where", "all")]
    [InlineData("h:5000", null, "all")]
    [InlineData("docker.io", "library/debian", "hub")]
    public async Task The_nearest_credential_is_taken(string registry, string? repository, string expected)
    {
        CredentialStore store = CredentialStore.Of(
        [
            new("h:5000", new Credential("all", "x")), new("h:5000/team", new Credential("team", "x")), new("h:5000/team/app", new Credential("app", "x")), new("docker.io/library", new Credential("hub", "x")),
        ]);
        Assert.Equal(expected, (await store.FindAsync(registry, repository, Token))?.UserName);
    }

    [Theory]
    [InlineData("{\"credsStore\":\"no-such\"}", "run credential helper docker-credential-no-such: there is no such program on PATH")]
    [InlineData("{\"credHelpers\":{\"h:5000\":\"../x\"}}", "read credentials from")]
    public async Task A_helper_that_cannot_be_run_is_named(string json, string message)
    {
        string path = Path.Combine(_folder, "c.json");
        await File.WriteAllTextAsync(path, json, Token);
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await CredentialStore.FromFile(path).FindAsync("h:5000", cancellationToken: Token));
        Assert.StartsWith(message, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Basic realm=\"x\"", 200, true)]
    [InlineData("Basic realm=\"x\"", 401, false)]
    public async Task A_password_is_shown_to_the_registry_before_it_is_kept(string challenge, int answer, bool isTaken)
    {
        using RegistryClient client = new(new RegistryOptions { Configuration = RegistryConfiguration.Empty, Handler = new Challenging(challenge, answer), Attempts = 1 });
        Credential given = new("me", "pw");
        if (isTaken)
        {
            Assert.Equal(given, await client.LoginAsync("r.example.com", given, Token));
        }
        else
        {
            StrataException e = await Assert.ThrowsAsync<RegistryException>(async () => await client.LoginAsync("r.example.com", given, Token));
            Assert.Equal(ErrorKind.Unauthenticated, e.Kind);
            Assert.Equal("the user name or password is wrong, or no longer right; log in again: strata login r.example.com", e.Hint);
        }
    }

    [Fact]
    public async Task A_token_server_s_refresh_token_is_kept_instead_of_the_password()
    {
        using RegistryClient client = new(new RegistryOptions { Configuration = RegistryConfiguration.Empty, Handler = new Challenging("Bearer realm=\"https://r.example.com/token\",service=\"r\"", 200), Attempts = 1 });
        Assert.Equal(new Credential("me", "") { IdentityToken = "again" }, await client.LoginAsync("r.example.com", new Credential("me", "pw"), Token));
    }

    private sealed class Challenging(string challenge, int answer) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (request.RequestUri!.AbsolutePath == "/token")
            {
                bool isAsked = request.RequestUri.Query.Contains("offline_token=true", StringComparison.Ordinal) && request.Headers.Authorization?.Scheme == "Basic";
                return Task.FromResult(new HttpResponseMessage(isAsked ? System.Net.HttpStatusCode.OK : System.Net.HttpStatusCode.Unauthorized) { Content = new StringContent("""{"token":"t","refresh_token":"again"}"""), RequestMessage = request });
            }
            bool isKnown = request.Headers.Authorization is not null;
            HttpResponseMessage response = new((System.Net.HttpStatusCode)(isKnown ? answer : 401)) { Content = new StringContent(""), RequestMessage = request };
            response.Headers.TryAddWithoutValidation("WWW-Authenticate", challenge);
            return Task.FromResult(response);
        }
    }
}
