using System.Text;

namespace Strata.Dockerfiles;

/// <summary>The three ways in which instructions split their text.</summary>
internal static class Words
{
    // What separates the words of an instruction; other blanks of Unicode do not.
    private const string Blanks = "\t\v\f\r ";

    /// <summary>At runs of blanks, whatever quotes say: EXPOSE, FROM, and COPY without JSON.</summary>
    internal static List<string> AtBlanks(string text)
    {
        var words = new List<string>();
        ReadOnlySpan<char> rest = text;
        while (!rest.IsEmpty)
        {
            int end = rest.IndexOfAny(Blanks);
            words.Add((end < 0 ? rest : rest[..end]).ToString());
            rest = end < 0 ? default : rest[end..];
            int start = rest.IndexOfAnyExcept(Blanks);
            rest = start < 0 ? default : rest[start..];
        }
        return words;
    }

    /// <summary>The first word and what is behind it.</summary>
    internal static (string First, string? Behind) Head(string text)
    {
        int end = text.AsSpan().IndexOfAny(Blanks);
        if (end < 0)
        {
            return (text, null);
        }
        int start = text.AsSpan(end).IndexOfAnyExcept(Blanks);
        return (text[..end], start < 0 ? "" : text[(end + start)..]);
    }

    /// <summary>At blanks outside quotes; quotes and escapes stay in the words: ENV, LABEL, ARG.</summary>
    internal static List<string> Split(string text, char escape)
    {
        var words = new List<string>();
        var word = new StringBuilder();
        char quote = '\0';
        bool quoted = false; // an empty word counts where it has quotes
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (quote == '\0' && char.IsWhiteSpace(c))
            {
                EndWord();
                continue;
            }
            if (quote == c)
            {
                quote = '\0';
            }
            else if (quote == '\0' && c is '"' or '\'')
            {
                (quote, quoted) = (c, true);
            }
            if (c == escape && quote != '\'')
            {
                if (i + 1 == text.Length)
                {
                    break; // at the end it escapes nothing, and goes
                }
                word.Append(c);
                c = text[++i];
            }
            word.Append(c);
        }
        EndWord();
        return words;

        void EndWord()
        {
            if (quoted || word.Length > 0)
            {
                words.Add(word.ToString());
            }
            word.Clear();
            quoted = false;
        }
    }

    /// <summary>Takes the words that start with <c>--</c> off the front; quotes in them go. <c>--</c> alone ends them.</summary>
    internal static (List<string> Flags, string Behind) TakeFlags(string text)
    {
        var flags = new List<string>();
        int at = 0;
        while (true)
        {
            while (at < text.Length && char.IsWhiteSpace(text[at]))
            {
                at++;
            }
            if (!text.AsSpan(at).StartsWith("--"))
            {
                return (flags, text[at..]);
            }
            (string flag, at) = ReadFlag(text, at);
            if (flag == "--")
            {
                return (flags, text[at..]);
            }
            flags.Add(flag);
        }
    }

    // Here backslash escapes, whatever the file's escape character is.
    private static (string Flag, int End) ReadFlag(string text, int at)
    {
        var flag = new StringBuilder();
        char quote = '\0';
        for (; at < text.Length; at++)
        {
            char c = text[at];
            if (quote == '\0' && char.IsWhiteSpace(c))
            {
                break;
            }
            if (c == quote)
            {
                quote = '\0';
            }
            else if (quote == '\0' && c is '"' or '\'')
            {
                quote = c;
            }
            else if (c != '\\')
            {
                flag.Append(c);
            }
            else if (at + 1 < text.Length)
            {
                flag.Append(text[++at]);
            }
        }
        return (flag.ToString(), at);
    }
}
