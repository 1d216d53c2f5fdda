using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Strata.Cli.Output;

/// <summary>The functions of templates: Go's own and those Docker adds, and how values are printed.</summary>
internal static class TemplateFunctions
{
    private static readonly HashSet<string> s_names = new(StringComparer.Ordinal)
    {
        "json", "len", "index", "slice", "upper", "lower", "title", "join", "split", "pad", "truncate", "print", "println", "printf",
        "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not",
    };

    internal static bool IsKnown(string name) => s_names.Contains(name);

    internal static JsonNode? Call(string name, IReadOnlyList<JsonNode?> a) => (name, a.Count) switch
    {
        ("json", 1) => JsonText.Compact(a[0]),
        ("len", 1) => Length(a[0]),
        ("index", >= 1) => a.Skip(1).Aggregate(a[0], Index),
        ("slice", 2 or 3) => Slice(a),
        ("upper", 1) => Text(a[0]).ToUpperInvariant(),
        ("lower", 1) => Text(a[0]).ToLowerInvariant(),
        ("title", 1) => CultureInfo.InvariantCulture.TextInfo.ToTitleCase(Text(a[0])),
        ("join", 2) => string.Join(Text(a[1]), List(a[0]).Select(Print)),
        ("split", 2) => JsonText.Array(Text(a[0]).Split(Text(a[1]))),
        ("pad", 3) => new string(' ', Small(a[1])) + Text(a[0]) + new string(' ', Small(a[2])),
        ("truncate", 2) => Text(a[0]) is { } text && text.Length > Small(a[1]) ? text[..Small(a[1])] : Text(a[0]),
        ("print", _) => string.Concat(a.Select(Print)),
        ("println", _) => string.Join(' ', a.Select(Print)) + "\n",
        ("printf", >= 1) => Printf(Text(a[0]), a),
        ("eq", >= 2) => a.Skip(1).Any(x => Compare(a[0], x) == 0),
        ("ne", 2) => Compare(a[0], a[1]) != 0,
        ("lt", 2) => Compare(a[0], a[1]) < 0,
        ("le", 2) => Compare(a[0], a[1]) <= 0,
        ("gt", 2) => Compare(a[0], a[1]) > 0,
        ("ge", 2) => Compare(a[0], a[1]) >= 0,
        ("and", >= 1) => a.FirstOrDefault(x => !IsTrue(x), a[^1]),
        ("or", >= 1) => a.FirstOrDefault(IsTrue, a[^1]),
        ("not", 1) => !IsTrue(a[0]),
        _ => throw Template.Wrong($"{name} does not take {a.Count} arguments"),
    };

