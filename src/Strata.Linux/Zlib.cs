using System.Buffers;
using System.Runtime.InteropServices;

namespace Strata.Linux;

/// <summary>
/// gzip (RFC 1952): written by the zlib-ng that the .NET runtime carries, read by ISA-L where it is installed, else by zlib-ng. The base library's GZipStream
/// accepts members that are cut and does not say where a member ends; these say both, and check CRC and length.
/// </summary>
public static class Zlib
{
    /// <summary>A plain stream of one or more gzip members; the source is not disposed. Cut or damaged members and anything but zeros behind the last throw <see cref="InvalidDataException"/>.</summary>
    public static Stream OpenGunzip(Stream source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new GunzipStream(source, GzipMembers.Open());
    }

    /// <summary>A stream that compresses into members (no name, no time), several at once; disposing it ends the last one and does not dispose the target.</summary>
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

/// <summary>What inflates gzip members, one after another.</summary>
internal abstract class GzipMembers : IDisposable
{
    /// <summary>So much of a member's header is in the first input, where there is so much.</summary>
    internal const int HeadBytes = 4;

    /// <summary>The fastest that is here.</summary>
    internal static GzipMembers Open() => IsalMembers.IsUsable ? new IsalMembers() : new ZlibMembers();

    /// <summary>Goes on with a member, or begins one behind the last; true where it has ended. Input may be empty: there may be output left of it.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    internal abstract bool Inflate(ReadOnlySpan<byte> input, Span<byte> output, out int consumed, out int produced);

    public abstract void Dispose();
}

/// <summary>By zlib.</summary>
internal sealed unsafe class ZlibMembers : GzipMembers
{
    private ZlibState? _state;

    internal override bool Inflate(ReadOnlySpan<byte> input, Span<byte> output, out int consumed, out int produced)
    {
        _state ??= new ZlibState(deflates: false, level: 0);
        fixed (byte* next = input)
        fixed (byte* target = output)
        {
            ZlibNative.ZStream* stream = _state.Stream;
            stream->NextIn = next;
            stream->AvailableIn = (uint)input.Length;
            stream->NextOut = target;
            stream->AvailableOut = (uint)output.Length;
            int result = ZlibNative.CompressionNative_Inflate(stream, ZlibNative.Z_NO_FLUSH);
            (consumed, produced) = (input.Length - (int)stream->AvailableIn, output.Length - (int)stream->AvailableOut);
            switch (result)
            {
                case ZlibNative.Z_STREAM_END:
                    _state.Dispose();
                    _state = null;
                    return true;
                case ZlibNative.Z_OK or ZlibNative.Z_BUF_ERROR:
                    return false;
                default:
                    throw new InvalidDataException("gzip: " + (stream->Message is null ? $"damaged ({result})" : Marshal.PtrToStringUTF8((nint)stream->Message)));
            }
        }
    }

    public override void Dispose() => _state?.Dispose();
}

internal sealed class GunzipStream(Stream source, GzipMembers members) : Stream
{
    private const int InputBytes = 1 << 17;
    private readonly byte[] _input = new byte[InputBytes];
    private int _start, _end;
    private bool _anyMember, _behindMember = true, _mayHaveOutput, _ended;

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(Span<byte> buffer)
    {
        while (!_ended && !buffer.IsEmpty)
        {
            // What fills the output may have read all of the input and keep the rest.
            if (_start == _end && !_mayHaveOutput)
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
            bool isEnd = members.Inflate(_input.AsSpan(_start, _end - _start), buffer, out int consumed, out int produced);
            _start += consumed;
            _mayHaveOutput = !isEnd && produced == buffer.Length;
            if (isEnd)
            {
                _anyMember = _behindMember = true;
            }
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
        members.Dispose();
        base.Dispose(disposing);
    }

    // Between members: zeros are padding (as gzip takes them), 1F starts another member, anything else is garbage.
    private bool NextMember()
    {
        while (_anyMember && _start < _end && _input[_start] == 0)
        {
            _start++;
        }
        if (_start == _end)
        {
            return false;
        }
        if (_anyMember && _input[_start] != 0x1F)
        {
            throw new InvalidDataException("gzip: garbage behind the end of the stream");
        }
        // As much of its header as decides who reads it.
        if (_end - _start < GzipMembers.HeadBytes)
        {
            _input.AsSpan(_start, _end - _start).CopyTo(_input);
            (_start, _end) = (0, _end - _start);
            for (int read = 1; _end < GzipMembers.HeadBytes && read > 0; _end += read)
            {
                read = source.Read(_input.AsSpan(_end));
            }
        }
        _behindMember = false;
        return true;
    }
}

/// <summary>
/// Members of <see cref="MemberBytes"/> plain bytes each, compressed by several threads and written in order: as where the input is cut does not depend on how it was
/// written or on how many threads there are, nor do the bytes. What does not become smaller is stored as it is.
/// </summary>
internal sealed class GzipStream(Stream target, int level) : Stream
{
    private const int StoredBytes = 1 << 20; // a member that is not compressed: five bytes more for each of its pieces, and the frame
    private const int MemberBytes = StoredBytes - (StoredBytes >> 9);
    private const int FrameBytes = 32; // header and trailer
    private static readonly int s_atOnce = Math.Clamp(Environment.ProcessorCount, 1, 8);

