namespace Strata.Dockerfiles;

/// <summary>
/// One pattern of a <see cref="DockerIgnore"/>, compiled. Most are plain paths or start or end in <c>**</c>: those are compared, the rest
/// is matched token by token, all positions of the path at once, so that nothing is ever tried twice.
/// The corner cases are those of moby's patternmatcher: <c>**x</c> ends any path in x, <c>a**</c> starts any, <c>[^a]</c> may be a slash.
/// </summary>
internal sealed class IgnorePattern
{
    private enum Shape
    {
        Exact,
        Prefix,
        Suffix,
        Tokens,
    }

    private enum Kind
    {
        Literal,
        AnyCharacter,
        Star,          // any run without a slash
        Folders,       // **/ : nothing, or anything that ends in a slash
        Everything,    // ** at the end
        Set,
    }

    private readonly record struct Token(Kind Kind, char Character = '\0', ClassSet? Set = null);

    private readonly Shape _shape;
    private readonly string _text; // what is compared; for tokens the literal start
    private readonly Token[] _tokens;

    private IgnorePattern(Shape shape, string text, Token[] tokens, bool isException) => (_shape, _text, _tokens, IsException) = (shape, text, tokens, isException);

    internal bool IsException { get; }

    /// <summary>Compiles a clean pattern.</summary>
    /// <exception cref="FormatException">A bracket is open or empty, a range upside down, or the pattern only <c>!</c>.</exception>
    internal static IgnorePattern Parse(string pattern)
    {
        bool exception = pattern.StartsWith('!');
        if (pattern == "!")
        {
            throw new FormatException("illegal exclusion pattern: \"!\"");
        }
        string text = exception ? pattern[1..] : pattern;
        Token[] tokens = [.. Tokens(text)];
        string literal = string.Concat(tokens.TakeWhile(t => t.Kind == Kind.Literal).Select(t => t.Character));
        bool plain = !text.AsSpan().ContainsAny("*?[]\\");
        string inner = text.Trim('*');
        bool plainInside = !inner.AsSpan().ContainsAny("*?[]\\");
        return plain ? new IgnorePattern(Shape.Exact, text, tokens, exception)
            : plainInside && text == inner + "**" ? new IgnorePattern(Shape.Prefix, inner, tokens, exception)
            : plainInside && text == "**" + inner ? new IgnorePattern(Shape.Suffix, inner, tokens, exception)
            : new IgnorePattern(Shape.Tokens, literal, tokens, exception);
    }

    internal bool MatchesPathOrParent(string path) => _shape switch
    {
        Shape.Exact => path.StartsWith(_text, StringComparison.Ordinal) && (path.Length == _text.Length || path[_text.Length] == '/'),
        Shape.Prefix => path.StartsWith(_text, StringComparison.Ordinal),
        Shape.Suffix => EndsAtPathOrParent(path),
        _ => path.StartsWith(_text, StringComparison.Ordinal) && Matches(path, below: false),
    };

    /// <summary>Whether it may match something below a directory.</summary>
    internal bool MayMatchBelow(string directory)
    {
        string start = directory + "/";
        return MatchesPathOrParent(directory) || _shape switch
        {
            Shape.Exact => _text.StartsWith(start, StringComparison.Ordinal),
            Shape.Prefix => _text.StartsWith(start, StringComparison.Ordinal) || start.StartsWith(_text, StringComparison.Ordinal),
            Shape.Suffix => true,
            _ => Matches(start, below: true),
        };
    }

    private bool EndsAtPathOrParent(string path)
    {
        for (int end = path.Length; end >= 0; end = end == 0 ? -1 : path.LastIndexOf('/', end - 1))
        {
            ReadOnlySpan<char> part = path.AsSpan(0, end);
            if (part.EndsWith(_text) || (_text.StartsWith('/') && part.SequenceEqual(_text.AsSpan(1))))
            {
                return true;
            }
        }
        return false;
    }

    // ends[i]: the tokens so far can have consumed the first i characters.
    private bool Matches(string path, bool below)
    {
        Span<bool> ends = path.Length < 512 ? stackalloc bool[path.Length + 1] : new bool[path.Length + 1];
        ends.Clear();
        ends[0] = true;
        for (int t = 0; t < _tokens.Length; t++)
        {
            Advance(ends, path, _tokens[t]);
            // All of the directory is consumed, and something may follow.
            if (below && ends[^1] && (t + 1 < _tokens.Length || _tokens[t].Kind is Kind.Star or Kind.Folders or Kind.Everything))
            {
                return true;
            }
        }
        for (int i = 0; i <= path.Length && !below; i++)
        {
            if (ends[i] && (i == path.Length || path[i] == '/'))
            {
                return true;
            }
        }
        return false;
    }

