using System.Text.Json;

namespace Strata.Oci;

/// <summary>
/// Which fields an object of a document has, for one pass over its tokens that refuses what two readers would read differently: keys that occur
/// twice, keys that differ only by case (from each other, or from a field of the spec), strings that are no text, nesting without end.
/// </summary>
internal sealed class DocumentShape
{
    private readonly Dictionary<string, DocumentShape> _fields = new(StringComparer.Ordinal);
    // Lower-case name of a field of the spec → the name.
    private readonly Dictionary<string, string> _folded = new(StringComparer.Ordinal);
    private readonly bool _isMap;

    private DocumentShape(bool isMap) => _isMap = isMap;

    private sealed record Field(string Name, DocumentShape Shape);

    /// <summary>An object nothing is known of.</summary>
    public static DocumentShape Any { get; } = new(isMap: false);

    // A scalar of the spec, or an array of such: no null inside.
    private static readonly DocumentShape s_value = new(isMap: false);

    // Free keys, as in annotations and labels: only exact duplicates are wrong.
    private static readonly DocumentShape s_map = new(isMap: true);

    private static readonly DocumentShape s_platform = Of([], "architecture", "os", "os.version", "os.features", "variant");

    private static readonly DocumentShape s_container = Of([new("ExposedPorts", s_map), new("Volumes", s_map), new("Labels", s_map),
        new("Healthcheck", Of([], "Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"))],
        "User", "Env", "Entrypoint", "Cmd", "WorkingDir", "StopSignal", "ArgsEscaped", "OnBuild", "Shell");

    /// <summary>A descriptor.</summary>
    public static DocumentShape Descriptor { get; } = Of([new("platform", s_platform), new("annotations", s_map)],
        "mediaType", "digest", "size", "urls", "data", "artifactType");

    /// <summary>An image manifest.</summary>
    public static DocumentShape Manifest { get; } = Of([new("config", Descriptor), new("layers", Descriptor), new("subject", Descriptor), new("annotations", s_map)],
        "schemaVersion", "mediaType", "artifactType", "manifests");

    /// <summary>An index.</summary>
    public static DocumentShape Index { get; } = Of([new("manifests", Descriptor), new("subject", Descriptor), new("annotations", s_map)],
        "schemaVersion", "mediaType", "artifactType", "layers", "config");

    /// <summary>An image config.</summary>
    public static DocumentShape Config { get; } = Of([new("config", s_container), new("container_config", s_container), new("rootfs", Of([], "type", "diff_ids")),
        new("history", Of([], "created", "created_by", "author", "comment", "empty_layer"))],
        "created", "author", "architecture", "os", "os.version", "os.features", "variant");

    /// <summary>The file oci-layout.</summary>
    public static DocumentShape Layout { get; } = Of([], "imageLayoutVersion");

    private static DocumentShape Of(Field[] objects, params string[] values)
    {
        var shape = new DocumentShape(isMap: false);
        foreach (Field field in objects)
        {
            shape.Add(field.Name, field.Shape);
        }
        foreach (string name in values)
        {
            shape.Add(name, s_value);
        }
        return shape;
    }

    private void Add(string name, DocumentShape shape)
    {
        _fields.Add(name, shape);
        _folded.Add(Fold(name), name);
    }

    // Where a value is: joined only for a message, since a hostile document has long keys and many of them.
    private sealed record Place(Place? Above, string Key)
    {
        public override string ToString() => Above is null ? Key : $"{Above}.{Key}";
    }

    /// <summary>Walks the document once.</summary>
    /// <exception cref="StrataException">Invalid: it is ambiguous.</exception>
    public static void Check(JsonValue document, string what, DocumentShape root) => Check(document, what, root, null);

    private static void Check(JsonValue value, string what, DocumentShape shape, Place? place)
    {
        HashSet<string>? seen = value.Names.Length == 0 ? null : new(StringComparer.Ordinal);
        for (int i = 0; i < value.Items.Length; i++)
        {
            JsonValue item = value.Items[i];
            // An array's items are where the array is.
            Place? inner = seen is null ? place : new Place(place, value.Names[i]);
            if (seen is not null)
            {
                shape.CheckKey(inner!, seen, what);
            }
            if (item.Kind == JsonValueKind.Null && (seen is null ? shape != Any : shape._isMap))
            {
                throw OciJson.Invalid(what, $"{inner}: null is not allowed here");
            }
            if (item.Items.Length > 0)
            {
                Check(item, what, seen is null ? shape : shape._fields.TryGetValue(value.Names[i], out DocumentShape? next) ? next : Any, inner);
            }
        }
    }

    private void CheckKey(Place place, HashSet<string> seen, string what)
    {
        string folded = _isMap ? place.Key : Fold(place.Key);
        if (!seen.Add(folded))
        {
            throw OciJson.Invalid(what, $"field '{place}' occurs twice (case aside)");
        }
        if (!_isMap && _folded.TryGetValue(folded, out string? known) && known != place.Key)
        {
            throw OciJson.Invalid(what, $"field '{place}' differs from '{known}' only by case");
        }
    }

    // Go compares by Unicode's simple folding, in which the long s is an s and the Kelvin sign a k.
    private static string Fold(string name)
        => name.ToLowerInvariant().Replace('\u017F', 's').Replace('\u212A', 'k');
}