    private readonly Queue<Task<(byte[] Bytes, int Length)>> _compressing = new();
    private byte[] _member = ArrayPool<byte>.Shared.Rent(MemberBytes);
    private int _gathered;
    private bool _anyMember, _ended;

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            if (_gathered == MemberBytes)
            {
                StartMember();
            }
            int count = Math.Min(buffer.Length, MemberBytes - _gathered);
            buffer[..count].CopyTo(_member.AsSpan(_gathered));
            buffer = buffer[count..];
            _gathered += count;
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
            // The last one by this thread: an input that is one member needs no other.
            (byte[] Bytes, int Length)? last = _gathered > 0 || !_anyMember ? Compress(_member, _gathered) : null;
            while (_compressing.Count > 0)
            {
                WriteOldest();
            }
            if (last is { } member)
            {
                WriteMember(member);
            }
        }
        base.Dispose(disposing);
    }

    private void StartMember()
    {
        if (_compressing.Count == s_atOnce)
        {
            WriteOldest();
        }
        byte[] member = _member;
        int length = _gathered;
        _compressing.Enqueue(Task.Run(() => Compress(member, length)));
        _member = ArrayPool<byte>.Shared.Rent(MemberBytes);
        _gathered = 0;
        _anyMember = true;
    }

    private void WriteOldest() => WriteMember(_compressing.Dequeue().GetAwaiter().GetResult());

    private void WriteMember((byte[] Bytes, int Length) member)
    {
        target.Write(member.Bytes.AsSpan(0, member.Length));
        ArrayPool<byte>.Shared.Return(member.Bytes);
    }

    // Takes the plain bytes' buffer.
    private (byte[] Bytes, int Length) Compress(byte[] plain, int length)
    {
        byte[] bytes = ArrayPool<byte>.Shared.Rent(StoredBytes);
        int compressed = Deflate(plain.AsSpan(0, length), bytes, level);
        if (compressed == 0 || compressed > length + FrameBytes)
        {
            const int Stored = 0;
            int stored = Deflate(plain.AsSpan(0, length), bytes.AsSpan(0, StoredBytes), Stored);
            compressed = stored > 0 ? stored : throw new InvalidDataException("gzip: deflate failed");
        }
        ArrayPool<byte>.Shared.Return(plain);
        return (bytes, compressed);
    }

    // A whole member; 0 where it does not fit.
    private static unsafe int Deflate(ReadOnlySpan<byte> plain, Span<byte> bytes, int level)
    {
        using var state = new ZlibState(deflates: true, level);
        fixed (byte* input = plain)
        fixed (byte* output = bytes)
        {
            ZlibNative.ZStream* stream = state.Stream;
            stream->NextIn = input;
            stream->AvailableIn = (uint)plain.Length;
            stream->NextOut = output;
            stream->AvailableOut = (uint)bytes.Length;
            int result = ZlibNative.CompressionNative_Deflate(stream, ZlibNative.Z_FINISH);
            return result switch
            {
                ZlibNative.Z_STREAM_END => bytes.Length - (int)stream->AvailableOut,
                ZlibNative.Z_OK or ZlibNative.Z_BUF_ERROR => 0,
                _ => throw new InvalidDataException($"gzip: deflate failed ({result})"),
            };
        }
    }
}
