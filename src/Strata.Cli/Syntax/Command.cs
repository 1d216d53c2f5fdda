using System.Collections;
using System.Runtime.CompilerServices;

namespace Strata.Cli.Syntax;

/// <summary>
/// A command: its options, its arguments, its parts (<c>system df</c>), and what it does. Words are read as POSIX and GNU have it:
/// <c>-a -b</c> is <c>-ab</c>, a value stands behind a blank, an equals sign or right behind its letter, and <c>--</c> ends options.
/// </summary>
/// <remarks>
/// This is ours for the sake of the start: a general library's parser took a fifth of what a listing takes, and a fifth of <c>run</c>. Arrays are
/// here, not lists, for the same reason: the runtime makes a type with all its interfaces for each kind of list it meets.
/// </remarks>
internal sealed class Command(string name, string description = "") : IEnumerable
{
    private static readonly string[] s_help = ["--help", "-h", "-?"];

    private Func<ParseResult, CancellationToken, Task<int>>? _action;
    private Func<ParseResult, int>? _plainAction;

    internal string Name { get; } = name;
    internal string Description { get; } = description;
    internal Option[] Options { get; private set; } = [];
    internal Argument[] Arguments { get; private set; } = [];
    internal Command[] Parts { get; private set; } = [];

    internal void Add(Symbol symbol)
    {
        if (symbol is Option option)
        {
            Options = Append(Options, option);
        }
        else
        {
            Arguments = Append(Arguments, (Argument)symbol);
        }
    }

    internal void Add(Command part) => Parts = Append(Parts, part);

    private static T[] Append<T>(T[] array, T item) where T : class
    {
        Array.Resize(ref array, array.Length + 1);
        array[^1] = item;
        return array;
    }

    internal void SetAction(Func<ParseResult, CancellationToken, Task<int>> action) => _action = action;

    /// <summary>What it does, where nothing in it waits: then no task is made.</summary>
    internal void SetAction(Func<ParseResult, int> action) => _plainAction = action;

    /// <summary>Does it, to the end: this is the thread the program starts with, and it has nothing else to do.</summary>
    internal int Invoke(ParseResult parsed, CancellationToken cancellationToken)
        => _plainAction is not null ? _plainAction(parsed) : Await(parsed, cancellationToken);

    [MethodImpl(MethodImplOptions.NoInlining)] // its types are for those that wait
    private int Await(ParseResult parsed, CancellationToken cancellationToken) => _action!(parsed, cancellationToken).GetAwaiter().GetResult();

    /// <summary>Reads a command's words, those behind its name. A line that cannot be understood has a <see cref="ParseResult.Problem"/>.</summary>
    /// <param name="words">The words.</param>
    /// <param name="takesCommand">Whether all behind the first argument belongs to somebody else, whatever it looks like (<c>run IMAGE ls -l</c>).</param>
    internal ParseResult Parse(string[] words, bool takesCommand = false)
    {
        // A command with parts and an action of its own (build) is itself, unless the words name a part of a part: a folder may be called like a part.
        if (Parts.Length == 0 || ((_action is not null || _plainAction is not null) && !NamesPart(words)))
        {
            return new Reading(this, words, 0, takesCommand).Read();
        }
        return ParsePart(words, takesCommand);
    }

    private ParseResult ParsePart(string[] words, bool takesCommand)
    {
        if (words.Length == 0)
        {
            return new ParseResult(this) { Problem = $"it needs one of {NamesOfParts()}" };
        }
        if (Array.IndexOf(s_help, words[0]) >= 0)
        {
            return new ParseResult(this) { WantsHelp = true };
        }
        return Array.Find(Parts, p => p.Name == words[0]) is { } part
            ? part.Parts.Length > 0 ? part.ParsePart(words[1..], takesCommand) : new Reading(part, words, 1, takesCommand).Read()
            : new ParseResult(this) { Problem = $"'{words[0]}' is none of {NamesOfParts()}" };
    }

