using System.Security.Cryptography;
using System.Text;
using Strata.Content;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Content;

/// <summary>Whatever is a digest can be verified, by its own algorithm.</summary>
public sealed class DigestAlgorithmTests : IDisposable
{
    private static readonly byte[] s_content = Encoding.ASCII.GetBytes("some content");
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-digests").FullName;

    public static TheoryData<string> Algorithms => ["SHA256", "SHA384", "SHA512"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Descriptor DescriptorOf(byte[] content, string algorithm) => new("application/octet-stream", Digest.Of(content, new HashAlgorithmName(algorithm)), s_content.Length);

    [Theory]
    [MemberData(nameof(Algorithms))]
    public async Task Content_is_kept_and_read_by_a_digest_of_any_algorithm(string algorithm)
    {
        ContentStore store = ContentStore.Open(_folder);
        Descriptor descriptor = DescriptorOf(s_content, algorithm);
        await store.WriteAsync(descriptor, new MemoryStream(s_content), Token);
        Assert.Equal(s_content, await store.ReadAsync(descriptor, Token));
        await using Stream stream = await store.OpenAsync(descriptor, Token);
        using var copy = new MemoryStream();
        await stream.CopyToAsync(copy, Token);
        Assert.Equal(s_content, copy.ToArray());
        Assert.Equal([(descriptor.Digest, (long)s_content.Length)], store.List());
    }

    [Theory]
    [MemberData(nameof(Algorithms))]
    public async Task Other_content_is_refused_when_written_and_when_read(string algorithm)
    {
        ContentStore store = ContentStore.Open(_folder);
        byte[] other = Encoding.ASCII.GetBytes("SOME CONTENT");
        Descriptor descriptor = DescriptorOf(s_content, algorithm);
        DigestMismatchException refused = await Assert.ThrowsAsync<DigestMismatchException>(async () => await store.WriteAsync(descriptor, new MemoryStream(other), Token));
        Assert.Equal(Digest.Of(other, new HashAlgorithmName(algorithm)), refused.Actual);
        Assert.Null(store.TryGetSize(descriptor.Digest));

        await store.WriteAsync(descriptor, new MemoryStream(s_content), Token);
        await File.WriteAllBytesAsync(store.Layout.Blob(descriptor.Digest), other, Token);
        await Assert.ThrowsAsync<DigestMismatchException>(async () => await store.ReadAsync(descriptor, Token));
        await using Stream stream = await store.OpenAsync(descriptor, Token);
        await Assert.ThrowsAsync<DigestMismatchException>(async () => await stream.CopyToAsync(Stream.Null, Token));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
