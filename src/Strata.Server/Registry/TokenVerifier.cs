using System.Buffers.Text;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;

namespace Strata.Server.Registry;

/// <summary>What a token allows: <c>{"type":"repository","name":"a/b","actions":["pull","push"]}</c>.</summary>
internal sealed record TokenGrant(string Type, string Name, IReadOnlyList<string> Actions);

/// <summary>
/// Checks JSON web tokens of somebody else's token service: RS256 and ES256 and nothing else, under keys that the operator named and none that a
/// token brings along.
/// </summary>
/// <remarks><see href="https://distribution.github.io/distribution/spec/auth/jwt/"/>, RFC 7515, RFC 7519</remarks>
internal sealed class TokenVerifier
{
    private const int MaxTokenChars = 16 << 10;
    private const int LeastRsaBits = 2048;
    private const int EcdsaSignatureBytes = 64; // r and s of P-256, RFC 7518 §3.4

    // Clocks differ by seconds between machines that are looked after.
    private static readonly TimeSpan s_leeway = TimeSpan.FromSeconds(30);
    private static readonly JsonDocumentOptions s_strict = new() { AllowDuplicateProperties = false, MaxDepth = 8 };

    private readonly ReloadedFile<List<AsymmetricAlgorithm>> _keys;
    private readonly string _issuer, _service;
    private readonly TimeProvider _time;

    /// <exception cref="StrataException">Invalid: no such file, or no key in it that may be used.</exception>
    public TokenVerifier(string keyFile, string issuer, string service, TimeProvider time, Action<string>? notify)
    {
        (_issuer, _service, _time) = (issuer, service, time);
        _keys = new([keyFile], () => ParseKeys(Encoding.ASCII.GetString(ServerFiles.Read(keyFile)), keyFile), time, notify);
    }

    internal static List<AsymmetricAlgorithm> ParseKeys(string text, string path)
    {
        List<AsymmetricAlgorithm> keys = [];
        ReadOnlySpan<char> rest = text;
        while (PemEncoding.TryFind(rest, out PemFields fields))
        {
            string label = rest[fields.Label].ToString();
            byte[] der = Convert.FromBase64String(rest[fields.Base64Data].ToString());
            rest = rest[fields.Location.End..];
            try
            {
                keys.Add(label switch
                {
                    "PUBLIC KEY" => FromPublicKey(der),
                    "CERTIFICATE" => FromCertificate(der),
                    _ => throw new CryptographicException($"'{label}' is neither a public key nor a certificate"),
                });
            }
            catch (CryptographicException e)
            {
                throw new StrataException(ErrorKind.Invalid, $"{path}: key {keys.Count + 1}: {e.Message}", e) { Hint = "it takes RSA keys of at least 2048 bits and EC keys on P-256: openssl pkey -pubout" };
            }
        }
        return keys.Count > 0 ? keys : throw new StrataException(ErrorKind.Invalid, $"{path}: no key in it") { Hint = "it takes PEM, -----BEGIN PUBLIC KEY-----" };
    }

    private static AsymmetricAlgorithm FromCertificate(byte[] der)
    {
        using X509Certificate2 certificate = X509CertificateLoader.LoadCertificate(der);
        return FromPublicKey(certificate.PublicKey.ExportSubjectPublicKeyInfo());
    }

    private static AsymmetricAlgorithm FromPublicKey(byte[] der)
    {
        PublicKey key = PublicKey.CreateFromSubjectPublicKeyInfo(der, out _);
        if (key.GetRSAPublicKey() is { } rsa)
        {
            return rsa.KeySize >= LeastRsaBits ? rsa : throw new CryptographicException($"an RSA key of {rsa.KeySize} bits");
        }
        const string P256 = "1.2.840.10045.3.1.7";
        return key.GetECDsaPublicKey() is { } ecdsa && ecdsa.ExportParameters(false).Curve.Oid.Value == P256 ? ecdsa : throw new CryptographicException("neither RSA nor EC on P-256");
    }

    /// <summary>Whose it is and what it allows; null: it is not to be believed.</summary>
    public RegistryIdentity? Verify(string token)
    {
        string[] parts = token.Length <= MaxTokenChars ? token.Split('.') : [];
        if (parts.Length != 3 || !TryDecode(parts[0], out byte[] header) || !TryDecode(parts[1], out byte[] payload) || !TryDecode(parts[2], out byte[] signature))
        {
            return null;
        }
        try
        {
            using JsonDocument head = JsonDocument.Parse(header, s_strict), body = JsonDocument.Parse(payload, s_strict);
            return IsSigned(head.RootElement, Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}"), signature) ? Read(body.RootElement) : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            return null; // not JSON, or of other types than the RFC's
        }
    }

    private bool IsSigned(JsonElement header, byte[] signed, byte[] signature)
    {
        // RFC 7515 §4.1.11: what is critical and not understood makes it invalid. Nothing critical is understood here.
        if (header.TryGetProperty("crit", out _) || !header.TryGetProperty("alg", out JsonElement name))
        {
            return false;
        }
        List<AsymmetricAlgorithm> keys = _keys.Value;
        return name.GetString() switch
        {
            "RS256" => keys.OfType<RSA>().Any(k => k.VerifyData(signed, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)),
            "ES256" => signature.Length == EcdsaSignatureBytes && keys.OfType<ECDsa>().Any(k => k.VerifyData(signed, signature, HashAlgorithmName.SHA256)),
            _ => false,
        };
    }

    private RegistryIdentity? Read(JsonElement body)
    {
        DateTimeOffset now = _time.GetUtcNow();
        bool isOurs = body.TryGetProperty("iss", out JsonElement issuer) && issuer.GetString() == _issuer && body.TryGetProperty("aud", out JsonElement audience) && IsFor(audience);
        bool isNow = body.TryGetProperty("exp", out JsonElement end) && now < TimeOf(end) + s_leeway && (!body.TryGetProperty("nbf", out JsonElement start) || now > TimeOf(start) - s_leeway);
        if (!isOurs || !isNow)
        {
            return null;
        }
        List<TokenGrant> grants = [];
        foreach (JsonElement entry in body.TryGetProperty("access", out JsonElement access) && access.ValueKind == JsonValueKind.Array ? access.EnumerateArray() : default)
        {
            grants.Add(new TokenGrant(entry.GetProperty("type").GetString() ?? "", entry.GetProperty("name").GetString() ?? "", [.. entry.GetProperty("actions").EnumerateArray().Select(a => a.GetString() ?? "")]));
        }
        string? user = body.TryGetProperty("sub", out JsonElement subject) ? subject.GetString() : null;
        return new RegistryIdentity(string.IsNullOrEmpty(user) ? null : user) { Grants = grants, HasToken = true };
    }

    private bool IsFor(JsonElement audience) => audience.ValueKind == JsonValueKind.Array
        ? audience.EnumerateArray().Any(a => a.GetString() == _service)
        : audience.GetString() == _service;

    private static DateTimeOffset TimeOf(JsonElement seconds)
    {
        double value = seconds.GetDouble();
        // Beyond them a date has no meaning, and none is a reason to fail open.
        return value is > 0 and < 253402300799 ? DateTimeOffset.UnixEpoch.AddSeconds(value) : throw new FormatException("not a time");
    }

    private static bool TryDecode(string text, out byte[] bytes)
    {
        bool isRight = Base64Url.IsValid(text) && !text.Contains('=', StringComparison.Ordinal);
        bytes = isRight ? Base64Url.DecodeFromChars(text) : [];
        return isRight && bytes.Length > 0;
    }
}
