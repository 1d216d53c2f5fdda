using System.Formats.Tar;
using System.Text.Json.Nodes;

namespace Strata.IntegrationTests.Interop;

/// <summary>
/// What an image's configuration says, read by System.Text.Json (not by the engine's own reader), from the JSON or from what a tool saved.
/// Settings that are absent, null, empty or false are the same.
/// </summary>
internal sealed record ImageDocument(SortedDictionary<string, string> Settings, string[] DiffIds)
{
    /// <summary>What an image says to whoever runs it (image-spec/config.md#properties); Healthcheck, OnBuild and Shell are Docker's.</summary>
    internal static readonly string[] Names = ["Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal", "Healthcheck", "OnBuild", "Shell"];

    internal static ImageDocument Parse(ReadOnlySpan<byte> json) => Parse(JsonNode.Parse(json)!);

    internal static ImageDocument Parse(JsonNode document)
    {
        var settings = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string name in Names)
        {
            if (document["config"]?[name] is { } value && Sorted(value).ToJsonString() is var text and not ("\"\"" or "{}" or "[]"))
            {
                settings[name] = text;
            }
        }
        return new ImageDocument(settings, [.. document["rootfs"]!["diff_ids"]!.AsArray().Select(d => d!.GetValue<string>())]);
    }

    /// <summary>The one image of a docker-archive, an OCI archive or an OCI layout's folder.</summary>
    internal static ImageDocument OfSaved(string path)
    {
        Dictionary<string, byte[]> documents = Directory.Exists(path) ? ReadFolder(path) : ReadTar(path);
        if (documents.TryGetValue("manifest.json", out byte[]? docker))
        {
            return Parse(documents[JsonNode.Parse(docker)![0]!["Config"]!.GetValue<string>()]);
        }
        byte[] Blob(JsonNode descriptor) => documents["blobs/" + descriptor["digest"]!.GetValue<string>().Replace(':', '/')];
        JsonNode manifest = JsonNode.Parse(Blob(JsonNode.Parse(documents["index.json"])!["manifests"]![0]!))!;
        return Parse(Blob(manifest["config"]!));
    }

    /// <summary>What differs, a line each: <c>setting: ours | theirs</c>.</summary>
    internal static List<string> Differences(ImageDocument ours, ImageDocument theirs)
        => [.. Names.Where(n => ours.Settings.GetValueOrDefault(n) != theirs.Settings.GetValueOrDefault(n))
            .Select(n => $"{n}: {ours.Settings.GetValueOrDefault(n, "nothing")} | {theirs.Settings.GetValueOrDefault(n, "nothing")}")];

    private static JsonNode Sorted(JsonNode node) => node is JsonObject map
        ? new JsonObject(map.Where(p => p.Value is not null).OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => KeyValuePair.Create(p.Key, (JsonNode?)Sorted(p.Value!))))
        : node.DeepClone();

    private static Dictionary<string, byte[]> ReadFolder(string folder)
        => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).ToDictionary(f => Path.GetRelativePath(folder, f), File.ReadAllBytes);

    private static Dictionary<string, byte[]> ReadTar(string path)
    {
        var files = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        using FileStream stream = File.OpenRead(path);
        using var reader = new TarReader(stream);
        while (reader.GetNextEntry() is { } entry)
        {
            if (entry.DataStream is { } data)
            {
                byte[] bytes = new byte[data.Length];
                data.ReadExactly(bytes);
                files[entry.Name] = bytes;
            }
        }
        return files;
    }
}
