using System.Globalization;
using System.Text;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>A process as <c>ps -ef</c> shows it.</summary>
/// <param name="Uid">Whose it is, as the host counts users.</param>
/// <param name="Pid">Its number on the host.</param>
/// <param name="ParentPid">Its parent's.</param>
/// <param name="CpuShare">Hundredths of a processor that it used over its life.</param>
/// <param name="Started">When it was started.</param>
/// <param name="Terminal">Its terminal's device number; 0: none.</param>
/// <param name="CpuTime">Processor time it has used.</param>
/// <param name="CommandLine">Its words; its name in brackets where it has none.</param>
public sealed record ProcessRow(uint Uid, int Pid, int ParentPid, int CpuShare, DateTimeOffset Started, int Terminal, TimeSpan CpuTime, string CommandLine);

/// <summary>Reads processes from /proc: proc_pid_stat(5).</summary>
internal static class ProcessTable
{
    private const int TicksPerSecond = 100; // USER_HZ, the same on all of Linux since 2.6

    /// <summary>Those of some numbers that are there.</summary>
    public static IReadOnlyList<ProcessRow> Read(IEnumerable<int> processIds, DateTimeOffset now)
    {
        double uptime = double.Parse(File.ReadAllText("/proc/uptime").Split(' ')[0], CultureInfo.InvariantCulture);
        var rows = new List<ProcessRow>();
        foreach (int id in processIds)
        {
            if (TryRead(id, now, uptime) is { } row)
            {
                rows.Add(row);
            }
        }
        return rows;
    }

    private static ProcessRow? TryRead(int id, DateTimeOffset now, double uptime)
    {
        string directory = string.Create(CultureInfo.InvariantCulture, $"/proc/{id}");
        try
        {
            string stat = File.ReadAllText(directory + "/stat");
            int open = stat.IndexOf('(', StringComparison.Ordinal), close = stat.LastIndexOf(')');
            string[] fields = stat[(close + 2)..].Split(' '); // the first one is field 3
            long Number(int field) => long.Parse(fields[field - 3], CultureInfo.InvariantCulture);
            double age = Math.Max(0, uptime - Number(22) / (double)TicksPerSecond);
            TimeSpan used = TimeSpan.FromSeconds((Number(14) + Number(15)) / (double)TicksPerSecond);
            string words = Encoding.UTF8.GetString(File.ReadAllBytes(directory + "/cmdline")).TrimEnd('\0').Replace('\0', ' ');
            return new ProcessRow(FileSystems.TryGetStatus(directory)?.Uid ?? 0, id, (int)Number(4), age > 0 ? (int)(used.TotalSeconds * 100 / age) : 0, now - TimeSpan.FromSeconds(age), (int)Number(7),
                used, words.Length > 0 ? words : $"[{stat[(open + 1)..close]}]");
        }
        catch (IOException)
        {
            return null; // it ended in between
        }
    }
}
