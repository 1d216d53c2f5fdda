using System.Collections.Immutable;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>The cgroup trees of this machine, and what else it gives to containers.</summary>
public static partial class HostCgroups
{
    private const string Tree = "/sys/fs/cgroup";
    /// <summary>Where a v2 tree is mounted beside v1 trees.</summary>
    public const string Unified = Tree + "/unified";

    /// <summary>Whether there is a v2 tree beside v1 trees, which crun refuses to work with.</summary>
    public static bool IsHybrid => File.Exists(Unified + "/cgroup.procs");

    /// <summary>Reads what the machine offers.</summary>
    public static HostLimits Read()
    {
        string unified = Tree + "/cgroup.controllers";
        ImmutableArray<string> controllers = File.Exists(unified)
            ? [.. File.ReadAllText(unified).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries), "devices"] // v2 filters devices by BPF, without a controller
            : Directory.Exists(Tree) ? [.. Directory.EnumerateDirectories(Tree).Select(d => Path.GetFileName(d))] : [];
        const string processors = "/sys/devices/system/cpu";
        ImmutableArray<string> throttle = !Directory.Exists(processors) ? [] :
            [.. Directory.EnumerateDirectories(processors, "cpu*").Select(d => d + "/thermal_throttle").Where(Directory.Exists).Order(StringComparer.Ordinal)];
        return new HostLimits(Host.OpenFileLimit.Hard, controllers, OwnCapabilities(), throttle);
    }

    // CapPrm of proc_pid_status(5).
    private static ulong OwnCapabilities()
    {
        const string key = "CapPrm:";
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(key, StringComparison.Ordinal));
        return ulong.Parse(line.AsSpan(key.Length).Trim(), System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Kills all that is in a cgroup and removes it from every tree. Nothing there is no error.</summary>
    internal static async ValueTask RemoveAsync(string cgroup, CancellationToken cancellationToken)
    {
        string[] trees = File.Exists(Tree + "/cgroup.controllers") ? [Tree] : Directory.Exists(Tree) ? Directory.GetDirectories(Tree) : [];
        foreach (string directory in trees.Select(tree => tree + cgroup).Where(Directory.Exists))
        {
            for (int attempt = 0; Directory.Exists(directory); attempt++)
            {
                foreach (string line in File.ReadLines(directory + "/cgroup.procs"))
                {
                    using ProcessHandle? process = ProcessHandle.TryOpen(int.Parse(line, System.Globalization.CultureInfo.InvariantCulture));
                    process?.Kill(9);
                }
                try
                {
                    Directory.Delete(directory); // rmdir(2): EBUSY while the dead are not reaped
                }
                catch (IOException) when (attempt < 200)
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(10), cancellationToken).ConfigureAwait(false);
                }
            }
        }
    }
}
