using System.Globalization;
using System.Text;

namespace Strata.Dockerfiles;

/// <summary>
/// The exec form: a JSON array of strings (RFC 8259). What is no JSON is the shell form's text; what is JSON and holds other things
/// than strings is an error. Half of a surrogate pair becomes U+FFFD, as in Docker.
/// </summary>
internal sealed class JsonWords
{
    private const int MaxDepth = 500; // nobody nests commands; a hostile file must not end the stack

    private readonly string _text;
    private int _at;
    private bool _onlyStrings = true;

    private JsonWords(string text) => _text = text;

    /// <summary>Reads an array.</summary>
    /// <returns>Its strings; null where the text is no JSON array.</returns>
    /// <exception cref="FormatException">It is an array, and not of strings only.</exception>
    internal static List<string>? Parse(string text)
    {
        var reader = new JsonWords(text.TrimStart());
        if (!reader._text.StartsWith('[') || !reader.TryReadArray(out List<string> words))
        {
            return null;
        }
        return reader._onlyStrings ? words : throw new FormatException("when using JSON array syntax, arrays must be comprised of strings only");
    }

    private bool TryReadArray(out List<string> words)
    {
        words = [];
        _at++;
        SkipBlanks();
        if (!TryTake(']'))
        {
            do
            {
                SkipBlanks();
                if (Peek() == '"')
                {
                    if (ReadString() is not { } word)
                    {
                        return false;
                    }
                    words.Add(word);
                }
                else if (TrySkipValue(1))
                {
                    _onlyStrings = false;
                }
                else
                {
                    return false;
                }
                SkipBlanks();
            }
            while (TryTake(','));
            if (!TryTake(']'))
            {
                return false;
            }
        }
        SkipBlanks();
        return _at == _text.Length;
    }

    private bool TrySkipValue(int depth) => Peek() switch
    {
        '"' => ReadString() is not null,
        '[' => depth < MaxDepth && TrySkipMembers(']', () => TrySkipValue(depth + 1)),
        '{' => depth < MaxDepth && TrySkipMembers('}', () => TrySkipPair(depth + 1)),
        't' => TryTakeWord("true"),
        'f' => TryTakeWord("false"),
        'n' => TryTakeWord("null"),
        _ => TrySkipNumber(),
    };

    private bool TrySkipMembers(char end, Func<bool> member)
    {
        _at++;
        SkipBlanks();
        if (TryTake(end))
        {
            return true;
        }
        do
        {
            SkipBlanks();
            if (!member())
            {
                return false;
            }
            SkipBlanks();
        }
        while (TryTake(','));
        return TryTake(end);
    }

    private bool TrySkipPair(int depth)
    {
        if (Peek() != '"' || ReadString() is null)
        {
            return false;
        }
        SkipBlanks();
        if (!TryTake(':'))
        {
            return false;
        }
        SkipBlanks();
        return TrySkipValue(depth);
    }

    private bool TrySkipNumber()
    {
        _ = TryTake('-');
        if (!TryTake('0') && !TrySkipDigits())
        {
            return false;
        }
        if (TryTake('.') && !TrySkipDigits())
        {
            return false;
        }
        if (TryTake('e') || TryTake('E'))
        {
            _ = TryTake('+') || TryTake('-');
            return TrySkipDigits();
        }
        return true;
    }

    private bool TrySkipDigits()
    {
        int start = _at;
        while (char.IsAsciiDigit(Peek()))
        {
            _at++;
        }
        return _at > start;
    }

    // Null where it is no string.
    private string? ReadString()
    {
        var result = new StringBuilder();
        for (_at++; _at < _text.Length; _at++)
        {
            char c = _text[_at];
            if (c == '"')
            {
                _at++;
                return WithoutHalves(result.ToString());
            }
            if (c < ' ')
            {
                return null;
            }
            if (c != '\\')
            {
                result.Append(c);
                continue;
            }
            _at++;
            char? escaped = Peek() switch
            {
                '"' => '"', '\\' => '\\', '/' => '/', 'b' => '\b', 'f' => '\f', 'n' => '\n', 'r' => '\r', 't' => '\t',
                'u' => ReadHex(),
                _ => null,
            };
            if (escaped is not { } character)
            {
                return null;
            }
            result.Append(character);
        }
        return null;
    }

    private char? ReadHex()
    {
        if (_at + 4 >= _text.Length || !ushort.TryParse(_text.AsSpan(_at + 1, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort value))
        {
            return null;
        }
        _at += 4;
        return (char)value;
    }

    // Names that are no UTF-8 come as lone low surrogates and must stay; escapes that make a lone high one must not.
    private static string WithoutHalves(string text)
    {
        StringBuilder? changed = null;
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsHighSurrogate(text[i]) && !(i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])))
            {
                (changed ??= new StringBuilder(text))[i] = '\uFFFD';
            }
            else if (char.IsHighSurrogate(text[i]))
            {
                i++;
            }
        }
        return changed?.ToString() ?? text;
    }

    private char Peek() => _at < _text.Length ? _text[_at] : '\0';

    private bool TryTake(char c)
    {
        if (Peek() != c)
        {
            return false;
        }
        _at++;
        return true;
    }

    private bool TryTakeWord(string word)
    {
        if (!_text.AsSpan(_at).StartsWith(word))
        {
            return false;
        }
        _at += word.Length;
        return true;
    }

    private void SkipBlanks()
    {
        while (Peek() is ' ' or '\t' or '\n' or '\r')
        {
            _at++;
        }
    }
}
