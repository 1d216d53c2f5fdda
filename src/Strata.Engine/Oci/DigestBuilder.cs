using System.Security.Cryptography;

namespace Strata.Oci;

/// <summary>A SHA-256 of pieces that are mostly few and short: OpenSSL is loaded for it only once they are more than <see cref="SmallSha256"/> is for.</summary>
internal sealed class DigestBuilder : IDisposable
{
    private ByteBuffer? _few = new();
    private IncrementalHash? _many;

    /// <summary>Adds a piece.</summary>
    internal void Append(ReadOnlySpan<byte> piece)
    {
        if (_few is not null && _few.Count + piece.Length <= SmallSha256.MaxBytes)
        {
            _few.Write(piece);
            return;
        }
        AppendToMany(piece);
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private void AppendToMany(ReadOnlySpan<byte> piece)
    {
        if (_many is null)
        {
            _many = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            _many.AppendData(_few!.Written);
            _few = null;
        }
        _many.AppendData(piece);
    }

    /// <summary>The digest of all pieces.</summary>
    internal Digest Finish() => _few is not null ? Digest.Of(_few.Written) : Digest.FromSha256(_many!.GetHashAndReset());

    public void Dispose() => _many?.Dispose();
}
