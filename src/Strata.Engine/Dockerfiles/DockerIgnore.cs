namespace Strata.Dockerfiles;

/// <summary>
/// Which files of a build context do not count (Dockerfile reference, ".dockerignore file"): patterns with <c>*</c>, <c>?</c>, <c>[…]</c>,
/// <c>**</c> over any number of folders, <c>!</c> to bring back; the last pattern that matches a path or a folder above it decides.
/// Matching takes time in proportion to pattern × path, whatever the pattern.
/// </summary>
public sealed class DockerIgnore
{
    private readonly IgnorePattern[] _patterns;
    private readonly DockerIgnore? _also;

    private DockerIgnore(IgnorePattern[] patterns, DockerIgnore? also = null) => (_patterns, _also) = (patterns, also);

    /// <summary>Reads the lines of a .dockerignore file: comments, blanks, a leading <c>/</c> or <c>./</c> go.</summary>
    /// <exception cref="FormatException">A pattern is malformed; says which.</exception>
    public static DockerIgnore Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var patterns = new List<string>();
        foreach (string raw in (text.StartsWith('\uFEFF') ? text[1..] : text).Split('\n'))
        {
            string line = raw.Trim();
            if (raw.StartsWith('#') || line.Length == 0)
            {
                continue;
            }
            bool exception = line.StartsWith('!');
            string pattern = exception ? line[1..].Trim() : line;
            pattern = pattern.Length > 0 ? Clean(pattern) : pattern;
            patterns.Add((exception ? "!" : "") + (pattern.Length > 1 && pattern[0] == '/' ? pattern[1..] : pattern));
        }
        return FromPatterns(patterns);
    }

    /// <summary>Takes patterns that are no lines of a file (<c>COPY --exclude</c>): a <c>#</c> is a character, a leading <c>/</c> stays.</summary>
    /// <exception cref="FormatException">A pattern is malformed; says which.</exception>
    public static DockerIgnore FromPatterns(IEnumerable<string> patterns)
    {
        ArgumentNullException.ThrowIfNull(patterns);
        return new DockerIgnore([.. patterns.Select(p => p.Trim()).Where(p => p.Length > 0).Select(p => IgnorePattern.Parse(Clean(p)))]);
    }

    /// <summary>Hides what either hides.</summary>
    public static DockerIgnore Combine(DockerIgnore? first, DockerIgnore second)
    {
        ArgumentNullException.ThrowIfNull(second);
        return first is null ? second : new DockerIgnore(second._patterns, first);
    }

    /// <summary>Whether a path (relative to the context, without <c>.</c> and <c>..</c>) is left out.</summary>
    public bool IsIgnored(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return IsHidden(path) || (_also?.IsIgnored(path) ?? false);
    }

    /// <summary>
    /// Whether something in a directory may count, though the directory is left out: a walk may pass it by where this is false.
    /// </summary>
    public bool MayContainIncluded(string directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        return (!IsHidden(directory) || _patterns.Any(p => p.IsException && p.MayMatchBelow(directory))) && (_also?.MayContainIncluded(directory) ?? true);
    }

    private bool IsHidden(string path)
    {
        bool hidden = false;
        foreach (IgnorePattern pattern in _patterns)
        {
            // A pattern that could only say again what holds is not asked.
            if (pattern.IsException == hidden && pattern.MatchesPathOrParent(path))
            {
                hidden = !pattern.IsException;
            }
        }
        return hidden;
    }

    // As Go's path.Clean.
    private static string Clean(string pattern)
    {
        bool rooted = pattern.StartsWith('/');
        var parts = new List<string>();
        foreach (string part in pattern.Split('/'))
        {
            if (part == ".." && parts.Count > 0 && parts[^1] != "..")
            {
                parts.RemoveAt(parts.Count - 1);
            }
            else if (part == ".." ? !rooted : part is not ("" or "."))
            {
                parts.Add(part);
            }
        }
        string joined = string.Join('/', parts);
        return rooted ? "/" + joined : parts.Count == 0 ? "." : joined;
    }
}
