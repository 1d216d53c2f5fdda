using System.Collections.Immutable;

namespace Strata.Oci;

/// <summary>The fields of the documents of the OCI image spec, read and written in the order other tools write them.</summary>
internal static class DocumentFields
{
    // What is known of each kind of object; everything else is kept as it is.
    private static readonly string[]
        s_manifest = ["schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations"],
        s_index = ["schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations"],
        s_descriptor = ["mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"],
        s_platform = ["os", "architecture", "variant", "os.version", "os.features"],
        s_config = ["created", "author", "architecture", "os", "os.version", "os.features", "variant", "config", "rootfs", "history"],
        s_history = ["created", "created_by", "author", "comment", "empty_layer"],
        s_container = ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped", "Healthcheck", "OnBuild", "Shell"];

    internal static ImageManifest ReadManifest(JsonFields o) => new(ReadDescriptor(o.Object("config")), ReadDescriptors(o, "layers"))
    {
        SchemaVersion = o.Has("schemaVersion") ? o.Int32("schemaVersion") : 2,
        MediaType = o.MaybeString("mediaType"),
        ArtifactType = o.MaybeString("artifactType"),
        Subject = MaybeDescriptor(o, "subject"),
        Annotations = o.MaybeMap("annotations"),
        Extra = o.Others(s_manifest),
    };

    internal static void Write(JsonFieldsWriter writer, ImageManifest manifest)
    {
        writer.Field("schemaVersion", manifest.SchemaVersion);
        writer.Field("mediaType", manifest.MediaType);
        writer.Field("artifactType", manifest.ArtifactType);
        writer.Object("config", manifest.Config, Write);
        writer.Objects("layers", manifest.Layers, Write);
        writer.Object("subject", manifest.Subject, Write);
        writer.Field("annotations", manifest.Annotations);
        writer.Others(manifest.Extra);
    }

    internal static ImageIndex ReadIndex(JsonFields o) => new(ReadDescriptors(o, "manifests"))
    {
        SchemaVersion = o.Has("schemaVersion") ? o.Int32("schemaVersion") : 2,
        MediaType = o.MaybeString("mediaType"),
        ArtifactType = o.MaybeString("artifactType"),
        Subject = MaybeDescriptor(o, "subject"),
        Annotations = o.MaybeMap("annotations"),
        Extra = o.Others(s_index),
    };

    internal static void Write(JsonFieldsWriter writer, ImageIndex index)
    {
        writer.Field("schemaVersion", index.SchemaVersion);
        writer.Field("mediaType", index.MediaType);
        writer.Field("artifactType", index.ArtifactType);
        writer.Objects("manifests", index.Manifests, Write);
        writer.Object("subject", index.Subject, Write);
        writer.Field("annotations", index.Annotations);
        writer.Others(index.Extra);
    }

    internal static Descriptor ReadDescriptor(JsonFields o) => new(o.String("mediaType"), o.Digest("digest"), o.Int64("size"))
    {
        Urls = o.MaybeStrings("urls"),
        Annotations = o.MaybeMap("annotations"),
        Data = o.MaybeString("data"),
        Platform = o.MaybeObject("platform") is { } platform ? ReadPlatform(platform) : null,
        ArtifactType = o.MaybeString("artifactType"),
        Extra = o.Others(s_descriptor),
    };

    internal static Descriptor? MaybeDescriptor(JsonFields o, string name) => o.MaybeObject(name) is { } found ? ReadDescriptor(found) : null;

    internal static void Write(JsonFieldsWriter writer, Descriptor descriptor)
    {
        writer.Field("mediaType", descriptor.MediaType);
        writer.Field("digest", descriptor.Digest);
        writer.Field("size", descriptor.Size);
        writer.Field("urls", descriptor.Urls);
        writer.Field("annotations", descriptor.Annotations);
        writer.Field("data", descriptor.Data);
        writer.Object("platform", descriptor.Platform, Write);
        writer.Field("artifactType", descriptor.ArtifactType);
        writer.Others(descriptor.Extra);
    }

    private static ImmutableArray<Descriptor> ReadDescriptors(JsonFields o, string name)
        // Go writes a nil slice as null: no elements. Without the field it is another kind of document.
        => o.Has(name) ? o.Objects(name, ReadDescriptor) : throw o.Missing(name);

    private static Platform ReadPlatform(JsonFields o) => new(o.String("os"), o.String("architecture"), o.MaybeString("variant"))
    {
        OsVersion = o.MaybeString("os.version"),
        OsFeatures = o.MaybeStrings("os.features"),
        Extra = o.Others(s_platform),
    };

    private static void Write(JsonFieldsWriter writer, Platform platform)
    {
        writer.Field("architecture", platform.Architecture);
        writer.Field("os", platform.Os);
        writer.Field("os.version", platform.OsVersion);
        writer.Field("os.features", platform.OsFeatures);
        writer.Field("variant", platform.Variant);
        writer.Others(platform.Extra);
    }

