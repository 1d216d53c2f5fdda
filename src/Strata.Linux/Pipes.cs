using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>pipe2(2) and socketpair(2), close-on-exec.</summary>
public static class Pipes
{
    /// <summary>A pipe.</summary>
    public static (SafeFileHandle Read, SafeFileHandle Write) Create() => throw new NotImplementedException();
}
