namespace Strata.Cli.Syntax;

/// <summary>What a command's words said.</summary>
internal sealed class ParseResult(Command command)
{
    private static readonly List<string> s_none = [];

    private readonly Dictionary<Symbol, List<string>> _values = [];

    /// <summary>The command, or the part of it, that was named.</summary>
    internal Command Command { get; } = command;

    /// <summary>Why the line cannot be understood; null where it can.</summary>
    internal string? Problem { get; set; }

    /// <summary>Help was asked for.</summary>
    internal bool WantsHelp { get; set; }

    internal T GetValue<T>(Option<T> option) => option.Read(ValuesOf(option));

    internal T GetValue<T>(Argument<T> argument) => argument.Read(ValuesOf(argument));

    internal void Add(Symbol symbol, string value)
    {
        if (!_values.TryGetValue(symbol, out List<string>? values))
        {
            _values.Add(symbol, values = []);
        }
        values.Add(value);
    }

    private List<string> ValuesOf(Symbol symbol) => _values.TryGetValue(symbol, out List<string>? values) ? values : s_none;
}
