namespace Strata.Linux;

/// <summary>Facts about this process and this kernel.</summary>
public static class Host
{
    /// <summary>geteuid(2).</summary>
    public static uint EffectiveUserId => throw new NotImplementedException();

    /// <summary>The release of uname(2), e.g. <c>6.18.44</c>.</summary>
    public static string KernelRelease => throw new NotImplementedException();

    /// <summary>This process's (soft, hard) limit of open files.</summary>
    public static (ulong Soft, ulong Hard) OpenFileLimit => throw new NotImplementedException();

    /// <summary>Sends a signal to a process. ESRCH: it is gone.</summary>
    public static void Kill(int processId, int signal) => throw new NotImplementedException();
}
