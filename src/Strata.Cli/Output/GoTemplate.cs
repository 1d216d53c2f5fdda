using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Strata.Cli.Output;

/// <summary>
/// The part of Go's text/template that people write after --format: fields, <c>json</c>, <c>len</c>, <c>index</c>, <c>join</c>, <c>upper</c>,
/// <c>lower</c>, <c>title</c>, <c>split</c>, <c>println</c>, <c>printf</c>, comparisons, pipes, if/else, range, with, <c>table</c> in front.
/// </summary>
internal sealed class GoTemplate
{
    private static readonly JsonSerializerOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly List<Node> _nodes;

    private GoTemplate(List<Node> nodes, bool isTable) => (_nodes, IsTable) = (nodes, isTable);

    internal bool IsTable { get; }

    /// <summary>The fields it shows, for the headers of a table.</summary>
    internal IEnumerable<string> Fields => _nodes.OfType<Print>().Select(p => p.Expression.Split('.')[^1].Split(' ', '|', '}')[0].ToUpperInvariant());

    /// <exception cref="StrataException">Invalid: it is no template.</exception>
    internal static GoTemplate Parse(string text)
    {
        bool table = text.StartsWith("table ", StringComparison.Ordinal);
        text = (table ? text[6..] : text).Replace("\\t", "\t", StringComparison.Ordinal).Replace("\\n", "\n", StringComparison.Ordinal);
        int at = 0;
        List<Node> nodes = ParseUntil(text, ref at, null, out _);
        return new GoTemplate(nodes, table);
    }

    internal string Render(JsonNode? data)
    {
        var output = new StringBuilder();
        Render(_nodes, data, data, output);
        return output.ToString();
    }

    private abstract record Node;

    private sealed record Literal(string Text) : Node;

    private sealed record Print(string Expression) : Node;

    private sealed record Block(string Kind, string Expression, List<Node> Body, List<Node> Else) : Node;

    private static List<Node> ParseUntil(string text, ref int at, string? opened, out string ended)
    {
        var nodes = new List<Node>();
        ended = "";
        while (at < text.Length)
        {
            int open = text.IndexOf("{{", at, StringComparison.Ordinal);
            if (open < 0)
            {
                nodes.Add(new Literal(text[at..]));
                at = text.Length;
                break;
            }
            int close = text.IndexOf("}}", open, StringComparison.Ordinal);
            if (close < 0)
            {
                throw new StrataException(ErrorKind.Invalid, $"template: unclosed action: {text[open..]}");
            }
            string literal = text[at..open], action = text[(open + 2)..close];
            at = close + 2;
            if (action.StartsWith("- ", StringComparison.Ordinal))
            {
                (literal, action) = (literal.TrimEnd(), action[1..]);
            }
            if (action.EndsWith(" -", StringComparison.Ordinal))
            {
                action = action[..^1];
                while (at < text.Length && char.IsWhiteSpace(text[at]))
                {
                    at++;
                }
            }
            if (literal.Length > 0)
            {
                nodes.Add(new Literal(literal));
            }
            action = action.Trim();
            string keyword = action.Split(' ')[0];
            if (keyword is "end" or "else")
            {
                ended = opened is null ? throw new StrataException(ErrorKind.Invalid, $"template: unexpected {{{{{keyword}}}}}") : keyword;
                return nodes;
            }
            nodes.Add(keyword is "if" or "range" or "with" ? ParseBlock(text, ref at, keyword, action[keyword.Length..].Trim()) : new Print(action));
        }
        return opened is null ? nodes : throw new StrataException(ErrorKind.Invalid, $"template: {{{{{opened}}}}} without {{{{end}}}}");
    }

    private static Block ParseBlock(string text, ref int at, string keyword, string expression)
    {
        List<Node> body = ParseUntil(text, ref at, keyword, out string ended);
        List<Node> other = ended == "else" ? ParseUntil(text, ref at, keyword, out _) : [];
        return new Block(keyword, expression, body, other);
    }

