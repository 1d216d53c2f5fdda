using System.Collections.Immutable;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Snapshots;

/// <summary>A part of a layer's tar that is kept in a pool.</summary>
/// <param name="TarOffset">Where it belongs in the tar.</param>
/// <param name="Length">In bytes.</param>
/// <param name="Pool">Which of the layer's pools, counted from 1.</param>
/// <param name="PoolOffset">Where it lies there.</param>
/// <param name="Content">Its digest.</param>
internal readonly record struct ErofsPiece(long TarOffset, long Length, int Pool, long PoolOffset, Digest Content);

/// <summary>layer.pieces: 64 bytes for each piece, in the order of the tar: where it belongs, length, pool, place there (8 bytes each, little-endian), SHA-256.</summary>
internal static class ErofsPieces
{
    private const int PieceBytes = 64, HashOffset = 32, BufferBytes = 1 << 20;

    internal static byte[] Serialize(IReadOnlyList<ErofsPiece> pieces)
    {
        byte[] bytes = new byte[pieces.Count * PieceBytes];
        for (int i = 0; i < pieces.Count; i++)
        {
            Span<byte> at = bytes.AsSpan(i * PieceBytes, PieceBytes);
            ErofsFormat.Write64(at, 0, pieces[i].TarOffset);
            ErofsFormat.Write64(at, 8, pieces[i].Length);
            ErofsFormat.Write64(at, 16, pieces[i].Pool);
            ErofsFormat.Write64(at, 24, pieces[i].PoolOffset);
            Convert.FromHexString(pieces[i].Content.Hex, at[HashOffset..], out _, out _);
        }
        return bytes;
    }

    /// <summary>Reads what lies where of a layer.</summary>
    /// <exception cref="StrataException">Corrupt: it is not what was written here.</exception>
    internal static ImmutableArray<ErofsPiece> Read(string path, Digest expected)
    {
        byte[] bytes = FileSystems.TryRead(path, int.MaxValue) ?? throw Corrupt(path, "it is not here");
        if (Digest.Of(bytes) != expected || bytes.Length % PieceBytes != 0)
        {
            throw Corrupt(path, "it was changed on disk");
        }
        ImmutableArray<ErofsPiece>.Builder pieces = ImmutableArray.CreateBuilder<ErofsPiece>(bytes.Length / PieceBytes);
        for (int i = 0; i < bytes.Length; i += PieceBytes)
        {
            ReadOnlySpan<byte> at = bytes.AsSpan(i, PieceBytes);
            pieces.Add(new ErofsPiece(ErofsFormat.Read64(at, 0), ErofsFormat.Read64(at, 8), (int)ErofsFormat.Read64(at, 16), ErofsFormat.Read64(at, 24), Digest.FromSha256(at[HashOffset..])));
        }
        return pieces.MoveToImmutable();
    }

    /// <summary>The digest of a whole tar of which <paramref name="rest"/> has all but the pieces.</summary>
    internal static Digest HashTar(SafeFileHandle rest, IReadOnlyList<ErofsPiece> pieces, Func<int, SafeFileHandle> pool, long tarBytes)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long at = 0;
        foreach (ErofsPiece piece in pieces)
        {
            Pass(rest, at, piece.TarOffset - at, bytes => hash.AppendData(bytes));
            Pass(pool(piece.Pool), piece.PoolOffset, piece.Length, bytes => hash.AppendData(bytes));
            at = piece.TarOffset + piece.Length;
        }
        Pass(rest, at, tarBytes - at, bytes => hash.AppendData(bytes));
        return Digest.FromSha256(hash.GetHashAndReset());
    }

    /// <summary>What is done with the bytes of a part of a file, as they are read.</summary>
    internal delegate void OnBytes(ReadOnlySpan<byte> bytes);

    /// <summary>Reads a part of a file.</summary>
    /// <exception cref="EndOfStreamException">It ends before.</exception>
    internal static void Pass(SafeFileHandle file, long offset, long length, OnBytes action)
    {
        byte[] buffer = System.Buffers.ArrayPool<byte>.Shared.Rent((int)Math.Clamp(length, 1, BufferBytes));
        for (long end = offset + length; offset < end;)
        {
            int read = RandomAccess.Read(file, buffer.AsSpan(0, (int)Math.Min(buffer.Length, end - offset)), offset);
            if (read == 0)
            {
                throw new EndOfStreamException("it became shorter");
            }
            action(buffer.AsSpan(0, read));
            offset += read;
        }
        System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
    }

    private static StrataException Corrupt(string path, string why) => new(ErrorKind.Corrupt, $"{path}: {why}") { Hint = ErofsTrees.Advice };
}
