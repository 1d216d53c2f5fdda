using System.Globalization;
using System.Text;

namespace Strata.Cli.Output;

/// <summary>
/// Text from outside (names in archives, labels, authors, answers of registries) as it may be shown on a terminal: control characters (C0, C1, DEL),
/// marks that turn the direction of writing, and halves of surrogate pairs are written as escapes.
/// </summary>
internal static class SafeText
{
    /// <summary>Escapes all of that, line ends too: the result is one line.</summary>
    internal static string Escape(string? text) => EscapeAll(text, keepLines: false);

    /// <summary>The same, but line feeds and tabs stay.</summary>
    internal static string Lines(string? text) => EscapeAll(text, keepLines: true);

    /// <summary>A text as one line: each line end is a blank.</summary>
    internal static string OneLine(string text) => text.Contains('\n') || text.Contains('\r') ? text.ReplaceLineEndings(" ") : text;

    private static string EscapeAll(string? text, bool keepLines)
    {
        if (string.IsNullOrEmpty(text))
        {
            return "";
        }
        int first = 0;
        while (first < text.Length && !IsUnsafe(text, first, keepLines))
        {
            first++;
        }
        return first == text.Length ? text : EscapeFrom(first, text, keepLines);
    }

    private static string EscapeFrom(int first, string text, bool keepLines)
    {
        StringBuilder safe = new(text, 0, first, text.Length + 16);
        for (int i = first; i < text.Length; i++)
        {
            char c = text[i];
            if (!IsUnsafe(text, i, keepLines))
            {
                safe.Append(c);
                continue;
            }
            _ = c switch
            {
                '\n' => safe.Append("\\n"),
                '\r' => safe.Append("\\r"),
                '\t' => safe.Append("\\t"),
                // A byte of a file name that is no UTF-8 (see LinuxPath).
                >= '\uDC80' and <= '\uDCFF' => safe.Append(CultureInfo.InvariantCulture, $"\\x{c - 0xDC00:x2}"),
                < '\u0100' => safe.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}"),
                _ => safe.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
            };
        }
        return safe.ToString();
    }

    private static bool IsUnsafe(string text, int i, bool keepLines)
    {
        char c = text[i];
        return c switch
        {
            '\n' or '\t' => !keepLines,
            < ' ' or (>= '\u007f' and <= '\u009f') => true,
            < '\u061c' => false,
            // Arabic letter mark; LRM, RLM; line and paragraph separators; embeddings and overrides; isolates; zero-width no-break space.
            '\u061c' or '\u200e' or '\u200f' or (>= '\u2028' and <= '\u202e') or (>= '\u2066' and <= '\u2069') or '\ufeff' => true,
            _ when char.IsHighSurrogate(c) => i + 1 == text.Length || !char.IsLowSurrogate(text[i + 1]),
            _ when char.IsLowSurrogate(c) => i == 0 || !char.IsHighSurrogate(text[i - 1]),
            _ => false,
        };
    }
}
