using System.Text;

namespace Strata.Dockerfiles.Lint;

/// <summary><c>ENV name value</c>: reads like two names and takes one only. The parser finds it; this writes it anew.</summary>
internal static class LegacyKeyValueFormat
{
    /// <summary>The rest of a line as one word that means the same.</summary>
    internal static string Quote(string value, char escape)
    {
        if (!value.AsSpan().ContainsAny(" \t"))
        {
            return value;
        }
        if (!value.AsSpan().ContainsAny("\"'") && !value.Contains(escape, StringComparison.Ordinal))
        {
            return $"\"{value}\"";
        }
        // Quotes mean the same in both forms; only blanks outside them do not.
        var word = new StringBuilder();
        char quote = '\0';
        for (int i = 0; i < value.Length; i++)
        {
            char c = value[i];
            if (c == quote)
            {
                quote = '\0';
            }
            else if (quote == '\0' && c is '"' or '\'')
            {
                quote = c;
            }
            else if (c == escape && quote != '\'' && i + 1 < value.Length)
            {
                word.Append(c);
                c = value[++i];
            }
            else if (quote == '\0' && char.IsWhiteSpace(c))
            {
                word.Append(escape);
            }
            word.Append(c);
        }
        return word.ToString();
    }
}
