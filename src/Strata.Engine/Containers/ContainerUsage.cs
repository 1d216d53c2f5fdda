using System.Globalization;
using System.Text;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>What a container uses at one moment.</summary>
public sealed record ContainerUsage
{
    /// <summary>Processor time since its start, in nanoseconds.</summary>
    public long CpuNanoseconds { get; init; }
    /// <summary>Memory, without what the kernel would give back at once, in bytes.</summary>
    public long MemoryBytes { get; init; }
    /// <summary>The most memory it may have; the machine's where it has no limit.</summary>
    public long MemoryLimit { get; init; }
    /// <summary>Processes and threads.</summary>
    public long Processes { get; init; }
    /// <summary>Bytes read from block devices.</summary>
    public long BlockRead { get; init; }
    /// <summary>Bytes written to block devices.</summary>
    public long BlockWritten { get; init; }
    /// <summary>Bytes that came by its network.</summary>
    public long NetworkReceived { get; init; }
    /// <summary>Bytes that went by its network.</summary>
    public long NetworkSent { get; init; }
}

/// <summary>Reads what a cgroup uses: from one tree (v2) or from one for each controller (v1). What a kernel does not tell is 0.</summary>
internal static class CgroupReader
{
    private const long NoLimit = long.MaxValue / 2; // v1 writes the largest number of pages, v2 "max"

    /// <summary>The process ids in a cgroup and in those below it; none where it is gone.</summary>
    public static IReadOnlyList<int> Processes(string tree, string cgroup)
    {
        string directory = IsUnified(tree) ? tree + cgroup : tree + "/pids" + cgroup;
        if (!Directory.Exists(directory))
        {
            return [];
        }
        var ids = new List<int>();
        foreach (string below in (IEnumerable<string>)[directory, .. Directory.EnumerateDirectories(directory, "*", SearchOption.AllDirectories)])
        {
            ids.AddRange((TryRead(below + "/cgroup.procs") ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => int.Parse(l, CultureInfo.InvariantCulture)));
        }
        return ids;
    }

    /// <summary>What is used now.</summary>
    /// <param name="tree">Where the cgroup trees are: /sys/fs/cgroup.</param>
    /// <param name="cgroup">The place in them.</param>
    /// <param name="machineBytes">The machine's memory.</param>
    public static ContainerUsage Read(string tree, string cgroup, long machineBytes) => IsUnified(tree) ? ReadUnified(tree + cgroup, machineBytes) : ReadOld(tree, cgroup, machineBytes);

    private static bool IsUnified(string tree) => File.Exists(tree + "/cgroup.controllers");

    private static ContainerUsage ReadUnified(string directory, long machineBytes)
    {
        const int NanosecondsPerMicrosecond = 1000;
        (long read, long written) = BlockUnified(TryRead(directory + "/io.stat") ?? "");
        long memory = Number(directory + "/memory.current");
        return new ContainerUsage
        {
            CpuNanoseconds = Field(directory + "/cpu.stat", "usage_usec") * NanosecondsPerMicrosecond,
            MemoryBytes = Math.Max(0, memory - Field(directory + "/memory.stat", "inactive_file")),
            MemoryLimit = Limit(directory + "/memory.max", machineBytes),
            Processes = Number(directory + "/pids.current"),
            BlockRead = read,
            BlockWritten = written,
        };
    }

    private static ContainerUsage ReadOld(string tree, string cgroup, long machineBytes)
    {
        string memory = tree + "/memory" + cgroup;
        (long read, long written) = BlockOld(TryRead(tree + "/blkio" + cgroup + "/blkio.throttle.io_service_bytes") ?? "");
        return new ContainerUsage
        {
            CpuNanoseconds = Number(tree + "/cpuacct" + cgroup + "/cpuacct.usage"),
            MemoryBytes = Math.Max(0, Number(memory + "/memory.usage_in_bytes") - Field(memory + "/memory.stat", "total_inactive_file")),
            MemoryLimit = Limit(memory + "/memory.limit_in_bytes", machineBytes),
            Processes = Number(tree + "/pids" + cgroup + "/pids.current"),
            BlockRead = read,
            BlockWritten = written,
        };
    }

    // "8:0 rbytes=1 wbytes=2 rios=…"
    private static (long Read, long Written) BlockUnified(string text)
    {
        long read = 0, written = 0;
        foreach (string word in text.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries))
        {
            read += word.StartsWith("rbytes=", StringComparison.Ordinal) ? ToNumber(word[7..]) : 0;
            written += word.StartsWith("wbytes=", StringComparison.Ordinal) ? ToNumber(word[7..]) : 0;
        }
        return (read, written);
    }

    // "8:0 Read 1"
    private static (long Read, long Written) BlockOld(string text)
    {
        long read = 0, written = 0;
        foreach (string[] words in text.Split('\n').Select(l => l.Split(' ')).Where(w => w.Length == 3))
        {
            read += words[1] == "Read" ? ToNumber(words[2]) : 0;
            written += words[1] == "Write" ? ToNumber(words[2]) : 0;
        }
        return (read, written);
    }

    /// <summary>Received and sent bytes of all interfaces but the loopback, of proc_pid_net(5)'s dev.</summary>
    public static (long Received, long Sent) Network(string devices)
    {
        long received = 0, sent = 0;
        foreach (string line in devices.Split('\n').Where(l => l.Contains(':', StringComparison.Ordinal)))
        {
            string[] parts = line.Split(':', 2);
            string[] numbers = parts[1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (parts[0].Trim() != "lo" && numbers.Length > 8)
            {
                received += ToNumber(numbers[0]);
                sent += ToNumber(numbers[8]);
            }
        }
        return (received, sent);
    }

    private static long Limit(string path, long machineBytes) => TryRead(path)?.Trim() is { Length: > 0 } text && text != "max" && ToNumber(text) is > 0 and < NoLimit and long limit ? Math.Min(limit, machineBytes) : machineBytes;

    private static long Number(string path) => TryRead(path) is { } text ? ToNumber(text.Trim()) : 0;

    private static long Field(string path, string name)
    {
        foreach (string line in (TryRead(path) ?? "").Split('\n'))
        {
            if (line.StartsWith(name, StringComparison.Ordinal) && line.Length > name.Length && line[name.Length] == ' ')
            {
                return ToNumber(line[(name.Length + 1)..]);
            }
        }
        return 0;
    }

    private static long ToNumber(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : ulong.TryParse(text, out _) ? long.MaxValue : 0;

    // Files of a cgroup go while they are read: ENODEV.
    private static string? TryRead(string path)
    {
        const int MostBytes = 1 << 20;
        try
        {
            return FileSystems.TryRead(path, MostBytes) is { } bytes ? Encoding.ASCII.GetString(bytes) : null;
        }
        catch (LinuxException)
        {
            return null;
        }
    }
}
