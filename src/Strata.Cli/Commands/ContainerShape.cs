using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Containers;
using Strata.Containers.Networks;

namespace Strata.Cli.Commands;

/// <summary>Parts of <c>inspect</c> of a container, named and nested as Docker's API has them.</summary>
internal static class ContainerShape
{
    private const string NeverText = "0001-01-01T00:00:00Z"; // Go's zero time

    internal static JsonObject State(Engine engine, Container container)
    {
        ContainerState state = container.State;
        var shape = new JsonObject
        {
            ["Status"] = Status(container),
            ["Running"] = state.Status == ContainerStatus.Running,
            ["Paused"] = state.IsPaused,
            ["Restarting"] = state.IsRestarting,
            ["OOMKilled"] = state.OomKilled,
            ["Dead"] = false,
            ["Pid"] = state.Pid ?? 0,
            ["ExitCode"] = state.ExitCode ?? 0,
            ["Error"] = state is { Status: ContainerStatus.Exited, ExitCode: null } ? "nobody saw how it ended" : "",
            ["StartedAt"] = Time(state.StartedAt),
            ["FinishedAt"] = Time(state.FinishedAt),
        };
        if (engine.GetHealth(container.Record) is { } health)
        {
            shape["Health"] = Health(health);
        }
        return shape;
    }

    /// <summary>created, running, paused, restarting or exited.</summary>
    internal static string Status(Container container) => container.State.IsPaused ? "paused" : container.State.IsRestarting ? "restarting" : container.State.Status.ToString().ToLowerInvariant();

    private static JsonObject Health(HealthState health) => new()
    {
        ["Status"] = health.Status,
        ["FailingStreak"] = health.FailingStreak,
        ["Log"] = new JsonArray([.. health.Log.Select(r => (JsonNode)new JsonObject { ["Start"] = Time(r.Start), ["End"] = Time(r.End), ["ExitCode"] = r.ExitCode, ["Output"] = r.Output })]),
    };

    internal static JsonObject HostConfig(ContainerRecord record, string networkMode)
    {
        IsolationOptions isolation = record.Isolation;
        return new JsonObject
        {
            ["Binds"] = Strings(record.Mounts.Where(m => m.Kind == ContainerMountKind.Bind || (m.Kind == ContainerMountKind.Volume && !m.Anonymous)).Select(Bind)),
            ["NetworkMode"] = networkMode,
            ["PortBindings"] = PortBindings(record),
            ["PublishAllPorts"] = record.Networking.PublishAll,
            ["RestartPolicy"] = new JsonObject { ["Name"] = record.Life.Restart.Name, ["MaximumRetryCount"] = record.Life.Restart.MaximumRetries },
            ["AutoRemove"] = record.Remove,
            ["CapAdd"] = Strings(isolation.Capabilities.Except(Capabilities.Default)),
            ["CapDrop"] = Strings(Capabilities.Default.Except(isolation.Capabilities)),
            ["CgroupnsMode"] = isolation.CgroupMode ?? "private",
            ["GroupAdd"] = Strings(record.Life.Groups),
            ["IpcMode"] = isolation.IpcMode ?? "private",
            ["PidMode"] = isolation.PidMode ?? "",
            ["UTSMode"] = isolation.UtsMode ?? "",
            ["UsernsMode"] = isolation.UserMode ?? "",
            ["Privileged"] = isolation.Privileged,
            ["ReadonlyRootfs"] = isolation.ReadOnlyRoot,
            ["SecurityOpt"] = SecurityOptions(isolation),
            ["OomScoreAdj"] = isolation.OomScoreAdj,
            ["ShmSize"] = isolation.SharedMemoryBytes,
            ["Tmpfs"] = new JsonObject(record.Mounts.Where(m => m.Kind == ContainerMountKind.Tmpfs).Select(m => KeyValuePair.Create(m.Target, (JsonNode?)string.Join(',', m.Options)))),
            ["Sysctls"] = new JsonObject(isolation.Sysctls.Select(s => KeyValuePair.Create(s.Key, (JsonNode?)s.Value))),
            ["Init"] = record.Life.Init,
            ["Annotations"] = new JsonObject(record.Life.Annotations.Select(a => KeyValuePair.Create(a.Key, (JsonNode?)a.Value))),
            ["CgroupParent"] = isolation.CgroupParent ?? "",
            ["Memory"] = isolation.MemoryLimit ?? 0,
            ["MemorySwap"] = isolation.MemorySwap ?? 0,
            ["MemoryReservation"] = isolation.MemoryReservation ?? 0,
            ["NanoCpus"] = (isolation.MilliCpus ?? 0) * 1_000_000,
            ["CpuShares"] = (long)(isolation.CpuShares ?? 0),
            ["CpusetCpus"] = isolation.CpusetCpus ?? "",
            ["CpusetMems"] = isolation.CpusetMems ?? "",
            ["BlkioWeight"] = isolation.BlkioWeight ?? 0,
            ["PidsLimit"] = isolation.PidsLimit,
            ["Devices"] = new JsonArray([.. isolation.Devices.Select(d => (JsonNode)new JsonObject { ["PathOnHost"] = d.Source, ["PathInContainer"] = d.Target, ["CgroupPermissions"] = d.Access })]),
            ["Ulimits"] = new JsonArray([.. isolation.Limits.Select(l => (JsonNode)new JsonObject { ["Name"] = l.Type[7..].ToLowerInvariant(), ["Hard"] = Limit(l.Hard), ["Soft"] = Limit(l.Soft) })]),
            ["StorageOpt"] = record.Life.StorageBytes is { } bytes ? new JsonObject { ["size"] = bytes.ToString(CultureInfo.InvariantCulture) } : null,
            ["LogConfig"] = new JsonObject { ["Type"] = "k8s-file", ["Config"] = new JsonObject() },
        };
    }

