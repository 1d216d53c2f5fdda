using System.Collections.Immutable;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>Devices of the host that a container gets.</summary>
internal static class HostDevices
{
    /// <summary>Reads <c>/dev/x</c>, <c>/dev/x:/dev/y</c>, <c>/dev/x:rw</c> and <c>/dev/x:/dev/y:rwm</c>. A directory stands for all devices below it.</summary>
    /// <exception cref="StrataException">Invalid: it is no device; NotFound: nothing is there.</exception>
    public static IReadOnlyList<ContainerDevice> Parse(string text)
    {
        string[] parts = text.Split(':');
        bool IsAccess(string part) => part.Length is > 0 and <= 3 && part.All(c => c is 'r' or 'w' or 'm');
        (string target, string access) = parts.Length switch
        {
            1 => (parts[0], "rwm"),
            2 when IsAccess(parts[1]) => (parts[0], parts[1]),
            2 => (parts[1], "rwm"),
            3 when IsAccess(parts[2]) => (parts[1], parts[2]),
            _ => throw new StrataException(ErrorKind.Invalid, $"device '{text}': not SOURCE[:TARGET][:rwm]"),
        };
        string source = Path.GetFullPath(parts[0]);
        target = ContainerMounts.CleanTarget(target);
        return FileSystems.TryGetStatus(source, follow: true)?.Kind switch
        {
            FileKind.CharacterDevice or FileKind.BlockDevice => [new ContainerDevice(source, target, access)],
            FileKind.Directory => [.. Below(source).Select(d => new ContainerDevice(d, target + d[source.Length..], access))],
            null => throw new StrataException(ErrorKind.NotFound, $"device '{text}': {source}: nothing there"),
            _ => throw new StrataException(ErrorKind.Invalid, $"device '{text}': {source} is no device"),
        };
    }

    /// <summary>As the runtime makes them; looked up at the start, since their numbers may change with each boot.</summary>
    public static ImmutableArray<SpecDevice> ToSpec(ImmutableArray<ContainerDevice> devices)
        => [.. devices.Select(d => Look(d) is var s ? new SpecDevice(d.Target, TypeOf(s), s.DeviceMajor, s.DeviceMinor, s.Mode, s.Uid, s.Gid) : null!)];

    /// <summary>What the device cgroup lets through for them.</summary>
    public static IEnumerable<SpecDeviceRule> Rules(ImmutableArray<ContainerDevice> devices)
        => devices.Select(d => Look(d) is var s ? new SpecDeviceRule(true, TypeOf(s), s.DeviceMajor, s.DeviceMinor, d.Access) : null!);

    private static FileStatus Look(ContainerDevice device)
        => FileSystems.TryGetStatus(device.Source, follow: true) is { Kind: FileKind.CharacterDevice or FileKind.BlockDevice } status ? status
            : throw new ContainerStartException(125, $"device {device.Source}: it is not there any more");

    private static string TypeOf(FileStatus status) => status.Kind == FileKind.BlockDevice ? "b" : "c";

    private static IEnumerable<string> Below(string directory)
        => Directory.EnumerateFileSystemEntries(directory, "*", SearchOption.AllDirectories).Where(e => FileSystems.TryGetStatus(e) is { Kind: FileKind.CharacterDevice or FileKind.BlockDevice });
}
