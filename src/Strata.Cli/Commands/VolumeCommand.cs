using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;

namespace Strata.Cli.Commands;

/// <summary><c>strata volume create|ls|inspect|rm|prune</c>, in Docker's shapes.</summary>
internal static class VolumeCommand
{
    internal static Command Create(CommandContext context) => new("volume") { CreateNew(context), CreateList(context), CreateInspect(context), CreateRemove(context), CreatePrune(context) };

    private static Command CreateNew(CommandContext context)
    {
        Argument<string?> name = Options.Maybe("NAME", "its name; one is made up where not given");
        Option<string?> named = Options.Value("--name", "NAME", "the same");
        Option<string?> driver = Options.Value("--driver", "DRIVER", "local", "-d");
        Option<string[]> option = Options.Values("--opt", "KEY=VALUE", "type, device and o, as mount(8) has them", "-o");
        Option<string[]> label = Options.Values("--label", "NAME=VALUE", "label");
        var command = new Command("create", "Make a volume") { name, named, driver, option, label };
        command.SetAction((parsed, _) =>
        {
            if (parsed.GetValue(driver) is not (null or "local") and { } other)
            {
                throw new StrataException(ErrorKind.Unsupported, $"volume create: driver {other}: there is local");
            }
            VolumeRecord volume = context.Engine.CreateVolume(new VolumeRecord(parsed.GetValue(name) ?? parsed.GetValue(named) ?? "", null)
            {
                Labels = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(parsed.GetValue(label))),
                Options = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(parsed.GetValue(option))),
            });
            context.Out.WriteLine(volume.Name);
            return Task.FromResult(0);
        });
        return command;
    }

    private static Command CreateList(CommandContext context)
    {
        Option<bool> quiet = Options.Flag("--quiet", "only names", "-q");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "dangling, name, label, driver", "-f");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, table TEMPLATE, or json");
        var command = new Command("ls", "List volumes") { quiet, filter, format };
        command.SetAction((parsed, _) =>
        {
            ILookup<string, ContainerRecord> users = context.Engine.ListVolumeUsers();
            VolumeRecord[] found = [.. context.Engine.Volumes.List().Select(context.Engine.Volumes.Get).Where(v => parsed.GetValue(filter).All(f => Matches(v, users, f)))];
            if (parsed.GetValue(quiet))
            {
                Array.ForEach(found, v => context.Out.WriteLine(v.Name));
                return Task.FromResult(0);
            }
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, found.Select(v => new JsonObject
                {
                    ["Driver"] = "local", ["Name"] = v.Name, ["Scope"] = "local", ["Mountpoint"] = context.Engine.Volumes.PathOf(v.Name),
                    ["Labels"] = string.Join(',', v.Labels.Select(l => $"{l.Key}={l.Value}")), ["Links"] = users[v.Name].Count(), ["Size"] = "N/A", ["Availability"] = "N/A", ["Group"] = "N/A", ["Status"] = "N/A",
                }));
                return Task.FromResult(0);
            }
            var table = new Table("DRIVER", "VOLUME NAME");
            Array.ForEach(found, v => table.Add("local", v.Name));
            table.Write(context.Out);
            return Task.FromResult(0);
        });
        return command;
    }

    private static bool Matches(VolumeRecord volume, ILookup<string, ContainerRecord> users, string filter)
    {
        string[] parts = filter.Split('=', 2);
        string value = parts.Length == 2 ? parts[1] : throw new StrataException(ErrorKind.Invalid, $"filter {filter}: it needs KEY=VALUE");
        return parts[0] switch
        {
            "dangling" => !users.Contains(volume.Name) == (value is "true" or "1"),
            "name" => volume.Name.Contains(value, StringComparison.Ordinal),
            "driver" => value == "local",
            "label" => value.Split('=', 2) is var label && volume.Labels.TryGetValue(label[0], out string? found) && (label.Length == 1 || found == label[1]),
            _ => throw new StrataException(ErrorKind.Invalid, $"filter {filter}: there are dangling, name, driver and label"),
        };
    }

    private static Command CreateInspect(CommandContext context)
    {
        Argument<string[]> names = Options.Many("VOLUME", "names");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json", "-f");
        var command = new Command("inspect", "Show all that is known of volumes") { names, format };
        command.SetAction((parsed, _) =>
        {
            var found = new JsonArray([.. parsed.GetValue(names).Select(context.Engine.Volumes.Get).Select(v => (JsonNode)new JsonObject
            {
                ["CreatedAt"] = v.Created?.ToString("O"),
                ["Driver"] = "local",
                ["Labels"] = NetworkText.Map(v.Labels),
                ["Mountpoint"] = context.Engine.Volumes.PathOf(v.Name),
                ["Name"] = v.Name,
                ["Options"] = NetworkText.Map(v.Options),
                ["Scope"] = "local",
            })]);
            Formatted.WriteInspected(context.Out, parsed.GetValue(format), found);
            return Task.FromResult(0);
        });
        return command;
    }

    private static Command CreateRemove(CommandContext context)
    {
        Argument<string[]> names = Options.Many("VOLUME", "names");
        Option<bool> force = Options.Flag("--force", "none of this name is no error", "-f");
        var command = new Command("rm", "Remove volumes with their data") { names, force };
        command.SetAction((parsed, _) => NetworkText.EachAsync(context, "volume rm", parsed.GetValue(names), parsed.GetValue(force), name =>
        {
            context.Engine.RemoveVolume(name);
            return Task.CompletedTask;
        }));
        return command;
    }

    private static Command CreatePrune(CommandContext context)
    {
        Option<bool> all = Options.Flag("--all", "those with names too", "-a");
        Option<bool> force = Options.Flag("--force", "do not ask", "-f");
        Option<string[]> filter = Options.Values("--filter", "KEY=VALUE", "label, label!, until; all=true");
        var command = new Command("prune", "Remove volumes that no container has, with their data") { all, force, filter };
        command.SetAction((parsed, _) =>
        {
            string[] filters = parsed.GetValue(filter);
            bool everything = parsed.GetValue(all) || filters.Any(f => f is "all=true" or "all=1");
            if (!NetworkText.MayGoOn(context, parsed.GetValue(force), everything ? "This removes all volumes that no container has, with their data." : "This removes all volumes without a name that no container has, with their data."))
            {
                return Task.FromResult(1);
            }
            Func<DateTimeOffset?, IReadOnlyDictionary<string, string>, bool> matches = NetworkText.PruneFilter([.. filters.Where(f => !f.StartsWith("all=", StringComparison.Ordinal))]);
            (IReadOnlyList<string> removed, long bytes) = context.Engine.PruneVolumes(everything, v => matches(v.Created, v.Labels));
            if (removed.Count > 0)
            {
                context.Out.WriteLine("Deleted Volumes:");
                foreach (string name in removed)
                {
                    context.Out.WriteLine(name);
                }
                context.Out.WriteLine();
            }
            context.Out.WriteLine($"Total reclaimed space: {Sizes.Human(bytes)}");
            return Task.FromResult(0);
        });
        return command;
    }
}