    private static void Render(List<Node> nodes, JsonNode? dot, JsonNode? root, StringBuilder output)
    {
        foreach (Node node in nodes)
        {
            switch (node)
            {
                case Literal literal:
                    output.Append(literal.Text);
                    break;
                case Print print:
                    output.Append(Text(Evaluate(print.Expression, dot, root)));
                    break;
                case Block block:
                    RenderBlock(block, dot, root, output);
                    break;
            }
        }
    }

    private static void RenderBlock(Block block, JsonNode? dot, JsonNode? root, StringBuilder output)
    {
        JsonNode? value = Evaluate(block.Expression, dot, root);
        if (!IsTrue(value))
        {
            Render(block.Else, dot, root, output);
            return;
        }
        switch (block.Kind)
        {
            case "range":
                foreach (JsonNode? item in value is JsonArray array ? array : value is JsonObject map ? map.Select(p => p.Value) : [])
                {
                    Render(block.Body, item, root, output);
                }
                break;
            case "with":
                Render(block.Body, value, root, output);
                break;
            default:
                Render(block.Body, dot, root, output);
                break;
        }
    }

    private static JsonNode? Evaluate(string expression, JsonNode? dot, JsonNode? root)
    {
        JsonNode? piped = null;
        bool first = true;
        foreach (string stage in SplitTop(expression, '|'))
        {
            List<string> words = SplitTop(stage.Trim(), ' ').Where(w => w.Length > 0).ToList();
            List<JsonNode?> arguments = [.. words.Skip(1).Select(w => Operand(w, dot, root))];
            if (!first)
            {
                arguments.Add(piped);
            }
            piped = IsFunction(words[0]) ? Call(words[0], arguments) : words.Count == 1 && first ? Operand(words[0], dot, root)
                : throw new StrataException(ErrorKind.Invalid, $"template: function \"{words[0]}\" not defined");
            first = false;
        }
        return piped;
    }

    private static bool IsFunction(string word) => word is "json" or "len" or "index" or "join" or "upper" or "lower" or "title" or "split" or "println" or "print" or "printf" or "eq" or "ne" or "not" or "and" or "or" or "truncate" or "slice";

