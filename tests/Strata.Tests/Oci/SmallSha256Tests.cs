using System.Security.Cryptography;
using System.Text;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Oci;

public sealed class SmallSha256Tests
{
    [Theory] // FIPS 180-2, appendix B, and the empty text
    [InlineData("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    [InlineData("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")]
    public void The_standards_examples_come_out(string text, string expected) => Assert.Equal("sha256:" + expected, Digest.Of(Encoding.ASCII.GetBytes(text)).ToString());

    [Fact]
    public void Every_length_around_a_block_and_random_ones_are_as_OpenSSL_has_them()
    {
        var random = new Random(256);
        byte[] hash = new byte[SHA256.HashSizeInBytes];
        foreach (int length in Enumerable.Range(0, 300).Concat(Enumerable.Range(0, 200).Select(_ => random.Next(SmallSha256.MaxBytes))))
        {
            byte[] content = new byte[length];
            random.NextBytes(content);
            SmallSha256.Hash(content, hash);
            Assert.Equal(SHA256.HashData(content), hash);
        }
    }

    [Fact]
    public void Pieces_give_the_digest_of_the_whole_below_at_and_above_what_is_few()
    {
        byte[] content = new byte[SmallSha256.MaxBytes + 1000];
        new Random(257).NextBytes(content);
        foreach (int length in (int[])[0, 1, 1000, SmallSha256.MaxBytes - 1, SmallSha256.MaxBytes, SmallSha256.MaxBytes + 1, content.Length])
        {
            using var builder = new DigestBuilder();
            for (int at = 0; at < length; at += 997)
            {
                builder.Append(content.AsSpan(at, Math.Min(997, length - at)));
            }
            Assert.Equal(Digest.FromSha256(SHA256.HashData(content.AsSpan(0, length))), builder.Finish());
        }
    }
}
