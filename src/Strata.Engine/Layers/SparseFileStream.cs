using Microsoft.Win32.SafeHandles;

namespace Strata.Layers;

/// <summary>Writes a new file from its start; what is zeros for long becomes a hole. The file is the caller's. Give it large pieces.</summary>
internal sealed class SparseFileStream(SafeFileHandle file) : Stream
{
    private const int PieceBytes = 1 << 15; // shorter holes are not worth another extent
    private long _position;
    private bool _endsInHole;

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => _position;
    public override long Position { get => _position; set => throw new NotSupportedException(); }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        int start = 0; // of what is not written yet and is no hole
        for (int at = 0; at < buffer.Length; at += PieceBytes)
        {
            ReadOnlySpan<byte> piece = buffer.Slice(at, Math.Min(PieceBytes, buffer.Length - at));
            _endsInHole = piece.Length == PieceBytes && !piece.ContainsAnyExcept((byte)0);
            if (_endsInHole)
            {
                RandomAccess.Write(file, buffer[start..at], _position + start);
                start = at + PieceBytes;
            }
        }
        if (start < buffer.Length)
        {
            RandomAccess.Write(file, buffer[start..], _position + start);
        }
        _position += buffer.Length;
    }

    /// <summary>Gives the file its length, where it ends in a hole.</summary>
    public override void Flush()
    {
        if (_endsInHole)
        {
            Linux.Files.SetLength(file, _position, "(layer)");
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
}
