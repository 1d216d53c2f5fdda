using System.Text.Json;

namespace Strata.Supply;

/// <summary>What a published application needs to run, as its runtimeconfig.json tells.</summary>
/// <param name="BaseName">Microsoft's image that has it.</param>
/// <param name="BringsRuntime">The runtime is among the files: the application is a program of its own.</param>
internal sealed record RuntimeChoice(string BaseName, bool BringsRuntime)
{
    private const string Registry = "mcr.microsoft.com/dotnet";

    /// <summary>Reads a runtimeconfig.json; empty bytes for native code, which has none.</summary>
    /// <param name="json">Its bytes.</param>
    /// <param name="version">The version where the file says none.</param>
    /// <exception cref="JsonException">It is no JSON.</exception>
    internal static RuntimeChoice Read(ReadOnlyMemory<byte> json, Version version)
    {
        string known = $"{version.Major}.{version.Minor}";
        if (json.Length == 0)
        {
            return new RuntimeChoice($"{Registry}/runtime-deps:{known}", true);
        }
        using var document = JsonDocument.Parse(json);
        if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("runtimeOptions", out JsonElement options) || options.ValueKind != JsonValueKind.Object)
        {
            throw new JsonException("runtimeOptions: it is missing");
        }
        JsonElement[] needed = [.. List(options, "frameworks"), .. options.TryGetProperty("framework", out JsonElement one) ? [one] : Array.Empty<JsonElement>()];
        JsonElement[] included = List(options, "includedFrameworks");
        string found = needed.Concat(included).Select(f => Text(f, "version")).FirstOrDefault(v => v is not null) is { } text && text.Split('.') is [var major, var minor, ..] ? $"{major}.{minor}" : known;
        return included.Length > 0 ? new RuntimeChoice($"{Registry}/runtime-deps:{found}", true)
            : new RuntimeChoice($"{Registry}/{(needed.Any(f => Text(f, "name") == "Microsoft.AspNetCore.App") ? "aspnet" : "runtime")}:{found}", false);
    }

    private static JsonElement[] List(JsonElement options, string name) => options.TryGetProperty(name, out JsonElement list) && list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray()] : [];

    private static string? Text(JsonElement element, string name)
        => element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
