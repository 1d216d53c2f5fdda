using System.Globalization;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>Network namespaces, held by a descriptor and by the processes in them: gone when the last of both is, with all interfaces in them.</summary>
public static unsafe class NetworkNamespace
{
    private const int CLONE_NEWNET = 0x40000000, AF_INET = 2, AF_INET6 = 10, SOCK_DGRAM = 2, SOCK_CLOEXEC = 0x80000;

    /// <summary>A new one, with nothing in it but a loopback that is down.</summary>
    /// <param name="configure">Called on a thread that is in it, with it.</param>
    public static SafeFileHandle Create(Action<SafeFileHandle>? configure = null)
    {
        SafeFileHandle? result = null;
        try
        {
            OnThread(() =>
            {
                if (Native.unshare(CLONE_NEWNET) != 0)
                {
                    throw Native.Failure("unshare", "(network namespace)");
                }
                result = Open("/proc/thread-self/ns/net");
                configure?.Invoke(result);
            });
        }
        catch
        {
            result?.Dispose();
            throw;
        }
        return result!;
    }

    /// <summary>A datagram socket that belongs to it, for any thread to use.</summary>
    /// <param name="netNamespace">The namespace.</param>
    /// <param name="family">IPv4 or IPv6.</param>
    /// <exception cref="LinuxException">EPERM: the namespace is not ours to enter.</exception>
    public static SafeSocketHandle OpenDatagramSocket(SafeFileHandle netNamespace, AddressFamily family)
    {
        ArgumentNullException.ThrowIfNull(netNamespace);
        int fd = -1;
        // Nothing of the base library's sockets is touched in there: the thread that they start would be in that namespace for ever.
        OnThread(() =>
        {
            if (Native.setns(netNamespace.Fd(), CLONE_NEWNET) != 0)
            {
                throw Native.Failure("setns", "(network namespace)");
            }
            fd = Native.socket(family == AddressFamily.InterNetwork ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            if (fd < 0)
            {
                throw Native.Failure("socket", "(datagram)");
            }
        });
        return new SafeSocketHandle(fd, ownsHandle: true);
    }

    // A thread of its own: it ends in the namespace that it is in then, and no other thread ever was in it.
    private static void OnThread(Action action)
    {
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
#pragma warning disable CA1031 // whatever it is, it is thrown again on the caller's thread
            try
            {
                action();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
#pragma warning restore CA1031
        })
        { IsBackground = true };
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    /// <summary>That of a process.</summary>
    /// <exception cref="LinuxException">ENOENT: there is no such process.</exception>
    public static SafeFileHandle OfProcess(int processId) => Open(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/ns/net"));

    /// <summary>A path under which other processes find it, for as long as this process has it open.</summary>
    public static string PathOf(SafeFileHandle netNamespace)
    {
        ArgumentNullException.ThrowIfNull(netNamespace);
        return string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{netNamespace.Fd()}");
    }

    private static SafeFileHandle Open(string path)
    {
        fixed (byte* name = PathBytes.Of(path, "open"))
        {
            int fd = Native.openat(Native.AT_FDCWD, name, Native.O_RDONLY | Native.O_CLOEXEC, 0);
            return fd >= 0 ? fd.ToHandle() : throw Native.Failure("open", path);
        }
    }
}
