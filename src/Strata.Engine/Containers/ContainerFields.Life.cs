using System.Collections.Immutable;
using Strata.Oci;

namespace Strata.Containers;

internal static partial class ContainerFields
{
    private static LifeOptions ReadLife(JsonFields o) => new()
    {
        Init = o.MaybeBool("init") ?? false,
        Restart = RestartPolicy.Parse(o.MaybeString("restart") ?? "no") with { MaximumRetries = o.MaybeInt32("maximumRetries") ?? 0 },
        StopTimeout = o.MaybeInt32("stopTimeout"),
        DetachKeys = o.MaybeString("detachKeys"),
        Groups = o.MaybeStrings("groups") ?? [],
        StorageBytes = o.MaybeInt64("storageBytes"),
        Annotations = o.MaybeMap("annotations") ?? ImmutableSortedDictionary<string, string>.Empty,
    };

    // What is as it always is takes no room, and no time to read.
    private static void Write(JsonFieldsWriter writer, LifeOptions life)
    {
        if (life.Init)
        {
            writer.Field("init", life.Init);
        }
        if (life.Restart.Kind != RestartKind.No)
        {
            writer.Field("restart", life.Restart.Name);
            writer.Field("maximumRetries", life.Restart.MaximumRetries);
        }
        writer.Field("stopTimeout", life.StopTimeout);
        writer.Field("detachKeys", life.DetachKeys);
        writer.Field("storageBytes", life.StorageBytes);
        if (!life.Groups.IsEmpty)
        {
            writer.Field("groups", life.Groups);
        }
        if (!life.Annotations.IsEmpty)
        {
            writer.Field("annotations", life.Annotations);
        }
    }

    private static IsolationOptions ReadLimits(JsonFields o, IsolationOptions isolation) => isolation with
    {
        MemorySwap = o.MaybeInt64("memorySwap"),
        MemoryReservation = o.MaybeInt64("memoryReservation"),
        CpuShares = (ulong?)o.MaybeInt64("cpuShares"),
        CpusetCpus = o.MaybeString("cpusetCpus"),
        CpusetMems = o.MaybeString("cpusetMems"),
        BlkioWeight = o.MaybeInt32("blkioWeight"),
        OomScoreAdj = o.MaybeInt32("oomScoreAdj") ?? 0,
        CgroupParent = o.MaybeString("cgroupParent"),
        PidMode = o.MaybeString("pidMode"),
        IpcMode = o.MaybeString("ipcMode"),
        UtsMode = o.MaybeString("utsMode"),
        CgroupMode = o.MaybeString("cgroupMode"),
        UserMode = o.MaybeString("userMode"),
        Sysctls = o.MaybeMap("sysctls") ?? ImmutableSortedDictionary<string, string>.Empty,
        SeccompProfile = o.MaybeString("seccompProfile"),
        Devices = o.Has("devices") ? ReadDevices(o) : [],
        Limits = o.Has("ulimits") ? ReadUlimits(o) : [],
    };

    private static ImmutableArray<ContainerDevice> ReadDevices(JsonFields o) => o.Objects("devices", d => new ContainerDevice(d.String("source"), d.String("target"), d.String("access")));

    private static ImmutableArray<SpecRlimit> ReadUlimits(JsonFields o) => o.Objects("ulimits", l => new SpecRlimit(l.String("type"), l.UInt64("hard"), l.UInt64("soft")));

    private static void WriteLimits(JsonFieldsWriter writer, IsolationOptions isolation)
    {
        writer.Field("memorySwap", isolation.MemorySwap);
        writer.Field("memoryReservation", isolation.MemoryReservation);
        writer.Field("cpuShares", isolation.CpuShares);
        writer.Field("cpusetCpus", isolation.CpusetCpus);
        writer.Field("cpusetMems", isolation.CpusetMems);
        writer.Field("blkioWeight", isolation.BlkioWeight);
        if (isolation.OomScoreAdj != 0)
        {
            writer.Field("oomScoreAdj", isolation.OomScoreAdj);
        }
        writer.Field("cgroupParent", isolation.CgroupParent);
        writer.Field("pidMode", isolation.PidMode);
        writer.Field("ipcMode", isolation.IpcMode);
        writer.Field("utsMode", isolation.UtsMode);
        writer.Field("cgroupMode", isolation.CgroupMode);
        writer.Field("userMode", isolation.UserMode);
        writer.Field("seccompProfile", isolation.SeccompProfile);
        if (!isolation.Sysctls.IsEmpty)
        {
            writer.Field("sysctls", isolation.Sysctls);
        }
        if (!isolation.Devices.IsEmpty)
        {
            WriteDevices(writer, isolation);
        }
        if (!isolation.Limits.IsEmpty)
        {
            WriteUlimits(writer, isolation);
        }
    }

    private static void WriteDevices(JsonFieldsWriter writer, IsolationOptions isolation) => writer.Objects("devices", isolation.Devices, (w, device) =>
    {
        w.Field("source", device.Source);
        w.Field("target", device.Target);
        w.Field("access", device.Access);
    });

    private static void WriteUlimits(JsonFieldsWriter writer, IsolationOptions isolation) => writer.Objects("ulimits", isolation.Limits, (w, limit) =>
    {
        w.Field("type", limit.Type);
        w.Field("hard", limit.Hard);
        w.Field("soft", limit.Soft);
    });
}
