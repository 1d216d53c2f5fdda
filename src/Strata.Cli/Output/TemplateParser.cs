using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Strata.Cli.Output;

/// <summary>From the text of a <see cref="Template"/> to its parts.</summary>
internal sealed class TemplateParser
{
    private const int MaxDepth = 50; // nobody nests deeper; keeps a hostile text from using up the stack

    private readonly List<(bool IsAction, string Text)> _pieces = [];
    private readonly List<string> _fields = [];
    private int _piece;
    private int _depth;
    private string _action = "";
    private int _at;

    internal TemplateParser(string text) => Split(text);

    /// <summary>First names of all fields met.</summary>
    internal IReadOnlyList<string> Fields => _fields;

    internal IReadOnlyList<TemplateNode> ParseAll()
    {
        List<TemplateNode> nodes = ParseBlock(out string? end);
        return end is null ? nodes : throw Template.Wrong($"unexpected {{{{{end}}}}}");
    }

    // {{- and -}} take the white space beside them.
    private void Split(string text)
    {
        int at = 0;
        bool trimStart = false;
        while (true)
        {
            int open = text.IndexOf("{{", at, StringComparison.Ordinal);
            string plain = open < 0 ? text[at..] : text[at..open];
            plain = trimStart ? plain.TrimStart() : plain;
            if (open < 0)
            {
                _pieces.Add((false, plain));
                return;
            }
            int close = FindClose(text, open + 2);
            string action = text[(open + 2)..close];
            at = close + 2;
            if (action.StartsWith("- ", StringComparison.Ordinal))
            {
                plain = plain.TrimEnd();
                action = action[1..];
            }
            trimStart = action.EndsWith(" -", StringComparison.Ordinal);
            action = (trimStart ? action[..^1] : action).Trim();
            _pieces.Add((false, plain));
            if (!action.StartsWith("/*", StringComparison.Ordinal))
            {
                _pieces.Add((true, action));
            }
            else if (!action.EndsWith("*/", StringComparison.Ordinal))
            {
                throw Template.Wrong($"unclosed comment: {SafeText.Escape(action)}");
            }
        }
    }

    private static int FindClose(string text, int from)
    {
        int start = text.AsSpan(from).StartsWith("- ") ? from + 2 : from;
        if (text.AsSpan(start).StartsWith("/*") && text.IndexOf("*/", start + 2, StringComparison.Ordinal) is int ended and > 0)
        {
            from = ended + 2; // whatever a comment says
        }
        char quote = '\0';
        for (int i = from; i < text.Length; i++)
        {
            if (quote != '\0')
            {
                bool isEscape = text[i] == '\\' && quote == '"';
                quote = text[i] == quote ? '\0' : quote;
                i += isEscape ? 1 : 0;
            }
            else if (text[i] is '"' or '`')
            {
                quote = text[i];
            }
            else if (text[i] == '}' && i + 1 < text.Length && text[i + 1] == '}')
            {
                return i;
            }
        }
        throw Template.Wrong($"unclosed action: {SafeText.Escape(text[(from - 2)..])}");
    }

    private List<TemplateNode> ParseBlock(out string? end)
    {
        Enter();
        List<TemplateNode> nodes = [];
        end = null;
        while (_piece < _pieces.Count)
        {
            (bool isAction, string text) = _pieces[_piece++];
            if (!isAction)
            {
                nodes.Add(new TextNode(text));
                continue;
            }
            (_action, _at) = (text, 0);
            string word = PeekWord();
            if (word is "end" or "else")
            {
                end = text;
                break;
            }
            nodes.Add(word switch
            {
                "if" or "with" => ParseBranch(word),
                "range" => ParseRange(),
                "define" or "template" or "block" => throw Template.Wrong($"{word} is not known here"),
                _ => ParseAction(),
            });
        }
        _depth--;
        return nodes;
    }

    private BranchNode ParseBranch(string word)
    {
        _at += word.Length;
        PipeExpression pipe = ParsePipeToEnd();
        List<TemplateNode> then = ParseBlock(out string? end);
        return new BranchNode(pipe, word == "with", then, ParseElse(end, word));
    }

    private List<TemplateNode> ParseElse(string? end, string word)
    {
        Enter();
        List<TemplateNode> nodes = ParseElseAt(end, word);
        _depth--;
        return nodes;
    }

    // Blocks, chains of {{else if}} and parentheses each take a piece of the stack.
    private void Enter()
    {
        if (++_depth > MaxDepth)
        {
            throw Template.Wrong($"nested deeper than {MaxDepth}");
        }
    }

    private List<TemplateNode> ParseElseAt(string? end, string word)
    {
        switch (end)
        {
            case "end":
                return [];
            case "else":
                List<TemplateNode> otherwise = ParseBlock(out string? last);
                return last == "end" ? otherwise : throw Template.Wrong($"{{{{{word}}}}} has no {{{{end}}}}");
            case { } chained when chained.StartsWith("else ", StringComparison.Ordinal):
                // {{else if p}}: the rest is one more branch, which takes the same {{end}}.
                (_action, _at) = (chained, "else ".Length);
                string next = PeekWord();
                return next is "if" or "with" ? [ParseBranch(next)] : throw Template.Wrong($"unexpected {{{{{SafeText.Escape(chained)}}}}}");
            default:
                throw Template.Wrong($"{{{{{word}}}}} has no {{{{end}}}}");
        }
    }

