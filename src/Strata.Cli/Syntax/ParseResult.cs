namespace Strata.Cli.Syntax;

/// <summary>What a command's words said.</summary>
internal sealed class ParseResult(Command command)
{
    private static readonly List<string> s_none = [];

    // A dozen at most, looked for a dozen times.
    private Symbol[] _symbols = new Symbol[4];
    private List<string>[] _values = new List<string>[4];
    private int _count;

    /// <summary>The command, or the part of it, that was named.</summary>
    internal Command Command { get; } = command;

    /// <summary>Why the line cannot be understood; null where it can.</summary>
    internal string? Problem { get; set; }

    /// <summary>Help was asked for.</summary>
    internal bool WantsHelp { get; set; }

    /// <summary>Whether the command has <c>--quiet</c>, and was told so.</summary>
    internal bool IsQuiet
    {
        get
        {
            foreach (Option option in Command.Options)
            {
                if (option is Option<bool> { Name: "--quiet" } quiet)
                {
                    return GetValue(quiet);
                }
            }
            return false;
        }
    }

    internal T GetValue<T>(Option<T> option) => option.Read(ValuesOf(option));

    internal T GetValue<T>(Argument<T> argument) => argument.Read(ValuesOf(argument));

    internal void Add(Symbol symbol, string value)
    {
        int at = Find(symbol);
        if (at < 0)
        {
            at = _count++;
            if (at == _symbols.Length)
            {
                Array.Resize(ref _symbols, at * 2);
                Array.Resize(ref _values, at * 2);
            }
            (_symbols[at], _values[at]) = (symbol, []);
        }
        _values[at].Add(value);
    }

    private List<string> ValuesOf(Symbol symbol) => Find(symbol) is >= 0 and int at ? _values[at] : s_none;

    private int Find(Symbol symbol)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_symbols[i] == symbol)
            {
                return i;
            }
        }
        return -1;
    }
}
