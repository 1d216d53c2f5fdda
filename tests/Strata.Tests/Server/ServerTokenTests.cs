using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Strata.Server.Registry;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>Tokens of a token service; bad case 26.</summary>
public sealed class ServerTokenTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-token-").FullName;
    private readonly RSA _rsa = RSA.Create(2048);
    private readonly ECDsa _ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public void Dispose()
    {
        _rsa.Dispose();
        _ecdsa.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static long Now => TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    private RegistryServerOptions Options(string root) => new()
    {
        Access = new RegistryAccessOptions
        {
            TokenKeyFile = TestRegistry.Write(root, "keys.pem", _rsa.ExportSubjectPublicKeyInfoPem() + "\n" + _ecdsa.ExportSubjectPublicKeyInfoPem() + "\n"),
            TokenIssuer = "issuer",
            TokenService = "service",
            TokenRealm = "https://tokens.example/get",
        },
    };

    private static string Encode(string text) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(text));

    private (string, string) Rs256(string payload, string header = """{"alg":"RS256","typ":"JWT"}""")
    {
        string signed = Encode(header) + "." + Encode(payload);
        return ("Authorization", $"Bearer {signed}.{Base64Url.EncodeToString(_rsa.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}");
    }

    private (string, string) Es256(string payload)
    {
        string signed = Encode("""{"alg":"ES256"}""") + "." + Encode(payload);
        return ("Authorization", $"Bearer {signed}.{Base64Url.EncodeToString(_ecdsa.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256))}");
    }

    private static string Payload(string actions = "\"pull\"", string name = "a/b", string issuer = "issuer", string audience = "\"service\"", long lives = 60, string more = "")
        => $$"""{"iss":"{{issuer}}","aud":{{audience}},"sub":"ci","exp":{{Now + lives}},"access":[{"type":"repository","name":"{{name}}","actions":[{{actions}}]}]{{more}} }""";

    [Fact]
    public async Task A_token_allows_what_it_says_and_no_more()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(Options);
        Answer asked = await registry.SendAsync("GET", "/v2/a/b/manifests/1");
        Assert.Equal((401, "Bearer realm=\"https://tokens.example/get\",service=\"service\",scope=\"repository:a/b:pull\""), (asked.Status, asked.Headers.WwwAuthenticate.ToString()));
        (string, string) push = Rs256(Payload("\"pull\",\"push\""));
        TestImage image = await registry.PushAsync("a/b", "1", headers: push);
        foreach ((string, string) pull in ((string, string)[])[Rs256(Payload()), Es256(Payload(audience: "[\"x\",\"service\"]"))])
        {
            Assert.Equal(image.Manifest, (await registry.SendAsync("GET", "/v2/a/b/manifests/1", null, pull)).Body);
            Assert.Equal(200, (await registry.SendAsync("GET", "/v2/", null, pull)).Status);
            Assert.Equal(401, (await registry.SendAsync("POST", "/v2/a/b/blobs/uploads/", [], pull)).Status);
            Assert.Equal(401, (await registry.SendAsync("DELETE", "/v2/a/b/manifests/1", null, pull)).Status);
            Assert.Equal(401, (await registry.SendAsync("GET", "/v2/a/c/manifests/1", null, pull)).Status);
            Assert.Equal(401, (await registry.SendAsync("GET", "/v2/_catalog", null, pull)).Status);
        }
        Assert.Equal(202, (await registry.SendAsync("DELETE", "/v2/a/b/manifests/1", null, Rs256(Payload("\"delete\"")))).Status);
    }

    [Fact]
    public async Task Tokens_that_are_not_to_be_believed_are_refused()
    {
        await using TestRegistry registry = await TestRegistry.StartAsync(Options);
        string good = Payload();
        string pem = _rsa.ExportSubjectPublicKeyInfoPem();
        string unsigned = Encode("""{"alg":"none"}""") + "." + Encode(good) + ".";
        string hmac = Encode("""{"alg":"HS256"}""") + "." + Encode(good);
        using RSA other = RSA.Create(2048);
        string jwk = Encode($$$"""{"alg":"RS256","kid":"trusted","jwk":{"kty":"RSA","n":"{{{Base64Url.EncodeToString(other.ExportParameters(false).Modulus)}}}","e":"AQAB"}}""") + "." + Encode(good);
        string valid = Rs256(good).Item2;
        (string What, string Header)[] bad =
        [
            ("none", "Bearer " + unsigned),
            ("no signature", "Bearer " + unsigned + "AAAA"),
            ("HS256 with the public key", $"Bearer {hmac}.{Base64Url.EncodeToString(HMACSHA256.HashData(Encoding.ASCII.GetBytes(pem), Encoding.ASCII.GetBytes(hmac)))}"),
            ("a key of its own", $"Bearer {jwk}.{Base64Url.EncodeToString(other.SignData(Encoding.ASCII.GetBytes(jwk), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}"),
            ("crit", Rs256(good, """{"alg":"RS256","crit":["exp"]}""").Item2),
            ("PS256", Rs256(good, """{"alg":"PS256"}""").Item2),
            ("two algorithms", Rs256(good, """{"alg":"none","alg":"RS256"}""").Item2),
            ("issuer", Rs256(Payload(issuer: "other")).Item2),
            ("audience", Rs256(Payload(audience: "\"other\"")).Item2),
            ("audiences", Rs256(Payload(audience: "[\"other\"]")).Item2),
            ("expired", Rs256(Payload(lives: -3600)).Item2),
            ("not yet", Rs256(Payload(more: $",\"nbf\":{Now + 3600}")).Item2),
            ("no end", Rs256("""{"iss":"issuer","aud":"service","access":[]}""").Item2),
            ("an end that is none", Rs256(good.Replace("\"exp\":", "\"exp\":\"x\",\"x\":", StringComparison.Ordinal)).Item2),
            ("not JSON", Rs256("nonsense").Item2),
            ("changed", valid[..^6] + "AAAAAA"),
            ("long", "Bearer " + new string('a', 17_000)),
            ("empty", "Bearer "),
        ];
        foreach ((string what, string header) in bad)
        {
            Answer answer = await registry.SendAsync("GET", "/v2/", null, ("Authorization", header));
            Assert.True(answer.Status == 401, $"{what}: {answer.Status}");
        }
        Assert.Equal(200, (await registry.SendAsync("GET", "/v2/", null, ("Authorization", valid))).Status);
    }

    [Fact]
    public void Keys_that_are_weak_or_private_are_refused_at_the_start()
    {
        using RSA weak = RSA.Create(1024);
        using ECDsa curve = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        foreach (string pem in (string[])[weak.ExportSubjectPublicKeyInfoPem(), curve.ExportSubjectPublicKeyInfoPem(), _rsa.ExportPkcs8PrivateKeyPem(), "", "nonsense"])
        {
            Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => TokenVerifier.ParseKeys(pem, "keys.pem")).Kind);
        }
        Assert.Equal(2, TokenVerifier.ParseKeys(_rsa.ExportSubjectPublicKeyInfoPem() + "\n" + _ecdsa.ExportSubjectPublicKeyInfoPem(), "keys.pem").Count);
    }
}
