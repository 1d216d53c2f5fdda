using System.Collections.Immutable;

namespace Strata.Containers;

#pragma warning disable CS1591 // the fields of the spec

/// <summary>config.json of a bundle: the fields that Strata sets.</summary>
/// <remarks><see href="https://github.com/opencontainers/runtime-spec/blob/v1.1.0/config.md"/></remarks>
public sealed record RuntimeSpecDocument(SpecProcess Process, SpecRoot Root, SpecLinux Linux)
{
    public string OciVersion { get; init; } = "1.0.2";
    public string? Hostname { get; init; }
    public ImmutableArray<SpecMount> Mounts { get; init; } = [];
    public ImmutableSortedDictionary<string, string>? Annotations { get; init; }
}

public sealed record SpecProcess(SpecUser User, ImmutableArray<string> Args, ImmutableArray<string> Env, string Cwd)
{
    public bool Terminal { get; init; }
    public SpecConsoleSize? ConsoleSize { get; init; }
    public SpecCapabilities? Capabilities { get; init; }
    public ImmutableArray<SpecRlimit> Rlimits { get; init; } = [];
    public bool NoNewPrivileges { get; init; }
    public int OomScoreAdj { get; init; }
}

public sealed record SpecUser(uint Uid, uint Gid)
{
    public int Umask { get; init; } = 0x12; // 0022
    public ImmutableArray<uint> AdditionalGids { get; init; } = [];
}

public sealed record SpecConsoleSize(int Height, int Width);

public sealed record SpecCapabilities(ImmutableArray<string> Bounding, ImmutableArray<string> Effective, ImmutableArray<string> Permitted,
    ImmutableArray<string> Inheritable, ImmutableArray<string> Ambient);

public sealed record SpecRlimit(string Type, ulong Hard, ulong Soft);

public sealed record SpecRoot(string Path, bool Readonly);

public sealed record SpecMount(string Destination, string Type, string Source, ImmutableArray<string> Options);

public sealed record SpecLinux(ImmutableArray<SpecNamespace> Namespaces)
{
    public ImmutableSortedDictionary<string, string>? Sysctl { get; init; }
    public SpecResources? Resources { get; init; }
    public string? CgroupsPath { get; init; }
    public ImmutableArray<SpecDevice>? Devices { get; init; }
    public SpecSeccomp? Seccomp { get; init; }
    public string? RootfsPropagation { get; init; }
    public ImmutableArray<string> MaskedPaths { get; init; } = [];
    public ImmutableArray<string> ReadonlyPaths { get; init; } = [];
}

public sealed record SpecNamespace(string Type)
{
    public string? Path { get; init; }
}

public sealed record SpecResources
{
    public ImmutableArray<SpecDeviceRule>? Devices { get; init; }
    public SpecPids? Pids { get; init; }
    public SpecMemory? Memory { get; init; }
    public SpecCpu? Cpu { get; init; }
    public int? BlockIoWeight { get; init; }
}

public sealed record SpecPids(long Limit);

public sealed record SpecMemory(long? Limit, long? Swap)
{
    public long? Reservation { get; init; }
}

public sealed record SpecCpu(ulong? Shares, long? Quota, ulong? Period)
{
    public string? Cpus { get; init; }
    public string? Mems { get; init; }
}

public sealed record SpecDeviceRule(bool Allow, string? Type, long? Major, long? Minor, string Access);

public sealed record SpecDevice(string Path, string Type, long Major, long Minor, int FileMode, uint Uid, uint Gid);

public sealed record SpecSeccomp(string DefaultAction, int? DefaultErrnoRet, ImmutableArray<string> Architectures, ImmutableArray<SpecSyscall> Syscalls);

public sealed record SpecSyscall(ImmutableArray<string> Names, string Action)
{
    public int? ErrnoRet { get; init; }
    public ImmutableArray<SpecSyscallArg>? Args { get; init; }
}

public sealed record SpecSyscallArg(int Index, ulong Value, string Op)
{
    public ulong? ValueTwo { get; init; }
}

#pragma warning restore CS1591
