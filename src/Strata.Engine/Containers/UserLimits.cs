using Strata.Linux;

namespace Strata.Containers;

/// <summary>What only a cgroup can do, which the containers of an ordinary user do not have.</summary>
internal static class UserLimits
{
    private static readonly long? s_usualPids = new IsolationOptions().PidsLimit;

    /// <summary>Refuses limits that nobody would keep.</summary>
    /// <exception cref="StrataException">Unsupported: names the option and the cause.</exception>
    internal static IsolationOptions Check(IsolationOptions isolation)
    {
        string? option = isolation switch
        {
            { MemoryLimit: not null } => "--memory",
            { MemorySwap: not null } => "--memory-swap",
            { MemoryReservation: not null } => "--memory-reservation",
            { MilliCpus: not null } => "--cpus",
            { CpuShares: not null } => "--cpu-shares",
            { CpusetCpus: not null } => "--cpuset-cpus",
            { CpusetMems: not null } => "--cpuset-mems",
            { BlkioWeight: not null } => "--blkio-weight",
            { CgroupParent: not null } => "--cgroup-parent",
            { PidsLimit: { } pids } when pids != s_usualPids => "--pids-limit",
            _ => null,
        };
        return option is null ? isolation : throw Refused(option);
    }

    /// <summary>The refusal of something that needs a cgroup.</summary>
    internal static StrataException Refused(string what) => new(ErrorKind.Unsupported, $"{what}: it needs a cgroup, and an ordinary user's containers have none here: {Cause}")
    {
        Hint = "as root it works: sudo strata …; --ulimit limits what one process may have",
    };

    private static string Cause => HostCgroups.IsUnified ? "strata does not ask systemd for a part of the cgroup tree" : "cgroups of version 1 cannot be given to users";

    /// <summary>The same where there is an ordinary user.</summary>
    internal static void CheckForUser(string what)
    {
        if (UserNamespace.Current is not null)
        {
            throw Refused(what);
        }
    }
}
