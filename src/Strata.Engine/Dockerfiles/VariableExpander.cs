using System.Text;

namespace Strata.Dockerfiles;

/// <summary>
/// Variables and quotes in the words of a Dockerfile (Dockerfile reference, "Environment replacement"): <c>$x</c>, <c>${x}</c>,
/// <c>${x:-w}</c>, <c>${x:+w}</c>, <c>${x:?w}</c> (and without the colon), <c>${x#p}</c>, <c>${x##p}</c>, <c>${x%p}</c>, <c>${x%%p}</c>,
/// <c>${x/p/r}</c>, <c>${x//p/r}</c>; single quotes keep all, double quotes keep blanks, the escape character keeps the next.
/// </summary>
/// <param name="escape">The escape character of the file.</param>
/// <param name="lookup">The value of a variable, or null where it is not set.</param>
public sealed class VariableExpander(char escape, Func<string, string?> lookup)
{
    /// <summary>Expands one word: quotes go, variables become their values.</summary>
    /// <exception cref="FormatException">A quote or brace is open, or a modifier is not known.</exception>
    public string Expand(string word)
    {
        ArgumentNullException.ThrowIfNull(word);
        return string.Join("", new Scan(word, escape, lookup).Read(split: false));
    }

    /// <summary>Expands and splits at blanks that are outside quotes, those that came from variables too.</summary>
    /// <exception cref="FormatException">A quote or brace is open, or a modifier is not known.</exception>
    public IReadOnlyList<string> ExpandWords(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new Scan(text, escape, lookup).Read(split: true);
    }

    private sealed class Scan(string text, char escape, Func<string, string?> lookup)
    {
        private readonly List<string> _words = [];
        private readonly StringBuilder _word = new();
        private bool _inWord;
        private int _at;

        internal List<string> Read(bool split)
        {
            while (_at < text.Length)
            {
                char c = text[_at];
                if (split && char.IsWhiteSpace(c))
                {
                    EndWord();
                    _at++;
                }
                else if (c == '\'')
                {
                    _inWord = true;
                    int end = text.IndexOf('\'', _at + 1);
                    _word.Append(end < 0 ? throw new FormatException("unexpected end of statement while looking for matching single-quote") : text[(_at + 1)..end]);
                    _at = end + 1;
                }
                else if (c == '"')
                {
                    ReadDoubleQuoted();
                }
                else if (c == '$')
                {
                    AppendValue(ReadVariable(), split);
                }
                else
                {
                    _inWord = true;
                    if (c == escape && _at + 1 < text.Length)
                    {
                        c = text[++_at];
                    }
                    else if (c == escape)
                    {
                        break; // at the very end it escapes nothing, and goes
                    }
                    _word.Append(c);
                    _at++;
                }
            }
            EndWord();
            return _words;
        }

        private void EndWord()
        {
            if (_inWord)
            {
                _words.Add(_word.ToString());
                _word.Clear();
                _inWord = false;
            }
        }

        private void AppendValue(string value, bool split)
        {
            if (!split)
            {
                _inWord = true;
                _word.Append(value);
                return;
            }
            foreach (char c in value)
            {
                if (char.IsWhiteSpace(c))
                {
                    EndWord();
                }
                else
                {
                    _inWord = true;
                    _word.Append(c);
                }
            }
        }

        private void ReadDoubleQuoted()
        {
            _inWord = true;
            for (_at++; _at < text.Length;)
            {
                char c = text[_at];
                switch (c)
                {
                    case '"':
                        _at++;
                        return;
                    case '$':
                        _word.Append(ReadVariable());
                        break;
                    default:
                        // In double quotes the escape character is itself except before what it must protect.
                        if (c == escape && _at + 1 < text.Length && (text[_at + 1] is '"' or '$' || text[_at + 1] == escape))
                        {
                            c = text[++_at];
                        }
                        _word.Append(c);
                        _at++;
                        break;
                }
            }
            throw new FormatException("unexpected end of statement while looking for matching double-quote");
        }

        private string ReadVariable()
        {
            _at++; // the dollar
            if (_at < text.Length && text[_at] == '{')
            {
                _at++;
                return ReadBraced();
            }
            string name = ReadName();
            return name.Length == 0 ? "$" : lookup(name) ?? "";
        }

