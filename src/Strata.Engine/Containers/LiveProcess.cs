using System.Globalization;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>Tells a process from another one that got its number later: by its start time, which is in clock ticks since boot.</summary>
internal static class LiveProcess
{
    private const string BootIdFile = "/proc/sys/kernel/random/boot_id";

    /// <summary>Changes with each boot.</summary>
    public static string BootId => File.ReadAllText(BootIdFile).Trim();

    /// <summary>When a process was started, or null where it is gone (or a zombie: it runs nothing any more). Field 22 of proc_pid_stat(5).</summary>
    public static ulong? TryGetStart(int processId)
    {
        if (TryReadProc(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/stat")) is not { Length: > 0 } text)
        {
            return null;
        }
        // The name is in parentheses and may contain both.
        string[] fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return fields[0] is "Z" or "X" ? null : ulong.Parse(fields[22 - 3], CultureInfo.InvariantCulture);
    }

    /// <summary>The children of a process's first thread; none where it is gone, or the kernel does not tell.</summary>
    public static IReadOnlyList<int> ChildrenOf(int processId)
    {
        string id = processId.ToString(CultureInfo.InvariantCulture);
        return TryReadProc($"/proc/{id}/task/{id}/children") is { } text
            ? [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(c => int.Parse(c, CultureInfo.InvariantCulture))] : [];
    }

    /// <summary>In how many process namespaces it has a number, from ours down; 0 where it is gone. NSpid of proc_pid_status(5).</summary>
    public static int NamespacesOf(int processId)
    {
        const string Key = "NSpid:";
        string? line = TryReadProc(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/status"))?.Split('\n').FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal));
        return line is null ? 0 : line[Key.Length..].Split('\t', StringSplitOptions.RemoveEmptyEntries).Length;
    }

    /// <summary>The processes in the process namespace of one, which is its first; itself alone where that cannot be seen.</summary>
    public static IReadOnlyList<int> BesideInNamespace(int processId)
    {
        string? space = NamespaceOf(processId);
        return space is null || space == NamespaceOf(Environment.ProcessId) ? [processId]
            : [.. Directory.EnumerateDirectories("/proc").Select(d => Path.GetFileName(d)).Where(n => char.IsAsciiDigit(n[0])).Select(n => int.Parse(n, CultureInfo.InvariantCulture)).Where(id => NamespaceOf(id) == space).Order()];

        static string? NamespaceOf(int id)
        {
            try
            {
                return new FileInfo(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/ns/pid")).LinkTarget;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return null; // gone, or another user's
            }
        }
    }

    /// <summary>Whether a process has this name (/proc/PID/comm).</summary>
    public static bool IsNamed(int processId, string name) => TryReadProc(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/comm"))?.Trim() == name;

    private static string? TryReadProc(string path)
    {
        const int Limit = 1 << 20;
        try
        {
            return FileSystems.TryRead(path, Limit) is { } bytes ? System.Text.Encoding.UTF8.GetString(bytes) : null;
        }
        catch (LinuxException e) when (e.Errno is Errno.ESRCH)
        {
            return null; // it ended while this was read
        }
    }

    /// <summary>Whether the process that was started then is alive.</summary>
    public static bool IsSame(int processId, ulong started) => TryGetStart(processId) == started;

    /// <summary>Sends a signal to the process that was started then. Gone already is no error.</summary>
    public static void Signal(int processId, ulong started, int signal)
    {
        using ProcessHandle? process = ProcessHandle.TryOpen(processId);
        if (process is not null && IsSame(processId, started))
        {
            process.Kill(signal);
        }
    }

    /// <summary>Waits until the process that was started then is gone.</summary>
    public static async ValueTask WaitAsync(int processId, ulong started, CancellationToken cancellationToken)
    {
        using ProcessHandle? process = ProcessHandle.TryOpen(processId);
        // Asked after it was opened: what has this start time now is what the handle means.
        if (process is not null && IsSame(processId, started))
        {
            await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
