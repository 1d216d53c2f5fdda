using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;

namespace Strata.Cli.Commands;

/// <summary><c>strata sharing</c>: each layer on disk, and who reads this one copy.</summary>
internal static class SharingCommand
{
    private const int ShownDigits = 12;

    internal static Command Create(CommandContext context)
    {
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json; fields: Layer, Bytes, SavedBytes, Images, Containers");
        var command = new Command("sharing") { format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            IReadOnlyList<LayerSharing> layers = await context.Engine.GetSharingAsync(cancellationToken);
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, layers.Select(Describe));
                return 0;
            }
            var table = new Table("LAYER", "ON DISK", "IMAGES", "RUNNING", "READ BY");
            foreach (LayerSharing layer in layers)
            {
                table.Add(layer.DiffId.Hex[..ShownDigits].ToString(), Sizes.Human(layer.Bytes), Count(layer.Images.Length), Count(layer.Containers.Length),
                    string.Join(", ", layer.Images.Concat(layer.Containers)));
            }
            table.Write(context.Out);
            long once = layers.Sum(l => l.Bytes), saved = layers.Sum(l => l.SavedBytes);
            context.Out.WriteLine($"{Sizes.Human(once)} on disk; a copy for each image would take {Sizes.Human(once + saved)}");
            SharedFiles files = context.Engine.GetSharedFiles();
            if (files.Files > 0)
            {
                context.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{files.Files} files of {files.Layers} layers are kept once: {Sizes.Human(files.Bytes)} on disk, not {Sizes.Human(files.LayerBytes)}")
                    + (files.CachedBytes is { } cached ? $"; {Sizes.Human(cached)} of it in memory, read once for all of them" : ""));
            }
            return 0;
        });
        return command;
    }

    private static JsonNode Describe(LayerSharing layer) => new JsonObject
    {
        ["Layer"] = layer.DiffId.ToString(),
        ["Bytes"] = layer.Bytes,
        ["SavedBytes"] = layer.SavedBytes,
        ["Images"] = new JsonArray([.. layer.Images.Select(i => (JsonNode)i)]),
        ["Containers"] = new JsonArray([.. layer.Containers.Select(c => (JsonNode)c)]),
    };

    private static string Count(int count) => count.ToString(CultureInfo.InvariantCulture);
}
