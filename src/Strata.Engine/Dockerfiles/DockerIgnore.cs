namespace Strata.Dockerfiles;

/// <summary>
/// Which files of a build context do not count (Dockerfile reference, ".dockerignore file"): patterns with <c>*</c>, <c>?</c>, <c>[…]</c>,
/// <c>**</c> over any number of folders, <c>!</c> to bring back; the last pattern that matches a path or a folder above it decides.
/// Matching takes time in proportion to pattern × path, whatever the pattern.
/// </summary>
public sealed class DockerIgnore
{
    private readonly Pattern[] _patterns;
    private readonly DockerIgnore? _also;
    private readonly bool _hasExceptions;

    private DockerIgnore(Pattern[] patterns, DockerIgnore? also = null)
        => (_patterns, _also, _hasExceptions) = (patterns, also, patterns.Any(p => p.IsException));

    /// <summary>Reads the lines of a .dockerignore file.</summary>
    /// <exception cref="FormatException">A pattern has an open bracket.</exception>
    public static DockerIgnore Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var patterns = new List<Pattern>();
        foreach (string raw in text.TrimStart('\uFEFF').Split('\n'))
        {
            if (raw.StartsWith('#'))
            {
                continue;
            }
            string line = raw.Trim();
            bool exception = line.StartsWith('!');
            line = exception ? line[1..].Trim() : line;
            if (line.Length > 0)
            {
                patterns.Add(new Pattern(Clean(line), exception));
            }
        }
        return new DockerIgnore([.. patterns]);
    }

    /// <summary>Hides what either hides.</summary>
    public static DockerIgnore Combine(DockerIgnore? first, DockerIgnore second)
    {
        ArgumentNullException.ThrowIfNull(second);
        return first is null ? second : new DockerIgnore(second._patterns, first);
    }

    /// <summary>Whether a path (relative, clean) is left out.</summary>
    public bool IsIgnored(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        bool ignored = false;
        foreach (Pattern pattern in _patterns)
        {
            // A pattern that could only say again what holds is not asked.
            if (pattern.IsException == ignored && pattern.MatchesOrParent(path))
            {
                ignored = !pattern.IsException;
            }
        }
        return ignored || (_also?.IsIgnored(path) ?? false);
    }

    /// <summary>Whether something below a directory that is left out may be brought back.</summary>
    public bool MayContainIncluded(string directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        return _hasExceptions || (_also?._hasExceptions ?? false);
    }

    // As Go's filepath.Clean, relative to the context's root.
    private static string Clean(string pattern)
    {
        var parts = new List<string>();
        foreach (string part in pattern.Split('/'))
        {
            if (part == ".." && parts.Count > 0 && parts[^1] != "..")
            {
                parts.RemoveAt(parts.Count - 1);
            }
            else if (part == ".." && pattern.StartsWith('/'))
            {
                continue;
            }
            else if (part is not ("" or "."))
            {
                parts.Add(part);
            }
        }
        return parts.Count == 0 ? "." : string.Join('/', parts);
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

    private readonly record struct Token(Kind Kind, char Character = '\0', string? Set = null);

    private sealed class Pattern
    {
        private readonly Token[] _tokens;

        internal Pattern(string text, bool isException)
        {
            IsException = isException;
            _tokens = [.. Tokens(text)];
        }

        internal bool IsException { get; }

        internal bool MatchesOrParent(string path)
        {
            if (Matches(path))
            {
                return true;
            }
            for (int slash = path.LastIndexOf('/'); slash > 0; slash = path.LastIndexOf('/', slash - 1))
            {
                if (Matches(path.AsSpan(0, slash)))
                {
                    return true;
                }
            }
            return false;
        }

        // All ends that the tokens so far can reach, position by position: no backtracking.
        private bool Matches(ReadOnlySpan<char> path)
        {
            Span<bool> now = path.Length < 512 ? stackalloc bool[path.Length + 1] : new bool[path.Length + 1];
            now[0] = true;
            foreach (Token token in _tokens)
            {
                switch (token.Kind)
                {
                    case Kind.Star:
                        for (int i = 1; i <= path.Length; i++)
                        {
                            now[i] |= now[i - 1] && path[i - 1] != '/';
                        }
                        break;
                    case Kind.Everything:
                        for (int i = 1; i <= path.Length; i++)
                        {
                            now[i] |= now[i - 1];
                        }
                        break;
                    case Kind.Folders:
                        bool reached = false;
                        for (int i = 0; i <= path.Length; i++)
                        {
                            bool here = now[i];
                            now[i] |= reached && path[i - 1] == '/';
                            reached |= here;
                        }
                        break;
                    default:
                        for (int i = path.Length; i > 0; i--)
                        {
                            now[i] = now[i - 1] && MatchesOne(token, path[i - 1]);
                        }
                        now[0] = false;
                        break;
                }
            }
            return now[path.Length];
        }

        private static bool MatchesOne(Token token, char c) => token.Kind switch
        {
            Kind.Literal => token.Character == c,
            Kind.AnyCharacter => c != '/',
            _ => InSet(token.Set!, c),
        };

        private static bool InSet(string set, char c)
        {
            bool negated = set.StartsWith('^');
            bool found = false;
            for (int i = negated ? 1 : 0; i < set.Length; i++)
            {
                char low = set[i] == '\\' && i + 1 < set.Length ? set[++i] : set[i];
                char high = low;
                if (i + 2 < set.Length && set[i + 1] == '-')
                {
                    i += 2;
                    high = set[i] == '\\' && i + 1 < set.Length ? set[++i] : set[i];
                }
                found |= low <= c && c <= high;
            }
            return found != negated && c != '/';
        }

        private static IEnumerable<Token> Tokens(string text)
        {
            for (int i = 0; i < text.Length; i++)
            {
                switch (text[i])
                {
                    case '*' when i + 1 < text.Length && text[i + 1] == '*':
                        i++;
                        if (i + 1 < text.Length && text[i + 1] == '/')
                        {
                            i++;
                        }
                        yield return new Token(i + 1 >= text.Length ? Kind.Everything : Kind.Folders);
                        break;
                    case '*':
                        yield return new Token(Kind.Star);
                        break;
                    case '?':
                        yield return new Token(Kind.AnyCharacter);
                        break;
                    case '[':
                        int end = text.IndexOf(']', i + 1);
                        if (end < 0)
                        {
                            throw new FormatException($"syntax error in pattern \"{text}\": an open bracket");
                        }
                        yield return new Token(Kind.Set, Set: text[(i + 1)..end]);
                        i = end;
                        break;
                    case '\\' when i + 1 < text.Length:
                        yield return new Token(Kind.Literal, text[++i]);
                        break;
                    default:
                        yield return new Token(Kind.Literal, text[i]);
                        break;
                }
            }
        }
    }
}
