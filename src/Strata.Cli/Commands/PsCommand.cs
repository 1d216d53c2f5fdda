using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Snapshots;

namespace Strata.Cli.Commands;

/// <summary><c>strata ps</c>.</summary>
internal static class PsCommand
{
    private const int NoLimit = -1;
    private static readonly string[] s_size = ["Size"];

    internal static Command Create(CommandContext context)
    {
        Option<bool> all = Options.Flag("--all", "stopped ones too", "-a");
        Option<bool> quiet = Options.Flag("--quiet", "only IDs", "-q");
        Option<bool> full = Options.Flag("--no-trunc", "whole texts");
        Option<bool> size = Options.Flag("--size", "what each has written", "-s");
        Option<int> last = Options.Number("--last", "N", "the N that were created last, stopped ones too", NoLimit, "-n");
        Option<bool> latest = Options.Flag("--latest", "the one that was created last, stopped or not", "-l");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "status, name, id, label, ancestor, exited, before, since, volume, network, publish, expose, health", "-f");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, table TEMPLATE, or json");
        var command = new Command("ps") { all, quiet, full, size, last, latest, filter, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            int count = parsed.GetValue(latest) ? 1 : parsed.GetValue(last);
            PsFilters? filters = parsed.GetValue(filter) is { Length: > 0 } texts ? new PsFilters(context.Engine, texts) : null;
            bool stopped = parsed.GetValue(all) || count != NoLimit || filters is { WantsStopped: true };
            IEnumerable<Container> found = context.Engine.ListContainers().Where(c => (stopped || c.State.Status == ContainerStatus.Running || c.State.IsRestarting) && (filters is null || filters.Matches(c)));
            found = count == NoLimit ? found : found.Take(count);
            var rows = new List<JsonObject>();
            foreach (Container container in found)
            {
                rows.Add(await DescribeAsync(context.Engine, container, parsed.GetValue(full), parsed.GetValue(size), cancellationToken));
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

    /// <summary>What is told of a container; what it has written where that is asked for, since it takes a walk through it.</summary>
    internal static async Task<JsonObject> DescribeAsync(Engine engine, Container container, bool full, bool withSize, CancellationToken cancellationToken)
    {
        ActiveSnapshot? snapshot = withSize ? await engine.Snapshots.TryOpenActiveAsync(container.Record.Id, cancellationToken) : null;
        return Describe(engine, container, full, snapshot is null ? "" : Sizes.Human(engine.Snapshots.GetDiskUsage(snapshot)), NetworkText.Ports(engine, container));
    }

    private static JsonObject Describe(Engine engine, Container container, bool full, string size, string ports)
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
                ContainerStatus.Running => $"Up {Ages.Duration(now - (container.State.StartedAt ?? now))}{Note(engine, container)}",
                ContainerStatus.Exited => $"{(container.State.IsRestarting ? "Restarting" : "Exited")} ({(container.State.ExitCode is { } code ? code.ToString(System.Globalization.CultureInfo.InvariantCulture) : "unknown")}) {Ages.Ago(container.State.FinishedAt, now)}",
                _ => "Created",
            },
            ["State"] = ContainerShape.Status(container),
            ["Mounts"] = string.Join(',', record.Mounts.Where(m => m.Source.Length > 0).Select(m => full || m.Source.Length <= 15 ? m.Source : m.Source[..14] + "…")),
            ["Networks"] = string.Join(',', record.Networking.Networks.Select(n => n.Network)),
            ["LocalVolumes"] = record.Mounts.Count(m => m.Kind == ContainerMountKind.Volume).ToString(System.Globalization.CultureInfo.InvariantCulture),
            ["Ports"] = ports,
            ["Names"] = record.Name,
            ["Size"] = size,
            ["Labels"] = string.Join(',', record.Labels.Select(l => $"{l.Key}={l.Value}")),
        };
    }

    private static string Note(Engine engine, Container container) => container.State.IsPaused ? " (Paused)"
        : engine.GetHealth(container.Record) is { } health ? health.Status == HealthState.Starting ? " (health: starting)" : $" ({health.Status})" : "";
}
