namespace Strata.Dockerfiles;

/// <summary>
/// Variables and quotes in the words of a Dockerfile (Dockerfile reference, "Environment replacement"): <c>$x</c>, <c>${x}</c>,
/// <c>${x:-w}</c>, <c>${x:+w}</c>, <c>${x:?w}</c> (and without the colon), <c>${x#p}</c>, <c>${x##p}</c>, <c>${x%p}</c>, <c>${x%%p}</c>,
/// <c>${x/p/r}</c>, <c>${x//p/r}</c>; single quotes keep all, double quotes keep blanks, the escape character keeps the next.
/// It remembers which names it was asked for. Not for use by two threads at once.
/// </summary>
/// <param name="escape">The escape character of the file.</param>
/// <param name="lookup">The value of a variable, or null where it is not set.</param>
public sealed class VariableExpander(char escape, Func<string, string?> lookup)
{
    private readonly SortedSet<string> _used = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _unset = new(StringComparer.Ordinal);

    /// <summary>The variables that had a value when they were asked for, since this was made: what a cache key depends on.</summary>
    public IReadOnlyCollection<string> Used => _used;

    /// <summary>The variables that had none: mostly slips.</summary>
    public IReadOnlyCollection<string> Unset => _unset;

    /// <summary>Expands one word: quotes go, variables become their values.</summary>
    /// <exception cref="FormatException">A quote or brace is open, a modifier unknown, or a variable missing that <c>${x?}</c> demands; in Docker's words.</exception>
    public string Expand(string word)
    {
        ArgumentNullException.ThrowIfNull(word);
        return new ShellLexer(word, escape, Find, LexerModes.None).Read().Text;
    }

    /// <summary>Expands and splits at blanks that are outside quotes, those that came from variables too.</summary>
    /// <exception cref="FormatException">As <see cref="Expand"/>.</exception>
    public IReadOnlyList<string> ExpandWords(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new ShellLexer(text, escape, Find, LexerModes.None).Read().Words;
    }

    /// <summary>Expands the text of a heredoc: quotes are characters like others, and the escape character is always the backslash.</summary>
    /// <exception cref="FormatException">As <see cref="Expand"/>.</exception>
    public string ExpandText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new ShellLexer(text, '\\', Find, LexerModes.PlainQuotes).Read().Text;
    }

    private string? Find(string name)
    {
        string? value = lookup(name);
        (value is null ? _unset : _used).Add(name);
        return value;
    }
}
