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

    private sealed class Frame(DocumentShape shape, bool isArray)
    {
        public DocumentShape Shape { get; } = shape;
        public bool IsArray { get; } = isArray;
        public HashSet<string>? Seen { get; set; }
        public string? Key { get; set; }
        // What the next value must look like.
        public DocumentShape Next { get; set; } = shape;
    }

    /// <summary>Walks the document once.</summary>
    /// <exception cref="StrataException">Invalid: it is ambiguous.</exception>
    /// <exception cref="JsonException">It is no JSON.</exception>
    public static void Check(ReadOnlySpan<byte> json, string what, DocumentShape root)
    {
        Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = OciJson.MaxDepth });
        Stack<Frame> frames = new();
        while (reader.Read())
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.StartObject:
                case JsonTokenType.StartArray:
                    frames.Push(new Frame(frames.TryPeek(out Frame? outer) ? outer.Next : root, reader.TokenType == JsonTokenType.StartArray));
                    break;
                case JsonTokenType.EndObject:
                case JsonTokenType.EndArray:
                    frames.Pop();
                    break;
                case JsonTokenType.PropertyName:
                    CheckKey(Text(ref reader, what), frames.Peek(), frames, what);
                    break;
                case JsonTokenType.String:
                    _ = Text(ref reader, what);
                    break;
                case JsonTokenType.Null when frames.TryPeek(out Frame? inner) && (inner.IsArray ? inner.Shape != Any : inner.Shape._isMap):
                    throw OciJson.Invalid(what, $"{PathOf(frames)}: null is not allowed here");
                default:
                    break;
            }
        }
    }

    private static void CheckKey(string key, Frame frame, Stack<Frame> frames, string what)
    {
        frame.Key = key;
        string folded = frame.Shape._isMap ? key : Fold(key);
        if (!(frame.Seen ??= new HashSet<string>(StringComparer.Ordinal)).Add(folded))
        {
            throw OciJson.Invalid(what, $"field '{PathOf(frames)}' occurs twice (case aside)");
        }
        if (frame.Shape._folded.TryGetValue(folded, out string? known) && known != key && !frame.Shape._isMap)
        {
            throw OciJson.Invalid(what, $"field '{PathOf(frames)}' differs from '{known}' only by case");
        }
        frame.Next = frame.Shape._fields.TryGetValue(key, out DocumentShape? next) ? next : Any;
    }

    private static string Text(ref Utf8JsonReader reader, string what)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            // Bytes that are no UTF-8, or an escaped half of a surrogate pair: each reader replaces them in its own way.
            throw new StrataException(ErrorKind.Invalid, $"{what}: a string at byte {reader.TokenStartIndex} is not valid Unicode", e);
        }
    }

    // Go compares by Unicode's simple folding, in which the long s is an s and the Kelvin sign a k.
    private static string Fold(string name)
        => name.ToLowerInvariant().Replace('\u017F', 's').Replace('\u212A', 'k');

    private static string PathOf(Stack<Frame> frames) => string.Join('.', frames.Reverse().Where(f => f.Key is not null).Select(f => f.Key));
}
