namespace Strata.Cli.Syntax;

/// <summary>What may stand on a command's line: an option or an argument.</summary>
/// <param name="name">Options: with its dashes, <c>--quiet</c>. Arguments: as help shows it, <c>IMAGE</c>.</param>
internal abstract class Symbol(string name)
{
    /// <summary>Its name.</summary>
    internal string Name { get; } = name;

    /// <summary>What help says of it.</summary>
    internal string Description { get; init; } = "";

    /// <summary>What is wrong with a value; null where nothing is.</summary>
    internal Func<string, string?>? Check { get; init; }
}

/// <summary>An option. A flag takes a value only behind an equals sign (<c>--rm=false</c>); of an option given twice the reader decides what counts.</summary>
internal abstract class Option(string name, string[] aliases) : Symbol(name)
{
    /// <summary>Its other names, <c>-q</c>.</summary>
    internal string[] Aliases { get; } = aliases;

    /// <summary>What help calls its value; null for a flag.</summary>
    internal string? ValueName { get; init; }

    internal bool TakesValue => ValueName is not null;

    internal bool IsCalled(string name)
    {
        if (Name == name)
        {
            return true;
        }
        foreach (string alias in Aliases)
        {
            if (alias == name)
            {
                return true;
            }
        }
        return false;
    }
}

/// <summary>An option with the type of what its values, none or more, are read as.</summary>
internal sealed class Option<T>(string name, Func<List<string>, T> read, params string[] aliases) : Option(name, aliases)
{
    internal T Read(List<string> values) => read(values);
}

/// <summary>An argument: words by their place.</summary>
internal abstract class Argument(string name, int least, int most) : Symbol(name)
{
    /// <summary>How many words it needs.</summary>
    internal int Least { get; } = least;

    /// <summary>How many it takes.</summary>
    internal int Most { get; } = most;
}

/// <summary>An argument with the type of what its words are read as.</summary>
internal sealed class Argument<T>(string name, int least, int most, Func<List<string>, T> read) : Argument(name, least, most)
{
    internal T Read(List<string> values) => read(values);
}