        private string ReadBraced()
        {
            string name = ReadName();
            if (name.Length == 0 || _at >= text.Length)
            {
                throw new FormatException(_at >= text.Length ? "syntax error: missing '}'" : $"syntax error: bad substitution in \"{text}\"");
            }
            string? value = lookup(name);
            char c = text[_at++];
            switch (c)
            {
                case '}':
                    return value ?? "";
                case ':' when _at < text.Length && text[_at] is '-' or '+' or '?':
                    return Modify(name, string.IsNullOrEmpty(value) ? null : value, text[_at++], value);
                case '-' or '+' or '?':
                    return Modify(name, value, c, value);
                case '#' or '%':
                    bool longest = _at < text.Length && text[_at] == c;
                    _at += longest ? 1 : 0;
                    string pattern = ReadWord('}');
                    return value is null ? "" : Glob.Trim(value, pattern, fromStart: c == '#', longest);
                case '/':
                    bool all = _at < text.Length && text[_at] == '/';
                    _at += all ? 1 : 0;
                    string what = ReadWord('/', '}');
                    string with = text[_at - 1] == '/' ? ReadWord('}') : "";
                    return value is null ? "" : Glob.Replace(value, what, with, all);
                default:
                    throw new FormatException($"unsupported modifier ({c}) in substitution");
            }
        }

        private string Modify(string name, string? set, char modifier, string? value)
        {
            string word = ReadWord('}');
            return modifier switch
            {
                '-' => set ?? word,
                '+' => set is null ? "" : word,
                _ => set ?? throw new FormatException($"{name}: {(word.Length > 0 ? word : value is null ? "is not allowed to be unset" : "is not allowed to be empty")}"),
            };
        }

        // A word inside braces, itself expanded, up to one of the closing characters, which is passed.
        private string ReadWord(params ReadOnlySpan<char> closing)
        {
            var word = new StringBuilder();
            while (_at < text.Length)
            {
                char c = text[_at];
                if (closing.Contains(c))
                {
                    _at++;
                    return word.ToString();
                }
                if (c == '$')
                {
                    word.Append(ReadVariable());
                    continue;
                }
                if (c is '\'' or '"')
                {
                    int end = text.IndexOf(c, _at + 1);
                    word.Append(end < 0 ? throw new FormatException("unexpected end of statement while looking for a matching quote") : text[(_at + 1)..end]);
                    _at = end + 1;
                    continue;
                }
                if (c == escape && _at + 1 < text.Length)
                {
                    c = text[++_at];
                }
                word.Append(c);
                _at++;
            }
            throw new FormatException("syntax error: missing '}'");
        }

        // A name, or one special character as shells have them ($1, $@).
        private string ReadName()
        {
            int start = _at;
            if (_at < text.Length && (char.IsAsciiDigit(text[_at]) || text[_at] is '@' or '*' or '#' or '?' or '!'))
            {
                return text[_at++].ToString();
            }
            while (_at < text.Length && (char.IsLetterOrDigit(text[_at]) || text[_at] == '_'))
            {
                _at++;
            }
            return text[start.._at];
        }
    }
}

/// <summary>Shell patterns on values: <c>*</c> and <c>?</c>, and backslash before what is meant as it is.</summary>
internal static class Glob
{
    internal static string Trim(string value, string pattern, bool fromStart, bool longest)
    {
        int[] lengths = [.. Enumerable.Range(0, value.Length + 1)];
        foreach (int length in longest ? lengths.Reverse() : lengths)
        {
            ReadOnlySpan<char> part = fromStart ? value.AsSpan(0, length) : value.AsSpan(value.Length - length);
            if (Matches(pattern, part))
            {
                return fromStart ? value[length..] : value[..^length];
            }
        }
        return value;
    }

    internal static string Replace(string value, string pattern, string with, bool all)
    {
        if (pattern.Length == 0)
        {
            return value;
        }
        var result = new StringBuilder();
        int at = 0;
        while (at <= value.Length)
        {
            int length = value.Length - at;
            while (length > 0 && !Matches(pattern, value.AsSpan(at, length)))
            {
                length--;
            }
            if (length > 0)
            {
                result.Append(with);
                at += length;
                if (!all)
                {
                    break;
                }
            }
            else if (at < value.Length)
            {
                result.Append(value[at++]);
            }
            else
            {
                break;
            }
        }
        return result.Append(value.AsSpan(Math.Min(at, value.Length))).ToString();
    }

    private static bool Matches(ReadOnlySpan<char> pattern, ReadOnlySpan<char> text)
    {
        int p = 0, t = 0, star = -1, mark = 0;
        while (t < text.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                (star, mark) = (p++, t);
            }
            else if (p + 1 < pattern.Length && pattern[p] == '\\' && pattern[p + 1] == text[t])
            {
                p += 2;
                t++;
            }
            else if (p < pattern.Length && pattern[p] != '\\' && (pattern[p] == '?' || pattern[p] == text[t]))
            {
                p++;
                t++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                t = ++mark;
            }
            else
            {
                return false;
            }
        }
        return pattern[p..].TrimStart('*').IsEmpty;
    }
}
