using System.Net;
using System.Net.NetworkInformation;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Strata.Content;

namespace Strata.Server.Registry;

/// <summary>The certificate a registry shows: from the operator's files, read again when they change, or one made for this machine's addresses.</summary>
public sealed class RegistryCertificate
{
    private const string OwnFolder = "registry", OwnCertificate = "tls.crt", OwnKey = "tls.key";
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    // Clients trust exactly this one and nothing it signs; they are not visited again in a year.
    private const int OwnYears = 10;

    private readonly ReloadedFile<SslServerAuthenticationOptions> _current;

    private RegistryCertificate(string certificateFile, string keyFile, string? clientAuthorityFile, TimeProvider time, Action<string>? notify)
    {
        CertificateFile = certificateFile;
        string[] files = clientAuthorityFile is null ? [certificateFile, keyFile] : [certificateFile, keyFile, clientAuthorityFile];
        _current = new(files, () => Load(certificateFile, keyFile, clientAuthorityFile), time, notify);
    }

    /// <summary>Where the certificate is: what clients need to trust it.</summary>
    public string CertificateFile { get; }

    /// <summary>What names exactly this certificate: <c>sha256:</c> and the hash of its bytes (DER).</summary>
    public string Fingerprint => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(_current.Value.ServerCertificateContext!.TargetCertificate.RawData));

    internal SslServerAuthenticationOptions Current => _current.Value;

    /// <exception cref="StrataException">Invalid: the files are not a certificate and its key.</exception>
    internal static RegistryCertificate Open(RegistryTlsOptions options, string root, TimeProvider time, Action<string>? notify)
    {
        if (options.CertificateFile is { } file)
        {
            return options.IsOwn
                ? throw new StrataException(ErrorKind.Invalid, "TLS: a certificate is given, and one is to be made") { Hint = "leave out --lan, or --tls-cert" }
                : new RegistryCertificate(file, options.KeyFile ?? file, options.ClientAuthorityFile, time, notify);
        }
        if (!options.IsOwn)
        {
            throw new StrataException(ErrorKind.Invalid, $"TLS: a {(options.KeyFile is null ? "clients' authority" : "key")} without a certificate") { Hint = "say --tls-cert FILE" };
        }
        string folder = Path.Combine(root, OwnFolder), certificate = Path.Combine(folder, OwnCertificate), key = Path.Combine(folder, OwnKey);
        if (!File.Exists(certificate) || !File.Exists(key))
        {
            Make(folder, certificate, key, time);
        }
        RegistryCertificate own = new(certificate, key, options.ClientAuthorityFile, time, notify);
        own.WarnOfNewAddresses(notify);
        return own;
    }

    /// <summary>The addresses at which this machine is reached, its loopback left out.</summary>
    public static IReadOnlyList<IPAddress> Addresses()
        => [.. NetworkInterface.GetAllNetworkInterfaces().Where(i => i.OperationalStatus == OperationalStatus.Up)
            .SelectMany(i => i.GetIPProperties().UnicastAddresses).Select(a => a.Address)
            .Where(a => !IPAddress.IsLoopback(a) && !a.IsIPv6LinkLocal && a.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6).Distinct()];

    private static SslServerAuthenticationOptions Load(string certificateFile, string keyFile, string? clientAuthorityFile)
    {
        try
        {
            X509Certificate2Collection chain = [];
            chain.ImportFromPem(Encoding.ASCII.GetString(ServerFiles.Read(certificateFile)));
            using X509Certificate2 ephemeral = X509Certificate2.CreateFromPem(Encoding.ASCII.GetString(ServerFiles.Read(certificateFile)), Encoding.ASCII.GetString(ServerFiles.Read(keyFile)));
            X509Certificate2 leaf = X509CertificateLoader.LoadPkcs12(ephemeral.Export(X509ContentType.Pkcs12), null);
            X509Certificate2Collection between = [.. chain.Skip(1)];
            SslServerAuthenticationOptions loaded = new()
            {
                ServerCertificateContext = SslStreamCertificateContext.Create(leaf, between, offline: true),
                EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                ApplicationProtocols = [SslApplicationProtocol.Http2, SslApplicationProtocol.Http11],
            };
            if (clientAuthorityFile is not null)
            {
                DemandClients(loaded, clientAuthorityFile);
            }
            return loaded;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new StrataException(ErrorKind.Invalid, $"TLS: {certificateFile} and {keyFile}: {e.Message}", e) { Hint = "it takes PEM: the certificate first, those between it and its root after it, and the key" };
        }
    }

    // A client without a certificate of these authorities does not get past the handshake.
    private static void DemandClients(SslServerAuthenticationOptions options, string file)
    {
        X509ChainPolicy policy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        try
        {
            policy.CustomTrustStore.ImportFromPem(Encoding.ASCII.GetString(ServerFiles.Read(file)));
        }
        catch (CryptographicException e)
        {
            throw new StrataException(ErrorKind.Invalid, $"TLS: {file}: {e.Message}", e);
        }
        if (policy.CustomTrustStore.Count == 0)
        {
            throw new StrataException(ErrorKind.Invalid, $"TLS: {file}: no certificate is in it") { Hint = "it takes PEM: the certificates of the authorities that vouch for clients" };
        }
        options.ClientCertificateRequired = true;
        options.CertificateChainPolicy = policy;
    }

    private static void Make(string folder, string certificateFile, string keyFile, TimeProvider time)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        string host = Dns.GetHostName();
        CertificateRequest request = new($"CN={new string([.. host.Where(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-')])}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], critical: false)); // server authentication
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName("localhost");
        if (Uri.CheckHostName(host) == UriHostNameType.Dns && host != "localhost")
        {
            names.AddDnsName(host);
        }
        foreach (IPAddress address in (IPAddress[])[IPAddress.Loopback, IPAddress.IPv6Loopback, .. Addresses()])
        {
            names.AddIpAddress(address);
        }
        request.CertificateExtensions.Add(names.Build());
        DateTimeOffset now = time.GetUtcNow();
        using X509Certificate2 made = request.CreateSelfSigned(now.AddDays(-1), now.AddYears(OwnYears));
        Directory.CreateDirectory(folder, Private);
        // The key first: a certificate that is there has one.
        AtomicFile.Write(keyFile, Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem() + "\n"));
        AtomicFile.Write(certificateFile, Encoding.ASCII.GetBytes(made.ExportCertificatePem() + "\n"));
    }

    private void WarnOfNewAddresses(Action<string>? notify)
    {
        X509Certificate2 certificate = Current.ServerCertificateContext!.TargetCertificate;
        HashSet<IPAddress> known = [.. certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(e => e.EnumerateIPAddresses())];
        IPAddress[] unknown = [.. Addresses().Where(a => !known.Contains(a))];
        if (unknown.Length > 0)
        {
            notify?.Invoke($"the certificate {CertificateFile} does not name {string.Join(", ", unknown.AsEnumerable())}: remove it, and the next start makes another (and clients have to be told)");
        }
    }
}
