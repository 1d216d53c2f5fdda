using System.Globalization;
using System.Net.Sockets;

namespace Strata.Linux;

/// <summary>Descriptors that whoever started this process left open in it.</summary>
public static class InheritedDescriptors
{
    private const int F_GETFD = 1, F_SETFD = 2, FD_CLOEXEC = 1;

    /// <summary>The sockets among them from a number on. From now on no program that this process starts gets them. All that it opened itself have FD_CLOEXEC, and are not meant.</summary>
    public static IReadOnlyList<SafeSocketHandle> TakeSockets(int first)
    {
        var sockets = new List<SafeSocketHandle>();
        foreach (string name in FileSystems.TryGetNames("/proc/self/fd") ?? [])
        {
            int fd = int.Parse(name, NumberStyles.None, CultureInfo.InvariantCulture);
            int flags = fd < first ? -1 : Native.fcntl(fd, F_GETFD, 0);
            if (flags >= 0 && (flags & FD_CLOEXEC) == 0 && new FileInfo("/proc/self/fd/" + name).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true
                && Native.fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == 0)
            {
                sockets.Add(new SafeSocketHandle(fd, ownsHandle: true));
            }
        }
        return sockets;
    }
}
