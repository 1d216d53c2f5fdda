using System.Runtime.InteropServices;

namespace Strata.Linux;

/// <summary>Zstandard through libzstd.so.1: streaming, several frames, skippable frames, bounded window.</summary>
public static class Zstd
{
    /// <summary>Largest window a frame may ask for: 128 MiB, zstd's own default limit for streaming decompression.</summary>
    public const int MaxWindowLog = 27;

    /// <summary>A stream that decompresses <paramref name="source"/>, which it does not dispose. A cut or damaged frame throws <see cref="InvalidDataException"/>.</summary>
    public static Stream OpenDecompressor(Stream source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new ZstdDecompressor(source);
    }

    /// <summary>A stream that compresses into <paramref name="target"/>; disposing it ends the frame and does not dispose the target.</summary>
    public static Stream OpenCompressor(Stream target, int level = 3)
    {
        ArgumentNullException.ThrowIfNull(target);
        return new ZstdCompressor(target, level);
    }
}

/// <summary>zstd.h, the streaming half.</summary>
internal static unsafe partial class ZstdNative
{
    private const string Library = "libzstd.so.1";
    internal const int ZSTD_c_compressionLevel = 100, ZSTD_c_checksumFlag = 201, ZSTD_c_nbWorkers = 400, ZSTD_d_windowLogMax = 100;
    internal const int ZSTD_e_continue = 0, ZSTD_e_flush = 1, ZSTD_e_end = 2;

    [StructLayout(LayoutKind.Sequential)]
    internal struct Buffer
    {
        internal byte* Start;
        internal nuint Size, Position;
    }

    [LibraryImport(Library)]
    internal static partial nint ZSTD_createDCtx();

    [LibraryImport(Library)]
    internal static partial nuint ZSTD_freeDCtx(nint context);

    [LibraryImport(Library)]
    internal static partial nuint ZSTD_DCtx_setParameter(nint context, int parameter, int value);

    [LibraryImport(Library)]
    internal static partial nuint ZSTD_decompressStream(nint context, Buffer* output, Buffer* input);

    [LibraryImport(Library)]
    internal static partial nint ZSTD_createCCtx();

    [LibraryImport(Library)]
    internal static partial nuint ZSTD_freeCCtx(nint context);

    [LibraryImport(Library)]
    internal static partial nuint ZSTD_CCtx_setParameter(nint context, int parameter, int value);

    [LibraryImport(Library)]
    internal static partial nuint ZSTD_compressStream2(nint context, Buffer* output, Buffer* input, int operation);

    [LibraryImport(Library)]
    internal static partial uint ZSTD_isError(nuint code);

    [LibraryImport(Library)]
    internal static partial nint ZSTD_getErrorName(nuint code);

    internal static nuint Check(nuint code)
        => ZSTD_isError(code) == 0 ? code : throw new InvalidDataException("zstd: " + Marshal.PtrToStringUTF8(ZSTD_getErrorName(code)));
}

/// <summary>A compression or decompression context.</summary>
internal sealed class ZstdContext(bool compresses) : SafeHandle(0, ownsHandle: true)
{
    private readonly bool _compresses = compresses;

    public override bool IsInvalid => handle == 0;

    internal static ZstdContext Create(bool compresses)
    {
        try
        {
            var context = new ZstdContext(compresses);
            context.SetHandle(compresses ? ZstdNative.ZSTD_createCCtx() : ZstdNative.ZSTD_createDCtx());
            return context.IsInvalid ? throw new LinuxException("malloc", "zstd", Errno.ENOMEM) : context;
        }
        catch (DllNotFoundException)
        {
            throw new LinuxException("dlopen", "libzstd.so.1", Errno.ENOENT, "install the package libzstd1");
        }
    }

    protected override bool ReleaseHandle()
    {
        _ = _compresses ? ZstdNative.ZSTD_freeCCtx(handle) : ZstdNative.ZSTD_freeDCtx(handle);
        return true;
    }
}

internal sealed class ZstdDecompressor : Stream
{
    private const int InputBytes = 1 << 17; // ZSTD_DStreamInSize
    private readonly Stream _source;
    private readonly ZstdContext _context = ZstdContext.Create(compresses: false);
    private readonly byte[] _input = new byte[InputBytes];
    private int _start, _end;
    private bool _inFrame, _atEnd;

