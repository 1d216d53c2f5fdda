using System.Collections.Immutable;
using System.Globalization;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary>Options and arguments, short to write.</summary>
internal static class Options
{
    /// <summary>Off, unless it is given.</summary>
    internal static Option<bool> Flag(string name, string description, params string[] aliases)
        => new(name, v => v.Count > 0 && v[^1] == "true", aliases) { Description = description, Check = CheckFlag };

    /// <summary>On, unless it is given as <c>--name=false</c>.</summary>
    internal static Option<bool> FlagOn(string name, string description, params string[] aliases)
        => new(name, v => v.Count == 0 || v[^1] == "true", aliases) { Description = description, Check = CheckFlag };

    /// <summary>One value, the last where it is given more often; null where it is not.</summary>
    internal static Option<string?> Value(string name, string valueName, string description, params string[] aliases)
        => new(name, v => v.Count == 0 ? null : v[^1], aliases) { Description = description, ValueName = valueName };

    /// <summary>A whole number.</summary>
    internal static Option<int> Number(string name, string valueName, string description, int otherwise, params string[] aliases)
        => new(name, v => v.Count == 0 ? otherwise : ReadNumber(v[^1]), aliases) { Description = description, ValueName = valueName, Check = CheckNumber };

    /// <summary>As many values as it is given.</summary>
    internal static Option<string[]> Values(string name, string valueName, string description, params string[] aliases)
        => new(name, v => v.ToArray(), aliases) { Description = description, ValueName = valueName };

    /// <summary>One word.</summary>
    internal static Argument<string> One(string name, string description) => new(name, 1, 1, v => v[0]) { Description = description };

    /// <summary>One word that is a whole number.</summary>
    internal static Argument<int> OneNumber(string name, string description) => new(name, 1, 1, v => ReadNumber(v[0])) { Description = description, Check = CheckNumber };

    /// <summary>A word, or null.</summary>
    internal static Argument<string?> Maybe(string name, string description) => new(name, 0, 1, v => v.Count == 0 ? null : v[0]) { Description = description };

    /// <summary>Words.</summary>
    internal static Argument<string[]> Many(string name, string description, bool atLeastOne = true)
        => new(name, atLeastOne ? 1 : 0, int.MaxValue, v => v.ToArray()) { Description = description };

    /// <summary><c>NAME=VALUE</c> pairs.</summary>
    internal static IEnumerable<KeyValuePair<string, string>> Pairs(IEnumerable<string> texts)
        => texts.Select(t => t.Split('=', 2)).Select(p => KeyValuePair.Create(p[0], p.Length == 2 ? p[1] : ""));

    /// <summary>The same, each name once; of nothing nothing is made.</summary>
    internal static ImmutableSortedDictionary<string, string> Map(string[] texts, Func<string, KeyValuePair<string, string>>? read = null)
        => texts.Length == 0 ? Nothing : ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, read is null ? Pairs(texts) : texts.Select(read));

    /// <summary>No names.</summary>
    internal static ImmutableSortedDictionary<string, string> Nothing { get; } = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);

    private static string? CheckFlag(string value) => value is "true" or "false" ? null : "it is true or false";

    private static string? CheckNumber(string value) => int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _) ? null : "it is a whole number";

    private static int ReadNumber(string value) => int.Parse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
}
