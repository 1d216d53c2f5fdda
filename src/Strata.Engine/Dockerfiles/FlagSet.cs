using System.Collections.Immutable;

namespace Strata.Dockerfiles;

/// <summary>The flags an instruction knows.</summary>
/// <param name="Single">Take one value, once.</param>
/// <param name="Switches">Are there or not, or say <c>=true</c>, <c>=false</c>.</param>
/// <param name="Repeated">Take a value, any number of times.</param>
internal sealed record KnownFlags(ImmutableArray<string> Single, ImmutableArray<string> Switches, ImmutableArray<string> Repeated)
{
    internal static KnownFlags None { get; } = new([], [], []);

    internal IEnumerable<string> All => [.. Single, .. Switches, .. Repeated];
}

/// <summary>The flags in front of an instruction's arguments, checked against those it knows.</summary>
internal sealed class FlagSet
{
    private readonly List<NamedValue> _values = [];

    internal string? this[string name] => _values.FindLast(v => v.Key == name)?.Value;

    internal ImmutableArray<string> All(string name) => [.. _values.Where(v => v.Key == name).Select(v => v.Value)];

    /// <summary>A switch: null where it is not said.</summary>
    internal bool? Switch(string name) => this[name] is { } value ? value == "true" : null;

    /// <exception cref="DockerfileException">A flag is unknown, twice there, or has the wrong value.</exception>
    internal static FlagSet Read(RawNode node, KnownFlags known)
    {
        var flags = new FlagSet();
        foreach (string flag in node.Flags)
        {
            int equals = flag.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? flag[2..] : flag[2..equals];
            string? value = equals < 0 ? null : flag[(equals + 1)..];
            if (!known.All.Contains(name))
            {
                throw Unknown(node, name, known);
            }
            if (flags[name] is not null && !known.Repeated.Contains(name))
            {
                throw Error(node, $"duplicate flag specified: --{name}", null, name);
            }
            flags._values.Add(new(name, known.Switches.Contains(name) ? ReadSwitch(node, name, value)
                : value ?? throw Error(node, $"missing a value on flag: --{name}", $"write: --{name}=VALUE, without a blank", name)));
        }
        return flags;
    }

    private static string ReadSwitch(RawNode node, string name, string? value) => value?.ToLowerInvariant() switch
    {
        null => "true",
        "" => throw Error(node, $"missing a value on flag: --{name}", $"write: --{name}", name),
        "true" => "true",
        "false" => "false",
        _ => throw Error(node, $"expecting boolean value for flag --{name}, not: {value}", $"write: --{name}", name),
    };

    private static DockerfileException Unknown(RawNode node, string name, KnownFlags known)
    {
        string? near = Suggestion.Find(name, known.All);
        string hint = near is not null ? $"did you mean --{near}?"
            : known.All.Any() ? $"{node.Upper} has: {string.Join(", ", known.All.Select(k => "--" + k))}" : $"{node.Upper} has no flags";
        return Error(node, $"unknown flag: --{name}", hint, name);
    }

    private static DockerfileException Error(RawNode node, string message, string? hint, string flag) => new(node.Span, message) { Hint = hint, Culprit = "--" + flag };
}
