using System.Text;

namespace Strata.Dockerfiles;

/// <summary>What a <see cref="ShellLexer"/> leaves as it is.</summary>
[Flags]
internal enum LexerModes
{
    None = 0,
    /// <summary>Quotes stay in the words.</summary>
    RawQuotes = 1,
    /// <summary>The escape character stays before what it escapes.</summary>
    RawEscapes = 2,
    /// <summary>Quotes are characters like others: text of a heredoc.</summary>
    PlainQuotes = 4,
    /// <summary>A variable that is not set stays as written.</summary>
    KeepUnset = 8,
}

/// <summary>What a text became: as one, and split at blanks that no quote protects.</summary>
internal sealed record Lexed(string Text, IReadOnlyList<string> Words);

/// <summary>
/// Reads a text as a shell reads words: quotes, escapes, variables (Dockerfile reference, "Environment replacement"; POSIX XCU 2.6).
/// Where Docker differs from a shell, Docker is followed: blanks in the value of an unquoted variable split, an empty quoted word is none.
/// </summary>
internal sealed class ShellLexer(string text, char escape, Func<string, string?> lookup, LexerModes modes)
{
    private const char End = '\uFFFF'; // no character: ends the text, and where nothing stops a scan

    // A hostile ${a:-${a:-… must end in an error, not in the end of the stack.
    private const int MaxDepth = 200;

    private bool _rawEscapes = modes.HasFlag(LexerModes.RawEscapes);
    private int _at, _depth;

    private bool RawQuotes => modes.HasFlag(LexerModes.RawQuotes);

    private bool AtEnd => _at >= text.Length;

    /// <summary>The words of a text that is not expanded.</summary>
    internal static IReadOnlyList<string> Words(string text, LexerModes modes) => new ShellLexer(text, '\\', _ => null, modes).Read().Words;

    /// <exception cref="FormatException">A quote or a brace is open, a substitution unknown, or a variable missing that ${x?} demands.</exception>
    internal Lexed Read()
    {
        try
        {
            return ReadTo(End, _rawEscapes);
        }
        catch (FormatException e)
        {
            throw new FormatException($"failed to process \"{text}\": {e.Message}", e);
        }
    }

    private Lexed ReadTo(char stop, bool rawEscapes)
    {
        bool outer = _rawEscapes;
        _rawEscapes = rawEscapes;
        var result = new StringBuilder();
        var words = new WordList();
        while (!AtEnd)
        {
            char c = text[_at];
            if (stop != End && c == stop)
            {
                _at++;
                _rawEscapes = outer;
                return new Lexed(result.ToString(), words.Finish());
            }
            if (c == '$')
            {
                string value = ReadDollar();
                result.Append(value);
                words.AddSplit(value);
            }
            else if (c is '\'' or '"' && !modes.HasFlag(LexerModes.PlainQuotes))
            {
                string quoted = c == '"' ? ReadDoubleQuoted() : ReadSingleQuoted();
                result.Append(quoted);
                words.AddWhole(quoted);
            }
            else if (c == escape)
            {
                _at++;
                if (_rawEscapes)
                {
                    result.Append(c);
                    words.AddWhole(c);
                }
                if (AtEnd)
                {
                    break; // at the very end it escapes nothing, and goes
                }
                result.Append(text[_at]);
                words.AddWhole(text[_at++]);
            }
            else
            {
                result.Append(c);
                words.AddSplit(c);
                _at++;
            }
        }
        return stop == End ? new Lexed(result.ToString(), words.Finish()) : throw new FormatException($"unexpected end of statement while looking for matching {stop}");
    }

    private string ReadSingleQuoted()
    {
        int end = text.IndexOf('\'', _at + 1);
        if (end < 0)
        {
            _at = text.Length;
            throw new FormatException("unexpected end of statement while looking for matching single-quote");
        }
        string quoted = RawQuotes ? text[_at..(end + 1)] : text[(_at + 1)..end];
        _at = end + 1;
        return quoted;
    }

    private string ReadDoubleQuoted()
    {
        var result = new StringBuilder();
        if (RawQuotes)
        {
            result.Append('"');
        }
        for (_at++; !AtEnd;)
        {
            char c = text[_at];
            if (c == '$')
            {
                result.Append(ReadDollar());
                continue;
            }
            _at++;
            if (c == '"')
            {
                return RawQuotes ? result.Append('"').ToString() : result.ToString();
            }
            if (c == escape)
            {
                if (_rawEscapes)
                {
                    result.Append(c);
                }
                if (AtEnd)
                {
                    continue;
                }
                // Here the escape character is itself, except before what would mean something.
                if (text[_at] is '"' or '$' || text[_at] == escape)
                {
                    c = text[_at++];
                }
            }
            result.Append(c);
        }
        throw new FormatException("unexpected end of statement while looking for matching double-quote");
    }

    private string ReadDollar()
    {
        _at++;
        if (AtEnd || text[_at] != '{')
        {
            string name = ReadName();
            return name.Length == 0 ? "$" : lookup(name) ?? (modes.HasFlag(LexerModes.KeepUnset) ? "$" + name : "");
        }
        _at++;
        if (AtEnd)
        {
            throw new FormatException("syntax error: missing '}'");
        }
        if (text[_at] is '{' or '}' or ':')
        {
            throw new FormatException("syntax error: bad substitution");
        }
        if (++_depth > MaxDepth)
        {
            throw new FormatException("syntax error: substitutions are nested too deeply");
        }
        string value = ReadBraced();
        _depth--;
        return value;
    }

