using System.Text.Json;

namespace Strata.Supply;

/// <summary>What a published file belongs to, from what changes seldom to what changes with every build.</summary>
internal enum PublishPart
{
    Runtime,
    Packages,
    Projects,
    Application,
}

/// <summary>
/// Which part each file of <c>dotnet publish</c>'s output belongs to, as its deps.json tells: <c>targets</c> name the files of each library,
/// <c>libraries</c> say what kind it is. What it does not name is the application's. Pure.
/// </summary>
internal static class PublishedFiles
{
    /// <summary>The parts by file.</summary>
    /// <param name="files">Paths in the output, with slashes.</param>
    /// <param name="deps">The bytes of deps.json; empty where there is none (native code, a single file).</param>
    /// <param name="application">The application's name: its own library is no reference.</param>
    /// <exception cref="JsonException">deps.json is no JSON.</exception>
    internal static Dictionary<string, PublishPart> Assign(IReadOnlyCollection<string> files, ReadOnlyMemory<byte> deps, string application)
    {
        var parts = new Dictionary<string, PublishPart>(StringComparer.Ordinal);
        if (deps.Length > 0)
        {
            using var document = JsonDocument.Parse(deps);
            ReadTargets(document.RootElement, application, parts);
        }
        var assigned = new Dictionary<string, PublishPart>(StringComparer.Ordinal);
        foreach (string file in files)
        {
            assigned[file] = parts.TryGetValue(file, out PublishPart own) ? own : parts.TryGetValue(CodeOf(file), out PublishPart code) ? code : PublishPart.Application;
        }
        return assigned;
    }

    // Symbols and documentation stand beside the code they are about.
    private static string CodeOf(string file)
        => file.EndsWith(".pdb", StringComparison.Ordinal) || file.EndsWith(".xml", StringComparison.Ordinal) ? string.Concat(file.AsSpan(0, file.Length - 4), ".dll") : file;

    private static void ReadTargets(JsonElement root, string application, Dictionary<string, PublishPart> parts)
    {
        if (Find(root, "targets") is not { } targets || Find(root, "libraries") is not { } libraries)
        {
            return;
        }
        foreach (JsonProperty library in targets.EnumerateObject().Where(t => t.Value.ValueKind == JsonValueKind.Object).SelectMany(t => t.Value.EnumerateObject()))
        {
            PublishPart? part = Find(libraries, library.Name) is { } about && about.TryGetProperty("type", out JsonElement type) ? PartOf(type.GetString(), library.Name.Split('/')[0], application) : null;
            if (part is not null && library.Value.ValueKind == JsonValueKind.Object)
            {
                foreach (string file in FilesOf(library.Value))
                {
                    // A library that a runtime has too stands in the output once; the one that changes more often wins.
                    parts[file] = parts.TryGetValue(file, out PublishPart known) && known > part ? known : part.Value;
                }
            }
        }
    }

    private static PublishPart? PartOf(string? type, string name, string application) => type switch
    {
        "runtimepack" => PublishPart.Runtime,
        "package" => PublishPart.Packages,
        "project" => name.Equals(application, StringComparison.OrdinalIgnoreCase) ? PublishPart.Application : PublishPart.Projects,
        "reference" or "referenceassembly" => PublishPart.Projects,
        _ => null,
    };

    // Where publish puts them: code and native libraries at the top, translations below their language, files for several systems where they are in the package.
    private static IEnumerable<string> FilesOf(JsonElement library)
    {
        foreach ((string group, bool isFlat) in new[] { ("runtime", true), ("native", true), ("resources", false), ("runtimeTargets", false) })
        {
            foreach (JsonProperty file in Find(library, group)?.EnumerateObject().ToArray() ?? [])
            {
                string name = file.Name[(file.Name.LastIndexOf('/') + 1)..];
                yield return Text(file.Value, "localPath") ?? (isFlat ? name : group == "resources" && Text(file.Value, "locale") is { } locale ? $"{locale}/{name}" : file.Name);
            }
        }
    }

    private static JsonElement? Find(JsonElement element, string name)
        => element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Object ? value : null;

    private static string? Text(JsonElement element, string name)
        => element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
