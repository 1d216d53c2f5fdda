namespace Strata.Server.Registry;

/// <summary>Patterns of names: <c>*</c> stands for anything within a component, <c>**</c> for anything, all else for itself.</summary>
internal static class Glob
{
    public static bool IsMatch(ReadOnlySpan<char> pattern, ReadOnlySpan<char> text)
    {
        while (true)
        {
            if (pattern.IsEmpty)
            {
                return text.IsEmpty;
            }
            if (pattern[0] == '*')
            {
                bool isDeep = pattern.Length > 1 && pattern[1] == '*';
                ReadOnlySpan<char> rest = pattern[(isDeep ? 2 : 1)..];
                if (isDeep && rest.IsEmpty)
                {
                    return true;
                }
                for (int taken = 0; taken <= text.Length; taken++)
                {
                    if (IsMatch(rest, text[taken..]))
                    {
                        return true;
                    }
                    if (taken < text.Length && text[taken] == '/' && !isDeep)
                    {
                        return false;
                    }
                }
                return false;
            }
            if (text.IsEmpty || text[0] != pattern[0])
            {
                return false;
            }
            pattern = pattern[1..];
            text = text[1..];
        }
    }

    /// <summary>More stars than anybody writes would cost time that grows with their number's power.</summary>
    public static bool IsFit(string pattern) => pattern.Length is > 0 and <= 255 && pattern.Replace("**", "*", StringComparison.Ordinal).Count(c => c == '*') <= 4;
}
