using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Strata.Distribution;
using Strata.Oci;
using Xunit;
using static Strata.Tests.Distribution.FaultServer;

namespace Strata.Tests.Distribution;

/// <summary>TLS, where it is demanded and where it is not.</summary>
public sealed class TransportTests
{
    private const string Elsewhere = "registry.example.com:5000";

    private static readonly byte[] s_blob = "content"u8.ToArray();
    private static readonly Descriptor s_descriptor = new(MediaTypes.OciLayer, Digest.Of(s_blob), s_blob.Length);

    private static async Task<byte[]> ReadAsync(RegistryOptions options, string registry)
    {
        using RegistryClient client = new(options with { Credentials = CredentialStore.Empty, FirstDelay = TimeSpan.FromMilliseconds(1), Patience = TimeSpan.FromSeconds(3) });
        await using Stream stream = await client.GetRepository(ImageReference.Parse(registry + "/a")).OpenAsync(s_descriptor, TestContext.Current.CancellationToken);
        using MemoryStream bytes = new();
        await stream.CopyToAsync(bytes, TestContext.Current.CancellationToken);
        return bytes.ToArray();
    }

    // Whatever the name, the connection goes to the server of the test.
    private static SocketsHttpHandler ConnectTo(FaultServer server) => new()
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        UseProxy = false,
        ConnectCallback = async (_, cancellationToken) =>
        {
            Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(IPEndPoint.Parse(server.Host), cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        },
    };

    private static RegistryConfiguration Insecure(string registry) => new() { Insecure = new HashSet<string> { registry } };

    private static X509Certificate2 SelfSigned()
    {
        using RSA key = RSA.Create(2048);
        CertificateRequest request = new("CN=127.0.0.1", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 certificate = request.CreateSelfSigned(TimeProvider.System.GetUtcNow().AddDays(-1), TimeProvider.System.GetUtcNow().AddDays(1));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null);
    }

    [Fact]
    public async Task A_registry_without_TLS_elsewhere_is_refused_and_the_setting_named()
    {
        await using FaultServer server = new(_ => new Reply(200, s_blob));
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => ReadAsync(new() { Handler = ConnectTo(server), Configuration = RegistryConfiguration.Empty }, Elsewhere));
        Assert.Equal(ErrorKind.Unavailable, e.Kind);
        Assert.Contains("https://" + Elsewhere, e.Message, StringComparison.Ordinal);
        Assert.Contains("""/etc/strata/strata.toml: registries."registry.example.com:5000".insecure = true""", e.Hint, StringComparison.Ordinal);
        Assert.Empty(server.Requests);
    }

    [Fact]
    public async Task With_the_setting_it_is_spoken_to()
    {
        await using FaultServer server = new(_ => new Reply(200, s_blob));
        Assert.Equal(s_blob, await ReadAsync(new() { Handler = ConnectTo(server), Configuration = Insecure(Elsewhere) }, Elsewhere));
    }

    [Fact]
    public async Task A_certificate_nobody_vouches_for_is_refused_even_on_this_machine()
    {
        using X509Certificate2 certificate = SelfSigned();
        await using FaultServer server = new(_ => new Reply(200, s_blob), certificate);
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => ReadAsync(new() { Configuration = RegistryConfiguration.Empty }, server.Host));
        Assert.Equal(ErrorKind.Unavailable, e.Kind);
        Assert.Contains("certificate", e.Message, StringComparison.OrdinalIgnoreCase);
        Assert.Empty(server.Requests);
    }

    [Fact]
    public async Task A_certificate_nobody_vouches_for_is_taken_where_the_setting_says_so()
    {
        using X509Certificate2 certificate = SelfSigned();
        await using FaultServer server = new(_ => new Reply(200, s_blob), certificate);
        Assert.Equal(s_blob, await ReadAsync(new() { Configuration = Insecure(server.Host) }, server.Host));
    }

    [Fact]
    public async Task A_pinned_certificate_is_trusted_and_no_other()
    {
        using X509Certificate2 certificate = SelfSigned();
        string pin = PinFile.Normalize(certificate.GetCertHashString(HashAlgorithmName.SHA256));
        await using FaultServer server = new(_ => new Reply(200, s_blob), certificate);
        Assert.Equal(s_blob, await ReadAsync(new() { Configuration = Pinned(server.Host, pin) }, server.Host));
        string other = PinFile.Normalize(new string('a', 64));
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => ReadAsync(new() { Configuration = Pinned(server.Host, other) with { Insecure = new HashSet<string> { server.Host } } }, server.Host));
        Assert.Equal(ErrorKind.Unavailable, e.Kind);
        Assert.Contains($"its certificate is {pin}, not {other}", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_shows_a_pinned_certificate_is_not_spoken_to_in_the_clear()
    {
        await using FaultServer server = new(_ => new Reply(200, s_blob));
        Assert.Equal(ErrorKind.Unavailable, (await Assert.ThrowsAsync<StrataException>(() => ReadAsync(new() { Configuration = Pinned(server.Host, PinFile.Normalize(new string('a', 64))), Attempts = 1 }, server.Host))).Kind);
        Assert.Empty(server.Requests);
    }

    private static RegistryConfiguration Pinned(string registry, string pin) => new() { Tls = new Dictionary<string, TlsFiles> { [registry] = new() { Pin = pin } } };

    [Fact]
    public async Task TLS_is_found_where_it_is_spoken()
    {
        using X509Certificate2 certificate = SelfSigned();
        await using FaultServer server = new(_ => new Reply(200, s_blob), certificate);
        SocketsHttpHandler trusting = new() { AllowAutoRedirect = false, UseCookies = false, SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = (_, presented, _, _) => presented?.GetCertHashString() == certificate.GetCertHashString() } };
        Assert.Equal(s_blob, await ReadAsync(new() { Handler = trusting, Configuration = RegistryConfiguration.Empty }, server.Host));
    }

    [Fact]
    public async Task Nobody_at_the_port_is_said_so()
    {
        string host;
        await using (FaultServer server = new(_ => new Reply(200)))
        {
            host = server.Host;
        }
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => ReadAsync(new() { Configuration = RegistryConfiguration.Empty, Attempts = 2 }, host));
        Assert.Equal(ErrorKind.Unavailable, e.Kind);
        Assert.Contains(host, e.Message, StringComparison.Ordinal);
    }
}
