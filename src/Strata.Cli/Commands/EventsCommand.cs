using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata events</c>.</summary>
internal static class EventsCommand
{
    internal static Command Create(CommandContext context)
    {
        Option<string?> since = Options.Value("--since", "TIME", "what happened from then on too");
        Option<string?> until = Options.Value("--until", "TIME", "no longer than to then");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "event, container, image, label, type", "-f");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json");
        var command = new Command("events") { since, until, filter, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ILookup<string, string> filters = ReadFilters(parsed.GetValue(filter));
            DateTimeOffset? end = parsed.GetValue(until) is { } late ? Durations.Time(late, "--until") : null;
            await foreach (StoreEvent happened in context.Engine.ReadEventsAsync(Durations.Time(parsed.GetValue(since), "--since"), end, cancellationToken))
            {
                if (!filters.All(f => f.Any(value => Matches(happened, f.Key, value))))
                {
                    continue;
                }
                if (parsed.GetValue(format) is { } template)
                {
                    Formatted.Write(context.Out, template, [Describe(happened)]);
                }
                else
                {
                    context.Out.WriteLine(SafeText.Escape(Line(happened)));
                }
                context.Flush();
            }
            return 0;
        });
        return command;
    }

    private static ILookup<string, string> ReadFilters(string[] texts)
    {
        string[] known = ["event", "container", "image", "label", "type"];
        return texts.Select(t => t.Split('=', 2) is { Length: 2 } parts && known.Contains(parts[0]) ? parts : throw new StrataException(ErrorKind.Invalid, $"filter {t}: there are {string.Join(", ", known)}"))
            .ToLookup(p => p[0], p => p[1]);
    }

    private static bool Matches(StoreEvent happened, string key, string value) => key switch
    {
        "event" => happened.Action == value || happened.Action.StartsWith(value + ":", StringComparison.Ordinal),
        "type" => happened.Type == value,
        "container" => happened.Type == "container" && (happened.Attributes.GetValueOrDefault("name") == value || happened.Id.StartsWith(value, StringComparison.Ordinal)),
        "image" => happened.Attributes.GetValueOrDefault("image") == value || (happened.Type == "image" && happened.Id == value),
        _ => value.Split('=', 2) is var label && happened.Attributes.TryGetValue(label[0], out string? found) && (label.Length == 1 || found == label[1]),
    };

    // 2026-01-31T10:00:00.123456789+01:00 container start ID (image=…, name=…)
    private static string Line(StoreEvent happened)
        => $"{happened.Time.ToLocalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'00'zzz", CultureInfo.InvariantCulture)} {happened.Type} {happened.Action} {happened.Id}"
            + (happened.Attributes.IsEmpty ? "" : $" ({string.Join(", ", happened.Attributes.Select(a => $"{a.Key}={a.Value}"))})");

    private static JsonObject Describe(StoreEvent happened)
    {
        var attributes = new JsonObject();
        foreach ((string key, string value) in happened.Attributes)
        {
            attributes[key] = value;
        }
        long nanoseconds = (happened.Time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks) * 100;
        return new JsonObject
        {
            ["status"] = happened.Action,
            ["id"] = happened.Id,
            ["from"] = happened.Attributes.GetValueOrDefault("image") ?? "",
            ["Type"] = happened.Type,
            ["Action"] = happened.Action,
            ["Actor"] = new JsonObject { ["ID"] = happened.Id, ["Attributes"] = attributes },
            ["scope"] = "local",
            ["time"] = happened.Time.ToUnixTimeSeconds(),
            ["timeNano"] = nanoseconds,
        };
    }
}
