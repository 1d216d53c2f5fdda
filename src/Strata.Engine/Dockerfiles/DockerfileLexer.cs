using System.Collections.Immutable;
using System.Text;

namespace Strata.Dockerfiles;

/// <summary>A line of a Dockerfile after continuation lines were joined and comments dropped.</summary>
/// <param name="Keyword">The instruction's name as written.</param>
/// <param name="Rest">What is behind it.</param>
/// <param name="Heredocs">Documents that follow it.</param>
/// <param name="Span">Its lines.</param>
internal sealed record LogicalLine(string Keyword, string Rest, ImmutableArray<Heredoc> Heredocs, SourceSpan Span)
{
    internal string Text => Rest.Length == 0 ? Keyword : Keyword + " " + Rest;
}

/// <summary>Text to lines: directives, comments, continuations, heredocs, byte order mark, CR LF (Dockerfile reference, "Format").</summary>
internal sealed class DockerfileLexer
{
    private readonly string[] _lines;
    private readonly string _file;
    private int _at;

    internal DockerfileLexer(string text, string file)
    {
        _file = file;
        _lines = text.TrimStart('\uFEFF').Split('\n');
        for (int i = 0; i < _lines.Length; i++)
        {
            _lines[i] = _lines[i].EndsWith('\r') ? _lines[i][..^1] : _lines[i];
        }
        ReadDirectives();
    }

    internal char Escape { get; private set; } = '\\';
    internal List<DockerfileWarning> Warnings { get; } = [];

    internal IEnumerable<LogicalLine> Read()
    {
        while (_at < _lines.Length)
        {
            string first = _lines[_at].TrimStart();
            if (first.Length == 0 || first[0] == '#')
            {
                _at++;
                continue;
            }
            int start = _at;
            string text = ReadContinued();
            (string keyword, string rest) = SplitKeyword(text.Trim());
            ImmutableArray<Heredoc> heredocs = IsHeredocKeyword(keyword) ? ReadHeredocs(rest, start) : [];
            yield return new LogicalLine(keyword, rest, heredocs, new SourceSpan(_file, start + 1, _at));
        }
    }

    // "# name=value" before anything else; escape and syntax and check count, once each.
    private void ReadDirectives()
    {
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (int i = 0; i < _lines.Length; i++)
        {
            string line = _lines[i].Trim();
            int equals = line.IndexOf('=', StringComparison.Ordinal);
            if (!line.StartsWith('#') || equals < 0)
            {
                return;
            }
            string name = line[1..equals].Trim(), value = line[(equals + 1)..].Trim();
            if (name.Length == 0 || !name.All(c => char.IsAsciiLetter(c)) || name.ToLowerInvariant() is not ("escape" or "syntax" or "check"))
            {
                return;
            }
            if (!seen.Add(name))
            {
                throw new DockerfileException(new SourceSpan(_file, i + 1, i + 1), $"only one {name} parser directive can be used");
            }
            if (name.Equals("escape", StringComparison.OrdinalIgnoreCase))
            {
                Escape = value is "\\" or "`" ? value[0] : throw new DockerfileException(new SourceSpan(_file, i + 1, i + 1), $"invalid escape token '{value}' does not match ` or \\");
            }
        }
    }

    private string ReadContinued()
    {
        var text = new StringBuilder();
        bool more = true, first = true;
        while (more && _at < _lines.Length)
        {
            string line = _lines[_at++];
            string trimmed = line.TrimStart();
            if (!first && trimmed.StartsWith('#'))
            {
                continue; // a comment between continuation lines is no part of the instruction
            }
            if (!first && trimmed.Length == 0)
            {
                Warnings.Add(new DockerfileWarning(new SourceSpan(_file, _at, _at), "NoEmptyContinuation", "Empty continuation lines will become errors in a future release"));
                continue;
            }
            string end = line.TrimEnd(' ', '\t');
            more = end.EndsWith(Escape);
            text.Append(more ? end[..^1] : line);
            first = false;
        }
        return text.ToString();
    }

    private static (string Keyword, string Arguments) SplitKeyword(string text)
    {
        int blank = text.AsSpan().IndexOfAny(' ', '\t');
        return blank < 0 ? (text, "") : (text[..blank], text[blank..].Trim());
    }

    private static bool IsHeredocKeyword(string keyword) => keyword.ToUpperInvariant() is "RUN" or "COPY" or "ADD";

    private ImmutableArray<Heredoc> ReadHeredocs(string rest, int start)
    {
        if (!rest.Contains("<<", StringComparison.Ordinal))
        {
            return [];
        }
        ImmutableArray<Heredoc>.Builder found = ImmutableArray.CreateBuilder<Heredoc>();
        foreach (string word in Words.Split(rest, Escape))
        {
            if (TryReadMarker(word, out string name, out bool trimTabs, out bool expand))
            {
                found.Add(new Heredoc(name, ReadDocument(name, trimTabs, start), expand));
            }
        }
        return found.ToImmutable();
    }

    private string ReadDocument(string name, bool trimTabs, int start)
    {
        var content = new StringBuilder();
        while (_at < _lines.Length)
        {
            string line = trimTabs ? _lines[_at].TrimStart('\t') : _lines[_at];
            _at++;
            if (line == name)
            {
                return content.ToString();
            }
            content.Append(line).Append('\n');
        }
        throw new DockerfileException(new SourceSpan(_file, start + 1, _at), $"unterminated heredoc: no line is {name}");
    }

    // [number]<<[-]NAME, the name perhaps quoted
    internal static bool TryReadMarker(string word, out string name, out bool trimTabs, out bool expand)
    {
        (name, trimTabs, expand) = ("", false, true);
        ReadOnlySpan<char> text = word.AsSpan().TrimStart("0123456789");
        if (!text.StartsWith("<<") || text.StartsWith("<<<"))
        {
            return false;
        }
        text = text[2..];
        if (text.StartsWith("-"))
        {
            trimTabs = true;
            text = text[1..];
        }
        if (text.Length >= 2 && text[0] is '"' or '\'' && text[^1] == text[0])
        {
            expand = false;
            text = text[1..^1];
        }
        name = text.ToString();
        return name.Length > 0 && name.All(c => char.IsLetterOrDigit(c) || c is '_' or '.' or '-');
    }
}

/// <summary>Splits at blanks outside quotes; quotes and escapes stay in the words.</summary>
internal static class Words
{
    internal static List<string> Split(string text, char escape)
    {
        var words = new List<string>();
        var word = new StringBuilder();
        char quote = '\0';
        bool inWord = false;
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (quote == '\0' && char.IsWhiteSpace(c))
            {
                if (inWord)
                {
                    words.Add(word.ToString());
                    word.Clear();
                    inWord = false;
                }
                continue;
            }
            inWord = true;
            word.Append(c);
            if (c == escape && quote != '\'' && i + 1 < text.Length)
            {
                word.Append(text[++i]);
            }
            else if (quote == '\0' && c is '"' or '\'')
            {
                quote = c;
            }
            else if (quote == c)
            {
                quote = '\0';
            }
        }
        if (inWord)
        {
            words.Add(word.ToString());
        }
        return words;
    }
}
