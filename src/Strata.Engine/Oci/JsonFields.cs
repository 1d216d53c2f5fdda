using System.Collections.Immutable;
using System.Text.Json;

namespace Strata.Oci;

/// <summary>
/// An object of a document, read field by field. Documents and records are read and written by hand: a serializer builds a model of every type
/// it might meet before it reads the first byte, which costs a short command more than all of its work.
/// </summary>
/// <remarks>A field that is null is as good as missing, as Go's tools write it. All methods throw <see cref="JsonException"/> that names the field.</remarks>
internal readonly struct JsonFields
{
    private readonly JsonValue _object;
    private readonly string _path;

    private JsonFields(JsonValue element, string path)
    {
        _object = element.Kind == JsonValueKind.Object ? element : throw Wrong(path, "an object", element);
        _path = path;
    }

    /// <summary>Parses a whole document.</summary>
    internal static JsonFields Parse(ReadOnlySpan<byte> json, int maxDepth = OciJson.MaxDepth) => Of(JsonValue.Parse(json, maxDepth));

    /// <summary>A document that was parsed.</summary>
    internal static JsonFields Of(JsonValue root) => new(root, "");

    internal string String(string name) => MaybeString(name) ?? throw Missing(name);

    internal string? MaybeString(string name)
        => Find(name) is not { } value ? null : value.Text ?? throw Wrong(PathOf(name), "a string", value);

    internal long Int64(string name) => MaybeInt64(name) ?? throw Missing(name);

    internal long? MaybeInt64(string name)
        => Find(name) is not { } value ? null : value.TryGetInt64(out long number) ? number : throw Wrong(PathOf(name), "a whole number", value);

    internal long[]? MaybeInt64s(string name)
    {
        if (Array(name) is not { } array)
        {
            return null;
        }
        long[] numbers = new long[array.Items.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = array.Items[i].TryGetInt64(out long number) ? number : throw Wrong(PathOf(name, i), "a whole number", array.Items[i]);
        }
        return numbers;
    }

    internal int Int32(string name) => MaybeInt32(name) ?? throw Missing(name);

    internal int? MaybeInt32(string name)
        => Find(name) is not { } value ? null : value.TryGetInt64(out long number) && number is >= int.MinValue and <= int.MaxValue ? (int)number : throw Wrong(PathOf(name), "a whole number", value);

    internal ulong UInt64(string name)
        => Find(name) is not { } value ? throw Missing(name) : value.TryGetUInt64(out ulong number) ? number : throw Wrong(PathOf(name), "a whole number", value);

    internal bool? MaybeBool(string name) => Find(name) is not { } value ? null : value.Kind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(PathOf(name), "true or false", value),
    };

    internal Digest Digest(string name) => MaybeDigest(name) ?? throw Missing(name);

    internal Digest? MaybeDigest(string name) => Find(name) is not { } value ? null : ReadDigest(value, PathOf(name));

    internal DateTimeOffset Time(string name) => MaybeTime(name) ?? throw Missing(name);

    /// <summary>RFC 3339.</summary>
    internal DateTimeOffset? MaybeTime(string name)
        => MaybeString(name) is not { } text ? null : Timestamps.TryParse(text, out DateTimeOffset time) ? time : throw new JsonException($"{PathOf(name)}: '{text}' is not a time");

    internal JsonFields Object(string name) => MaybeObject(name) ?? throw Missing(name);

    internal JsonFields? MaybeObject(string name) => Find(name) is { } value ? new JsonFields(value, PathOf(name)) : null;

    internal ImmutableArray<string>? MaybeStrings(string name)
    {
        if (Array(name) is not { } array)
        {
            return null;
        }
        string[] items = new string[array.Items.Length];
        for (int i = 0; i < items.Length; i++)
        {
            items[i] = array.Items[i].Text ?? throw Wrong(PathOf(name, i), "a string", array.Items[i]);
        }
        return System.Runtime.InteropServices.ImmutableCollectionsMarshal.AsImmutableArray(items);
    }

    internal ImmutableArray<string> Strings(string name) => MaybeStrings(name) ?? throw Missing(name);

    internal ImmutableArray<Digest> Digests(string name)
    {
        JsonValue[] items = Array(name)?.Items ?? [];
        var digests = new Digest[items.Length];
        for (int i = 0; i < digests.Length; i++)
        {
            digests[i] = ReadDigest(items[i], PathOf(name, i));
        }
        return System.Runtime.InteropServices.ImmutableCollectionsMarshal.AsImmutableArray(digests);
    }

    /// <summary>Byte strings, base64.</summary>
    internal byte[][] Bytes(string name)
    {
        JsonValue array = Array(name) ?? throw Missing(name);
        byte[][] items = new byte[array.Items.Length][];
        for (int i = 0; i < items.Length; i++)
        {
            JsonValue item = array.Items[i];
            byte[] bytes = new byte[(item.Text?.Length ?? 0) / 4 * 3];
            items[i] = item.Text is { } text && Convert.TryFromBase64String(text, bytes, out int length) ? bytes[..length] : throw Wrong(PathOf(name, i), "base64", item);
        }
        return items;
    }

    /// <summary>The objects of an array, each as <paramref name="read"/> reads it; none where it is missing.</summary>
    internal ImmutableArray<T> Objects<T>(string name, Func<JsonFields, T> read)
    {
        JsonValue[] items = Array(name)?.Items ?? [];
        var found = new T[items.Length];
        for (int i = 0; i < found.Length; i++)
        {
            found[i] = read(new JsonFields(items[i], PathOf(name, i)));
        }
        return System.Runtime.InteropServices.ImmutableCollectionsMarshal.AsImmutableArray(found);
    }

    // What is read where there is something has a method of its own here: a method's types are loaded before its first line runs.
    internal ImmutableSortedDictionary<string, string>? MaybeMap(string name) => MaybeObject(name) is { } map ? ReadMap(map) : null;

    private static ImmutableSortedDictionary<string, string> ReadMap(JsonFields map)
    {
        ImmutableSortedDictionary<string, string>.Builder entries = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        JsonValue source = map._object;
        for (int i = 0; i < source.Names.Length; i++)
        {
            entries[source.Names[i]] = source.Items[i].Text ?? throw Wrong($"{map._path}.{source.Names[i]}", "a string", source.Items[i]);
        }
        return entries.ToImmutable();
    }

    /// <summary>The keys of an object whose values say nothing: Go's <c>map[string]struct{}</c>.</summary>
    internal ImmutableSortedDictionary<string, EmptyObject>? MaybeSet(string name) => MaybeObject(name) is { } set ? ReadSet(set) : null;

    private static ImmutableSortedDictionary<string, EmptyObject> ReadSet(JsonFields set)
    {
        ImmutableSortedDictionary<string, EmptyObject>.Builder entries = ImmutableSortedDictionary.CreateBuilder<string, EmptyObject>(StringComparer.Ordinal);
        JsonValue source = set._object;
        for (int i = 0; i < source.Names.Length; i++)
        {
            entries[source.Names[i]] = source.Items[i].Kind == JsonValueKind.Object ? new EmptyObject() : throw Wrong($"{set._path}.{source.Names[i]}", "an object", source.Items[i]);
        }
        return entries.ToImmutable();
    }

    internal JsonValue? Find(string name) => _object.Find(name) is { Kind: not JsonValueKind.Null } value ? value : null;

    internal bool Has(string name) => _object.Find(name) is not null;

    /// <summary>The fields that are not among the known ones, as they are; null where there are none.</summary>
    internal Dictionary<string, JsonElement>? Others(string[] known)
    {
        foreach (string name in _object.Names)
        {
            if (!IsKnown(name, known))
            {
                return ReadOthers(known);
            }
        }
        return null;
    }

    private Dictionary<string, JsonElement> ReadOthers(string[] known)
    {
        var others = new Dictionary<string, JsonElement>();
        for (int i = 0; i < _object.Names.Length; i++)
        {
            if (!IsKnown(_object.Names[i], known))
            {
                others[_object.Names[i]] = JsonElement.Parse(_object.Items[i].Raw, new JsonDocumentOptions { MaxDepth = OciJson.MaxDepth });
            }
        }
        return others;
    }

    private static bool IsKnown(string name, string[] known)
    {
        foreach (string field in known)
        {
            if (field == name)
            {
                return true;
            }
        }
        return false;
    }

    internal JsonException Missing(string name) => new($"{PathOf(name)}: it is missing");

    private JsonValue? Array(string name) => Find(name) is not { } value ? null : value.Kind == JsonValueKind.Array ? value : throw Wrong(PathOf(name), "an array", value);

    private static Digest ReadDigest(JsonValue value, string path)
    {
        string text = value.Text ?? throw Wrong(path, "a digest", value);
        return Oci.Digest.Read(text, out Digest digest) switch
        {
            DigestSyntax.Valid => digest,
            // Well-formed, but of an algorithm we cannot compute: kept apart from nonsense, for a better answer.
            DigestSyntax.Unsupported => throw new JsonException($"{path}: the digest algorithm of '{text}' is not supported", new StrataException(ErrorKind.Unsupported, "digest algorithm")),
            _ => throw new JsonException($"{path}: '{text}' is not a digest"),
        };
    }

    private string PathOf(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    private string PathOf(string name, int index) => PathOf(name) + "[" + index.ToString(provider: null) + "]";

    private static JsonException Wrong(string path, string expected, JsonValue value)
        => new($"{(path.Length == 0 ? "" : path + ": ")}expected {expected}, found {Kind(value)}");

    private static string Kind(JsonValue value) => value.Kind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Null => "null",
        JsonValueKind.Number when value.Raw.Length <= 40 => System.Text.Encoding.ASCII.GetString(value.Raw),
        JsonValueKind.Number => "a number",
        _ => "true or false",
    };
}
