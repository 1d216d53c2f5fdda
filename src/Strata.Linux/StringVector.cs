using System.Runtime.InteropServices;

namespace Strata.Linux;

/// <summary>A zero-terminated array of zero-terminated strings.</summary>
internal sealed unsafe class StringVector : IDisposable
{
    private readonly nint[] _strings;

    internal StringVector(IReadOnlyList<string> strings)
    {
        _strings = new nint[strings.Count];
        Pointer = (byte**)NativeMemory.Alloc((nuint)(strings.Count + 1), (nuint)sizeof(nint));
        for (int i = 0; i < strings.Count; i++)
        {
            byte[] bytes = PathBytes.Of(strings[i], "posix_spawn");
            _strings[i] = (nint)NativeMemory.Alloc((nuint)bytes.Length);
            bytes.CopyTo(new Span<byte>((void*)_strings[i], bytes.Length));
            Pointer[i] = (byte*)_strings[i];
        }
        Pointer[strings.Count] = null;
    }

    internal byte** Pointer { get; }

    public void Dispose()
    {
        foreach (nint text in _strings)
        {
            NativeMemory.Free((void*)text);
        }
        NativeMemory.Free(Pointer);
    }
}
