using System.Globalization;
using Strata.Containers;
using Strata.Content;

namespace Strata.Rootless;

/// <summary>
/// Who holds a user's namespace open: RUNTIMEROOT/namespace, one line of <c>BOOT PID STARTED UNTIL NAMESPACE MAP</c>. It is a sleep(1) of ten minutes: as long
/// as containers run, they are what holds the namespace, and when nothing runs any more it goes by itself; there is nothing in it that would be lost.
/// </summary>
/// <param name="BootId">The boot it belongs to.</param>
/// <param name="ProcessId">A process in the namespace.</param>
/// <param name="Started">Its start time: what tells it from another process of that number.</param>
/// <param name="Until">The clock of the boot, in milliseconds, at which it is about to end.</param>
/// <param name="Namespace">The kernel's name of the namespace: <c>user:[4026532281]</c>.</param>
/// <param name="Map">The ids that it was made for.</param>
internal sealed record NamespaceHolder(string BootId, int ProcessId, ulong Started, long Until, string Namespace, string Map)
{
    private const char Separator = '\t';

    /// <summary>How long it sleeps.</summary>
    internal static readonly TimeSpan Life = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_margin = TimeSpan.FromSeconds(15); // who joins it now must find it a moment later

    internal static NamespaceHolder Of(int processId, string map) => new(LiveProcess.BootId, processId, LiveProcess.TryGetStart(processId) ?? 0,
        Environment.TickCount64 + (long)(Life - s_margin).TotalMilliseconds, NameOf(processId) ?? "", map);

    /// <summary>Whether it is there, and stays for as long as it takes to join it.</summary>
    internal bool IsGood => Until > Environment.TickCount64 && IsThere;

    /// <summary>Whether it is there.</summary>
    internal bool IsThere => BootId == LiveProcess.BootId && LiveProcess.IsSame(ProcessId, Started);

    internal static NamespaceHolder? TryRead(string path)
        => AtomicFile.TryRead(path) is { } bytes && System.Text.Encoding.UTF8.GetString(bytes).TrimEnd('\n').Split(Separator) is [var boot, var pid, var started, var until, var name, var map]
            && int.TryParse(pid, CultureInfo.InvariantCulture, out int processId) && ulong.TryParse(started, CultureInfo.InvariantCulture, out ulong start) && long.TryParse(until, CultureInfo.InvariantCulture, out long end)
            ? new NamespaceHolder(boot, processId, start, end, name, map) : null;

    internal void Write(string path)
        => AtomicFile.Write(path, System.Text.Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{BootId}{Separator}{ProcessId}{Separator}{Started}{Separator}{Until}{Separator}{Namespace}{Separator}{Map}\n")), durable: false);

    /// <summary>The kernel's name of a process's user namespace; null where it is gone, or not ours to ask.</summary>
    internal static string? NameOf(int processId)
    {
        try
        {
            return new FileInfo(PathOf(processId)).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    internal static string PathOf(int processId) => string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/ns/user");

    /// <summary>
    /// A process that lives in the namespace of a holder that is gone: one of a container's, or its monitor. Without a record (the runtime directory is gone, as
    /// after a logout) it is a monitor that has the directory's name among its words.
    /// </summary>
    internal static int? FindSurvivor(NamespaceHolder? last, string runtimeRoot)
    {
        string? known = last is not null && last.BootId == LiveProcess.BootId ? last.Namespace : null;
        string? own = NameOf(Environment.ProcessId);
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out int processId) || NameOf(processId) is not { } name || name == own)
            {
                continue;
            }
            if (known is not null ? name == known && processId != last!.ProcessId : LiveProcess.IsNamed(processId, "conmon") && IsOfRuntime(folder, runtimeRoot))
            {
                return processId;
            }
        }
        return null;
    }

    private static bool IsOfRuntime(string folder, string runtimeRoot)
    {
        try
        {
            return File.ReadAllText(Path.Combine(folder, "cmdline")).Split('\0').Any(word => word.StartsWith(runtimeRoot + "/", StringComparison.Ordinal));
        }
        catch (IOException)
        {
            return false; // gone meanwhile
        }
    }
}
