using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

public sealed class ServerTlsTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static void WriteCertificate(string root, string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 made = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        TestRegistry.Write(root, "tls.key", key.ExportPkcs8PrivateKeyPem());
        TestRegistry.Write(root, "tls.crt", made.ExportCertificatePem());
    }

    private static async Task<X509Certificate2> ShownAsync(string address)
    {
        using TcpClient client = new();
        await client.ConnectAsync("127.0.0.1", int.Parse(address[(address.LastIndexOf(':') + 1)..], System.Globalization.CultureInfo.InvariantCulture), Token);
#pragma warning disable CA5359 // whatever it shows is what is looked at
        await using SslStream tls = new(client.GetStream(), leaveInnerStreamOpen: false, (_, _, _, _) => true);
#pragma warning restore CA5359
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "localhost" }, Token);
        return X509CertificateLoader.LoadCertificate(tls.RemoteCertificate!.GetRawCertData());
    }

    [Fact]
    public async Task A_certificate_that_changes_is_shown_without_a_restart()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(root =>
        {
            WriteCertificate(root, "first");
            return new RegistryServerOptions { Tls = new RegistryTlsOptions { CertificateFile = Path.Combine(root, "tls.crt"), KeyFile = Path.Combine(root, "tls.key") } };
        });
        await registry.PushAsync("a", "1");
        using (X509Certificate2 first = await ShownAsync(registry.Server.Address))
        {
            Assert.Equal("CN=first", first.Subject);
        }
        WriteCertificate(registry.Root, "second");
        await Task.Delay(1100, Token);
        using (X509Certificate2 second = await ShownAsync(registry.Server.Address))
        {
            Assert.Equal("CN=second", second.Subject);
        }
        TestRegistry.Write(registry.Root, "tls.crt", "nonsense");
        await Task.Delay(1100, Token);
        using (X509Certificate2 still = await ShownAsync(registry.Server.Address))
        {
            Assert.Equal("CN=second", still.Subject);
        }
    }

    [Fact]
    public async Task Its_own_certificate_is_made_once_and_kept_to_itself()
    {
        RegistryServerOptions options = new() { Tls = new RegistryTlsOptions { IsOwn = true } };
        await using TestRegistry registry = await TestRegistry.StartAsync(_ => options);
        using X509Certificate2 shown = await ShownAsync(registry.Server.Address);
        Assert.Equal(registry.Server.Certificate!.Fingerprint, "sha256:" + Convert.ToHexStringLower(SHA256.HashData(shown.RawData)));
        Assert.False(shown.Extensions.OfType<X509BasicConstraintsExtension>().Single().CertificateAuthority);
        Assert.True(shown.MatchesHostname("localhost"));
        Assert.True(shown.MatchesHostname("127.0.0.1"));
        Assert.All(RegistryCertificate.Addresses(), a => Assert.True(shown.MatchesHostname(a.ToString())));
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(registry.Server.Certificate.CertificateFile)!))
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }
        await using RegistryServer again = await RegistryServer.StartAsync(registry.Engine, "127.0.0.1:0", options, Token);
        Assert.Equal(registry.Server.Certificate.Fingerprint, again.Certificate!.Fingerprint);
    }

    // An authority (self-signed where none is given) or a certificate of it, with its key.
    private static X509Certificate2 Issue(string name, X509Certificate2? authority)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        CertificateRequest request = new($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(authority is null, hasPathLengthConstraint: false, 0, critical: true));
        using X509Certificate2 made = authority is null ? request.CreateSelfSigned(now.AddDays(-1), now.AddDays(3)) : request.Create(authority, now.AddDays(-1), now.AddDays(2), RandomNumberGenerator.GetBytes(8)).CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }

    private static async Task<int> AskAsync(string address, X509Certificate2? certificate)
    {
#pragma warning disable CA5359 // the server's certificate is not what this looks at
        using HttpClient http = new(new SocketsHttpHandler
        {
            SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true, LocalCertificateSelectionCallback = certificate is null ? null : (_, _, _, _, _) => certificate },
        });
#pragma warning restore CA5359
        try
        {
            using HttpResponseMessage answer = await http.GetAsync(new Uri($"https://{address}/v2/"), Token);
            return (int)answer.StatusCode;
        }
        catch (HttpRequestException)
        {
            return 0; // not past the handshake
        }
    }

    [Fact]
    public async Task Only_clients_of_the_named_authority_are_let_in_and_the_authority_is_read_again()
    {
        using X509Certificate2 authority = Issue("ours", null), other = Issue("theirs", null), friend = Issue("friend", authority), stranger = Issue("stranger", other), self = Issue("self", null);
        await using TestRegistry registry = await TestRegistry.StartAsync(root => new RegistryServerOptions
        {
            Tls = new RegistryTlsOptions { IsOwn = true, ClientAuthorityFile = TestRegistry.Write(root, "clients.pem", authority.ExportCertificatePem()) },
        });
        string address = registry.Server.Address;
        Assert.Equal(200, await AskAsync(address, friend));
        foreach (X509Certificate2? refused in (X509Certificate2?[])[null, stranger, self])
        {
            Assert.Equal(0, await AskAsync(address, refused));
        }
        TestRegistry.Write(registry.Root, "clients.pem", authority.ExportCertificatePem() + "\n" + other.ExportCertificatePem());
        await Task.Delay(1100, Token);
        Assert.Equal(200, await AskAsync(address, stranger));
        Assert.Equal(200, await AskAsync(address, friend));
        Assert.Equal(0, await AskAsync(address, self));
    }

    [Fact]
    public async Task Files_that_are_no_certificate_are_refused_at_the_start()
    {
        foreach (RegistryTlsOptions tls in (RegistryTlsOptions[])[new() { CertificateFile = "/nowhere/x" }, new() { KeyFile = "/nowhere/x" }, new() { CertificateFile = "/etc/passwd" }, new() { CertificateFile = "/etc/passwd", IsOwn = true },
            new() { ClientAuthorityFile = "/nowhere/x" }, new() { IsOwn = true, ClientAuthorityFile = "/nowhere/x" }, new() { IsOwn = true, ClientAuthorityFile = "/etc/passwd" }])
        {
            Assert.Equal(ErrorKind.Invalid, (await Assert.ThrowsAsync<StrataException>(() => TestRegistry.StartAsync(_ => new RegistryServerOptions { Tls = tls }))).Kind);
        }
    }
}