    private RangeNode ParseRange()
    {
        _at += "range".Length;
        string? key = null, value = null;
        int start = _at;
        SkipBlanks();
        if (Peek == '$')
        {
            string first = ReadVariable();
            SkipBlanks();
            if (Peek == ',')
            {
                _at++;
                SkipBlanks();
                (key, value) = (first, ReadVariable());
                SkipBlanks();
            }
            else
            {
                value = first;
            }
            if (_action.AsSpan(_at).StartsWith(":="))
            {
                _at += 2;
            }
            else
            {
                (_at, key, value) = (start, null, null); // a variable to go over
            }
        }
        PipeExpression pipe = ParsePipeToEnd();
        List<TemplateNode> body = ParseBlock(out string? end);
        return new RangeNode(key, value, pipe, body, ParseElse(end, "range"));
    }

    private ActionNode ParseAction()
    {
        int start = _at;
        if (Peek == '$')
        {
            string name = ReadVariable();
            SkipBlanks();
            if (_action.AsSpan(_at).StartsWith(":="))
            {
                _at += 2;
                return new ActionNode(name, ParsePipeToEnd());
            }
            _at = start;
        }
        return new ActionNode(null, ParsePipeToEnd());
    }

    private PipeExpression ParsePipeToEnd()
    {
        PipeExpression pipe = ParsePipe();
        return _at == _action.Length ? pipe : throw Unexpected();
    }

    private PipeExpression ParsePipe()
    {
        Enter();
        List<CallExpression> calls = [ParseCall()];
        while (Peek == '|')
        {
            _at++;
            calls.Add(ParseCall());
        }
        _depth--;
        return new PipeExpression(calls);
    }

    private CallExpression ParseCall()
    {
        SkipBlanks();
        string word = PeekWord();
        string? function = word.Length > 0 && word is not ("true" or "false" or "nil") ? word : null;
        if (function is not null)
        {
            if (!TemplateFunctions.IsKnown(function))
            {
                throw new StrataException(ErrorKind.Invalid, $"template: function \"{function}\" is not known") { Hint = $"did you mean {{{{.{function}}}}}?" };
            }
            _at += function.Length;
        }
        List<Operand> arguments = [];
        for (SkipBlanks(); _at < _action.Length && Peek is not ('|' or ')'); SkipBlanks())
        {
            arguments.Add(ParseOperand());
        }
        return function is not null || arguments.Count == 1 ? new CallExpression(function, arguments)
            : throw Template.Wrong(arguments.Count == 0 ? "missing value" : $"{{{{{SafeText.Escape(_action)}}}}}: only functions take arguments");
    }

    private Operand ParseOperand()
    {
        switch (Peek)
        {
            case '.':
                List<string> fields = ReadFields();
                if (fields.Count > 0)
                {
                    _fields.Add(fields[0]);
                }
                return new Dot(fields);
            case '$':
                string name = ReadVariable();
                List<string> path = ReadFields();
                if (name == "$" && path.Count > 0)
                {
                    _fields.Add(path[0]);
                }
                return new Variable(name, path);
            case '(':
                _at++;
                PipeExpression pipe = ParsePipe();
                if (Peek != ')')
                {
                    throw Template.Wrong("unclosed (");
                }
                _at++;
                return new Nested(pipe, ReadFields());
            case '"' or '`':
                return new Literal(JsonValue.Create(ReadText()));
            case (>= '0' and <= '9') or '-' or '+':
                return new Literal(ReadNumber());
            default:
                string word = PeekWord();
                _at += word.Length;
                return word switch
                {
                    "true" => new Literal(JsonValue.Create(true)),
                    "false" => new Literal(JsonValue.Create(false)),
                    "nil" => new Literal(null),
                    { Length: > 0 } function when TemplateFunctions.IsKnown(function) => new Nested(new PipeExpression([new CallExpression(function, [])]), []),
                    _ => throw Unexpected(),
                };
        }
    }

    private List<string> ReadFields()
    {
        List<string> fields = [];
        while (Peek == '.')
        {
            _at++;
            string word = PeekWord();
            if (word.Length == 0)
            {
                return fields.Count == 0 ? fields : throw Unexpected();
            }
            fields.Add(word);
            _at += word.Length;
        }
        return fields;
    }

    private string ReadVariable()
    {
        int start = _at++;
        _at += PeekWord().Length;
        return _action[start.._at];
    }

    private JsonValue ReadNumber()
    {
        int start = _at++;
        while (char.IsAsciiLetterOrDigit(Peek) || Peek == '.')
        {
            _at++;
        }
        string text = _action[start.._at];
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long whole) ? JsonValue.Create(whole)
            : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) ? JsonValue.Create(number)
            : throw Template.Wrong($"bad number {SafeText.Escape(text)}");
    }

    private string ReadText()
    {
        char quote = _action[_at++];
        StringBuilder text = new();
        for (; _at < _action.Length; _at++)
        {
            char c = _action[_at];
            if (c == quote)
            {
                _at++;
                return text.ToString();
            }
            if (c == '\\' && quote == '"' && _at + 1 < _action.Length)
            {
                c = _action[++_at] switch { 'n' => '\n', 't' => '\t', 'r' => '\r', char other => other };
            }
            text.Append(c);
        }
        throw Template.Wrong("unclosed text");
    }

    private char Peek => _at < _action.Length ? _action[_at] : '\0';

    private string PeekWord()
    {
        int end = _at;
        while (end < _action.Length && (char.IsLetterOrDigit(_action[end]) || _action[end] == '_'))
        {
            end++;
        }
        return end > _at && !char.IsDigit(_action[_at]) ? _action[_at..end] : "";
    }

    private void SkipBlanks()
    {
        while (char.IsWhiteSpace(Peek))
        {
            _at++;
        }
    }

    private StrataException Unexpected() => Template.Wrong(_at < _action.Length ? $"unexpected \"{SafeText.Escape(_action[_at..])}\" in {{{{{SafeText.Escape(_action)}}}}}" : $"{{{{{SafeText.Escape(_action)}}}}} is not complete");
}