    private string ReadBraced()
    {
        string name = ReadName();
        char c = Next();
        string modifier = c == End ? "" : c.ToString();
        bool emptyIsUnset = c == ':';
        if (emptyIsUnset)
        {
            c = Next();
            modifier += c == End ? "" : c.ToString();
        }
        switch (c)
        {
            case '}' when !emptyIsUnset:
                return Value(name, $"${{{name}}}", out _);
            case '/' when !emptyIsUnset:
                return ReadReplacement(name);
            case '+' or '-' or '?' or '#' or '%':
            case not End when emptyIsUnset:
                string word = ReadOperand('}', rawEscapes: c is '#' or '%', "syntax error: missing '}'");
                string value = Value(name, $"${{{name}{modifier}{word}}}", out Variable state);
                return state == Variable.Kept ? value : Modify(name, value, state == Variable.Set, emptyIsUnset, c, word, modifier);
            default:
                throw c == End ? new FormatException("syntax error: missing '}'") : Unsupported(modifier);
        }
    }

    private static string Modify(string name, string value, bool isSet, bool emptyIsUnset, char operation, string word, string modifier)
    {
        bool counts = isSet && !(emptyIsUnset && value.Length == 0);
        switch (operation)
        {
            case '-':
                return counts ? value : word;
            case '+':
                return counts ? word : "";
            case '?':
                return counts ? value : throw new FormatException($"{name}: {(word.Length > 0 ? word : isSet ? "is not allowed to be empty" : "is not allowed to be unset")}");
            case '#' or '%':
                bool longest = word.StartsWith(operation);
                var pattern = ShellPattern.Parse(longest ? word[1..] : word);
                return operation == '#' ? pattern.TrimStart(value, longest) : pattern.TrimEnd(value, longest);
            default:
                throw Unsupported(modifier);
        }
    }

    private string ReadReplacement(string name)
    {
        bool all = !AtEnd && text[_at] == '/';
        _at += all ? 1 : 0;
        string pattern = ReadOperand('/', rawEscapes: true, "syntax error: missing '/' in ${}");
        string with = ReadOperand('}', rawEscapes: true, "syntax error: missing '}'");
        string value = Value(name, $"${{{name}/{pattern}/{with}}}", out Variable state);
        return state == Variable.Kept ? value : ShellPattern.Parse(pattern).Replace(value, with, all);
    }

    private string ReadOperand(char stop, bool rawEscapes, string whenOpen)
    {
        try
        {
            return ReadTo(stop, rawEscapes).Text;
        }
        catch (FormatException e) when (AtEnd)
        {
            throw new FormatException(whenOpen, e);
        }
    }

    private enum Variable
    {
        Set,
        Unset,
        Kept, // unset, and stays as written
    }

    private string Value(string name, string written, out Variable state)
    {
        string? value = lookup(name);
        state = value is not null ? Variable.Set : modes.HasFlag(LexerModes.KeepUnset) ? Variable.Kept : Variable.Unset;
        return value ?? (state == Variable.Kept ? written : "");
    }

    // Letters, digits and _; or all the digits of a position; or one special parameter (POSIX XCU 2.5.1, 2.5.2). Empty where none is there.
    private string ReadName()
    {
        int start = _at;
        if (!AtEnd && char.IsDigit(text, _at))
        {
            while (!AtEnd && char.IsDigit(text, _at))
            {
                _at += Width();
            }
        }
        else if (!AtEnd && text[_at] is '@' or '*' or '#' or '?' or '-' or '$' or '!')
        {
            _at++;
        }
        else
        {
            while (!AtEnd && (text[_at] == '_' || char.IsLetter(text, _at) || char.IsDigit(text, _at)))
            {
                _at += Width();
            }
        }
        return text[start.._at];
    }

    private int Width() => char.IsSurrogatePair(text, _at) ? 2 : 1;

    private char Next() => AtEnd ? End : text[_at++];

    private static FormatException Unsupported(string modifier) => new($"unsupported modifier ({modifier}) in substitution");

    /// <summary>Collects words: characters that blanks split, and characters that belong together.</summary>
    private sealed class WordList
    {
        private readonly List<string> _words = [];
        private readonly StringBuilder _word = new();

        internal void AddSplit(string value)
        {
            foreach (char c in value)
            {
                AddSplit(c);
            }
        }

        internal void AddSplit(char c)
        {
            if (char.IsWhiteSpace(c))
            {
                EndWord();
            }
            else
            {
                _word.Append(c);
            }
        }

        internal void AddWhole(char c) => _word.Append(c);

        internal void AddWhole(string value) => _word.Append(value);

        internal List<string> Finish()
        {
            EndWord();
            return _words;
        }

        private void EndWord()
        {
            if (_word.Length > 0)
            {
                _words.Add(_word.ToString());
                _word.Clear();
            }
        }
    }
}
