using System.Text;
using System.Text.Json.Nodes;

namespace Strata.Cli.Output;

/// <summary>
/// The part of Go's text/template that people use with <c>--format</c>, over JSON:
/// <code>
/// {{.Field}} {{.A.B}} {{$}} {{$x := .A}} {{- trimmed -}} {{/* comment */}} {{f a b | g}}
/// {{if p}}…{{else if p}}…{{else}}…{{end}}  {{range p}}…{{else}}…{{end}}  {{range $i, $e := p}}…{{end}}  {{with p}}…{{end}}
/// </code>
/// The functions are in <see cref="TemplateFunctions"/>.
/// </summary>
internal sealed class Template
{
    private readonly IReadOnlyList<TemplateNode> _nodes;

    private Template(IReadOnlyList<TemplateNode> nodes, IReadOnlyList<string> fields) => (_nodes, Fields) = (nodes, fields);

    /// <summary>First names of all fields in it (A of .A.B).</summary>
    internal IReadOnlyList<string> Fields { get; }

    /// <summary>Reads a template.</summary>
    /// <exception cref="StrataException">Invalid: says what is wrong, and where.</exception>
    internal static Template Parse(string text)
    {
        TemplateParser parser = new(text);
        return new Template(parser.ParseAll(), parser.Fields);
    }

    /// <summary>Fills it in.</summary>
    /// <exception cref="StrataException">Invalid: a field that is not there, or a function that cannot take what it is given.</exception>
    internal string Render(JsonNode? data)
    {
        StringBuilder output = new();
        Scope scope = new(null);
        scope.Set("$", data);
        Render(_nodes, data, scope, output);
        return output.ToString();
    }

    private static void Render(IReadOnlyList<TemplateNode> nodes, JsonNode? dot, Scope scope, StringBuilder output)
    {
        foreach (TemplateNode node in nodes)
        {
            switch (node)
            {
                case TextNode text:
                    output.Append(text.Text);
                    break;
                case ActionNode action:
                    JsonNode? value = Evaluate(action.Pipe, dot, scope);
                    if (action.Variable is { } name)
                    {
                        scope.Set(name, value);
                    }
                    else
                    {
                        output.Append(TemplateFunctions.Print(value));
                    }
                    break;
                case BranchNode branch:
                    JsonNode? condition = Evaluate(branch.Pipe, dot, scope);
                    bool isTrue = TemplateFunctions.IsTrue(condition);
                    Render(isTrue ? branch.Then : branch.Else, isTrue && branch.SetsDot ? condition : dot, new Scope(scope), output);
                    break;
                case RangeNode range:
                    RenderRange(range, dot, scope, output);
                    break;
                default:
                    throw new System.Diagnostics.UnreachableException();
            }
        }
    }

    private static void RenderRange(RangeNode range, JsonNode? dot, Scope scope, StringBuilder output)
    {
        JsonNode? over = Evaluate(range.Pipe, dot, scope);
        (JsonNode? Key, JsonNode? Value)[] items = over switch
        {
            JsonArray array => [.. array.Select((item, i) => ((JsonNode?)JsonValue.Create(i), item))],
            JsonObject map => [.. map.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => ((JsonNode?)JsonValue.Create(p.Key), p.Value))],
            null => [],
            _ => throw Wrong($"range over {TemplateFunctions.Print(over)}: neither a list nor a map"),
        };
        foreach ((JsonNode? key, JsonNode? value) in items)
        {
            Scope inner = new(scope);
            if (range.Key is { } k)
            {
                inner.Declare(k, key);
            }
            if (range.Value is { } v)
            {
                inner.Declare(v, value);
            }
            Render(range.Body, value, inner, output);
        }
        if (items.Length == 0)
        {
            Render(range.Else, dot, new Scope(scope), output);
        }
    }

    private static JsonNode? Evaluate(PipeExpression pipe, JsonNode? dot, Scope scope)
    {
        JsonNode? piped = null;
        bool isFirst = true;
        foreach (CallExpression call in pipe.Calls)
        {
            if (call.Function is { } function)
            {
                List<JsonNode?> arguments = [.. call.Arguments.Select(a => Evaluate(a, dot, scope))];
                if (!isFirst)
                {
                    arguments.Add(piped);
                }
                piped = TemplateFunctions.Call(function, arguments);
            }
            else
            {
                piped = isFirst ? Evaluate(call.Arguments[0], dot, scope) : throw Wrong("only a function can stand behind |");
            }
            isFirst = false;
        }
        return piped;
    }

    private static JsonNode? Evaluate(Operand operand, JsonNode? dot, Scope scope)
    {
        JsonNode? value = operand switch
        {
            Literal literal => literal.Value,
            Dot => dot,
            Variable variable => scope.Get(variable.Name),
            Nested nested => Evaluate(nested.Pipe, dot, scope),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        foreach (string field in operand.Fields)
        {
            value = value switch
            {
                JsonObject map when map.TryGetPropertyValue(field, out JsonNode? found) => found,
                JsonObject map => throw new StrataException(ErrorKind.Invalid, $"template: there is no field .{SafeText.Escape(field)}") { Hint = Near(field, map) },
                null => throw Wrong($"<nil> has no field .{field}"),
                _ => throw Wrong($"{TemplateFunctions.Print(value)} has no field .{field}"),
            };
        }
        return value;
    }

    private static string Near(string field, JsonObject map)
        => map.FirstOrDefault(p => p.Key.Equals(field, StringComparison.OrdinalIgnoreCase)).Key is { } key ? $"did you mean .{key}?"
            : $"there are: {string.Join(", ", map.Select(p => "." + p.Key))}";

    internal static StrataException Wrong(string problem) => new(ErrorKind.Invalid, $"template: {problem}");

    private sealed class Scope(Scope? outer)
    {
        private readonly Dictionary<string, JsonNode?> _variables = new(StringComparer.Ordinal);

        internal void Declare(string name, JsonNode? value) => _variables[name] = value;
        // := in an inner block makes a new variable there; = is not known, so one word is enough.
        internal void Set(string name, JsonNode? value) => _variables[name] = value;
        internal JsonNode? Get(string name) => _variables.TryGetValue(name, out JsonNode? value) ? value
            : outer is not null ? outer.Get(name) : throw Wrong($"undefined variable \"{name}\"");
    }
}

/// <summary>A part of a template. The set is closed.</summary>
internal abstract record TemplateNode;

internal sealed record TextNode(string Text) : TemplateNode;

internal sealed record ActionNode(string? Variable, PipeExpression Pipe) : TemplateNode;

internal sealed record BranchNode(PipeExpression Pipe, bool SetsDot, IReadOnlyList<TemplateNode> Then, IReadOnlyList<TemplateNode> Else) : TemplateNode;

internal sealed record RangeNode(string? Key, string? Value, PipeExpression Pipe, IReadOnlyList<TemplateNode> Body, IReadOnlyList<TemplateNode> Else) : TemplateNode;

internal sealed record PipeExpression(IReadOnlyList<CallExpression> Calls);

internal sealed record CallExpression(string? Function, IReadOnlyList<Operand> Arguments);

/// <summary>Something with a value, and the fields to follow from there.</summary>
internal abstract record Operand(IReadOnlyList<string> Fields);

internal sealed record Literal(JsonNode? Value) : Operand([]);

internal sealed record Dot(IReadOnlyList<string> Fields) : Operand(Fields);

internal sealed record Variable(string Name, IReadOnlyList<string> Fields) : Operand(Fields);

internal sealed record Nested(PipeExpression Pipe, IReadOnlyList<string> Fields) : Operand(Fields);
