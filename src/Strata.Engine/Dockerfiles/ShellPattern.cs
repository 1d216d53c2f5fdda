using System.Text;

namespace Strata.Dockerfiles;

/// <summary>
/// The pattern of <c>${x#p}</c> and <c>${x/p/r}</c>: <c>*</c> any run, <c>?</c> one character, backslash before what is meant as it is.
/// Matching walks all possible ends at once, so that no pattern can make it explode.
/// </summary>
internal sealed class ShellPattern
{
    private const char AnyRun = '\uFFFE', AnyOne = '\uFFFF'; // no characters

    private readonly char[] _tokens;

    private ShellPattern(char[] tokens) => _tokens = tokens;

    /// <exception cref="FormatException">A backslash before what needs none.</exception>
    internal static ShellPattern Parse(string pattern)
    {
        var tokens = new List<char>(pattern.Length);
        for (int i = 0; i < pattern.Length; i++)
        {
            char c = pattern[i];
            if (c == '\\')
            {
                if (i + 1 < pattern.Length && pattern[i + 1] is '}' or '/')
                {
                    continue; // hidden from ${}; the pattern never sees this backslash
                }
                if (i + 1 >= pattern.Length || pattern[i + 1] is not ('*' or '?' or '\\'))
                {
                    throw new FormatException($"invalid pattern ({pattern}) in substitution: invalid escape '\\{(i + 1 < pattern.Length ? pattern[i + 1] : "")}'");
                }
                tokens.Add(pattern[++i]);
                continue;
            }
            tokens.Add(c switch { '*' => AnyRun, '?' => AnyOne, _ => c });
        }
        return new ShellPattern([.. tokens]);
    }

    internal string TrimStart(string value, bool longest) => value[Math.Max(0, MatchAt(_tokens, value, longest))..];

    internal string TrimEnd(string value, bool longest)
    {
        char[] tokens = [.. _tokens.Reverse()], reversed = [.. value.Reverse()];
        return value[..^Math.Max(0, MatchAt(tokens, reversed, longest))];
    }

    internal string Replace(string value, string with, bool all)
    {
        var result = new StringBuilder();
        int copied = 0, from = 0;
        while (from <= value.Length && FindFrom(value, from) is (int start, int length))
        {
            result.Append(value, copied, start - copied);
            int end = start + length;
            // An empty match right behind another one is none.
            if (end > copied || start == 0)
            {
                result.Append(with);
            }
            copied = end;
            from = Math.Max(from + 1, end);
            if (!all)
            {
                break;
            }
        }
        return result.Append(value, copied, value.Length - copied).ToString();
    }

    private (int Start, int Length)? FindFrom(string value, int from)
    {
        for (int start = from; start <= value.Length; start++)
        {
            int length = MatchAt(_tokens, value.AsSpan(start), longest: true);
            if (length >= 0)
            {
                return (start, length);
            }
        }
        return null;
    }

    // The length of the longest or shortest match at the start; -1 where there is none.
    private static int MatchAt(ReadOnlySpan<char> tokens, ReadOnlySpan<char> text, bool longest)
    {
        bool[] ends = new bool[text.Length + 1];
        ends[0] = true;
        int first = 0, last = 0; // where ends may be true
        foreach (char token in tokens)
        {
            if (token == AnyRun)
            {
                for (int i = first + 1; i <= text.Length; i++)
                {
                    ends[i] |= ends[i - 1] && text[i - 1] != '\n';
                }
                last = text.Length;
                continue;
            }
            last = Math.Min(last + 1, text.Length);
            for (int i = last; i > first; i--)
            {
                ends[i] = ends[i - 1] && (token == AnyOne ? text[i - 1] != '\n' : token == text[i - 1]);
            }
            ends[first++] = false;
            if (first > text.Length)
            {
                return -1;
            }
        }
        ReadOnlySpan<bool> found = ends.AsSpan(first, last - first + 1);
        int at = longest ? found.LastIndexOf(true) : found.IndexOf(true);
        return at < 0 ? -1 : first + at;
    }
}
