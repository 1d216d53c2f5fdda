using System.Globalization;
using System.Runtime.InteropServices;

namespace Strata.Linux;

/// <summary>A system call failed. Carries what is needed to act on it: the call, the path and the errno.</summary>
public sealed class LinuxException : IOException
{
    /// <summary>Creates the failure of a call.</summary>
    public LinuxException(string call, string path, Errno errno, string detail = "")
        : base($"{call} {path}: {Marshal.GetPInvokeErrorMessage((int)errno)} ({Name(errno)}){(detail.Length > 0 ? ": " + detail : "")}")
    {
        (Call, Path, Errno) = (call, path, errno);
    }

    /// <summary>Name of the system call, e.g. <c>mount</c>.</summary>
    public string Call { get; }

    /// <summary>The path the call was about.</summary>
    public string Path { get; }

    /// <summary>The error number.</summary>
    public Errno Errno { get; }

    private static string Name(Errno errno) => Enum.IsDefined(errno) ? errno.ToString() : "errno " + ((int)errno).ToString(CultureInfo.InvariantCulture);
}
