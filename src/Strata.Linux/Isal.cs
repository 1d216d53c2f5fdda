using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Strata.Linux;

/// <summary>Intel's ISA-L (igzip_lib.h): inflates a third faster than zlib-ng (docs/benchmarks.md). Debian: libisal2.</summary>
internal static unsafe partial class IsalNative
{
    internal const string Library = "libisal.so.2";
    internal const int Gzip = 1, Finished = 5;

    /// <summary>struct inflate_state, up to what is used of it; behind that are buffers of its own.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct InflateState
    {
        internal byte* NextOut;
        internal uint AvailableOut, TotalOut;
        internal byte* NextIn;
        internal ulong ReadIn;
        internal uint AvailableIn;
        internal int ReadInLength;
        internal LiteralCodes Literals;
        internal DistanceCodes Distances;
        internal int BlockState;
        internal uint DictionaryLength, IsFinal, Wrapper;
    }

    [InlineArray(4096 + (1264 / 2))]
    internal struct LiteralCodes
    {
        private uint _code;
    }

    [InlineArray(1024 + 80)]
    internal struct DistanceCodes
    {
        private ushort _code;
    }

    /// <summary>More than the whole of it (87,000), with its history and what it reads ahead.</summary>
    internal const int StateBytes = 1 << 17;

    [LibraryImport(Library)]
    internal static partial void isal_inflate_init(InflateState* state);

    [LibraryImport(Library)]
    internal static partial int isal_inflate(InflateState* state);
}

/// <summary>gzip members by ISA-L.</summary>
internal sealed unsafe class IsalMembers : GzipMembers
{
    private static readonly Lazy<bool> s_isUsable = new(Try);
    private const int Flags = 3, HeaderCrc = 2; // RFC 1952, section 2.3
    private readonly State _state = new();
    private ZlibMembers? _other;
    private bool _isInMember, _isOthers;

    /// <summary>Whether it is here, and is the one that is known: a small member comes out right.</summary>
    internal static bool IsUsable => s_isUsable.Value;

    internal override bool Inflate(ReadOnlySpan<byte> input, Span<byte> output, out int consumed, out int produced)
    {
        if (!_isInMember)
        {
            // A header that has a checksum of its own is refused where it comes in pieces (2.30). Nobody writes them.
            _isOthers = input.Length > Flags && (input[Flags] & HeaderCrc) != 0;
        }
        if (_isOthers)
        {
            _isInMember = !(_other ??= new ZlibMembers()).Inflate(input, output, out consumed, out produced);
            return !_isInMember;
        }
        IsalNative.InflateState* state = _state.Pointer;
        if (!_isInMember)
        {
            IsalNative.isal_inflate_init(state);
            state->Wrapper = IsalNative.Gzip;
            _isInMember = true;
        }
        fixed (byte* next = input)
        fixed (byte* target = output)
        {
            state->NextIn = next;
            state->AvailableIn = (uint)input.Length;
            state->NextOut = target;
            state->AvailableOut = (uint)output.Length;
            int result = IsalNative.isal_inflate(state);
            (consumed, produced) = (input.Length - (int)state->AvailableIn, output.Length - (int)state->AvailableOut);
            if (result < 0 || (consumed == 0 && produced == 0 && input.Length > 0 && state->BlockState != IsalNative.Finished))
            {
                throw new InvalidDataException("gzip: " + result switch
                {
                    -1 => "invalid block",
                    -2 => "invalid code",
                    -3 => "invalid distance",
                    -4 => "incorrect header check",
                    -5 => "unknown compression method",
                    -6 => "incorrect data check",
                    _ => $"damaged ({result})",
                });
            }
        }
        _isInMember = state->BlockState != IsalNative.Finished;
        return !_isInMember;
    }

    public override void Dispose()
    {
        _state.Dispose();
        _other?.Dispose();
    }

    private static bool Try()
    {
        // "strata", as gzip writes it.
        ReadOnlySpan<byte> member = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0x2B, 0x2E, 0x29, 0x4A, 0x2C, 0x49, 0x04, 0, 0xFF, 0xBC, 0xE3, 0xC9, 6, 0, 0, 0];
        Span<byte> plain = stackalloc byte[32];
        if (!NativeLibrary.TryLoad(IsalNative.Library, out _))
        {
            return false;
        }
        try
        {
            using var members = new IsalMembers();
            return members.Inflate(member, plain, out int consumed, out int produced) && consumed == member.Length && plain[..produced].SequenceEqual("strata"u8);
        }
        catch (Exception e) when (e is EntryPointNotFoundException or InvalidDataException)
        {
            return false;
        }
    }

    private sealed class State : SafeHandle
    {
        internal State() : base(0, ownsHandle: true) => SetHandle((nint)NativeMemory.AllocZeroed(IsalNative.StateBytes));

        public override bool IsInvalid => handle == 0;

        internal IsalNative.InflateState* Pointer => (IsalNative.InflateState*)handle;

        protected override bool ReleaseHandle()
        {
            NativeMemory.Free((void*)handle);
            return true;
        }
    }
}