    /// <summary>A value as Go prints it: a list is [a b], a map is map[k:v].</summary>
    internal static string Print(JsonNode? value) => value switch
    {
        null => "<no value>",
        JsonArray array => "[" + string.Join(' ', array.Select(Inner)) + "]",
        JsonObject map => "map[" + string.Join(' ', map.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => p.Key + ":" + Inner(p.Value))) + "]",
        _ when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>(),
        _ => JsonText.Compact(value),
    };

    /// <summary>What if takes for true: anything but false, 0, nothing, and what is empty.</summary>
    internal static bool IsTrue(JsonNode? value) => value switch
    {
        null => false,
        JsonArray array => array.Count > 0,
        JsonObject map => map.Count > 0,
        _ => value.GetValueKind() switch
        {
            JsonValueKind.True => true,
            JsonValueKind.String => value.GetValue<string>().Length > 0,
            JsonValueKind.Number => Number(value) != 0,
            _ => false,
        },
    };

    private static string Inner(JsonNode? value) => value is null ? "<nil>" : Print(value);

    private static int Length(JsonNode? value) => value switch
    {
        null => 0, // a nil list or map
        JsonArray array => array.Count,
        JsonObject map => map.Count,
        _ => Encoding.UTF8.GetByteCount(Text(value)),
    };

    private static JsonNode? Index(JsonNode? value, JsonNode? key) => value switch
    {
        JsonArray array => Small(key) < array.Count ? array[Small(key)] : throw Template.Wrong($"index {Small(key)} of a list of {array.Count}"),
        JsonObject map => map.TryGetPropertyValue(Text(key), out JsonNode? found) ? found : "",
        null => "", // a nil map: the empty value
        _ => throw Template.Wrong($"index of {Print(value)}: neither a list nor a map"),
    };

    private static JsonNode? Slice(IReadOnlyList<JsonNode?> a)
    {
        int length = Length(a[0]), from = Small(a[1]), to = a.Count > 2 ? Small(a[2]) : length;
        if (from > to || to > length)
        {
            throw Template.Wrong($"slice {from}:{to} of {length}");
        }
        return a[0] is JsonArray array ? new JsonArray([.. array.Skip(from).Take(to - from).Select(n => n?.DeepClone())])
            : Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(Text(a[0])).AsSpan(from, to - from));
    }

    private static string Text(JsonNode? value) => value?.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : throw Template.Wrong($"{Print(value)} is not a text");

    private static JsonArray List(JsonNode? value) => value switch { JsonArray array => array, null => [], _ => throw Template.Wrong($"{Print(value)} is not a list") };

    private static double Number(JsonNode value) => double.Parse(JsonText.Compact(value), CultureInfo.InvariantCulture);

    private static int Small(JsonNode? value)
        => value?.GetValueKind() == JsonValueKind.Number && Number(value) is >= 0 and <= 1_000_000 and double number ? (int)number : throw Template.Wrong($"{Print(value)} is not a number that fits here");

    private static int Compare(JsonNode? left, JsonNode? right)
    {
        JsonValueKind a = left?.GetValueKind() ?? JsonValueKind.Null, b = right?.GetValueKind() ?? JsonValueKind.Null;
        if (a == JsonValueKind.Number && b == JsonValueKind.Number)
        {
            return Number(left!).CompareTo(Number(right!));
        }
        bool bothTruths = a is JsonValueKind.True or JsonValueKind.False && b is JsonValueKind.True or JsonValueKind.False;
        return a == b || bothTruths ? string.CompareOrdinal(Print(left), Print(right)) : throw Template.Wrong($"{Print(left)} and {Print(right)} cannot be compared");
    }

    // %s %v %d %q %t %x %% with width and - : what people use to align columns.
    private static string Printf(string format, IReadOnlyList<JsonNode?> arguments)
    {
        StringBuilder output = new();
        int next = 1;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                output.Append(format[i]);
                continue;
            }
            int start = ++i;
            while (i < format.Length && (char.IsAsciiDigit(format[i]) || format[i] is '-' or '.' or '+'))
            {
                i++;
            }
            if (i == format.Length)
            {
                throw Template.Wrong("printf: the format ends in %");
            }
            if (format[i] == '%')
            {
                output.Append('%');
                continue;
            }
            JsonNode? value = next < arguments.Count ? arguments[next++] : throw Template.Wrong($"printf: nothing for %{format[i]}");
            string text = format[i] switch
            {
                's' or 'v' or 'd' or 't' => Print(value),
                'q' => JsonText.Compact(value),
                'x' when value?.GetValueKind() == JsonValueKind.Number => ((long)Number(value)).ToString("x", CultureInfo.InvariantCulture),
                'f' when value?.GetValueKind() == JsonValueKind.Number => Number(value).ToString("F" + Precision(format[start..i]), CultureInfo.InvariantCulture),
                char verb => throw Template.Wrong($"printf: %{verb} is not known for {Print(value)}"),
            };
            output.Append(Pad(text, format[start..i]));
        }
        return output.ToString();
    }

    private static string Precision(string flags) => flags.IndexOf('.', StringComparison.Ordinal) is int dot and >= 0 ? flags[(dot + 1)..] : "6";

    private static string Pad(string text, string flags)
    {
        int dot = flags.IndexOf('.', StringComparison.Ordinal);
        string width = (dot < 0 ? flags : flags[..dot]).Trim('-', '+');
        if (!int.TryParse(width, NumberStyles.None, CultureInfo.InvariantCulture, out int columns) || columns > 1000)
        {
            return text;
        }
        return flags.StartsWith('-') ? text.PadRight(columns) : text.PadLeft(columns, width.StartsWith('0') ? '0' : ' ');
    }
}
