using System.Runtime.InteropServices;

namespace Strata.Linux;

/// <summary>
/// gzip (RFC 1952) through the zlib-ng that the .NET runtime carries. The base library's GZipStream accepts members that are cut and does not
/// say where a member ends; zlib itself says both, and checks CRC and length.
/// </summary>
public static class Zlib
{
    /// <summary>A plain stream of one or more gzip members; the source is not disposed. Cut or damaged members and anything but zeros behind the last throw <see cref="InvalidDataException"/>.</summary>
    public static Stream OpenGunzip(Stream source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new GunzipStream(source);
    }

    /// <summary>A stream that compresses into one member (no name, no time); disposing it ends the member and does not dispose the target.</summary>
    public static Stream OpenGzip(Stream target, int level)
    {
        ArgumentNullException.ThrowIfNull(target);
        return new GzipStream(target, level);
    }
}

/// <summary>The runtime's own zlib entry points (pal_zlib.h).</summary>
internal static unsafe partial class ZlibNative
{
    private const string Library = "libSystem.IO.Compression.Native";
    internal const int Z_OK = 0, Z_STREAM_END = 1, Z_BUF_ERROR = -5, Z_NO_FLUSH = 0, Z_FINISH = 4, Z_DEFLATED = 8;
    internal const int GzipWindowBits = 15 + 16; // the largest window, and a gzip header and trailer

    [StructLayout(LayoutKind.Sequential)]
    internal struct ZStream
    {
        internal byte* NextIn, NextOut, Message;
        internal nint State;
        internal uint AvailableIn, AvailableOut;
    }

    [LibraryImport(Library)]
    internal static partial int CompressionNative_InflateInit2_(ZStream* stream, int windowBits);

    [LibraryImport(Library)]
    internal static partial int CompressionNative_Inflate(ZStream* stream, int flush);

    [LibraryImport(Library)]
    internal static partial int CompressionNative_InflateEnd(ZStream* stream);

    [LibraryImport(Library)]
    internal static partial int CompressionNative_DeflateInit2_(ZStream* stream, int level, int method, int windowBits, int memoryLevel, int strategy);

    [LibraryImport(Library)]
    internal static partial int CompressionNative_Deflate(ZStream* stream, int flush);

    [LibraryImport(Library)]
    internal static partial int CompressionNative_DeflateEnd(ZStream* stream);
}

/// <summary>A z_stream on the native heap (zlib keeps a pointer to it).</summary>
internal sealed unsafe class ZlibState : SafeHandle
{
    private readonly bool _deflates;

    internal ZlibState(bool deflates, int level) : base(0, ownsHandle: true)
    {
        _deflates = deflates;
        ZlibNative.ZStream* stream = (ZlibNative.ZStream*)NativeMemory.AllocZeroed((nuint)sizeof(ZlibNative.ZStream));
        const int DefaultMemoryLevel = 8, DefaultStrategy = 0;
        int result = deflates
            ? ZlibNative.CompressionNative_DeflateInit2_(stream, level, ZlibNative.Z_DEFLATED, ZlibNative.GzipWindowBits, DefaultMemoryLevel, DefaultStrategy)
            : ZlibNative.CompressionNative_InflateInit2_(stream, ZlibNative.GzipWindowBits);
        if (result != ZlibNative.Z_OK)
        {
            NativeMemory.Free(stream);
            throw new LinuxException("malloc", "zlib", Errno.ENOMEM);
        }
        SetHandle((nint)stream);
    }

    public override bool IsInvalid => handle == 0;

    internal ZlibNative.ZStream* Stream => (ZlibNative.ZStream*)handle;

    protected override bool ReleaseHandle()
    {
        _ = _deflates ? ZlibNative.CompressionNative_DeflateEnd(Stream) : ZlibNative.CompressionNative_InflateEnd(Stream);
        NativeMemory.Free((void*)handle);
        return true;
    }
}

internal sealed class GunzipStream(Stream source) : Stream
{
    private const int InputBytes = 1 << 17;
    private readonly byte[] _input = new byte[InputBytes];
    private ZlibState? _state = new(deflates: false, level: 0);
    private int _start, _end;
    private bool _anyMember, _behindMember, _ended;

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(Span<byte> buffer)
    {
        while (!_ended && !buffer.IsEmpty)
        {
            if (_start == _end)
            {
                (_start, _end) = (0, source.Read(_input));
                if (_end == 0)
                {
                    _ended = true;
                    return _behindMember && _anyMember ? 0 : throw new InvalidDataException("gzip: the stream is cut");
                }
            }
            if (_behindMember && !NextMember())
            {
                continue;
            }
            int produced = Inflate(buffer);
            if (produced > 0)
            {
                return produced;
            }
        }
        return 0;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        _state?.Dispose();
        base.Dispose(disposing);
    }

