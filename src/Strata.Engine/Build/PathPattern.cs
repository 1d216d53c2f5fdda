using Strata.Linux;

namespace Strata.Build;

/// <summary>The wildcards of COPY and ADD: Go's filepath.Match (<c>*</c>, <c>?</c>, <c>[a-z]</c>, <c>[^a-z]</c>, <c>\x</c>), one path component at a time.</summary>
internal static class PathPattern
{
    internal static bool HasWildcard(string pattern) => pattern.AsSpan().IndexOfAny("*?[\\") >= 0;

    /// <summary>The paths below the walker's root that match, in order; those the ignore rules hide are left out.</summary>
    internal static IEnumerable<string> Expand(TreeWalker tree, string pattern)
    {
        IEnumerable<string> found = [""];
        foreach (string component in pattern.Split('/'))
        {
            found = found.SelectMany(path => Step(tree, path, component)).ToList();
        }
        return found.Where(path => !tree.IsHidden(path) && tree.Root.TryGetStatus(path) is not null);
    }

    private static IEnumerable<string> Step(TreeWalker tree, string directory, string component)
    {
        string prefix = directory.Length == 0 ? "" : directory + "/";
        if (!HasWildcard(component))
        {
            return [prefix + component];
        }
        if (directory.Length > 0 && tree.Root.TryGetStatus(directory, follow: true) is not { Kind: FileKind.Directory })
        {
            return [];
        }
        return tree.Root.GetNames(directory).Order(Comparer<string>.Create(LinuxPath.Compare)).Where(name => Matches(component, name)).Select(name => prefix + name);
    }

    /// <summary>Whether one component matches. A malformed pattern (an open bracket) matches only itself.</summary>
    internal static bool Matches(ReadOnlySpan<char> pattern, ReadOnlySpan<char> name)
    {
        int p = 0, n = 0, starPattern = -1, starName = 0;
        while (n < name.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                (starPattern, starName) = (p++, n);
            }
            else if (p < pattern.Length && MatchesOne(pattern, ref p, name[n]))
            {
                n++;
            }
            else if (starPattern >= 0)
            {
                p = starPattern + 1;
                n = ++starName;
            }
            else
            {
                return false;
            }
        }
        return pattern[p..].TrimStart('*').IsEmpty;
    }

    private static bool MatchesOne(ReadOnlySpan<char> pattern, ref int p, char c)
    {
        int at = p;
        bool matches;
        switch (pattern[at])
        {
            case '?':
                matches = true;
                at++;
                break;
            case '[' when pattern[(at + 1)..].IndexOf(']') > 0:
                matches = MatchesSet(pattern, ref at, c);
                break;
            case '\\' when at + 1 < pattern.Length:
                matches = pattern[at + 1] == c;
                at += 2;
                break;
            default:
                matches = pattern[at++] == c;
                break;
        }
        if (matches)
        {
            p = at;
        }
        return matches;
    }

    private static bool MatchesSet(ReadOnlySpan<char> pattern, ref int at, char c)
    {
        int i = at + 1;
        bool negated = pattern[i] == '^';
        i += negated ? 1 : 0;
        bool inSet = false;
        while (i < pattern.Length && pattern[i] != ']')
        {
            char low = Literal(pattern, ref i);
            char high = low;
            if (i + 1 < pattern.Length && pattern[i] == '-' && pattern[i + 1] != ']')
            {
                i++;
                high = Literal(pattern, ref i);
            }
            inSet |= low <= c && c <= high;
        }
        at = i + 1;
        return inSet != negated;
    }

    private static char Literal(ReadOnlySpan<char> pattern, ref int i)
    {
        if (pattern[i] == '\\' && i + 1 < pattern.Length)
        {
            i++;
        }
        return pattern[i++];
    }
}