    internal static JsonArray Mounts(Engine engine, ContainerRecord record) => new([.. record.Mounts.Select(m => (JsonNode)new JsonObject
    {
        ["Type"] = m.Kind.ToString().ToLowerInvariant(),
        ["Name"] = m.Kind == ContainerMountKind.Volume ? m.Source : "",
        ["Source"] = m.Kind == ContainerMountKind.Volume ? engine.Volumes.PathOf(m.Source) : m.Source,
        ["Destination"] = m.Target,
        ["Driver"] = m.Kind == ContainerMountKind.Volume ? "local" : "",
        ["Mode"] = string.Join(',', m.Options),
        ["RW"] = !m.ReadOnly,
        ["Propagation"] = m.Options.FirstOrDefault(o => o.EndsWith("private", StringComparison.Ordinal) || o.EndsWith("shared", StringComparison.Ordinal) || o.EndsWith("slave", StringComparison.Ordinal)) ?? (m.Kind == ContainerMountKind.Bind ? "rprivate" : ""),
    })]);

    // As they were asked for: a host port that is chosen at each start is empty.
    private static JsonObject PortBindings(ContainerRecord record)
    {
        var bindings = new JsonObject();
        foreach (PortMapping port in record.Networking.Ports.SelectMany(p => p.Each()))
        {
            string key = NetworkText.Inside(port);
            if (!bindings.ContainsKey(key))
            {
                bindings[key] = new JsonArray();
            }
            string host = port.HostPort == 0 ? "" : port.HostPort.ToString(CultureInfo.InvariantCulture);
            bindings[key]!.AsArray().Add((JsonNode)new JsonObject { ["HostIp"] = port.HostAddress, ["HostPort"] = port.HostPortEnd > port.HostPort ? string.Create(CultureInfo.InvariantCulture, $"{host}-{port.HostPortEnd}") : host });
        }
        return bindings;
    }

    private static string Bind(ContainerMount mount) => $"{mount.Source}:{mount.Target}{(mount.Options.IsEmpty ? "" : ":" + string.Join(',', mount.Options))}";

    private static JsonArray SecurityOptions(IsolationOptions isolation)
    {
        List<string> options = [];
        if (isolation.NoNewPrivileges)
        {
            options.Add("no-new-privileges");
        }
        if (!isolation.Seccomp)
        {
            options.Add("seccomp=unconfined");
        }
        else if (isolation.SeccompProfile is { } profile)
        {
            options.Add("seccomp=" + profile);
        }
        return Strings(options);
    }

    // -1 is Docker's word for no limit.
    private static long Limit(ulong value) => value > long.MaxValue ? -1 : (long)value;

    private static string Time(DateTimeOffset? time) => time?.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture) ?? NeverText;

    private static JsonArray Strings(IEnumerable<string> texts) => new([.. texts.Select(t => (JsonNode?)JsonValue.Create(t))]);
}