    private bool NamesPart(string[] words)
        => words.Length > 1 && Array.Find(Parts, p => p.Name == words[0]) is { } part && (Array.Exists(part.Parts, p => p.Name == words[1]) || Array.IndexOf(s_help, words[1]) >= 0);

    private string NamesOfParts() => string.Join(", ", Parts.Select(p => p.Name));

    private Option? Find(string name)
    {
        foreach (Option option in Options)
        {
            if (option.IsCalled(name))
            {
                return option;
            }
        }
        return null;
    }

    /// <summary>For the braces behind its constructor.</summary>
    IEnumerator IEnumerable.GetEnumerator() => Options.Concat<Symbol>(Arguments).GetEnumerator();

    /// <summary>One reading of words.</summary>
    private sealed class Reading(Command command, string[] words, int at, bool takesCommand)
    {
        private readonly ParseResult _result = new(command);
        private readonly List<string> _arguments = [];

        internal ParseResult Read()
        {
            bool onlyArguments = false;
            for (; at < words.Length && _result is { Problem: null, WantsHelp: false }; at++)
            {
                string word = words[at];
                if (onlyArguments || word is not ['-', _, ..])
                {
                    _arguments.Add(word);
                    onlyArguments |= takesCommand;
                }
                else if (word == "--")
                {
                    onlyArguments = true;
                }
                else if (word[1] == '-')
                {
                    ReadLong(word);
                }
                else
                {
                    ReadShort(word);
                }
            }
            if (_result is { Problem: null, WantsHelp: false })
            {
                Distribute();
            }
            return _result;
        }

        private void ReadLong(string word)
        {
            int sign = word.IndexOf('=', StringComparison.Ordinal);
            string name = sign < 0 ? word : word[..sign];
            if (command.Find(name) is not { } option)
            {
                Unknown(name);
                return;
            }
            Give(option, name, sign < 0 ? null : word[(sign + 1)..]);
        }

        private void ReadShort(string word)
        {
            for (int i = 1; i < word.Length; i++)
            {
                string name = "-" + word[i];
                if (command.Find(name) is not { } option)
                {
                    Unknown(word.Length == 2 ? name : word);
                    return;
                }
                bool hasSign = i + 1 < word.Length && word[i + 1] == '=';
                if (option.TakesValue || hasSign)
                {
                    Give(option, name, i + 1 == word.Length ? null : word[(i + (hasSign ? 2 : 1))..]);
                    return;
                }
                Give(option, name, null);
            }
        }

        private void Unknown(string name)
        {
            bool isHelp = Array.IndexOf(s_help, name) >= 0;
            _result.WantsHelp = isHelp;
            _result.Problem = isHelp ? null : $"unknown option {name}";
        }

        private void Give(Option option, string name, string? value)
        {
            if (value is null && option.TakesValue)
            {
                if (at + 1 == words.Length)
                {
                    _result.Problem = $"{name} needs a value: {option.ValueName}";
                    return;
                }
                value = words[++at];
            }
            value ??= "true";
            if (option.Check?.Invoke(value) is { } problem)
            {
                _result.Problem = $"{name} {value}: {problem}";
            }
            _result.Add(option, value);
        }

        // From the left, each as many as it takes, save those that the ones behind it need.
        private void Distribute()
        {
            int next = 0, needed = 0;
            foreach (Argument argument in command.Arguments)
            {
                needed += argument.Least;
                if (needed > _arguments.Count)
                {
                    _result.Problem = $"{argument.Name} is missing";
                    return;
                }
            }
            foreach (Argument argument in command.Arguments)
            {
                needed -= argument.Least;
                int taken = Math.Min(argument.Most, _arguments.Count - next - needed);
                for (; taken > 0; taken--, next++)
                {
                    _result.Add(argument, _arguments[next]);
                    if (argument.Check?.Invoke(_arguments[next]) is { } problem)
                    {
                        _result.Problem = $"{argument.Name} '{_arguments[next]}': {problem}";
                        return;
                    }
                }
            }
            if (next < _arguments.Count)
            {
                _result.Problem = $"'{_arguments[next]}' is one word too many";
            }
        }
    }
}
