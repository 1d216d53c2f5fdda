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

    /// <summary>Whether there is one tree, of version 2.</summary>
    internal static bool IsUnified => File.Exists(Tree + "/cgroup.controllers");

    /// <summary>Reads what the machine offers.</summary>
    public static HostLimits Read()
    {
        bool isRootless = UserNamespace.Current is not null;
        string unified = Tree + "/cgroup.controllers";
        ImmutableArray<string> controllers = isRootless ? [] : File.Exists(unified)
            ? [.. File.ReadAllText(unified).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries), "devices"] // v2 filters devices by BPF, without a controller
            : Directory.Exists(Tree) ? [.. Directory.EnumerateDirectories(Tree).Select(d => Path.GetFileName(d))] : [];
        const string processors = "/sys/devices/system/cpu";
        ImmutableArray<string> throttle = !Directory.Exists(processors) ? [] :
            [.. Directory.EnumerateDirectories(processors, "cpu*").Select(d => d + "/thermal_throttle").Where(Directory.Exists).Order(StringComparer.Ordinal)];
        return new HostLimits(Host.OpenFileLimit.Hard, controllers, OwnCapabilities(), throttle) { IsRootless = isRootless, HasTerminalGroup = UserNamespace.Current?.HasSubordinates != false };
    }

    /// <summary>Hides a v2 tree beside v1 trees, in this mount namespace: crun refuses to work with both, and all controllers are in v1 then.</summary>
    internal static void HideHybrid()
    {
        if (!IsHybrid)
        {
            return;
        }
        if (UserNamespace.Current is null)
        {
            Mounts.Unmount(Unified, detach: true);
        }
        else
        {
            // What was mounted before the user had a namespace, the user cannot unmount; something can be mounted over it.
            Mounts.Mount(new MountSpec("tmpfs", "tmpfs", Tree, ["mode=0755"], MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec));
        }
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
        const int Attempts = 200, LongestMilliseconds = 10;
        foreach (string directory in DirectoriesOf(cgroup))
        {
            // EBUSY while something is in it, or its dead are not reaped.
            for (int attempt = 0; !FileSystems.TryRemoveDirectory(directory); attempt++)
            {
                if (FileSystems.GetSpace(directory).Type == "tmpfs")
                {
                    // In a monitor's namespace, where the v2 tree is unmounted, the runtime has made plain files in its place.
                    FileSystems.RemoveTree(directory);
                    break;
                }
                if (attempt == Attempts)
                {
                    throw new LinuxException("rmdir", directory, Errno.EBUSY);
                }
                Empty(directory);
                await Task.Delay(Math.Min(1 << Math.Min(attempt, 4), LongestMilliseconds), cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static List<string> DirectoriesOf(string cgroup)
    {
        if (File.Exists(Tree + "/cgroup.controllers"))
        {
            return [Tree + cgroup];
        }
        var directories = new List<string>();
        foreach (string tree in FileSystems.TryGetNames(Tree) ?? [])
        {
            if (FileSystems.TryGetStatus($"{Tree}/{tree}") is { Kind: FileKind.Directory }) // cpu and cpuacct may be links to a tree of both
            {
                directories.Add($"{Tree}/{tree}{cgroup}");
            }
        }
        return directories;
    }

    // A container with a tree of its own (systemd in it) has groups below its group.
    private static void Empty(string directory)
    {
        const int Kill = 9;
        foreach (string name in FileSystems.TryGetNames(directory) ?? [])
        {
            string below = $"{directory}/{name}";
            if (FileSystems.TryGetStatus(below) is { Kind: FileKind.Directory } && !FileSystems.TryRemoveDirectory(below))
            {
                Empty(below);
            }
        }
        try
        {
            foreach (string line in File.ReadLines(directory + "/cgroup.procs"))
            {
                using ProcessHandle? process = ProcessHandle.TryOpen(int.Parse(line, System.Globalization.CultureInfo.InvariantCulture));
                process?.Kill(Kill);
            }
        }
        catch (IOException)
        {
            // removed by another (ENOENT, ENODEV): the next look tells
        }
    }
}
