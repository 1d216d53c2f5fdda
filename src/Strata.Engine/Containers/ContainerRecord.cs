using System.Collections.Immutable;
using Strata.Containers.Networks;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>A container as it was created: containers/ID/container.json. It never changes; what happens to the container is written beside it.</summary>
public sealed partial record ContainerRecord
{
    /// <summary>64 hex digits.</summary>
    public required string Id { get; init; }
    /// <summary>Unique in the store.</summary>
    public required string Name { get; init; }
    /// <summary>When it was created.</summary>
    public required DateTimeOffset Created { get; init; }
    /// <summary>The image as it was asked for.</summary>
    public required string Image { get; init; }
    /// <summary>The image's manifest.</summary>
    public required Descriptor Manifest { get; init; }
    /// <summary>The image's config: what others call the image ID.</summary>
    public required Digest ImageId { get; init; }
    /// <summary>Program and arguments.</summary>
    public required ImmutableArray<string> Arguments { get; init; }
    /// <summary>The environment of image and options together; HOME comes with the start.</summary>
    public required ImmutableArray<string> Environment { get; init; }
    /// <summary>Where it starts.</summary>
    public required string WorkingDirectory { get; init; }
    /// <summary>As USER or --user said it.</summary>
    public string? User { get; init; }
    /// <summary>Its name for itself.</summary>
    public required string Hostname { get; init; }
    /// <summary>Whether it has a terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>Whether its input is open.</summary>
    public bool Input { get; init; }
    /// <summary>Whether it is removed when it ends.</summary>
    public bool Remove { get; init; }
    /// <summary>Labels of image and options together.</summary>
    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>The signal that asks it to stop.</summary>
    public int StopSignal { get; init; } = 15;
    /// <summary>What is mounted into it.</summary>
    public ImmutableArray<ContainerMount> Mounts { get; init; } = [];
    /// <summary>The image's config with what the options say over it: what an image committed from this container gets.</summary>
    public required ContainerConfig Config { get; init; }
    /// <summary>How far it is closed off.</summary>
    public required IsolationOptions Isolation { get; init; }
    /// <summary>Its place in the net, as it was asked for; networks that it was connected to later are in its network.json.</summary>
    public NetworkOptions Networking { get; init; } = new();

    /// <summary>The first 12 digits of the id: what people see.</summary>
    public string ShortId => Id[..12];
}

/// <summary>What a mount of a container is.</summary>
public enum ContainerMountKind
{
    /// <summary>A path of the host.</summary>
    Bind,
    /// <summary>A volume of the store.</summary>
    Volume,
    /// <summary>Memory.</summary>
    Tmpfs,
}

/// <summary>One mount of a container.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Source">Absolute path, name of a volume, or empty.</param>
/// <param name="Target">Absolute path in the container.</param>
/// <param name="Options">Mount options beside the kind's own.</param>
public sealed record ContainerMount(ContainerMountKind Kind, string Source, string Target, ImmutableArray<string> Options)
{
    /// <summary>A volume without a name of its own: it goes with the container.</summary>
    public bool Anonymous { get; init; }
    /// <summary>Whether an empty volume is filled with what the image has there.</summary>
    public bool CopyUp { get; init; }
    /// <summary>Whether it is mounted on a file.</summary>
    public bool IsFile { get; init; }
    /// <summary>Options of the volume, where this mount makes it.</summary>
    public ImmutableSortedDictionary<string, string> VolumeOptions { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>Labels of the volume, where this mount makes it.</summary>
    public ImmutableSortedDictionary<string, string> VolumeLabels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>Whether it cannot be written to.</summary>
    public bool ReadOnly => Options.Contains("ro");
}

/// <summary>containers/ID/started.json: written when the container runs; tells its processes from others that got their numbers later.</summary>
/// <param name="BootId">The boot it runs in.</param>
/// <param name="MonitorPid">conmon.</param>
/// <param name="MonitorStarted">Its start, in clock ticks since boot.</param>
/// <param name="Pid">The container's first process.</param>
/// <param name="PidStarted">Its start, in clock ticks since boot.</param>
/// <param name="At">When it was started.</param>
public sealed record ContainerStart(string BootId, int MonitorPid, ulong MonitorStarted, int Pid, ulong PidStarted, DateTimeOffset At);

/// <summary>Where a container is in its life.</summary>
public enum ContainerStatus
{
    /// <summary>Not started yet.</summary>
    Created,
    /// <summary>Its first process is there.</summary>
    Running,
    /// <summary>Its first process is gone.</summary>
    Exited,
}

/// <summary>How a container is, computed when asked for.</summary>
public sealed record ContainerState(ContainerStatus Status)
{
    /// <summary>The exit code; null where nobody was there to see it (a power cut, conmon killed).</summary>
    public int? ExitCode { get; init; }
    /// <summary>The host's number of its first process, while it runs.</summary>
    public int? Pid { get; init; }
    /// <summary>The last start.</summary>
    public DateTimeOffset? StartedAt { get; init; }
    /// <summary>Whether its processes are held where they are.</summary>
    public bool IsPaused { get; init; }
    /// <summary>Whether the kernel killed something in it for want of memory.</summary>
    public bool OomKilled { get; init; }
    /// <summary>Whether it is over and will be started again by itself.</summary>
    public bool IsRestarting { get; init; }
    /// <summary>The last end, where it is known.</summary>
    public DateTimeOffset? FinishedAt { get; init; }
}

/// <summary>A container and how it is.</summary>
public sealed record Container(ContainerRecord Record, ContainerState State);
