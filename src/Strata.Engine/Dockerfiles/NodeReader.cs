using System.Collections.Immutable;

namespace Strata.Dockerfiles;

/// <summary>
/// A logical line to a <see cref="RawNode"/>: keyword, flags, and the arguments as the keyword splits them. It says nothing about whether
/// they make sense.
/// </summary>
internal static class NodeReader
{
    /// <exception cref="FormatException">The arguments cannot be split.</exception>
    internal static RawNode Read(string line, char escape)
    {
        (string keyword, string? behind) = Words.Head(line.Trim());
        (List<string> flags, string rest) = Words.TakeFlags(behind ?? "");
        rest = rest.Trim();
        RawNode node = ReadArguments(new RawNode(keyword, [.. flags], [], IsJson: false, (behind ?? "").Trim()), rest, escape);
        return node;
    }

    private static RawNode ReadArguments(RawNode node, string rest, char escape)
    {
        switch (node.Upper)
        {
            case "ADD" or "COPY" or "VOLUME":
                return JsonWords.Parse(rest) is { } list ? node with { Arguments = [.. list], IsJson = true } : node with { Arguments = [.. Words.AtBlanks(rest)] };
            case "RUN" or "CMD" or "ENTRYPOINT" or "SHELL":
                return ReadCommand(node, [], rest);
            case "ARG":
                return node with { Arguments = [.. Words.Split(rest, escape)] };
            case "ENV" or "LABEL":
                return ReadPairs(node, rest, escape);
            case "EXPOSE" or "FROM":
                return node with { Arguments = [.. Words.AtBlanks(rest)] };
            case "MAINTAINER" or "STOPSIGNAL" or "USER" or "WORKDIR":
                return node with { Arguments = Whole(rest) };
            case "HEALTHCHECK":
                int end = rest.AsSpan().IndexOfAny(" \t\v\f\r");
                return rest.Length == 0 ? node : ReadCommand(node, [end < 0 ? rest : rest[..end]], end < 0 ? "" : rest[end..].TrimStart());
            case "ONBUILD":
                return ReadTrigger(node, rest, escape);
            default:
                return node with { Arguments = [""] };
        }
    }

    private static ImmutableArray<string> Whole(string rest) => rest.Length == 0 ? [] : [rest];

    private static RawNode ReadCommand(RawNode node, ImmutableArray<string> before, string rest)
        => JsonWords.Parse(rest) is { } words ? node with { Arguments = [.. before, .. words], IsJson = true } : node with { Arguments = [.. before, .. Whole(rest)] };

    private static RawNode ReadTrigger(RawNode node, string rest, char escape)
    {
        if (rest.Length == 0)
        {
            return node;
        }
        // A chain is refused later; here it must only not be followed to its end.
        RawNode nested = Words.Head(rest).First.Equals("ONBUILD", StringComparison.OrdinalIgnoreCase) ? new RawNode("ONBUILD", [], [], IsJson: false, "") : Read(rest, escape);
        return node with { Nested = nested, Arguments = [nested.Keyword, .. nested.Arguments] };
    }

    // Names and values in turn, and after each pair what stood between them: "=", or "" in the old form.
    private static RawNode ReadPairs(RawNode node, string rest, char escape)
    {
        List<string> words = Words.Split(rest, escape);
        if (words.Count == 0)
        {
            return node;
        }
        if (!words[0].Contains('=', StringComparison.Ordinal))
        {
            (string name, string? value) = Words.Head(rest);
            return value is null ? throw new FormatException($"{node.Upper} must have two arguments") : node with { Arguments = [name, value, ""], IsLegacyPair = true };
        }
        ImmutableArray<string>.Builder pairs = ImmutableArray.CreateBuilder<string>();
        foreach (string word in words)
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0)
            {
                throw new FormatException($"Syntax error - can't find = in \"{word}\". Must be of the form: name=value");
            }
            pairs.Add(word[..equals]);
            pairs.Add(word[(equals + 1)..]);
            pairs.Add("=");
        }
        return node with { Arguments = pairs.ToImmutable() };
    }
}
