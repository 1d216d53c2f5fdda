using Strata.Linux;

namespace Strata.Containers;

public static partial class HostCgroups
{
    private static string FreezerV1(string cgroup) => Tree + "/freezer" + cgroup + "/freezer.state";

    private static string FreezerV2(string cgroup) => Tree + cgroup + "/cgroup.freeze";

    /// <summary>Whether all that runs in a cgroup is held where it is.</summary>
    internal static bool IsFrozen(string cgroup)
        => TryReadWord(FreezerV1(cgroup)) is { Length: > 1 } old ? old[0] == 'F' && old[1] == 'R' : TryReadWord(FreezerV2(cgroup)) is { Length: > 0 } state && state[0] == '1';

    private static byte[]? TryReadWord(string path)
    {
        const int WordBytes = 64;
        try
        {
            return FileSystems.TryRead(path, WordBytes);
        }
        catch (LinuxException)
        {
            return null; // ENODEV: removed while it was read
        }
    }

    /// <summary>Lets what is held in a cgroup go on. Not there, or not held, is no error.</summary>
    internal static void Thaw(string cgroup)
    {
        if (!IsFrozen(cgroup))
        {
            return;
        }
        (string path, string word) = File.Exists(FreezerV1(cgroup)) ? (FreezerV1(cgroup), "THAWED") : (FreezerV2(cgroup), "0");
        try
        {
            File.WriteAllText(path, word);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // it has ended in between
        }
    }
}
