using System.CommandLine;

namespace Strata.Cli.Commands;

/// <summary>Options and arguments, short to write.</summary>
internal static class Options
{
    internal static Option<bool> Flag(string name, string description, params string[] aliases) => new(name, aliases) { Description = description };

    internal static Option<string?> Value(string name, string valueName, string description, params string[] aliases) => new(name, aliases) { Description = description, HelpName = valueName, Arity = ArgumentArity.ExactlyOne };

    internal static Option<string[]> Values(string name, string valueName, string description, params string[] aliases)
        => new(name, aliases) { Description = description, HelpName = valueName, Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = false };

    internal static Argument<string> One(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.ExactlyOne };

    internal static Argument<string?> Maybe(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.ZeroOrOne };

    internal static Argument<string[]> Many(string name, string description, bool atLeastOne = true)
        => new(name) { Description = description, Arity = atLeastOne ? ArgumentArity.OneOrMore : ArgumentArity.ZeroOrMore };

    /// <summary>What was said, or nothing.</summary>
    internal static string[] All(this ParseResult parsed, Option<string[]> option) => parsed.GetValue(option) ?? [];

    internal static string[] All(this ParseResult parsed, Argument<string[]> argument) => parsed.GetValue(argument) ?? [];

    /// <summary><c>NAME=VALUE</c> pairs.</summary>
    internal static IEnumerable<KeyValuePair<string, string>> Pairs(IEnumerable<string> texts)
        => texts.Select(t => t.Split('=', 2)).Select(p => KeyValuePair.Create(p[0], p.Length == 2 ? p[1] : ""));
}