    internal ZstdDecompressor(Stream source)
    {
        _source = source;
        ZstdNative.Check(ZstdNative.ZSTD_DCtx_setParameter(_context.DangerousGetHandle(), ZstdNative.ZSTD_d_windowLogMax, Zstd.MaxWindowLog));
    }

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(Span<byte> buffer)
    {
        while (true)
        {
            int produced = Step(buffer);
            if (produced > 0 || buffer.IsEmpty || _atEnd)
            {
                return produced;
            }
            Filled(_source.Read(_input));
        }
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (true)
        {
            int produced = Step(buffer.Span);
            if (produced > 0 || buffer.IsEmpty || _atEnd)
            {
                return produced;
            }
            Filled(await _source.ReadAsync(_input, cancellationToken).ConfigureAwait(false));
        }
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        _context.Dispose();
        base.Dispose(disposing);
    }

    // What can be had from the input at hand. A frame may hold output back after its input is gone, so it is asked again with none.
    private unsafe int Step(Span<byte> buffer)
    {
        if (_start == _end && !_inFrame)
        {
            return 0;
        }
        fixed (byte* input = _input)
        fixed (byte* output = buffer)
        {
            var from = new ZstdNative.Buffer { Start = input, Size = (nuint)_end, Position = (nuint)_start };
            var to = new ZstdNative.Buffer { Start = output, Size = (nuint)buffer.Length };
            while (to.Position == 0 && (from.Position < from.Size || _inFrame))
            {
                nuint before = from.Position;
                nuint hint = ZstdNative.Check(ZstdNative.ZSTD_decompressStream(_context.DangerousGetHandle(), &to, &from));
                _inFrame = hint != 0;
                if (from.Position == before && to.Position == 0)
                {
                    break; // it wants more input
                }
            }
            _start = (int)from.Position;
            return (int)to.Position;
        }
    }

    private void Filled(int read)
    {
        (_start, _end) = (0, read);
        if (read == 0)
        {
            _atEnd = true;
            if (_inFrame)
            {
                throw new InvalidDataException("zstd: the last frame is cut");
            }
        }
    }
}

internal sealed class ZstdCompressor : Stream
{
    private const int OutputBytes = 1 << 17; // ZSTD_CStreamOutSize
    private const int MostThreads = 4; // each holds 8 MB of the input
    private readonly Stream _target;
    private readonly ZstdContext _context = ZstdContext.Create(compresses: true);
    private readonly byte[] _output = new byte[OutputBytes];
    private bool _ended;

    internal ZstdCompressor(Stream target, int level)
    {
        _target = target;
        ZstdNative.Check(ZstdNative.ZSTD_CCtx_setParameter(_context.DangerousGetHandle(), ZstdNative.ZSTD_c_compressionLevel, level));
        ZstdNative.Check(ZstdNative.ZSTD_CCtx_setParameter(_context.DangerousGetHandle(), ZstdNative.ZSTD_c_checksumFlag, 1));
        // From one thread on the bytes do not depend on how many there are; a library that was built without threads says so, and has one.
        _ = ZstdNative.ZSTD_CCtx_setParameter(_context.DangerousGetHandle(), ZstdNative.ZSTD_c_nbWorkers, Math.Clamp(Environment.ProcessorCount, 1, MostThreads));
    }

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            (int consumed, int produced, _) = Step(buffer[done..], ZstdNative.ZSTD_e_continue);
            done += consumed;
            _target.Write(_output.AsSpan(0, produced));
        }
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            (int consumed, int produced, _) = Step(buffer.Span[done..], ZstdNative.ZSTD_e_continue);
            done += consumed;
            await _target.WriteAsync(_output.AsMemory(0, produced), cancellationToken).ConfigureAwait(false);
        }
    }

    public override void Flush()
    {
        Drain(ZstdNative.ZSTD_e_flush);
        _target.Flush();
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && !_ended)
        {
            _ended = true;
            Drain(ZstdNative.ZSTD_e_end);
        }
        _context.Dispose();
        base.Dispose(disposing);
    }

    private void Drain(int operation)
    {
        bool more;
        do
        {
            (_, int produced, more) = Step([], operation);
            _target.Write(_output.AsSpan(0, produced));
        }
        while (more);
    }

    private unsafe (int Consumed, int Produced, bool More) Step(ReadOnlySpan<byte> input, int operation)
    {
        fixed (byte* start = input)
        fixed (byte* output = _output)
        {
            var from = new ZstdNative.Buffer { Start = start, Size = (nuint)input.Length };
            var to = new ZstdNative.Buffer { Start = output, Size = OutputBytes };
            nuint left = ZstdNative.Check(ZstdNative.ZSTD_compressStream2(_context.DangerousGetHandle(), &to, &from, operation));
            return ((int)from.Position, (int)to.Position, left != 0);
        }
    }
}