    internal static ImageConfig ReadConfig(JsonFields o) => new()
    {
        CreatedText = o.MaybeString("created"),
        Author = o.MaybeString("author"),
        Architecture = o.String("architecture"),
        Os = o.String("os"),
        OsVersion = o.MaybeString("os.version"),
        OsFeatures = o.MaybeStrings("os.features"),
        Variant = o.MaybeString("variant"),
        Config = o.MaybeObject("config") is { } config ? ReadContainerConfig(config) : null,
        RootFs = ReadRootFs(o.Object("rootfs")),
        History = o.Objects("history", ReadHistoryEntry),
        Extra = o.Others(s_config),
    };

    internal static void Write(JsonFieldsWriter writer, ImageConfig config)
    {
        writer.Field("created", config.CreatedText);
        writer.Field("author", config.Author);
        writer.Field("architecture", config.Architecture);
        writer.Field("os", config.Os);
        writer.Field("os.version", config.OsVersion);
        writer.Field("os.features", config.OsFeatures);
        writer.Field("variant", config.Variant);
        writer.Object("config", config.Config, Write);
        writer.Object("rootfs", config.RootFs, Write);
        writer.Objects("history", config.History, Write);
        writer.Others(config.Extra);
    }

    private static RootFs ReadRootFs(JsonFields o) => new(o.String("type"), o.Digests("diff_ids"));

    private static void Write(JsonFieldsWriter writer, RootFs rootFs)
    {
        writer.Field("type", rootFs.Type);
        writer.WriteStartArray("diff_ids");
        foreach (Digest diffId in rootFs.DiffIds)
        {
            writer.WriteStringValue(diffId.ToString());
        }
        writer.WriteEndArray();
    }

    internal static HistoryEntry ReadHistoryEntry(JsonFields o) => new()
    {
        CreatedText = o.MaybeString("created"),
        CreatedBy = o.MaybeString("created_by"),
        Author = o.MaybeString("author"),
        Comment = o.MaybeString("comment"),
        EmptyLayer = o.MaybeBool("empty_layer") ?? false,
        Extra = o.Others(s_history),
    };

    private static void Write(JsonFieldsWriter writer, HistoryEntry entry)
    {
        writer.Field("created", entry.CreatedText);
        writer.Field("created_by", entry.CreatedBy);
        writer.Field("author", entry.Author);
        writer.Field("comment", entry.Comment);
        writer.Field("empty_layer", entry.EmptyLayer ? true : null);
        writer.Others(entry.Extra);
    }

    internal static ContainerConfig ReadContainerConfig(JsonFields o) => new()
    {
        User = o.MaybeString("User"),
        ExposedPorts = o.MaybeSet("ExposedPorts"),
        Env = o.MaybeStrings("Env"),
        Entrypoint = o.MaybeStrings("Entrypoint"),
        Cmd = o.MaybeStrings("Cmd"),
        Volumes = o.MaybeSet("Volumes"),
        WorkingDir = o.MaybeString("WorkingDir"),
        Labels = o.MaybeMap("Labels"),
        StopSignal = o.MaybeString("StopSignal"),
        ArgsEscaped = o.MaybeBool("ArgsEscaped"),
        Healthcheck = o.MaybeObject("Healthcheck") is { } check ? ReadHealthcheck(check) : null,
        OnBuild = o.MaybeStrings("OnBuild"),
        Shell = o.MaybeStrings("Shell"),
        Extra = o.Others(s_container),
    };

    internal static void Write(JsonFieldsWriter writer, ContainerConfig config)
    {
        writer.Field("User", config.User);
        writer.Field("ExposedPorts", config.ExposedPorts);
        writer.Field("Env", config.Env);
        writer.Field("Entrypoint", config.Entrypoint);
        writer.Field("Cmd", config.Cmd);
        writer.Field("Volumes", config.Volumes);
        writer.Field("WorkingDir", config.WorkingDir);
        writer.Field("Labels", config.Labels);
        writer.Field("StopSignal", config.StopSignal);
        writer.Field("ArgsEscaped", config.ArgsEscaped);
        writer.Object("Healthcheck", config.Healthcheck, Write);
        writer.Field("OnBuild", config.OnBuild);
        writer.Field("Shell", config.Shell);
        writer.Others(config.Extra);
    }

    private static HealthcheckConfig ReadHealthcheck(JsonFields o) => new()
    {
        Test = o.MaybeStrings("Test"),
        Interval = o.MaybeInt64("Interval"),
        Timeout = o.MaybeInt64("Timeout"),
        StartPeriod = o.MaybeInt64("StartPeriod"),
        StartInterval = o.MaybeInt64("StartInterval"),
        Retries = o.MaybeInt32("Retries"),
    };

    private static void Write(JsonFieldsWriter writer, HealthcheckConfig check)
    {
        writer.Field("Test", check.Test);
        writer.Field("Interval", check.Interval);
        writer.Field("Timeout", check.Timeout);
        writer.Field("StartPeriod", check.StartPeriod);
        writer.Field("StartInterval", check.StartInterval);
        writer.Field("Retries", check.Retries);
    }
}