    private static JsonNode? Operand(string word, JsonNode? dot, JsonNode? root) => word switch
    {
        "." => dot,
        "$" => root,
        ['(', .., ')'] => Evaluate(word[1..^1], dot, root),
        ['"', .., '"'] => JsonValue.Create(word[1..^1].Replace("\\\"", "\"", StringComparison.Ordinal).Replace("\\n", "\n", StringComparison.Ordinal).Replace("\\t", "\t", StringComparison.Ordinal)),
        ['`', .., '`'] => JsonValue.Create(word[1..^1]),
        "true" => JsonValue.Create(true),
        "false" => JsonValue.Create(false),
        ['$', '.', ..] => Field(root, word[2..]),
        ['.', ..] => Field(dot, word[1..]),
        _ when long.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) => JsonValue.Create(number),
        _ => throw new StrataException(ErrorKind.Invalid, $"template: function \"{word}\" not defined"),
    };

    private static JsonNode? Field(JsonNode? node, string path)
    {
        foreach (string name in path.Split('.'))
        {
            if (node is not JsonObject map)
            {
                return null;
            }
            node = map.TryGetPropertyValue(name, out JsonNode? value) ? value
                : map.FirstOrDefault(p => p.Key.Equals(name, StringComparison.OrdinalIgnoreCase)) is { Key: not null } near ? near.Value
                : map.ContainsKey("") ? null : throw new StrataException(ErrorKind.Invalid, $"template: there is no field {name}") { Hint = $"there are: {string.Join(", ", map.Select(p => p.Key))}" };
        }
        return node;
    }

    private static JsonNode? Call(string name, List<JsonNode?> a) => name switch
    {
        "json" => JsonValue.Create(a[0]?.ToJsonString(s_json) ?? "null"),
        "len" => JsonValue.Create(a[0] switch { JsonArray array => array.Count, JsonObject map => map.Count, null => 0, JsonNode text => Text(text).Length }),
        "index" => a.Skip(1).Aggregate(a[0], (node, key) => node switch
        {
            JsonArray array => array[int.Parse(Text(key), CultureInfo.InvariantCulture)],
            JsonObject map => map.TryGetPropertyValue(Text(key), out JsonNode? value) ? value : JsonValue.Create(""),
            _ => null,
        }),
        "join" => JsonValue.Create(string.Join(Text(a[1]), (a[0] as JsonArray ?? []).Select(Text))),
        "upper" => JsonValue.Create(Text(a[0]).ToUpperInvariant()),
        "lower" => JsonValue.Create(Text(a[0]).ToLowerInvariant()),
        "title" => JsonValue.Create(CultureInfo.InvariantCulture.TextInfo.ToTitleCase(Text(a[0]))),
        "split" => new JsonArray([.. Text(a[0]).Split(Text(a[1])).Select(s => (JsonNode?)JsonValue.Create(s))]),
        "truncate" => JsonValue.Create(Text(a[0])[..Math.Min(Text(a[0]).Length, int.Parse(Text(a[1]), CultureInfo.InvariantCulture))]),
        "slice" => JsonValue.Create(Text(a[0])[int.Parse(Text(a[1]), CultureInfo.InvariantCulture)..]),
        "print" => JsonValue.Create(string.Concat(a.Select(Text))),
        "println" => JsonValue.Create(string.Join(' ', a.Select(Text)) + "\n"),
        "printf" => JsonValue.Create(Printf(Text(a[0]), a[1..])),
        "eq" => JsonValue.Create(a.Skip(1).Any(x => Text(x) == Text(a[0]))),
        "ne" => JsonValue.Create(Text(a[0]) != Text(a[1])),
        "not" => JsonValue.Create(!IsTrue(a[0])),
        "and" => a.FirstOrDefault(x => !IsTrue(x)) ?? a[^1],
        "or" => a.FirstOrDefault(IsTrue) ?? a[^1],
        _ => throw new StrataException(ErrorKind.Invalid, $"template: function \"{name}\" not defined"),
    };

    private static string Printf(string format, List<JsonNode?> values)
    {
        var output = new StringBuilder();
        int next = 0;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                output.Append(format[i]);
                continue;
            }
            int start = ++i;
            while (i < format.Length - 1 && (char.IsAsciiDigit(format[i]) || format[i] is '-' or '.'))
            {
                i++;
            }
            if (format[i] == '%')
            {
                output.Append('%');
                continue;
            }
            string text = next < values.Count ? Text(values[next++]) : "%!" + format[i] + "(MISSING)";
            string width = format[start..i].Split('.')[0];
            text = format[i] == 'q' ? $"\"{text}\"" : text;
            output.Append(int.TryParse(width, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int n) ? n < 0 ? text.PadRight(-n) : text.PadLeft(n) : text);
        }
        return output.ToString();
    }

    private static bool IsTrue(JsonNode? node) => node switch
    {
        null => false,
        JsonArray array => array.Count > 0,
        JsonObject map => map.Count > 0,
        JsonValue value when value.TryGetValue(out bool flag) => flag,
        JsonValue value when value.TryGetValue(out long number) => number != 0,
        _ => Text(node).Length > 0,
    };

    // As Go prints values: lists in brackets, maps as map[k:v].
    private static string Text(JsonNode? node) => node switch
    {
        null => "<no value>",
        JsonArray array => "[" + string.Join(' ', array.Select(Text)) + "]",
        JsonObject map => "map[" + string.Join(' ', map.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}:{Text(p.Value)}")) + "]",
        JsonValue value when value.TryGetValue(out string? text) => text,
        _ => node.ToJsonString(),
    };

    // Splits at a separator outside quotes and parentheses.
    private static IEnumerable<string> SplitTop(string text, char separator)
    {
        int depth = 0, start = 0;
        char quote = '\0';
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (quote != '\0')
            {
                quote = c == quote && text[i - 1] != '\\' ? '\0' : quote;
            }
            else if (c is '"' or '`')
            {
                quote = c;
            }
            else
            {
                depth += c == '(' ? 1 : c == ')' ? -1 : 0;
                if (c == separator && depth == 0)
                {
                    yield return text[start..i];
                    start = i + 1;
                }
            }
        }
        yield return text[start..];
    }
}
