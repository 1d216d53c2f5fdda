using System.Globalization;

namespace Strata.Dockerfiles;

/// <summary><c>[fd]&lt;&lt;[-]NAME</c>: says that a document follows, up to a line that is NAME (Dockerfile reference, "Here-Documents").</summary>
/// <param name="Name">Its name, quotes taken off; a file's name in COPY and ADD.</param>
/// <param name="Expand">Whether variables in it are expanded: not where a part of the name is quoted.</param>
/// <param name="Chomp"><c>&lt;&lt;-</c>: tabs at the start of lines go.</param>
/// <param name="FileDescriptor">The number before; 0 where there is none.</param>
internal sealed record HeredocMarker(string Name, bool Expand, bool Chomp, uint FileDescriptor)
{
    /// <summary>A word as a marker; null where it is none.</summary>
    /// <exception cref="FormatException">A quote in the name is open.</exception>
    internal static HeredocMarker? Parse(string word)
    {
        int digits = word.AsSpan().IndexOfAnyExceptInRange('0', '9');
        if (digits < 0 || !word.AsSpan(digits).StartsWith("<<"))
        {
            return null;
        }
        string name = word[(digits + 2)..];
        bool chomp = name.StartsWith('-');
        name = chomp ? name[1..] : name;
        if (name.Length == 0 || name.Contains('<', StringComparison.Ordinal))
        {
            return null;
        }
        // Read twice, with and without quotes: a difference says that a part was quoted.
        IReadOnlyList<string> plain = ShellLexer.Words(name, LexerModes.KeepUnset);
        IReadOnlyList<string> raw = ShellLexer.Words(name, LexerModes.KeepUnset | LexerModes.RawQuotes | LexerModes.RawEscapes);
        if (plain.Count != 1 || raw.Count != 1)
        {
            return null;
        }
        _ = uint.TryParse(word.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out uint descriptor);
        return new HeredocMarker(plain[0], plain[0] == raw[0], chomp, descriptor);
    }

    /// <summary>All markers of a line, in order.</summary>
    /// <exception cref="FormatException">A quote in a name is open.</exception>
    internal static List<HeredocMarker> FindAll(string line)
    {
        IReadOnlyList<string> words;
        try
        {
            words = ShellLexer.Words(line, LexerModes.KeepUnset | LexerModes.RawQuotes | LexerModes.RawEscapes);
        }
        catch (FormatException)
        {
            return []; // a shell may make sense of a line that we cannot split; such a line has no documents
        }
        return [.. words.Select(Parse).OfType<HeredocMarker>()];
    }
}
