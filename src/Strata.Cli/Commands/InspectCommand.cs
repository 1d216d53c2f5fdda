using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Cli.Commands;

/// <summary><c>strata inspect</c>: images and containers in Docker's shape.</summary>
internal static class InspectCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string[]> names = Options.Many("NAME", "images and containers, by name or ID");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json", "-f");
        Option<string?> type = Options.Value("--type", "TYPE", "image or container");
        var command = new Command("inspect") { names, format, type };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var found = new JsonArray();
            foreach (string name in parsed.GetValue(names))
            {
                found.Add((JsonNode?)await DescribeAsync(context.Engine, name, parsed.GetValue(type), cancellationToken));
            }
            Formatted.WriteInspected(context.Out, parsed.GetValue(format), found);
            return 0;
        });
        return command;
    }

    private static async ValueTask<JsonObject> DescribeAsync(Engine engine, string name, string? type, CancellationToken cancellationToken)
    {
        if (type is not (null or "image" or "container"))
        {
            throw new StrataException(ErrorKind.Invalid, $"--type {type}: there are image and container");
        }
        if (type is "container")
        {
            return await ContainerAsync(engine, engine.GetContainer(name), cancellationToken);
        }
        if (type is null && engine.TryGetContainer(name) is { } container)
        {
            return await ContainerAsync(engine, container, cancellationToken);
        }
        return Image(engine, await engine.ResolveImageAsync(name, cancellationToken));
    }

    private static JsonObject Image(Engine engine, LocalImage image)
    {
        IReadOnlyList<ImageReference> names = engine.GetNames(image.Record.Manifest.Digest);
        return new JsonObject
        {
            ["Id"] = image.Manifest.Config.Digest.ToString(),
            ["Reference"] = image.Reference?.ToString(),
            ["RepoTags"] = Strings(names.Where(n => n.Tag is not null).Select(n => n.Familiar)),
            ["RepoDigests"] = Strings(names.Select(n => $"{n.FamiliarName}@{image.Record.Manifest.Digest}").Distinct()),
            ["Parent"] = "",
            ["Comment"] = image.Config.History.LastOrDefault()?.Comment ?? "",
            ["Created"] = image.Config.CreatedText,
            ["Author"] = image.Config.Author ?? "",
            ["Config"] = JsonNode.Parse(OciJson.Serialize(image.Config.Config ?? new ContainerConfig())),
            ["Architecture"] = image.Config.Architecture,
            ["Variant"] = image.Config.Variant ?? "",
            ["Os"] = image.Config.Os,
            ["Size"] = image.Record.Size ?? 0,
            ["CompressedSize"] = image.Manifest.Layers.Sum(l => l.Size),
            ["GraphDriver"] = new JsonObject { ["Name"] = engine.Snapshots.Name, ["Data"] = new JsonObject() },
            ["RootFS"] = new JsonObject { ["Type"] = "layers", ["Layers"] = Strings(image.Config.RootFs.DiffIds.Select(d => d.ToString())) },
            ["Metadata"] = new JsonObject { ["LastTagTime"] = null },
            ["Annotations"] = Map(image.Manifest.Annotations ?? ImmutableSortedDictionary<string, string>.Empty),
            ["Descriptor"] = new JsonObject { ["MediaType"] = image.Descriptor.MediaType, ["Digest"] = image.Descriptor.Digest.ToString(), ["Size"] = image.Descriptor.Size },
        };
    }

    private static async ValueTask<JsonObject> ContainerAsync(Engine engine, Container container, CancellationToken cancellationToken)
    {
        ContainerRecord record = container.Record;
        ActiveSnapshot? snapshot = await engine.Snapshots.TryOpenActiveAsync(record.Id, cancellationToken);
        IReadOnlyList<string> directories = snapshot is null ? [] : engine.Snapshots.GetDirectories(snapshot);
        return new JsonObject
        {
            ["Id"] = record.Id,
            ["Created"] = record.Created.ToString("O"),
            ["Path"] = record.Arguments[0],
            ["Args"] = Strings(record.Arguments.Skip(1)),
            ["State"] = ContainerShape.State(engine, container),
            ["Image"] = record.ImageId.ToString(),
            ["Name"] = record.Name,
            ["LogPath"] = engine.Containers.LogOf(record.Id),
            ["RestartCount"] = engine.GetRestartCount(record),
            ["Driver"] = snapshot?.Snapshotter ?? engine.Snapshots.Name,
            ["Platform"] = "linux",
            ["HostnamePath"] = engine.GetContainerFile(record, "hostname"),
            ["HostsPath"] = engine.GetContainerFile(record, "hosts"),
            ["ResolvConfPath"] = engine.GetContainerFile(record, "resolv.conf"),
            ["MountLabel"] = "",
            ["ProcessLabel"] = "",
            ["AppArmorProfile"] = "",
            ["ExecIDs"] = null,
            ["HostConfig"] = ContainerShape.HostConfig(record, record.Isolation.Network.ToString().ToLowerInvariant()),
            ["Mounts"] = ContainerShape.Mounts(engine, record),
            ["NetworkSettings"] = NetworkText.Settings(engine, container),
            ["Config"] = ConfigOf(record),
            ["GraphDriver"] = new JsonObject
            {
                ["Name"] = snapshot?.Snapshotter ?? engine.Snapshots.Name,
                ["Data"] = new JsonObject { ["LowerDirs"] = Strings(directories.SkipLast(1)), ["UpperDir"] = directories.Count == 0 ? null : directories[^1] },
            },
        };
    }

    private static JsonNode? ConfigOf(ContainerRecord record)
    {
        JsonNode? config = JsonNode.Parse(OciJson.Serialize(record.Config));
        config!["Hostname"] = record.Hostname;
        config["Image"] = record.Image;
        config["Tty"] = record.Terminal;
        config["OpenStdin"] = record.Input;
        config["StdinOnce"] = record.Input;
        config["Env"] = Strings(record.Environment);
        config["StopTimeout"] = record.Life.StopTimeout;
        return config;
    }

    private static JsonArray Strings(IEnumerable<string> texts) => new([.. texts.Select(t => (JsonNode?)JsonValue.Create(t))]);

    private static JsonObject Map(ImmutableSortedDictionary<string, string> values)
    {
        var map = new JsonObject { };
        foreach ((string key, string value) in values)
        {
            map[key] = value;
        }
        return map;
    }
}