    private static void Advance(Span<bool> ends, string path, Token token)
    {
        switch (token.Kind)
        {
            case Kind.Star:
                for (int i = 1; i <= path.Length; i++)
                {
                    ends[i] |= ends[i - 1] && path[i - 1] != '/';
                }
                break;
            case Kind.Everything:
                for (int i = 1; i <= path.Length; i++)
                {
                    ends[i] |= ends[i - 1];
                }
                break;
            case Kind.Folders:
                bool reached = false;
                for (int i = 0; i <= path.Length; i++)
                {
                    bool here = ends[i];
                    ends[i] |= reached && path[i - 1] == '/';
                    reached |= here;
                }
                break;
            case Kind.Literal:
                for (int i = path.Length; i > 0; i--)
                {
                    ends[i] = ends[i - 1] && path[i - 1] == token.Character;
                }
                ends[0] = false;
                break;
            default:
                for (int i = path.Length; i > 0; i--)
                {
                    // A character may be two of .NET's.
                    bool pair = i > 1 && char.IsSurrogatePair(path[i - 2], path[i - 1]);
                    int width = pair ? 2 : 1;
                    int character = pair ? char.ConvertToUtf32(path[i - 2], path[i - 1]) : path[i - 1];
                    ends[i] = ends[i - width] && (token.Set is { } set ? set.Contains(character) : character != '/');
                }
                ends[0] = false;
                break;
        }
    }

    private static IEnumerable<Token> Tokens(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            switch (text[i])
            {
                case '*' when i + 1 < text.Length && text[i + 1] == '*':
                    i++;
                    i += i + 1 < text.Length && text[i + 1] == '/' ? 1 : 0;
                    yield return new Token(i + 1 >= text.Length ? Kind.Everything : Kind.Folders);
                    break;
                case '*':
                    yield return new Token(Kind.Star);
                    break;
                case '?':
                    yield return new Token(Kind.AnyCharacter);
                    break;
                case '[':
                    (ClassSet set, i) = ClassSet.Parse(text, i);
                    yield return new Token(Kind.Set, Set: set);
                    break;
                case '\\':
                    yield return new Token(Kind.Literal, i + 1 < text.Length ? text[++i] : throw ClassSet.Malformed(text));
                    break;
                default:
                    yield return new Token(Kind.Literal, text[i]);
                    break;
            }
        }
    }

    /// <summary><c>[a-z]</c>, <c>[^a]</c>, <c>[\]]</c>: grammar of Go's path.Match.</summary>
    private sealed class ClassSet
    {
        private readonly List<(int Low, int High)> _ranges = [];
        private bool _negated;

        internal bool Contains(int character) => _ranges.Any(r => r.Low <= character && character <= r.High) != _negated;

        internal static FormatException Malformed(string text) => new($"syntax error in pattern \"{text}\"");

        /// <returns>The set, and where its closing bracket is.</returns>
        internal static (ClassSet Set, int End) Parse(string text, int open)
        {
            var set = new ClassSet();
            int at = open + 1;
            if (at < text.Length && text[at] == '^')
            {
                set._negated = true;
                at++;
            }
            while (set._ranges.Count == 0 || at >= text.Length || text[at] != ']')
            {
                int low = Character(text, ref at), high = low;
                if (at < text.Length && text[at] == '-')
                {
                    at++;
                    high = Character(text, ref at);
                }
                set._ranges.Add(low <= high ? (low, high) : throw Malformed(text));
            }
            return (set, at);
        }

        private static int Character(string text, ref int at)
        {
            if (at >= text.Length || text[at] is '-' or ']')
            {
                throw Malformed(text);
            }
            at += text[at] == '\\' ? 1 : 0;
            if (at >= text.Length)
            {
                throw Malformed(text);
            }
            int character = char.IsSurrogatePair(text, at) ? char.ConvertToUtf32(text, at) : text[at];
            at += character > char.MaxValue ? 2 : 1;
            return character;
        }
    }
}
