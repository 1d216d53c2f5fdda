using System.Formats.Tar;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;
using Strata.Oci;
using Xunit;

namespace Strata.IntegrationTests.Distribution;

/// <summary>The program against Debian's registry: passwords, helpers, certificates, and what can be asked of a registry.</summary>
public sealed class LoginTests : IAsyncLifetime
{
    private const string DockerRegistry = "/usr/bin/docker-registry", Htpasswd = "/usr/bin/htpasswd", OpenSsl = "/usr/bin/openssl", Podman = "/usr/bin/podman";

    private static readonly string s_program = StrataBinary.Path;

    private readonly string _temp = Directory.CreateTempSubdirectory("strata-login-").FullName;
    private readonly List<ChildProcess> _registries = [];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private string ConfigPath => Path.Combine(_temp, "docker", "config.json");

    public async ValueTask InitializeAsync()
    {
        Need(DockerRegistry);
        Need(Htpasswd);
        Directory.CreateDirectory(Path.Combine(_temp, "bin"));
        await File.WriteAllTextAsync(Path.Combine(_temp, "strata.toml"), "", Token);
        ChildResult made = await ChildProcess.RunAsync(new ChildStart { Program = Htpasswd, Arguments = ["-nbB", "me", "s:cret ü"] }, cancellationToken: Token);
        await File.WriteAllTextAsync(Path.Combine(_temp, "htpasswd"), made.OutputText + "\n", Token);
        await using FileStream tar = File.Create(Path.Combine(_temp, "root.tar"));
        await using TarWriter writer = new(tar, TarEntryFormat.Pax);
        await writer.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, "greeting") { DataStream = new MemoryStream("hello"u8.ToArray()) }, Token);
    }

    public ValueTask DisposeAsync()
    {
        foreach (ChildProcess registry in _registries)
        {
            registry.Kill(9);
            registry.Wait();
            registry.Dispose();
        }
        FileSystems.RemoveTree(_temp);
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task A_push_needs_the_login_that_the_error_names()
    {
        string host = await StartAsync(withPassword: true);
        await OkAsync(null, "import", Path.Combine(_temp, "root.tar"), host + "/team/app:1");
        ChildResult push = await RunAsync(null, "push", host + "/team/app:1");
        Assert.Equal(1, push.ExitCode);
        Assert.EndsWith($"\nhint: log in first: strata login {host}", push.ErrorText, StringComparison.Ordinal);
        ChildResult wrong = await RunAsync("wrong\n", "login", "-u", "me", "--password-stdin", host);
        Assert.Equal(1, wrong.ExitCode);
        Assert.Contains("(401)", wrong.ErrorText, StringComparison.Ordinal);
        Assert.Contains($"the user name or password is wrong, or no longer right; log in again: strata login {host}", wrong.ErrorText, StringComparison.Ordinal);
        Assert.False(File.Exists(ConfigPath));

        Assert.Equal("Login Succeeded", await OkAsync("s:cret ü\n", "login", "--username", "me", "--password-stdin", host));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(ConfigPath));
        Assert.Contains("1: digest: sha256:", await OkAsync(null, "push", host + "/team/app:1"), StringComparison.Ordinal);
        Assert.Equal("Authenticating with existing credentials...\nLogin Succeeded", await OkAsync(null, "login", host));
        if (File.Exists(Podman))
        {
            ChildResult podman = await ChildProcess.RunAsync(new ChildStart { Program = Podman, Arguments = ["login", "--authfile", ConfigPath, "--get-login", host] }, cancellationToken: Token);
            Assert.Equal("me", podman.OutputText);
        }
        Assert.Equal($"Removing login credentials for {host}", await OkAsync(null, "logout", host));
        Assert.Equal($"Not logged in to {host}", await OkAsync(null, "logout", host));
        Assert.Equal(1, (await RunAsync(null, "tags", host + "/team/app")).ExitCode);
    }

    [Fact]
    public async Task A_helper_keeps_the_password()
    {
        string host = await StartAsync(withPassword: true);
        string helper = Path.Combine(_temp, "bin", "docker-credential-test"), kept = Path.Combine(_temp, "kept");
        await File.WriteAllTextAsync(helper, $$"""
            #!/bin/sh
            case $1 in
              store) cat > {{kept}} ;;
              get) if [ -e {{kept}} ]; then cat {{kept}}; else echo 'credentials not found in native keychain'; exit 1; fi ;;
              erase) rm {{kept}} ;;
            esac
            """, Token);
        File.SetUnixFileMode(helper, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(Path.GetDirectoryName(ConfigPath)!);
        await File.WriteAllTextAsync(ConfigPath, "{\"credsStore\":\"test\",\"psFormat\":\"x\"}", Token);
        Assert.Equal(1, (await RunAsync(null, "search", host + "/")).ExitCode);
        ChildResult login = await RunAsync("s:cret ü", "login", "-u", "me", "--password-stdin", host);
        Assert.Equal((0, ""), (login.ExitCode, login.ErrorText)); // nothing is stored in the clear, and nothing is warned of
        Assert.Contains("s:cret", await File.ReadAllTextAsync(kept, Token), StringComparison.Ordinal);
        string file = await File.ReadAllTextAsync(ConfigPath, Token);
        Assert.DoesNotContain("auth\"", file, StringComparison.Ordinal);
        Assert.Contains("psFormat", file, StringComparison.Ordinal);
        await OkAsync(null, "search", host + "/");
        await OkAsync(null, "logout", host);
        Assert.False(File.Exists(kept));
        await File.WriteAllTextAsync(helper, "#!/bin/sh\necho 'the key ring is locked'\nexit 1\n", Token);
        ChildResult broken = await RunAsync(null, "search", host + "/");
        Assert.Equal($"strata: search: run credential helper docker-credential-test get for {host}: the key ring is locked", broken.ErrorText);
    }

    [Fact]
    public async Task A_password_is_typed_unseen()
    {
        string host = await StartAsync(withPassword: true);
        string inner = Path.Combine(_temp, "inner.sh");
        await File.WriteAllTextAsync(inner, $"stty -a > {_temp}/before; {s_program} login {host}; echo code $?; stty -a > {_temp}/after\n", Token);
        ChildResult result = await ChildProcess.RunAsync(Environment(new ChildStart { Program = "/bin/sh", Arguments = ["-c", $"(sleep 3; echo me; sleep 1; echo 's:cret ü'; sleep 4) | script -qec 'sh {inner}' /dev/null"] }), cancellationToken: Token);
        Assert.Contains("Login Succeeded", result.OutputText, StringComparison.Ordinal);
        Assert.Contains("code 0", result.OutputText, StringComparison.Ordinal);
        Assert.DoesNotContain("s:cret", result.OutputText, StringComparison.Ordinal);
        Assert.Equal(await File.ReadAllTextAsync($"{_temp}/before", Token), await File.ReadAllTextAsync($"{_temp}/after", Token));
    }

    [Fact]
    public async Task A_registry_s_own_authority_and_our_certificate_are_named_in_the_configuration()
    {
        Need(OpenSsl);
        await MakeCertificatesAsync();
        string host = await StartAsync(withPassword: false, withTls: true);
        ChildResult unknown = await RunAsync(null, "tags", host + "/app");
        Assert.Equal(1, unknown.ExitCode);
        Assert.Contains($"registries.\"{host}\".ca = ", unknown.ErrorText, StringComparison.Ordinal);
        await File.WriteAllTextAsync(Path.Combine(_temp, "strata.toml"), $"registries.\"{host}\".ca = \"ca.pem\"\n", Token);
        Assert.Equal(1, (await RunAsync(null, "tags", host + "/app")).ExitCode); // it wants to know us
        await File.WriteAllTextAsync(Path.Combine(_temp, "strata.toml"), $"[registries.\"{host}\"]\nca = [\"ca.pem\"]\nclient-cert = \"client.pem\"\nclient-key = \"client.key\"\n", Token);
        await OkAsync(null, "import", Path.Combine(_temp, "root.tar"), host + "/app:1");
        await OkAsync(null, "push", host + "/app:1");
        Assert.Equal("1", await OkAsync(null, "tags", host + "/app"));
        await File.WriteAllTextAsync(Path.Combine(_temp, "strata.toml"), $"[registries.\"{host}\"]\nca = \"none.pem\"\n", Token);
        Assert.Contains($"read certificates from {_temp}/none.pem", (await RunAsync(null, "tags", host + "/app")).ErrorText, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_certificate_that_nobody_vouches_for_is_pinned_once_and_then_trusted_alone()
    {
        string host = $"127.0.0.1:{FreePort()}", store = Path.Combine(_temp, "lan"), certificate = Path.Combine(store, "registry", "tls.crt");
        ChildProcess Serve()
        {
            ChildProcess registry = ChildProcess.Start(Environment(new ChildStart { Program = s_program, Arguments = ["--root", store, "registry", "serve", "--lan", "--addr", host] }));
            _registries.Add(registry);
            return registry;
        }
        ChildProcess first = Serve();
        await WaitForPortAsync(host);
        string fingerprint;
        using (X509Certificate2 shown = X509CertificateLoader.LoadCertificateFromFile(certificate))
        {
            fingerprint = "sha256:" + shown.GetCertHashString(System.Security.Cryptography.HashAlgorithmName.SHA256).ToLowerInvariant();
        }
        await OkAsync(null, "import", Path.Combine(_temp, "root.tar"), host + "/app:1");
        Assert.Equal(1, (await RunAsync(null, "push", host + "/app:1")).ExitCode);
        string other = "sha256:" + new string('0', 64);
        ChildResult wrong = await RunAsync(null, "login", "--pin", other, host);
        Assert.Equal(1, wrong.ExitCode);
        Assert.Contains($"its certificate is {fingerprint}, not {other}", wrong.ErrorText, StringComparison.Ordinal);
        Assert.Equal($"Pinned {fingerprint} for {host}", await OkAsync(null, "login", "--pin", fingerprint, host));
        await OkAsync(null, "push", host + "/app:1");
        await OkAsync(null, "pull", host + "/app:1");
        first.Kill(15);
        await first.WaitAsync(Token);
        File.Delete(certificate);
        Serve(); // with another one
        await WaitForPortAsync(host);
        ChildResult changed = await RunAsync(null, "pull", host + "/app:1");
        Assert.Equal(1, changed.ExitCode);
        Assert.Contains("which is pinned for 127.0.0.1", changed.ErrorText, StringComparison.Ordinal);
        Assert.StartsWith($"Removing the pinned certificate of {host}", await OkAsync(null, "logout", "--pin", host), StringComparison.Ordinal);
    }

    private static async Task WaitForPortAsync(string host)
    {
        IPEndPoint server = IPEndPoint.Parse(host);
        for (int i = 0; i < 400; i++)
        {
            try
            {
                using var client = new TcpClient();
                await client.ConnectAsync(server, Token);
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(25, Token); // not up yet
            }
        }
        throw new InvalidOperationException($"nobody came up at {host}");
    }

    [Fact]
    public async Task What_a_registry_has_is_listed_shown_found_and_removed()
    {
        string host = await StartAsync(withPassword: false);
        await OkAsync(null, "import", Path.Combine(_temp, "root.tar"), host + "/web/nginx:1.0");
        await OkAsync(null, "push", host + "/web/nginx:1.0");
        await OkAsync(null, "tag", host + "/web/nginx:1.0", host + "/web/nginx:latest");
        await OkAsync(null, "push", host + "/web/nginx:latest");
        Assert.Equal(["1.0", "latest"], (await OkAsync(null, "tags", host + "/web/nginx")).Split('\n').Order(StringComparer.Ordinal));
        Assert.Equal(["NAME        DESCRIPTION   STARS     OFFICIAL", "web/nginx                 0"], (await OkAsync(null, "search", host + "/ngi")).Split('\n').Select(l => l.TrimEnd()));
        Assert.Equal("web/nginx", await OkAsync(null, "search", "--registry", host, "--format", "{{.Name}}", "ngi"));

        ChildResult manifest = await RunAsync(null, "manifest", "inspect", "-v", host + "/web/nginx:1.0");
        Digest digest = Digest.Of(manifest.Output);
        Assert.Contains(digest.ToString(), manifest.ErrorText, StringComparison.Ordinal);

        ChildResult shared = await RunAsync(null, "registry", "rm", host + "/web/nginx:1.0");
        Assert.Equal((1, $"hint: to remove it with all of them: strata registry rm {host}/web/nginx@{digest}"), (shared.ExitCode, shared.ErrorText.Split('\n')[^1]));
        Assert.Equal($"Deleted: {host}/web/nginx@{digest}", await OkAsync(null, "registry", "rm", $"{host}/web/nginx@{digest}"));
        Assert.Equal(1, (await RunAsync(null, "manifest", "inspect", host + "/web/nginx:1.0")).ExitCode);
        Assert.Equal(2, (await RunAsync(null, "registry", "rm")).ExitCode);
    }

    [Fact]
    public async Task Mirrors_are_explained_in_their_order()
    {
        string mirror = await StartAsync(withPassword: false), origin = $"127.0.0.1:{FreePort()}", dead = $"127.0.0.1:{FreePort()}";
        await File.WriteAllTextAsync(Path.Combine(_temp, "strata.toml"), $"[registries.\"{origin}\"]\nmirrors = [\"http://{dead}\", \"http://{mirror}\"]\n", Token);
        await OkAsync(null, "import", Path.Combine(_temp, "root.tar"), mirror + "/app:1");
        await OkAsync(null, "push", mirror + "/app:1");
        string[] lines = (await OkAsync(null, "mirror", "explain", origin + "/app:1")).Split('\n');
        Assert.Equal(4, lines.Length);
        Assert.Contains(dead, lines[1], StringComparison.Ordinal);
        Assert.Contains("refused", lines[1], StringComparison.Ordinal);
        Assert.EndsWith("yes", lines[2].TrimEnd(), StringComparison.Ordinal);
        Assert.Contains("not asked", lines[3], StringComparison.Ordinal);
        await OkAsync(null, "pull", origin + "/app:1");
    }

    [Fact]
    public async Task The_snippet_without_commas_is_shown_corrected()
    {
        string path = Path.Combine(_temp, "daemon.json");
        await File.WriteAllTextAsync(path, "{\n  \"registry-mirrors\": [\n    \"https://registry.docker-cn.com\"\n    \"https://docker.mirrors.ustc.edu.cn\"\n    \"hub-mirror.c.163.com\"\n  ]\n", Token);
        ChildResult check = await RunAsync(null, "config", "check", path);
        Assert.Equal(3, check.ExitCode);
        Assert.Equal([$"{path}:4:5: a comma is missing before this", $"{path}:5:5: a comma is missing before this", $"{path}:5:5: mirror 'hub-mirror.c.163.com' has no scheme"], check.ErrorText.Split('\n').Where(l => !l.StartsWith("hint", StringComparison.Ordinal)).Take(3));
        await File.WriteAllBytesAsync(path, check.Output, Token);
        Assert.Equal($"{path}: OK", await OkAsync(null, "config", "check", path));
        Assert.Contains("\"https://hub-mirror.c.163.com\"", check.OutputText, StringComparison.Ordinal);
    }

    private async Task<string> OkAsync(string? input, params string[] arguments)
    {
        ChildResult result = await RunAsync(input, arguments);
        Assert.True(result.ExitCode == 0, $"{string.Join(' ', arguments)}: {result.ExitCode}: {result.ErrorText}");
        return result.OutputText;
    }

    private async Task<ChildResult> RunAsync(string? input, params string[] arguments)
    {
        (SafeFileHandle read, SafeFileHandle write) = Pipes.Create();
        using (read)
        {
            using (write)
            {
                Files.Write(write, Encoding.UTF8.GetBytes(input ?? ""), "pipe");
            }
            return await ChildProcess.RunAsync(Environment(new ChildStart { Program = s_program, Arguments = ["--root", Path.Combine(_temp, "store"), .. arguments], Descriptors = new Dictionary<int, SafeHandle> { [0] = read } }), cancellationToken: Token);
        }
    }

    // Nothing of this machine's own configuration.
    private ChildStart Environment(ChildStart start) => start with
    {
        Environment =
        [
            $"PATH={_temp}/bin:{System.Environment.GetEnvironmentVariable("PATH")}", $"HOME={_temp}", $"DOCKER_CONFIG={_temp}/docker", $"XDG_RUNTIME_DIR={_temp}/run", $"STRATA_CONFIG={_temp}/strata.toml",
            .. System.Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } dotnet ? (string[])[$"DOTNET_ROOT={dotnet}"] : [],
        ],
    };

    private async Task<string> StartAsync(bool withPassword, bool withTls = false)
    {
        int port = FreePort();
        string config = Path.Combine(_temp, $"registry-{port}.yml");
        string auth = withPassword ? $"auth: {{ htpasswd: {{ realm: test, path: {_temp}/htpasswd }} }}\n" : "";
        string tls = withTls ? $", tls: {{ certificate: {_temp}/server.pem, key: {_temp}/server.key, clientcas: [{_temp}/ca.pem] }}" : "";
        await File.WriteAllTextAsync(config, $"version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem: {{ rootdirectory: {_temp}/registry-{port} }}\n  delete: {{ enabled: true }}\n{auth}http: {{ addr: 127.0.0.1:{port}{tls} }}\n", Token);
        _registries.Add(ChildProcess.Start(new ChildStart { Program = DockerRegistry, Arguments = ["serve", config] }));
        for (int i = 0; ; i++)
        {
            try
            {
                using TcpClient client = new();
                await client.ConnectAsync(IPAddress.Loopback, port, Token);
                return $"127.0.0.1:{port}";
            }
            catch (SocketException) when (i < 200)
            {
                await Task.Delay(50, Token);
            }
        }
    }

    private async Task MakeCertificatesAsync()
    {
        string script = $$"""
            set -e
            cd {{_temp}}
            openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca
            for name in server client; do
              openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
              printf 'subjectAltName=IP:127.0.0.1\n' > ext
              openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem
            done
            """;
        ChildResult made = await ChildProcess.RunAsync(new ChildStart { Program = "/bin/sh", Arguments = ["-c", script] }, cancellationToken: Token);
        Assert.True(made.ExitCode == 0, made.ErrorText);
    }

    private static void Need(string program) => Assert.SkipUnless(File.Exists(program), $"{program} is not installed");

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
