using System.Text;

namespace Strata.Cli.Output;

/// <summary>Text from images, registries and names on its way to a terminal: what would move a cursor, ring, or turn the direction is shown as an escape.</summary>
internal static class SafeText
{
    internal static string Escape(string text)
    {
        if (!text.Any(IsUnsafe))
        {
            return text;
        }
        var safe = new StringBuilder(text.Length + 16);
        foreach (char c in text)
        {
            safe.Append(!IsUnsafe(c) ? c : c switch { '\n' => "\\n", '\r' => "\\r", '\t' => "\\t", '\u001B' => "\\e", _ => $"\\u{(int)c:x4}" });
        }
        return safe.ToString();
    }

    // C0, DEL and C1; bidirectional controls.
    private static bool IsUnsafe(char c) => c is < ' ' or (>= '\u007F' and <= '\u009F') or (>= '\u200E' and <= '\u200F') or (>= '\u202A' and <= '\u202E') or (>= '\u2066' and <= '\u2069');

}
