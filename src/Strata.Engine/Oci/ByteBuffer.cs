namespace Strata.Oci;

/// <summary>Bytes that become more. As the base library's ArrayBufferWriter, whose assembly a short command would load for it alone.</summary>
internal sealed class ByteBuffer(int capacity = 256)
{
    private byte[] _bytes = new byte[capacity];

    internal int Count { get; private set; }

    internal ReadOnlySpan<byte> Written => _bytes.AsSpan(0, Count);

    /// <summary>Room for at least so many bytes behind what was written; what of it is used is told to <see cref="Advance"/>.</summary>
    internal Span<byte> GetSpan(int bytes)
    {
        if (_bytes.Length - Count < bytes)
        {
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, checked(Count + bytes)));
        }
        return _bytes.AsSpan(Count);
    }

    internal void Advance(int bytes) => Count += bytes;

    internal void Write(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(GetSpan(bytes.Length));
        Count += bytes.Length;
    }
}
