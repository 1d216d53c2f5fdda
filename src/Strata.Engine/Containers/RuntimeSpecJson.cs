using Strata.Oci;

namespace Strata.Containers;

/// <summary>Writes config.json of a bundle.</summary>
public static class RuntimeSpecJson
{
    /// <summary>The bytes of config.json.</summary>
    public static byte[] Serialize(RuntimeSpecDocument spec) => JsonFieldsWriter.Serialize(spec, Write);

    /// <summary>The bytes of a process alone: what <c>exec --process</c> of a runtime takes.</summary>
    public static byte[] Serialize(SpecProcess process) => JsonFieldsWriter.Serialize(process, Write);

    /// <summary>The bytes of limits alone: what <c>update --resources</c> of a runtime takes.</summary>
    public static byte[] Serialize(SpecResources limits) => JsonFieldsWriter.Serialize(limits, Write);

    private static void Write(JsonFieldsWriter writer, RuntimeSpecDocument spec)
    {
        writer.Field("ociVersion", spec.OciVersion);
        writer.Object("process", spec.Process, Write);
        writer.Object("root", spec.Root, Write);
        writer.Field("hostname", spec.Hostname);
        writer.Objects("mounts", spec.Mounts, Write);
        writer.Field("annotations", spec.Annotations);
        writer.Object("linux", spec.Linux, Write);
    }

    private static void Write(JsonFieldsWriter writer, SpecProcess process)
    {
        writer.Field("terminal", process.Terminal);
        writer.Object("consoleSize", process.ConsoleSize, (w, size) =>
        {
            w.Field("height", size.Height);
            w.Field("width", size.Width);
        });
        writer.Object("user", process.User, Write);
        writer.Field("args", process.Args);
        writer.Field("env", process.Env);
        writer.Field("cwd", process.Cwd);
        writer.Object("capabilities", process.Capabilities, Write);
        writer.Objects("rlimits", process.Rlimits, (w, limit) =>
        {
            w.Field("type", limit.Type);
            w.Field("hard", limit.Hard);
            w.Field("soft", limit.Soft);
        });
        writer.Field("noNewPrivileges", process.NoNewPrivileges);
        writer.Field("oomScoreAdj", process.OomScoreAdj);
    }

    private static void Write(JsonFieldsWriter writer, SpecUser user)
    {
        writer.Field("uid", user.Uid);
        writer.Field("gid", user.Gid);
        writer.Field("umask", user.Umask);
        writer.WriteStartArray("additionalGids");
        foreach (uint gid in user.AdditionalGids)
        {
            writer.WriteNumberValue(gid);
        }
        writer.WriteEndArray();
    }

    private static void Write(JsonFieldsWriter writer, SpecCapabilities capabilities)
    {
        writer.Field("bounding", capabilities.Bounding);
        writer.Field("effective", capabilities.Effective);
        writer.Field("permitted", capabilities.Permitted);
        writer.Field("inheritable", capabilities.Inheritable);
        writer.Field("ambient", capabilities.Ambient);
    }

    private static void Write(JsonFieldsWriter writer, SpecRoot root)
    {
        writer.Field("path", root.Path);
        writer.Field("readonly", root.Readonly);
    }

    private static void Write(JsonFieldsWriter writer, SpecMount mount)
    {
        writer.Field("destination", mount.Destination);
        writer.Field("type", mount.Type);
        writer.Field("source", mount.Source);
        writer.Field("options", mount.Options);
    }

    private static void Write(JsonFieldsWriter writer, SpecLinux linux)
    {
        writer.Objects("namespaces", linux.Namespaces, (w, space) =>
        {
            w.Field("type", space.Type);
            w.Field("path", space.Path);
        });
        writer.Field("sysctl", linux.Sysctl);
        writer.Object("resources", linux.Resources, Write);
        writer.Field("cgroupsPath", linux.CgroupsPath);
        if (linux.Devices is { } devices)
        {
            writer.Objects("devices", devices, Write);
        }
        writer.Object("seccomp", linux.Seccomp, Write);
        writer.Field("rootfsPropagation", linux.RootfsPropagation);
        writer.Field("maskedPaths", linux.MaskedPaths);
        writer.Field("readonlyPaths", linux.ReadonlyPaths);
    }

    private static void Write(JsonFieldsWriter writer, SpecResources resources)
    {
        if (resources.Devices is { } rules)
        {
            writer.Objects("devices", rules, (w, rule) =>
            {
                w.Field("allow", rule.Allow);
                w.Field("type", rule.Type);
                w.Field("major", rule.Major);
                w.Field("minor", rule.Minor);
                w.Field("access", rule.Access);
            });
        }
        writer.Object("pids", resources.Pids, (w, pids) => w.Field("limit", pids.Limit));
        writer.Object("memory", resources.Memory, (w, memory) =>
        {
            w.Field("limit", memory.Limit);
            w.Field("swap", memory.Swap);
            w.Field("reservation", memory.Reservation);
        });
        writer.Object("cpu", resources.Cpu, (w, cpu) =>
        {
            w.Field("shares", cpu.Shares);
            w.Field("quota", cpu.Quota);
            w.Field("period", cpu.Period);
            w.Field("cpus", cpu.Cpus);
            w.Field("mems", cpu.Mems);
        });
        if (resources.BlockIoWeight is { } weight)
        {
            writer.WriteStartObject("blockIO");
            writer.Field("weight", (long)weight);
            writer.WriteEndObject();
        }
    }

    private static void Write(JsonFieldsWriter writer, SpecDevice device)
    {
        writer.Field("path", device.Path);
        writer.Field("type", device.Type);
        writer.Field("major", device.Major);
        writer.Field("minor", device.Minor);
        writer.Field("fileMode", device.FileMode);
        writer.Field("uid", device.Uid);
        writer.Field("gid", device.Gid);
    }

    private static void Write(JsonFieldsWriter writer, SpecSeccomp seccomp)
    {
        writer.Field("defaultAction", seccomp.DefaultAction);
        writer.Field("defaultErrnoRet", seccomp.DefaultErrnoRet);
        writer.Field("architectures", seccomp.Architectures);
        writer.Objects("syscalls", seccomp.Syscalls, Write);
    }

    private static void Write(JsonFieldsWriter writer, SpecSyscall call)
    {
        writer.Field("names", call.Names);
        writer.Field("action", call.Action);
        writer.Field("errnoRet", call.ErrnoRet);
        if (call.Args is { } conditions)
        {
            writer.Objects("args", conditions, (w, condition) =>
            {
                w.Field("index", condition.Index);
                w.Field("value", condition.Value);
                w.Field("valueTwo", condition.ValueTwo);
                w.Field("op", condition.Op);
            });
        }
    }
}
