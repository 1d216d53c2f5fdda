using System.Collections.Immutable;
using System.Text;
using Strata.Dockerfiles.Lint;

namespace Strata.Dockerfiles;

/// <summary>
/// Text to nodes: byte order mark, CR LF, parser directives, comments, continuation lines, heredocs (Dockerfile reference, "Format").
/// <code>
/// # escape=`            directives: before anything else, each once
/// RUN one `             a line that ends in the escape character goes on
///   # comment           a comment between them is dropped, an empty line too (with a warning)
///     two &lt;&lt;EOF         a document follows the line that announces it
/// text
/// EOF
/// </code>
/// </summary>
internal sealed class DockerfileLexer
{
    private readonly string[] _lines; // without LF, with CR
    private readonly string _file;
    private int _at;

    internal DockerfileLexer(string text, string file)
    {
        _file = file;
        _lines = (text.StartsWith('\uFEFF') ? text[1..] : text).Split('\n');
        Directives = ReadDirectives();
    }

    internal char Escape { get; private set; } = '\\';
    internal ImmutableArray<Directive> Directives { get; }
    internal List<DockerfileWarning> Warnings { get; } = [];

    /// <exception cref="DockerfileException">A line cannot be split, or a heredoc does not end.</exception>
    internal IEnumerable<RawNode> Read()
    {
        // Text that ends in a newline has no line behind it.
        int count = _lines[^1].Length == 0 ? _lines.Length - 1 : _lines.Length;
        while (_at < count)
        {
            int start = _at;
            if (ReadContinued(count) is not { } line)
            {
                continue;
            }
            RawNode node = ReadNode(line, start, count);
            yield return node with { Span = new SourceSpan(_file, start + 1, _at) };
        }
    }

    /// <summary>Whether a word announces a document.</summary>
    internal static bool TryReadMarker(string word, out string name, out bool trimTabs, out bool expand)
    {
        HeredocMarker? marker = null;
        try
        {
            marker = HeredocMarker.Parse(word);
        }
        catch (FormatException)
        {
            // a word with an open quote announces nothing
        }
        (name, trimTabs, expand) = (marker?.Name ?? "", marker?.Chomp ?? false, marker?.Expand ?? true);
        return marker is not null;
    }

    // Directives end at the first line that is none, be it empty.
    private ImmutableArray<Directive> ReadDirectives()
    {
        ImmutableArray<Directive>.Builder found = ImmutableArray.CreateBuilder<Directive>();
        for (int i = 0; i < _lines.Length && TryReadDirective(_lines[i].Trim(), out string name, out string value); i++)
        {
            var span = new SourceSpan(_file, i + 1, i + 1);
            if (found.Any(d => d.Name == name))
            {
                throw new DockerfileException(span, $"only one {name} parser directive can be used");
            }
            if (name == "escape")
            {
                Escape = value is "\\" or "`" ? value[0]
                    : throw new DockerfileException(span, $"invalid escape token '{value}' does not match ` or \\") { Hint = "write: # escape=`" };
            }
            found.Add(new Directive(name, value, span));
        }
        return found.ToImmutable();
    }

    private static bool TryReadDirective(string line, out string name, out string value)
    {
        int equals = line.IndexOf('=', StringComparison.Ordinal);
        name = equals > 0 && line[0] == '#' ? line[1..equals].Trim().ToLowerInvariant() : "";
        value = equals < 0 ? "" : line[(equals + 1)..].Trim();
        return name is "escape" or "syntax" or "check" && value.Length > 0;
    }

    // Null where the line at hand is a comment or empty.
    private string? ReadContinued(int count)
    {
        string line = _lines[_at++].TrimEnd('\r').TrimStart();
        if (line.StartsWith('#') || !TryContinue(ref line))
        {
            return line.StartsWith('#') || line.Length == 0 ? null : line;
        }
        var text = new StringBuilder(line);
        bool anyEmpty = false;
        for (bool more = true; more && _at < count;)
        {
            line = _lines[_at++].TrimEnd('\r');
            ReadOnlySpan<char> shown = line.AsSpan().TrimStart();
            anyEmpty |= shown.IsEmpty;
            if (!shown.IsEmpty && shown[0] != '#')
            {
                more = TryContinue(ref line);
                text.Append(line);
            }
        }
        if (anyEmpty)
        {
            // BuildKit names the instruction's last line; so do we, that both say the same.
            Warnings.Add(new DockerfileWarning(new SourceSpan(_file, _at, _at), nameof(NoEmptyContinuation), "Empty continuation line"));
        }
        return text.ToString();
    }

    // The escape character at the end of a line joins the next to it; twice, it is itself.
    private bool TryContinue(ref string line)
    {
        ReadOnlySpan<char> end = line.AsSpan().TrimEnd(" \t");
        if (end.IsEmpty || end[^1] != Escape || (end.Length > 1 && end[^2] == Escape))
        {
            return false;
        }
        line = end[..^1].ToString();
        return true;
    }

    private RawNode ReadNode(string line, int start, int count)
    {
        try
        {
            RawNode node = NodeReader.Read(line, Escape);
            if (!node.CanHoldHeredocs || !line.Contains("<<", StringComparison.Ordinal))
            {
                return node;
            }
            ImmutableArray<RawHeredoc>.Builder documents = ImmutableArray.CreateBuilder<RawHeredoc>();
            foreach (HeredocMarker marker in HeredocMarker.FindAll(line))
            {
                documents.Add(new RawHeredoc(marker, ReadDocument(marker, start, count)));
            }
            return node with { Heredocs = documents.ToImmutable() };
        }
        catch (FormatException e)
        {
            throw new DockerfileException(new SourceSpan(_file, start + 1, _at), e.Message) { Hint = HintFor(line, e.Message) };
        }
    }

    private string ReadDocument(HeredocMarker marker, int start, int count)
    {
        var content = new StringBuilder();
        while (_at < count)
        {
            string line = _lines[_at++];
            string end = line.TrimEnd('\r');
            if ((marker.Chomp ? end.TrimStart('\t') : end) == marker.Name)
            {
                return content.ToString();
            }
            content.Append(line).Append('\n');
        }
        throw new DockerfileException(new SourceSpan(_file, start + 1, _at), "unterminated heredoc") { Hint = $"a line that is only {marker.Name} ends it" };
    }

    private static string? HintFor(string line, string message)
    {
        (string keyword, string? rest) = Words.Head(line.Trim());
        return message switch
        {
            _ when message.EndsWith("must have two arguments", StringComparison.Ordinal) => $"write: {keyword} {rest}=VALUE",
            _ when message.StartsWith("Syntax error - can't find =", StringComparison.Ordinal) => $"quote values that have blanks: {keyword} NAME=\"a b\"",
            _ when message.StartsWith("when using JSON", StringComparison.Ordinal) => $"write: {keyword} [\"word\", \"word\"]",
            _ => null,
        };
    }
}
