using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Oci;

public sealed class DigestTests
{
    [Theory]
    [InlineData("SHA256", "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")]
    [InlineData("SHA384", "sha384:59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f")]
    [InlineData("SHA512", "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043")]
    public void Content_has_a_digest_by_each_algorithm(string algorithm, string expected)
    {
        byte[] hello = Encoding.ASCII.GetBytes("hello");
        Digest digest = Digest.Of(hello, new HashAlgorithmName(algorithm));
        Assert.Equal(expected, digest.ToString());
        Assert.Equal(digest, Digest.Parse(expected));
        Assert.True(digest.Matches(hello));
        Assert.False(digest.Matches("hello!"u8));
        using IncrementalHash hash = digest.CreateHash();
        hash.AppendData(hello);
        Assert.Equal(digest, Digest.FromHash(digest.HashAlgorithm, hash.GetCurrentHash()));
    }

    [Theory]
    [InlineData("sha256:../../../etc/passwd")]
    [InlineData("sha256:2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824")]
    [InlineData("SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")]
    [InlineData("sha256:2cf24dba")]
    [InlineData("md5:5d41402abc4b2a76b9719d911017c592")]
    [InlineData("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n")]
    [InlineData("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98２4")]
    [InlineData("sha512:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")]
    [InlineData("")]
    public void What_cannot_be_a_file_name_is_no_digest(string text)
    {
        Assert.False(Digest.TryParse(text, null, out _));
        Assert.Throws<FormatException>(() => Digest.Parse(text));
    }

    [Fact]
    public void Vectors_of_go_digest_agree()
    {
        int count = 0;
        foreach (string line in File.ReadLines(Suites.File("digest", "parse.jsonl")))
        {
            using JsonDocument vector = JsonDocument.Parse(line);
            string input = vector.RootElement.GetProperty("input").GetString()!;
            string? error = vector.RootElement.GetProperty("err").GetString();
            string? algorithm = vector.RootElement.GetProperty("algorithm").GetString();
            // Well-formed digests of algorithms nobody registered are split in the vectors; for us they are recognised, and not supported.
            DigestSyntax expected = (error, algorithm) switch
            {
                (null, "sha256" or "sha384" or "sha512") => DigestSyntax.Valid,
                (null, _) or ("ErrDigestUnsupported", _) => DigestSyntax.Unsupported,
                ("ErrDigestInvalidLength", _) => DigestSyntax.InvalidLength,
                _ => DigestSyntax.InvalidFormat,
            };
            DigestSyntax actual = Digest.Read(input, out Digest digest);
            // Wrong length and wrong letters at once: either answer is right.
            bool either = input.StartsWith("sha256:", StringComparison.Ordinal) && expected is DigestSyntax.InvalidFormat or DigestSyntax.InvalidLength
                && actual is DigestSyntax.InvalidFormat or DigestSyntax.InvalidLength;
            Assert.True(either || expected == actual, $"{input}: {actual}, not {expected}");
            if (actual == DigestSyntax.Valid)
            {
                Assert.Equal(algorithm, digest.Algorithm.ToString());
                Assert.Equal(vector.RootElement.GetProperty("encoded").GetString(), digest.Hex.ToString());
            }
            count++;
        }
        Assert.Equal(17, count);
    }

    [Fact]
    public void Chain_ids_name_stacks()
    {
        Digest[] diffIds =
        [
            Digest.Parse("sha256:c6f988f4874bb0add23a778f753c65efe992244e148a1d2ec2a8b664fb66bbd1"),
            Digest.Parse("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"),
        ];
        Assert.Equal("sha256:c3191d32a37d7159b2e30830937d2e30268ad6c375a773a8994911a3aba9b93f", ChainId.Of(diffIds).ToString());
        Assert.Equal(diffIds[0], ChainId.Of(null, diffIds[0]));
        Assert.Null(ChainId.Of([]));
        Assert.Equal([diffIds[0], ChainId.Of(diffIds)!.Value], ChainId.All([.. diffIds]));
    }
}
