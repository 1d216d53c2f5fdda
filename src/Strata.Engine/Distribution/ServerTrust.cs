using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Strata.Distribution;

/// <summary>Who vouches for a server beside the system's authorities, and who we are to it.</summary>
internal sealed class ServerTrust
{
    private readonly X509Certificate2Collection _authorities = [];
    private readonly X509Certificate2? _certificate;
    private readonly string _host;
    private readonly string? _pin;

    /// <summary>Reads the files.</summary>
    /// <exception cref="StrataException">Invalid: one is not there, or is no PEM; says which.</exception>
    public ServerTrust(TlsFiles files, string host)
    {
        (_host, _pin) = (host, files.Pin);
        foreach (string path in files.Authorities)
        {
            int before = _authorities.Count;
            Read(path, () => _authorities.ImportFromPemFile(path));
            if (_authorities.Count == before)
            {
                throw new StrataException(ErrorKind.Invalid, $"read certificates from {path}: there are none in it");
            }
        }
        if (files.Certificate is { } certificate)
        {
            X509Certificate2? read = null;
            Read(certificate, () => read = X509Certificate2.CreateFromPemFile(certificate, files.Key));
            _certificate = read;
        }
    }

    public void ApplyTo(SslClientAuthenticationOptions options)
    {
        if (_pin is not null)
        {
            options.RemoteCertificateValidationCallback = IsPinned;
        }
        else if (_authorities.Count > 0 && options.RemoteCertificateValidationCallback is null)
        {
            options.RemoteCertificateValidationCallback = IsTrusted;
        }
        if (_certificate is not null)
        {
            // Who we are is for this server, not for those it sends us to.
            options.LocalCertificateSelectionCallback = (_, target, _, _, _) => string.Equals(target, _host, StringComparison.OrdinalIgnoreCase) ? _certificate : null!;
        }
    }

    // Name, dates and signatures do not matter: somebody looked at exactly this one.
    private bool IsPinned(object sender, X509Certificate? certificate, X509Chain? presented, SslPolicyErrors errors)
    {
        string shown = certificate is null ? "none" : "sha256:" + Convert.ToHexStringLower(SHA256.HashData(certificate.GetRawCertData()));
        return shown == _pin ? true : throw new AuthenticationException($"its certificate is {shown}, not {_pin}, which is pinned for {_host}");
    }

    // What the system does not vouch for, ours may; a wrong name or an ended certificate stays wrong.
    private bool IsTrusted(object sender, X509Certificate? certificate, X509Chain? presented, SslPolicyErrors errors)
    {
        if (errors != SslPolicyErrors.RemoteCertificateChainErrors || certificate is null)
        {
            return errors == SslPolicyErrors.None;
        }
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(_authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck; // as for all others: private authorities have nobody to ask
        foreach (X509ChainElement element in presented?.ChainElements ?? Enumerable.Empty<X509ChainElement>())
        {
            chain.ChainPolicy.ExtraStore.Add(element.Certificate);
        }
        using X509Certificate2 server = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        return chain.Build(server);
    }

    private static void Read(string path, Action read)
    {
        try
        {
            read();
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new StrataException(ErrorKind.Invalid, $"read certificates from {path}: {e.Message}", e);
        }
    }
}
