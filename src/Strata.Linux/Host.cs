using System.Runtime.InteropServices;

namespace Strata.Linux;

/// <summary>Facts about this process and this kernel.</summary>
public static unsafe class Host
{
    private const int RLIMIT_NOFILE = 7;
    private const int UtsFieldBytes = 65; // struct utsname: six fields; sysname, nodename, release, version, machine, domain
    private static string? s_release;

    /// <summary>A variable of the environment the process was started with, or null. For what every start asks: the base library's way costs more.</summary>
    /// <param name="name">With a zero at its end.</param>
    public static string? GetVariable(ReadOnlySpan<byte> name)
    {
        if (name is not [.., 0])
        {
            throw new ArgumentException("a name ends with a zero", nameof(name));
        }
        fixed (byte* start = name)
        {
            byte* value = Native.getenv(start);
            return value is null ? null : LinuxPath.Decode(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(value));
        }
    }

    /// <summary>geteuid(2).</summary>
    public static uint EffectiveUserId => Native.geteuid();

    /// <summary>getegid(2).</summary>
    public static uint EffectiveGroupId => Native.getegid();

    /// <summary>The release of uname(2), e.g. <c>6.18.44</c>.</summary>
    public static string KernelRelease => s_release ??= UtsField(2);

    /// <summary>The machine of uname(2), e.g. <c>x86_64</c>.</summary>
    public static string Machine => UtsField(4);

    /// <summary>This process's (soft, hard) limit of open files.</summary>
    public static (ulong Soft, ulong Hard) OpenFileLimit
    {
        get
        {
            ulong* limits = stackalloc ulong[2];
            return Native.getrlimit(RLIMIT_NOFILE, limits) == 0 ? (limits[0], limits[1]) : throw Native.Failure("getrlimit", "(open files)");
        }
    }

    /// <summary>This process's hard limit of a resource, by its number (getrlimit(2)); the largest number where there is none.</summary>
    public static ulong GetHardLimit(int resource)
    {
        ulong* limits = stackalloc ulong[2];
        return Native.getrlimit(resource, limits) == 0 ? limits[1] : throw Native.Failure("getrlimit", "(resource)");
    }

    /// <summary>Sends a signal to a process. ESRCH: it is gone.</summary>
    public static void Kill(int processId, int signal)
    {
        if (Native.kill(processId, signal) != 0)
        {
            throw Native.Failure("kill", $"(process {processId})");
        }
    }

    /// <summary>
    /// Makes this process another program (execve(2)), with the same number, streams and working directory; does not return. All other threads end.
    /// </summary>
    /// <param name="program">Absolute path.</param>
    /// <param name="arguments">Without the program's own name.</param>
    /// <param name="environment">The whole of it, <c>NAME=value</c>.</param>
    public static void Become(string program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        using var words = new StringVector([program, .. arguments]);
        using var variables = new StringVector(environment);
        fixed (byte* path = PathBytes.Of(program, "execve"))
        {
            _ = Native.execve(path, words.Pointer, variables.Pointer);
        }
        throw Native.Failure("execve", program);
    }

    /// <summary>umask(2); returns the one before.</summary>
    public static int SetUmask(int mask) => (int)Native.umask((uint)mask);

    /// <summary>
    /// Gives the calling thread, which must be one of its own that is never reused, a umask of 0 (unshare(CLONE_FS), umask(2)): then the modes it
    /// asks for are the modes it gets. False where it is not let: some containers forbid unshare.
    /// </summary>
    public static bool TryClearUmaskOfThread()
    {
        const int CLONE_FS = 0x200;
        if (Native.unshare(CLONE_FS) != 0)
        {
            return false;
        }
        _ = Native.umask(0);
        return true;
    }

    /// <summary>
    /// What the calling thread makes from now on belongs to this user and group (setfsuid(2)), and it may do all that it might before (SECBIT_NO_SETUID_FIXUP of
    /// capabilities(7)). The thread must be one of its own that is never reused.
    /// </summary>
    /// <exception cref="LinuxException">EPERM: the thread may not give away files.</exception>
    public static void SetFileOwnerOfThread(uint uid, uint gid)
    {
        const int PR_GET_SECUREBITS = 27, PR_SET_SECUREBITS = 28, SECBIT_NO_SETUID_FIXUP = 1 << 2;
        int bits = Native.prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
        if (bits < 0 || Native.prctl(PR_SET_SECUREBITS, (nuint)(bits | SECBIT_NO_SETUID_FIXUP), 0, 0, 0) != 0)
        {
            throw Native.Failure("prctl", "(securebits)");
        }
        // Both return what was there before, whether they did it or not: asked for no id at all, they tell.
        _ = Native.setfsuid(uid);
        _ = Native.setfsgid(gid);
        if (Native.setfsuid(uint.MaxValue) != uid || Native.setfsgid(uint.MaxValue) != gid)
        {
            throw new LinuxException("setfsuid", "(thread)", Errno.EPERM);
        }
    }

    private static string UtsField(int index)
    {
        byte* names = stackalloc byte[UtsFieldBytes * 6];
        return Native.uname(names) == 0 ? Marshal.PtrToStringUTF8((nint)(names + (index * UtsFieldBytes)))! : throw Native.Failure("uname", "(kernel)");
    }
}
