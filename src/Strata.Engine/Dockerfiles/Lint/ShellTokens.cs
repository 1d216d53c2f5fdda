using System.Text;

namespace Strata.Dockerfiles.Lint;

/// <summary>What a token of a script is.</summary>
internal enum TokenKind
{
    Word,
    Output, // > and >>: the next word is a file
    End, // what ends a command
}

/// <param name="Kind">What it is.</param>
/// <param name="Text">A word without its quotes.</param>
/// <param name="End">Where it ends in the script.</param>
internal readonly record struct Token(TokenKind Kind, string Text, int End);

/// <summary>
/// A script's tokens (POSIX XCU 2.3), without its grammar: quotes, escapes, continuation lines, comments, redirections; documents in it are passed by,
/// and <c>${…}</c> is a part of its word. A script that is wrong gives tokens too: the shell will say what is wrong.
/// </summary>
internal sealed class ShellTokens(string script)
{
    private readonly StringBuilder _word = new();
    private readonly Queue<(string Name, bool Trim)> _documents = new();
    private bool _inWord;
    private int _at;

    internal IEnumerable<Token> Read()
    {
        for (; _at < script.Length; _at++)
        {
            char c = script[_at], next = _at + 1 < script.Length ? script[_at + 1] : '\0';
            if (TakeIntoWord(c, next))
            {
                continue;
            }
            int end = _at;
            string? word = _inWord && !(c is '>' or '<' && IsNumber()) ? _word.ToString() : null;
            _word.Clear();
            _inWord = false;
            if (word is not null)
            {
                yield return new Token(TokenKind.Word, word, end);
            }
            if (c == '<')
            {
                ReadInput(next);
            }
            else if (c == '>' && next == '&')
            {
                _at++; // 2>&1 writes no file
            }
            else if (c == '>')
            {
                _at += next is '>' or '|' ? 1 : 0;
                yield return new Token(TokenKind.Output, ">", _at + 1);
            }
            else if (!char.IsWhiteSpace(c) || c == '\n')
            {
                yield return new Token(TokenKind.End, "", end);
                SkipDocuments(c);
            }
        }
        if (_inWord)
        {
            yield return new Token(TokenKind.Word, _word.ToString(), script.Length);
        }
    }

    // False where a character is no part of a word, and none that is passed by.
    private bool TakeIntoWord(char c, char next)
    {
        switch (c)
        {
            case '\'' or '"':
                _inWord = true;
                ReadQuoted(c);
                return true;
            case '\\' when next == '\n':
                _at++;
                return true;
            case '\\' when _at + 1 < script.Length:
                _inWord = true;
                _word.Append(next);
                _at++;
                return true;
            case '$' when next == '{':
                _inWord = true;
                int close = script.IndexOf('}', _at);
                close = close < 0 ? script.Length - 1 : close;
                _word.Append(script, _at, close - _at + 1);
                _at = close;
                return true;
            case '#' when !_inWord:
                int line = script.IndexOf('\n', _at);
                _at = line < 0 ? script.Length : line - 1;
                return true;
        }
        if (c is ';' or '\n' or '|' or '&' or '(' or ')' or '`' or '>' or '<' || char.IsWhiteSpace(c))
        {
            return false;
        }
        _inWord = true;
        _word.Append(c);
        return true;
    }

    private bool IsNumber() => _word.Length == 1 && char.IsAsciiDigit(_word[0]);

    // To the closing quote.
    private void ReadQuoted(char quote)
    {
        for (_at++; _at < script.Length && script[_at] != quote; _at++)
        {
            if (quote == '"' && script[_at] == '\\' && _at + 1 < script.Length)
            {
                _at++;
                if (script[_at] == '\n')
                {
                    continue;
                }
            }
            _word.Append(script[_at]);
        }
    }

    // <, <&, <<< leave a word that is taken for an argument, which no rule minds; << announces a document.
    private void ReadInput(char next)
    {
        if (next != '<' || script.AsSpan(_at).StartsWith("<<<"))
        {
            _at += next == '<' ? 2 : next == '&' ? 1 : 0;
            return;
        }
        int start = _at + 2;
        bool trim = start < script.Length && script[start] == '-';
        start += trim ? 1 : 0;
        while (start < script.Length && script[start] is ' ' or '\t')
        {
            start++;
        }
        int end = start;
        while (end < script.Length && !char.IsWhiteSpace(script[end]) && script[end] is not (';' or '|' or '&' or '<' or '>' or '(' or ')'))
        {
            end++;
        }
        string name = script[start..end].Replace("'", "", StringComparison.Ordinal).Replace("\"", "", StringComparison.Ordinal).Replace("\\", "", StringComparison.Ordinal);
        if (name.Length > 0 && !char.IsAsciiDigit(name[0])) // 1 << 2 is arithmetic
        {
            _documents.Enqueue((name, trim));
        }
        _at = end - 1;
    }

    // Behind the line that announced them.
    private void SkipDocuments(char c)
    {
        while (c == '\n' && _documents.TryDequeue(out (string Name, bool Trim) document))
        {
            while (_at < script.Length)
            {
                int start = _at + 1, end = start <= script.Length ? script.IndexOf('\n', start) : -1;
                string line = start >= script.Length ? "" : end < 0 ? script[start..] : script[start..end];
                _at = end < 0 ? script.Length : end;
                if ((document.Trim ? line.TrimStart('\t') : line) == document.Name)
                {
                    break;
                }
            }
        }
    }
}
