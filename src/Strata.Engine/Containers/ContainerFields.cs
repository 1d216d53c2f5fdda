using System.Collections.Immutable;
using System.Text.Json;
using Strata.Containers.Networks;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>The fields of a container's records.</summary>
internal static partial class ContainerFields
{
    internal static ContainerRecord Read(JsonFields o) => new()
    {
        Id = o.String("id"),
        Name = o.String("name"),
        Created = o.Time("created"),
        Image = o.String("image"),
        Manifest = DocumentFields.ReadDescriptor(o.Object("manifest")),
        ImageId = o.Digest("imageId"),
        Arguments = o.Strings("arguments"),
        Environment = o.Strings("environment"),
        WorkingDirectory = o.String("workingDirectory"),
        User = o.MaybeString("user"),
        Hostname = o.String("hostname"),
        Terminal = o.MaybeBool("terminal") ?? false,
        Input = o.MaybeBool("input") ?? false,
        Remove = o.MaybeBool("remove") ?? false,
        Labels = o.MaybeMap("labels") ?? throw o.Missing("labels"),
        StopSignal = o.Int32("stopSignal"),
        Mounts = o.Objects("mounts", ReadMount),
        Config = DocumentFields.ReadContainerConfig(o.Object("config")),
        Isolation = ReadIsolation(o.Object("isolation")),
        Networking = o.MaybeObject("networking") is { } networking ? NetworkFields.ReadOptions(networking) : new NetworkOptions(),
        Life = o.MaybeObject("life") is { } life ? ReadLife(life) : new LifeOptions(),
    };

    internal static void Write(JsonFieldsWriter writer, ContainerRecord record)
    {
        writer.Field("id", record.Id);
        writer.Field("name", record.Name);
        writer.Field("created", record.Created);
        writer.Field("image", record.Image);
        writer.Object("manifest", record.Manifest, DocumentFields.Write);
        writer.Field("imageId", record.ImageId);
        writer.Field("arguments", record.Arguments);
        writer.Field("environment", record.Environment);
        writer.Field("workingDirectory", record.WorkingDirectory);
        writer.Field("user", record.User);
        writer.Field("hostname", record.Hostname);
        writer.Field("terminal", record.Terminal);
        writer.Field("input", record.Input);
        writer.Field("remove", record.Remove);
        writer.Field("labels", record.Labels);
        writer.Field("stopSignal", record.StopSignal);
        writer.Objects("mounts", record.Mounts, Write);
        writer.Object("config", record.Config, DocumentFields.Write);
        writer.Object("isolation", record.Isolation, Write);
        writer.Object("networking", record.Networking, NetworkFields.Write);
        writer.Object("life", record.Life, Write);
    }

    private static ContainerMount ReadMount(JsonFields o) => new(ReadKind(o), o.String("source"), o.String("target"), o.Strings("options"))
    {
        Anonymous = o.MaybeBool("anonymous") ?? false,
        CopyUp = o.MaybeBool("copyUp") ?? false,
        IsFile = o.MaybeBool("isFile") ?? false,
        VolumeOptions = o.MaybeMap("volumeOptions") ?? ImmutableSortedDictionary<string, string>.Empty,
        VolumeLabels = o.MaybeMap("volumeLabels") ?? ImmutableSortedDictionary<string, string>.Empty,
    };

    private static void Write(JsonFieldsWriter writer, ContainerMount mount)
    {
        writer.Field("kind", NameOf(mount.Kind));
        writer.Field("source", mount.Source);
        writer.Field("target", mount.Target);
        writer.Field("options", mount.Options);
        writer.Field("anonymous", mount.Anonymous);
        writer.Field("copyUp", mount.CopyUp);
        writer.Field("isFile", mount.IsFile);
        writer.Field("volumeOptions", mount.VolumeOptions.IsEmpty ? null : mount.VolumeOptions);
        writer.Field("volumeLabels", mount.VolumeLabels.IsEmpty ? null : mount.VolumeLabels);
    }

    private static IsolationOptions ReadIsolation(JsonFields o) => ReadLimits(o, new IsolationOptions
    {
        Capabilities = o.Strings("capabilities"),
        NoNewPrivileges = o.MaybeBool("noNewPrivileges") ?? false,
        Seccomp = o.MaybeBool("seccomp") ?? true,
        Privileged = o.MaybeBool("privileged") ?? false,
        ReadOnlyRoot = o.MaybeBool("readOnlyRoot") ?? false,
        Network = ReadNetwork(o),
        PidsLimit = o.MaybeInt64("pidsLimit"),
        MemoryLimit = o.MaybeInt64("memoryLimit"),
        MilliCpus = o.MaybeInt64("milliCpus"),
        SharedMemoryBytes = o.Int64("sharedMemoryBytes"),
    });

    private static void Write(JsonFieldsWriter writer, IsolationOptions isolation)
    {
        writer.Field("capabilities", isolation.Capabilities);
        writer.Field("noNewPrivileges", isolation.NoNewPrivileges);
        writer.Field("seccomp", isolation.Seccomp);
        writer.Field("privileged", isolation.Privileged);
        writer.Field("readOnlyRoot", isolation.ReadOnlyRoot);
        writer.Field("network", NameOf(isolation.Network));
        writer.Field("pidsLimit", isolation.PidsLimit);
        writer.Field("memoryLimit", isolation.MemoryLimit);
        writer.Field("milliCpus", isolation.MilliCpus);
        writer.Field("sharedMemoryBytes", isolation.SharedMemoryBytes);
        WriteLimits(writer, isolation);
    }

    internal static ContainerStart ReadStart(JsonFields o)
        => new(o.String("bootId"), o.Int32("monitorPid"), o.UInt64("monitorStarted"), o.Int32("pid"), o.UInt64("pidStarted"), o.Time("at"));

    internal static void Write(JsonFieldsWriter writer, ContainerStart start)
    {
        writer.Field("bootId", start.BootId);
        writer.Field("monitorPid", start.MonitorPid);
        writer.Field("monitorStarted", start.MonitorStarted);
        writer.Field("pid", start.Pid);
        writer.Field("pidStarted", start.PidStarted);
        writer.Field("at", start.At);
    }

    private static ContainerMountKind ReadKind(JsonFields o) => o.String("kind") switch
    {
        "Bind" => ContainerMountKind.Bind,
        "Volume" => ContainerMountKind.Volume,
        "Tmpfs" => ContainerMountKind.Tmpfs,
        string other => throw new JsonException($"kind: '{other}' is unknown"),
    };

    private static string NameOf(ContainerMountKind kind) => kind switch
    {
        ContainerMountKind.Bind => "Bind",
        ContainerMountKind.Volume => "Volume",
        _ => "Tmpfs",
    };

    private static string NameOf(NetworkMode mode) => mode switch
    {
        NetworkMode.None => "None",
        NetworkMode.Bridge => "Bridge",
        NetworkMode.Container => "Container",
        _ => "Host",
    };

    private static NetworkMode ReadNetwork(JsonFields o) => o.String("network") switch
    {
        "Host" => NetworkMode.Host,
        "None" => NetworkMode.None,
        "Bridge" => NetworkMode.Bridge,
        "Container" => NetworkMode.Container,
        string other => throw new JsonException($"network: '{other}' is unknown"),
    };
}
