using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace Strata.Oci;

/// <summary>
/// An object of a document, read field by field. Documents and records are read and written by hand: a serializer builds a model of every type
/// it might meet before it reads the first byte, which costs a short command more than all of its work.
/// </summary>
/// <remarks>A field that is null is as good as missing, as Go's tools write it. All methods throw <see cref="JsonException"/> that names the field.</remarks>
internal readonly struct JsonFields
{
    private readonly JsonElement _object;
    private readonly string _path;

    private JsonFields(JsonElement element, string path)
    {
        _object = element.ValueKind == JsonValueKind.Object ? element : throw Wrong(path, "an object", element);
        _path = path;
    }

    /// <summary>Parses a whole document.</summary>
    internal static JsonFields Parse(ReadOnlySpan<byte> json, int maxDepth = OciJson.MaxDepth)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = maxDepth });
        JsonElement root = JsonElement.ParseValue(ref reader);
        while (reader.Read())
        {
            // A second value throws; white space does not.
        }
        return new JsonFields(root, "");
    }

    internal string String(string name) => MaybeString(name) ?? throw Missing(name);

    internal string? MaybeString(string name)
        => Find(name) is not { } value ? null : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(PathOf(name), "a string", value);

    internal long Int64(string name) => MaybeInt64(name) ?? throw Missing(name);

    internal long? MaybeInt64(string name)
        => Find(name) is not { } value ? null : value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) ? number : throw Wrong(PathOf(name), "a whole number", value);

    internal int Int32(string name) => MaybeInt32(name) ?? throw Missing(name);

    internal int? MaybeInt32(string name)
        => Find(name) is not { } value ? null : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number : throw Wrong(PathOf(name), "a whole number", value);

    internal ulong UInt64(string name)
        => Find(name) is not { } value ? throw Missing(name) : value.ValueKind == JsonValueKind.Number && value.TryGetUInt64(out ulong number) ? number : throw Wrong(PathOf(name), "a whole number", value);

    internal bool? MaybeBool(string name) => Find(name) is not { } value ? null : value.ValueKind switch
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
        string[] items = new string[array.GetArrayLength()];
        for (int i = 0; i < items.Length; i++)
        {
            JsonElement item = array[i];
            items[i] = item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Wrong(PathOf(name, i), "a string", item);
        }
        return System.Runtime.InteropServices.ImmutableCollectionsMarshal.AsImmutableArray(items);
    }

    internal ImmutableArray<string> Strings(string name) => MaybeStrings(name) ?? throw Missing(name);

    internal ImmutableArray<Digest> Digests(string name)
    {
        ImmutableArray<Digest>.Builder digests = ImmutableArray.CreateBuilder<Digest>();
        if (Array(name) is { } array)
        {
            foreach (JsonElement item in array.EnumerateArray())
            {
                digests.Add(ReadDigest(item, PathOf(name, digests.Count)));
            }
        }
        return digests.DrainToImmutable();
    }

    /// <summary>Byte strings, base64.</summary>
    internal byte[][] Bytes(string name)
    {
        JsonElement array = Array(name) ?? throw Missing(name);
        byte[][] items = new byte[array.GetArrayLength()][];
        for (int i = 0; i < items.Length; i++)
        {
            JsonElement item = array[i];
            items[i] = item.ValueKind == JsonValueKind.String && item.TryGetBytesFromBase64(out byte[]? bytes) ? bytes : throw Wrong(PathOf(name, i), "base64", item);
        }
        return items;
    }

    /// <summary>The objects of an array; none where it is missing.</summary>
    internal List<JsonFields> Objects(string name)
    {
        var found = new List<JsonFields>();
        if (Array(name) is { } array)
        {
            foreach (JsonElement item in array.EnumerateArray())
            {
                found.Add(new JsonFields(item, PathOf(name, found.Count)));
            }
        }
        return found;
    }

    internal ImmutableSortedDictionary<string, string>? MaybeMap(string name)
    {
        if (MaybeObject(name) is not { } map)
        {
            return null;
        }
        ImmutableSortedDictionary<string, string>.Builder entries = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty entry in map._object.EnumerateObject())
        {
            entries[entry.Name] = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString()! : throw Wrong($"{map._path}.{entry.Name}", "a string", entry.Value);
        }
        return entries.ToImmutable();
    }

    /// <summary>The keys of an object whose values say nothing: Go's <c>map[string]struct{}</c>.</summary>
    internal ImmutableSortedDictionary<string, EmptyObject>? MaybeSet(string name)
    {
        if (MaybeObject(name) is not { } set)
        {
            return null;
        }
        ImmutableSortedDictionary<string, EmptyObject>.Builder entries = ImmutableSortedDictionary.CreateBuilder<string, EmptyObject>(StringComparer.Ordinal);
        foreach (JsonProperty entry in set._object.EnumerateObject())
        {
            entries[entry.Name] = entry.Value.ValueKind == JsonValueKind.Object ? new EmptyObject() : throw Wrong($"{set._path}.{entry.Name}", "an object", entry.Value);
        }
        return entries.ToImmutable();
    }

    internal JsonElement? Find(string name) => _object.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    internal bool Has(string name) => _object.TryGetProperty(name, out _);

    /// <summary>The fields that are not among the known ones, as they are; null where there are none.</summary>
    internal Dictionary<string, JsonElement>? Others(params ReadOnlySpan<string> known)
    {
        Dictionary<string, JsonElement>? others = null;
        foreach (JsonProperty field in _object.EnumerateObject())
        {
            if (!known.Contains(field.Name))
            {
                (others ??= [])[field.Name] = field.Value;
            }
        }
        return others;
    }

    internal JsonException Missing(string name) => new($"{PathOf(name)}: it is missing");

    private JsonElement? Array(string name) => Find(name) is not { } value ? null : value.ValueKind == JsonValueKind.Array ? value : throw Wrong(PathOf(name), "an array", value);

    private static Digest ReadDigest(JsonElement value, string path)
    {
        string? text = value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(path, "a digest", value);
        return Oci.Digest.Read(text, out Digest digest) switch
        {
            DigestSyntax.Valid => digest,
            // Well-formed, but of an algorithm we cannot compute: kept apart from nonsense, for a better answer.
            DigestSyntax.Unsupported => throw new JsonException($"{path}: the digest algorithm of '{text}' is not supported", new StrataException(ErrorKind.Unsupported, "digest algorithm")),
            _ => throw new JsonException($"{path}: '{text}' is not a digest"),
        };
    }

    private string PathOf(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    private string PathOf(string name, int index) => string.Create(CultureInfo.InvariantCulture, $"{PathOf(name)}[{index}]");

    private static JsonException Wrong(string path, string expected, JsonElement value)
        => new($"{(path.Length == 0 ? "" : path + ": ")}expected {expected}, found {Kind(value)}");

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Null => "null",
        JsonValueKind.Number when value.GetRawText() is { Length: <= 40 } number => number,
        JsonValueKind.Number => "a number",
        _ => "true or false",
    };
}
