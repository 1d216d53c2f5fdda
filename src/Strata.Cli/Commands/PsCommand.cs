using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Snapshots;

namespace Strata.Cli.Commands;

/// <summary><c>strata ps</c>.</summary>
internal static class PsCommand
{
    private static readonly string[] s_size = ["Size"];

    internal static Command Create(CommandContext context)
    {
        Option<bool> all = Options.Flag("--all", "stopped ones too", "-a");
        Option<bool> quiet = Options.Flag("--quiet", "only IDs", "-q");
        Option<bool> full = Options.Flag("--no-trunc", "whole texts");
        Option<bool> size = Options.Flag("--size", "what each has written", "-s");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "status, name, id, label, ancestor, exited", "-f");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, table TEMPLATE, or json");
        var command = new Command("ps") { all, quiet, full, size, filter, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string[] filters = parsed.GetValue(filter);
            IEnumerable<Container> found = context.Engine.ListContainers().Where(c => parsed.GetValue(all) || filters.Any(f => f.StartsWith("status=", StringComparison.Ordinal) || f.StartsWith("exited=", StringComparison.Ordinal)) || c.State.Status == ContainerStatus.Running);
            found = filters.Aggregate(found, (containers, text) => containers.Where(c => Matches(c, text)).ToList()).OrderByDescending(c => c.Record.Created);
            var rows = new List<JsonObject>();
            foreach (Container container in found)
            {
                ActiveSnapshot? snapshot = parsed.GetValue(size) ? await context.Engine.Snapshots.TryOpenActiveAsync(container.Record.Id, cancellationToken) : null;
                rows.Add(Describe(container, parsed.GetValue(full), snapshot is null ? "" : Sizes.Human(context.Engine.Snapshots.GetDiskUsage(snapshot)), NetworkText.Ports(context.Engine, container)));
            }
            if (parsed.GetValue(quiet))
            {
                rows.ForEach(r => context.Out.WriteLine((string)r["ID"]!));
                return 0;
            }
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, rows);
                return 0;
            }
            string[] columns = ["ID", "Image", "Command", "CreatedAgo", "Status", "Ports", "Names", .. s_size.Where(_ => parsed.GetValue(size))];
            var table = new Table(["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES", .. s_size.Where(_ => parsed.GetValue(size)).Select(s => s.ToUpperInvariant())]);
            rows.ForEach(r => table.Add([.. columns.Select(c => (string)r[c]!)]));
            table.Write(context.Out);
            return 0;
        });
        return command;
    }

    private static JsonObject Describe(Container container, bool full, string size, string ports)
    {
        ContainerRecord record = container.Record;
        string words = string.Join(' ', record.Arguments);
        DateTimeOffset now = CommandContext.Time.GetUtcNow();
        return new JsonObject
        {
            ["ID"] = full ? record.Id : record.ShortId,
            ["Image"] = record.Image,
            ["Command"] = $"\"{(full || words.Length <= 20 ? words : words[..19] + "…")}\"",
            ["CreatedAgo"] = Ages.Ago(record.Created, now),
            ["CreatedAt"] = record.Created.ToString("O"),
            ["RunningFor"] = Ages.Ago(record.Created, now),
            ["Status"] = container.State.Status switch
            {
                ContainerStatus.Running => $"Up {Ages.Duration(now - (container.State.StartedAt ?? now))}",
                ContainerStatus.Exited => $"Exited ({(container.State.ExitCode is { } code ? code.ToString(System.Globalization.CultureInfo.InvariantCulture) : "unknown")}) {Ages.Ago(container.State.FinishedAt, now)}",
                _ => "Created",
            },
            ["State"] = container.State.Status.ToString().ToLowerInvariant(),
            ["Ports"] = ports,
            ["Names"] = record.Name,
            ["Size"] = size,
            ["Labels"] = string.Join(',', record.Labels.Select(l => $"{l.Key}={l.Value}")),
        };
    }

    private static bool Matches(Container container, string filter)
    {
        string[] parts = filter.Split('=', 2);
        string value = parts.Length == 2 ? parts[1] : throw new StrataException(ErrorKind.Invalid, $"filter {filter}: it needs KEY=VALUE");
        return parts[0] switch
        {
            "status" => container.State.Status.ToString().Equals(value, StringComparison.OrdinalIgnoreCase),
            "name" => container.Record.Name.Contains(value, StringComparison.Ordinal),
            "id" => container.Record.Id.StartsWith(value, StringComparison.Ordinal),
            "ancestor" => container.Record.Image == value || container.Record.ImageId.Hex.StartsWith(value, StringComparison.Ordinal),
            "exited" => container.State.Status == ContainerStatus.Exited && container.State.ExitCode?.ToString(System.Globalization.CultureInfo.InvariantCulture) == value,
            "label" => value.Split('=', 2) is var label && container.Record.Labels.TryGetValue(label[0], out string? found) && (label.Length == 1 || found == label[1]),
            _ => throw new StrataException(ErrorKind.Invalid, $"filter {filter}: there are status, name, id, ancestor, exited and label"),
        };
    }
}
