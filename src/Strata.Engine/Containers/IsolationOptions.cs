using System.Collections.Immutable;

namespace Strata.Containers;

/// <summary>A device of the host in a container.</summary>
/// <param name="Source">Its path on the host.</param>
/// <param name="Target">Its path in the container.</param>
/// <param name="Access">Letters of r, w and m.</param>
public sealed record ContainerDevice(string Source, string Target, string Access);

/// <summary>What --memory and its like say; null: no limit.</summary>
public sealed partial record IsolationOptions
{
    /// <summary>Memory and swap together, in bytes; -1: as much swap as there is.</summary>
    public long? MemorySwap { get; init; }
    /// <summary>What it may keep when memory is short, in bytes.</summary>
    public long? MemoryReservation { get; init; }
    /// <summary>Its weight beside others; 1024 is what everybody has.</summary>
    public ulong? CpuShares { get; init; }
    /// <summary>The processors it runs on: <c>0-2,4</c>.</summary>
    public string? CpusetCpus { get; init; }
    /// <summary>The memory nodes it uses.</summary>
    public string? CpusetMems { get; init; }
    /// <summary>Its weight at block devices, 10 to 1000.</summary>
    public int? BlkioWeight { get; init; }
    /// <summary>How readily it is killed when memory is short, -1000 to 1000.</summary>
    public int OomScoreAdj { get; init; }
    /// <summary>The cgroup it is put below; <c>/strata</c> where null.</summary>
    public string? CgroupParent { get; init; }
    /// <summary><c>host</c>, <c>container:ID</c>, or null: its own.</summary>
    public string? PidMode { get; init; }
    /// <summary><c>host</c>, <c>container:ID</c>, or null: its own.</summary>
    public string? IpcMode { get; init; }
    /// <summary><c>host</c>, or null: its own.</summary>
    public string? UtsMode { get; init; }
    /// <summary><c>host</c>, or null: its own.</summary>
    public string? CgroupMode { get; init; }
    /// <summary><see cref="ContainerUsers.Auto"/>, or null: the host's users.</summary>
    public string? UserMode { get; init; }
    /// <summary>Where the runtime finds the user namespace, at this start; null: it is ours.</summary>
    internal ContainerUsers? Users { get; init; }
    /// <summary>Devices of the host.</summary>
    public ImmutableArray<ContainerDevice> Devices { get; init; } = [];
    /// <summary>Kernel parameters of its namespaces.</summary>
    public ImmutableSortedDictionary<string, string> Sysctls { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>A filter of system calls in place of ours, as Docker's profiles are written.</summary>
    public string? SeccompProfile { get; init; }
}
