using System.Globalization;
using System.Text;

namespace Strata.Distribution;

/// <summary>Reads TOML 1.0 so that each value knows where it stands. Numbers and dates are checked by their letters only: nothing here has any.</summary>
/// <remarks><see href="https://toml.io/en/v1.0.0"/></remarks>
internal sealed class TomlConfig(string text)
{
    private const int MostLevels = 64;

    private readonly ConfigNode _root = new(ConfigKind.Table, 0);
    // Tables that a header named, or that braces closed: neither may be opened again.
    private readonly HashSet<ConfigNode> _named = [];
    private readonly HashSet<ConfigNode> _closed = [];
    private int _at;

    public ConfigNode Read()
    {
        ConfigNode table = _root;
        while (true)
        {
            SkipBlankAndLines();
            if (_at == text.Length)
            {
                return _root;
            }
            if (text[_at] == '[')
            {
                table = ReadHeader();
            }
            else
            {
                ReadPair(table, 0);
            }
            EndLine();
        }
    }

    private ConfigNode ReadHeader()
    {
        int start = _at++;
        bool isList = Take('[');
        ConfigNode table = _root;
        while (true)
        {
            SkipBlank();
            (string name, int at) = ReadKey();
            SkipBlank();
            if (Take('.'))
            {
                table = Into(table, name, at);
                continue;
            }
            Expect(']', "the header ends with ]");
            if (isList)
            {
                Expect(']', "the header ends with ]]");
            }
            return isList ? AddTo(table, name, at, start) : Open(table, name, at, start);
        }
    }

    // [a]: makes it, or opens one that stood in the path of another only.
    private ConfigNode Open(ConfigNode parent, string name, int at, int start)
    {
        ConfigNode? table = parent.Find(name);
        if (table is null)
        {
            table = new ConfigNode(ConfigKind.Table, start);
            parent.TryAdd(name, at, table);
        }
        return table.Kind == ConfigKind.Table && !_closed.Contains(table) && _named.Add(table) ? table : throw Wrong(at, $"'{name}' stands here twice");
    }

    // [[a]]: one more.
    private ConfigNode AddTo(ConfigNode parent, string name, int at, int start)
    {
        ConfigNode? list = parent.Find(name);
        if (list is null)
        {
            list = new ConfigNode(ConfigKind.List, start);
            parent.TryAdd(name, at, list);
        }
        if (list.Kind != ConfigKind.List || _closed.Contains(list))
        {
            throw Wrong(at, $"'{name}' is no list of tables");
        }
        ConfigNode table = new(ConfigKind.Table, start);
        list.Add(table);
        return table;
    }

    // A name in the path of a header: a table, or the last of a list of tables.
    private ConfigNode Into(ConfigNode parent, string name, int at)
    {
        ConfigNode? value = parent.Find(name);
        if (value is null)
        {
            value = new ConfigNode(ConfigKind.Table, at);
            parent.TryAdd(name, at, value);
        }
        return value switch
        {
            _ when _closed.Contains(value) => throw Wrong(at, $"'{name}' is closed already"),
            { Kind: ConfigKind.Table } => value,
            { Kind: ConfigKind.List, Items: [.., { Kind: ConfigKind.Table } last] } => last,
            _ => throw Wrong(at, $"'{name}' is no table"),
        };
    }

    private void ReadPair(ConfigNode table, int level)
    {
        (string name, int at) = ReadKey();
        SkipBlank();
        while (Take('.'))
        {
            SkipBlank();
            ConfigNode inner = Into(table, name, at);
            table = !_named.Contains(inner) ? inner : throw Wrong(at, $"'{name}' has a header of its own");
            (name, at) = ReadKey();
            SkipBlank();
        }
        Expect('=', $"behind '{name}' comes =");
        SkipBlank();
        if (!table.TryAdd(name, at, ReadValue(level)))
        {
            throw Wrong(at, $"'{name}' stands here twice");
        }
    }

    private (string Name, int Offset) ReadKey()
    {
        int start = _at;
        if (Peek() is '"' or '\'')
        {
            return (ReadString(mayBeLong: false), start);
        }
        while (_at < text.Length && (char.IsAsciiLetterOrDigit(text[_at]) || text[_at] is '-' or '_'))
        {
            _at++;
        }
        return _at > start ? (text[start.._at], start) : throw Wrong(start, "here comes a name", Peek() is '/' or ':' ? "a name with other characters than letters, digits, - and _ stands in quotes" : null);
    }

    private ConfigNode ReadValue(int level)
    {
        int start = _at;
        if (level > MostLevels)
        {
            throw Wrong(start, $"more than {MostLevels} levels");
        }
        switch (Peek())
        {
            case '"' or '\'':
                return new ConfigNode(ConfigKind.Text, start) { Text = ReadString(mayBeLong: true) };
            case '[':
                return ReadList(level);
            case '{':
                return ReadInline(level);
            default:
                return ReadWord();
        }
    }

    private ConfigNode ReadList(int level)
    {
        var list = new ConfigNode(ConfigKind.List, _at++);
        _closed.Add(list);
        while (true)
        {
            SkipBlankAndLines();
            if (Take(']'))
            {
                return list;
            }
            list.Add(ReadValue(level + 1));
            SkipBlankAndLines();
            if (Take(']'))
            {
                return list;
            }
            Expect(',', "the list ends with ], and between its entries stand commas", "put a comma between the entries");
        }
    }

