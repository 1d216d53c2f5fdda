using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>pipe2(2), close-on-exec.</summary>
public static unsafe class Pipes
{
    /// <summary>A pipe.</summary>
    public static (SafeFileHandle Read, SafeFileHandle Write) Create()
    {
        int* ends = stackalloc int[2];
        return Native.pipe2(ends, Native.O_CLOEXEC) == 0 ? (ends[0].ToHandle(), ends[1].ToHandle()) : throw Native.Failure("pipe2", "(pipe)");
    }
}
