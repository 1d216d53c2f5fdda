using System.Buffers;
using System.Security.Cryptography;

namespace Strata.Oci;

/// <summary>A SHA-256 of pieces that are mostly few and short: OpenSSL is loaded for it only once they are more than <see cref="SmallSha256"/> is for.</summary>
internal sealed class DigestBuilder : IDisposable
{
    private readonly ArrayBufferWriter<byte> _few = new();
    private IncrementalHash? _many;

    /// <summary>Adds a piece.</summary>
    internal void Append(ReadOnlySpan<byte> piece)
    {
        if (_many is null && _few.WrittenCount + piece.Length <= SmallSha256.MaxBytes)
        {
            _few.Write(piece);
            return;
        }
        if (_many is null)
        {
            _many = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            _many.AppendData(_few.WrittenSpan);
            _few.ResetWrittenCount();
        }
        _many.AppendData(piece);
    }

    /// <summary>The digest of all pieces.</summary>
    internal Digest Finish() => _many is null ? Digest.Of(_few.WrittenSpan) : Digest.FromSha256(_many.GetHashAndReset());

    public void Dispose() => _many?.Dispose();
}