    private ConfigNode ReadInline(int level)
    {
        var table = new ConfigNode(ConfigKind.Table, _at++);
        SkipBlank();
        if (!Take('}'))
        {
            do
            {
                SkipBlank();
                ReadPair(table, level + 1);
                SkipBlank();
            }
            while (Take(','));
            Expect('}', "the table ends with } in the same line, and between its entries stand commas", "put a comma between the entries");
        }
        Close(table);
        return table;
    }

    private void Close(ConfigNode table)
    {
        _closed.Add(table);
        foreach (ConfigMember member in table.Members.Where(m => m.Value.Kind == ConfigKind.Table))
        {
            Close(member.Value);
        }
    }

    private ConfigNode ReadWord()
    {
        int start = _at;
        while (_at < text.Length && (char.IsAsciiLetterOrDigit(text[_at]) || text[_at] is '-' or '+' or '_' or '.' or ':'))
        {
            _at++;
        }
        string word = text[start.._at];
        if (word is "true" or "false")
        {
            return new ConfigNode(ConfigKind.Truth, start) { IsTrue = word == "true" };
        }
        bool isNumber = word is ['0' or '1' or '2' or '3' or '4' or '5' or '6' or '7' or '8' or '9' or '+' or '-', ..] or "inf" or "nan" && !word.Contains("..", StringComparison.Ordinal) && !IsHost(word);
        return isNumber ? new ConfigNode(ConfigKind.Other, start) : throw Wrong(start, word.Length == 0 ? "here comes a value" : $"'{Hosts.Printable(word)}' is no value", word.Length == 0 ? null : "a text stands in quotes");
    }

    // 10.0.0.1:5000 without quotes looks like a number for a while.
    private static bool IsHost(string word) => word.Count(c => c == '.') > 1;

    private string ReadString(bool mayBeLong)
    {
        int start = _at;
        char quote = text[_at];
        bool isLong = mayBeLong && text.AsSpan(_at).StartsWith(new string(quote, 3));
        _at += isLong ? 3 : 1;
        if (isLong && Peek() == '\r')
        {
            _at++;
        }
        if (isLong && Peek() == '\n')
        {
            _at++;
        }
        var value = new StringBuilder();
        while (true)
        {
            if (_at == text.Length || (!isLong && text[_at] == '\n'))
            {
                throw Wrong(start, "this text has no end: a quote is missing");
            }
            char next = text[_at++];
            if (next == quote && !isLong)
            {
                return value.ToString();
            }
            if (next == quote && text.AsSpan(_at).StartsWith(new string(quote, 2)))
            {
                _at += 2;
                for (int more = 0; more < 2 && Peek() == quote; more++, _at++)
                {
                    value.Append(quote); // """x"" "" ends with quotes of its own
                }
                return value.ToString();
            }
            if (next == '\\' && quote == '"')
            {
                ReadEscape(value, isLong);
                continue;
            }
            if (char.IsControl(next) && next != '\t' && !(isLong && next is '\n' or '\r'))
            {
                throw Wrong(_at - 1, "a control character in a text");
            }
            value.Append(next);
        }
    }

    private void ReadEscape(StringBuilder value, bool isLong)
    {
        int start = _at - 1;
        char next = Peek();
        _at++;
        const string Letters = "btnfre\"\\", Meant = "\b\t\n\f\r\u001b\"\\";
        if (Letters.IndexOf(next, StringComparison.Ordinal) is >= 0 and int simple)
        {
            value.Append(Meant[simple]);
            return;
        }
        if (next is 'u' or 'U')
        {
            int digits = next == 'u' ? 4 : 8;
            if (_at + digits <= text.Length && int.TryParse(text.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int code) && Rune.IsValid(code))
            {
                _at += digits;
                value.Append(new Rune(code).ToString());
                return;
            }
        }
        else if (isLong && next is '\n' or '\r' or ' ' or '\t')
        {
            while (_at < text.Length && text[_at] is '\n' or '\r' or ' ' or '\t')
            {
                _at++; // a backslash at the end of a line joins it with the next word
            }
            return;
        }
        throw Wrong(start, "a backslash that means nothing", "write two of them, or the text in single quotes");
    }

    private void EndLine()
    {
        SkipBlank();
        if (_at < text.Length && text[_at] is not ('\n' or '\r'))
        {
            throw Wrong(_at, "the line ends here");
        }
    }

    private void SkipBlankAndLines()
    {
        for (SkipBlank(); _at < text.Length && text[_at] is '\n' or '\r'; SkipBlank())
        {
            _at++;
        }
    }

    // Blanks, and a comment to the end of the line.
    private void SkipBlank()
    {
        while (Peek() is ' ' or '\t')
        {
            _at++;
        }
        if (Peek() == '#')
        {
            _at = text.IndexOf('\n', _at) is >= 0 and int end ? end : text.Length;
        }
    }

    private char Peek() => _at < text.Length ? text[_at] : '\0';

    private bool Take(char wanted)
    {
        bool isThere = Peek() == wanted;
        _at += isThere ? 1 : 0;
        return isThere;
    }

    private void Expect(char wanted, string message, string? hint = null)
    {
        if (!Take(wanted))
        {
            throw Wrong(_at, message, hint);
        }
    }

    private static ConfigSyntaxException Wrong(int offset, string message, string? hint = null) => new(new ConfigProblem(offset, message, hint));
}