    // Between members: zeros are padding (as gzip takes them), 1F starts another member, anything else is garbage.
    private bool NextMember()
    {
        while (_start < _end && _input[_start] == 0)
        {
            _start++;
        }
        if (_start == _end)
        {
            return false;
        }
        if (_input[_start] != 0x1F)
        {
            throw new InvalidDataException("gzip: garbage behind the end of the stream");
        }
        _state!.Dispose();
        _state = new ZlibState(deflates: false, level: 0);
        _behindMember = false;
        return true;
    }

    private unsafe int Inflate(Span<byte> buffer)
    {
        fixed (byte* input = _input)
        fixed (byte* output = buffer)
        {
            ZlibNative.ZStream* stream = _state!.Stream;
            stream->NextIn = input + _start;
            stream->AvailableIn = (uint)(_end - _start);
            stream->NextOut = output;
            stream->AvailableOut = (uint)buffer.Length;
            int result = ZlibNative.CompressionNative_Inflate(stream, ZlibNative.Z_NO_FLUSH);
            _start = _end - (int)stream->AvailableIn;
            switch (result)
            {
                case ZlibNative.Z_STREAM_END:
                    _anyMember = _behindMember = true;
                    break;
                case ZlibNative.Z_OK or ZlibNative.Z_BUF_ERROR:
                    break;
                default:
                    throw new InvalidDataException("gzip: " + (stream->Message is null ? $"damaged ({result})" : Marshal.PtrToStringUTF8((nint)stream->Message)));
            }
            return buffer.Length - (int)stream->AvailableOut;
        }
    }
}

internal sealed class GzipStream(Stream target, int level) : Stream
{
    private const int OutputBytes = 1 << 17;
    private const int BlockBytes = 1 << 18;
    private readonly ZlibState _state = new(deflates: true, level);
    private readonly byte[] _output = new byte[OutputBytes];
    private readonly byte[] _block = new byte[BlockBytes];
    private int _gathered;
    private bool _ended;

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    // zlib-ng's output depends on how its input is cut: it is cut alike whatever the writes were, so that equal input gives equal bytes.
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            int count = Math.Min(buffer.Length, _block.Length - _gathered);
            buffer[..count].CopyTo(_block.AsSpan(_gathered));
            buffer = buffer[count..];
            _gathered += count;
            if (_gathered == _block.Length)
            {
                DeflateBlock();
            }
        }
    }

    private void DeflateBlock()
    {
        ReadOnlySpan<byte> rest = _block.AsSpan(0, _gathered);
        _gathered = 0;
        while (!rest.IsEmpty)
        {
            (int consumed, int produced, _) = Deflate(rest, ZlibNative.Z_NO_FLUSH);
            rest = rest[consumed..];
            target.Write(_output.AsSpan(0, produced));
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    public override void Flush() { }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && !_ended)
        {
            _ended = true;
            DeflateBlock();
            bool more;
            do
            {
                (_, int produced, more) = Deflate([], ZlibNative.Z_FINISH);
                target.Write(_output.AsSpan(0, produced));
            }
            while (more);
        }
        _state.Dispose();
        base.Dispose(disposing);
    }

    private unsafe (int Consumed, int Produced, bool More) Deflate(ReadOnlySpan<byte> input, int flush)
    {
        fixed (byte* start = input)
        fixed (byte* output = _output)
        {
            ZlibNative.ZStream* stream = _state.Stream;
            stream->NextIn = start;
            stream->AvailableIn = (uint)input.Length;
            stream->NextOut = output;
            stream->AvailableOut = OutputBytes;
            int result = ZlibNative.CompressionNative_Deflate(stream, flush);
            if (result is not (ZlibNative.Z_OK or ZlibNative.Z_STREAM_END or ZlibNative.Z_BUF_ERROR))
            {
                throw new InvalidDataException($"gzip: deflate failed ({result})");
            }
            return (input.Length - (int)stream->AvailableIn, OutputBytes - (int)stream->AvailableOut, result != ZlibNative.Z_STREAM_END);
        }
    }
}
