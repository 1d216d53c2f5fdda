using Microsoft.Win32.SafeHandles;

namespace Strata.Snapshots;

/// <summary>The bytes of a file that lie on devices or in an index; what lies nowhere is zeros. The files are the image's, and stay open.</summary>
internal sealed class ErofsContent(long size, IReadOnlyList<ErofsRun> runs, SafeFileHandle index, Func<int, SafeFileHandle> device) : Stream
{
    private long _position;
    private int _run;

    public override bool CanRead => true;
    public override bool CanSeek => true;
    public override bool CanWrite => false;
    public override long Length => size;
    public override long Position { get => _position; set => Seek(value, SeekOrigin.Begin); }

    public override int Read(Span<byte> buffer)
    {
        int count = (int)Math.Min(buffer.Length, size - _position);
        if (count <= 0)
        {
            return 0;
        }
        while (_run < runs.Count && runs[_run].Offset + runs[_run].Length <= _position)
        {
            _run++;
        }
        ErofsRun? run = _run < runs.Count ? runs[_run] : null;
        if (run is not { } data || data.Offset > _position)
        {
            count = (int)Math.Min(count, (run?.Offset ?? size) - _position);
            buffer[..count].Clear();
        }
        else
        {
            long inRun = _position - data.Offset;
            count = (int)Math.Min(count, data.Length - inRun);
            count = RandomAccess.Read(data.Place < 0 ? index : device(data.Device), buffer[..count], (data.Place < 0 ? -1 - data.Place : data.Place) + inRun);
            if (count == 0)
            {
                throw new EndOfStreamException("the layer's file became shorter");
            }
        }
        _position += count;
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override long Seek(long offset, SeekOrigin origin)
    {
        long target = origin switch { SeekOrigin.Begin => offset, SeekOrigin.Current => _position + offset, _ => size + offset };
        ArgumentOutOfRangeException.ThrowIfNegative(target, nameof(offset));
        _run = target < _position ? 0 : _run;
        return _position = target;
    }

    public override void Flush() { }
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
