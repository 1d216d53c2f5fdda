using System.Text.Json;

namespace Strata.Oci;

/// <summary>
/// Which fields an object of a document has, for one pass over its tokens that refuses what two readers would read differently: keys that occur
/// twice, keys that differ only by case (from each other, or from a field of the spec), strings that are no text, nesting without end.
/// </summary>
internal sealed class DocumentShape
{
    private readonly Dictionary<string, DocumentShape> _fields;
    // Lower-case name of a field of the spec → the name.
    private readonly Dictionary<string, string> _folded;
    private readonly bool _isMap;

    private DocumentShape(bool isMap, params (string Name, DocumentShape Shape)[] fields)
    {
        _isMap = isMap;
        _fields = fields.ToDictionary(f => f.Name, f => f.Shape, StringComparer.Ordinal);
        _folded = fields.ToDictionary(f => Fold(f.Name), f => f.Name, StringComparer.Ordinal);
    }

    /// <summary>An object nothing is known of.</summary>
    public static DocumentShape Any { get; } = new(isMap: false);

    // A scalar of the spec, or an array of such: no null inside.
    private static readonly DocumentShape s_value = new(isMap: false);

    // Free keys, as in annotations and labels: only exact duplicates are wrong.
    private static readonly DocumentShape s_map = new(isMap: true);

    private static readonly DocumentShape s_platform = Of([], "architecture", "os", "os.version", "os.features", "variant");

    private static readonly DocumentShape s_container = Of([("ExposedPorts", s_map), ("Volumes", s_map), ("Labels", s_map),
        ("Healthcheck", Of([], "Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"))],
        "User", "Env", "Entrypoint", "Cmd", "WorkingDir", "StopSignal", "ArgsEscaped", "OnBuild", "Shell");

    /// <summary>A descriptor.</summary>
    public static DocumentShape Descriptor { get; } = Of([("platform", s_platform), ("annotations", s_map)],
        "mediaType", "digest", "size", "urls", "data", "artifactType");

    /// <summary>An image manifest.</summary>
    public static DocumentShape Manifest { get; } = Of([("config", Descriptor), ("layers", Descriptor), ("subject", Descriptor), ("annotations", s_map)],
        "schemaVersion", "mediaType", "artifactType", "manifests");

    /// <summary>An index.</summary>
    public static DocumentShape Index { get; } = Of([("manifests", Descriptor), ("subject", Descriptor), ("annotations", s_map)],
        "schemaVersion", "mediaType", "artifactType", "layers", "config");

    /// <summary>An image config.</summary>
    public static DocumentShape Config { get; } = Of([("config", s_container), ("container_config", s_container), ("rootfs", Of([], "type", "diff_ids")),
        ("history", Of([], "created", "created_by", "author", "comment", "empty_layer"))],
        "created", "author", "architecture", "os", "os.version", "os.features", "variant");

    /// <summary>The file oci-layout.</summary>
    public static DocumentShape Layout { get; } = Of([], "imageLayoutVersion");

    private static DocumentShape Of((string, DocumentShape)[] objects, params string[] values)
        => new(isMap: false, [.. objects, .. values.Select(v => (v, s_value))]);

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
