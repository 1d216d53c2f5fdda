using System.Collections.Concurrent;
using Strata.Content;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>
/// The bytes of manifests that were asked for lately. What a digest names never changes, and a name is looked up on disk each time: nothing here can be
/// out of date. A manifest that a collection took is still its own content, but no name leads to it.
/// </summary>
internal sealed class ManifestCache(ContentStore content)
{
    // Manifests have one or two KiB; those that are larger are rare, and read each time.
    private const int MostBytes = 8 << 20, MostOfOne = 64 << 10;

    private readonly ConcurrentDictionary<Digest, byte[]> _known = new();
    private int _bytes;

    /// <summary>The bytes, verified.</summary>
    /// <exception cref="StrataException">NotFound: the store does not have it. Corrupt: it is damaged.</exception>
    public async ValueTask<byte[]> ReadAsync(Descriptor manifest, CancellationToken cancellationToken)
    {
        if (_known.TryGetValue(manifest.Digest, out byte[]? known))
        {
            return known;
        }
        byte[] read = await content.ReadAsync(manifest, cancellationToken);
        if (read.Length <= MostOfOne && _known.TryAdd(manifest.Digest, read) && Interlocked.Add(ref _bytes, read.Length) > MostBytes)
        {
            _known.Clear();
            Interlocked.Exchange(ref _bytes, 0);
        }
        return read;
    }
}
