namespace Strata.Layers;

/// <summary>The bytes of one file, no more and no less; holes of a sparse file are zeros. Nothing is kept but the map.</summary>
internal sealed class EntryContent : Stream
{
    private readonly HashingPipe _pipe;
    private readonly string _path;
    private readonly List<SparseExtent>? _map;
    private readonly long _size, _padded;
    private long _position, _storedLeft, _holeLeft, _dataLeft, _mapped;
    private int _nextExtent;

    /// <summary>A file of <paramref name="size"/> bytes, of which the archive has <paramref name="stored"/>: all of them where there is no map.</summary>
    internal EntryContent(HashingPipe pipe, string path, long size, long stored, List<SparseExtent>? map)
    {
        (_pipe, _path, _size, _map) = (pipe, path, size, map);
        (_storedLeft, _padded, PlainOffset) = (stored, stored, pipe.BytesRead);
        (_dataLeft, _mapped) = map is null ? (size, size) : (0, 0);
    }

    /// <summary>It is a sparse file's.</summary>
    internal bool HasMap => _map is not null;

    /// <summary>Where it has data, in order; null for a file without holes.</summary>
    internal IReadOnlyList<SparseExtent>? Map => _map;

    /// <summary>Where its bytes begin in the plain tar: at a block of 512. Those of a sparse file's extents follow each other.</summary>
    internal long PlainOffset { get; }

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => _size;
    public override long Position { get => _position; set => throw new NotSupportedException(); }

    public override int Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty || !FindPiece())
        {
            return 0;
        }
        int count = (int)Math.Min(buffer.Length, _holeLeft > 0 ? _holeLeft : _dataLeft);
        if (_holeLeft > 0)
        {
            buffer[..count].Clear();
            _holeLeft -= count;
        }
        else
        {
            count = _pipe.Read(buffer[..count]);
            if (count == 0)
            {
                throw new InvalidDataException($"«{LayerReader.Shown(_path)}»: the archive is cut: {_storedLeft} bytes of a file are missing");
            }
            _dataLeft -= count;
            _storedLeft -= count;
        }
        _position += count;
        return count;
    }

    /// <summary>Passes over the hole the content stands at; returns its bytes, 0 where there is data or the end.</summary>
    internal long PassHole()
    {
        if (!FindPiece())
        {
            return 0;
        }
        long hole = _holeLeft;
        (_holeLeft, _position) = (0, _position + hole);
        return hole;
    }

    /// <summary>Passes over what is left, and the padding.</summary>
    internal void Finish()
    {
        int over = (int)(_padded % TarHeader.BlockBytes);
        long rest = _storedLeft + (over == 0 ? 0 : TarHeader.BlockBytes - over);
        if (_pipe.Skip(rest) != rest)
        {
            throw new InvalidDataException($"«{LayerReader.Shown(_path)}»: the archive is cut inside a file");
        }
        (_holeLeft, _dataLeft, _storedLeft, _mapped, _nextExtent) = (0, 0, 0, _size, int.MaxValue);
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    // The next hole or data of the map; behind the map a hole up to the size.
    private bool FindPiece()
    {
        while (_holeLeft == 0 && _dataLeft == 0)
        {
            if (_map is not null && _nextExtent < _map.Count)
            {
                SparseExtent extent = _map[_nextExtent++];
                (_holeLeft, _dataLeft, _mapped) = (extent.Offset - _mapped, extent.Length, extent.Offset + extent.Length);
            }
            else if (_mapped < _size)
            {
                (_holeLeft, _mapped) = (_size - _mapped, _size);
            }
            else
            {
                return false;
            }
        }
        return true;
    }
}
