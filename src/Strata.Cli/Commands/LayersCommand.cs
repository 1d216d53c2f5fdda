using System.Globalization;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Layers;

namespace Strata.Cli.Commands;

/// <summary><c>strata layers</c> and <c>strata layer ls</c>.</summary>
internal static class LayersCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name or ID");
        Option<bool> verbose = Options.Flag("--verbose", "list each layer's paths: A added, C changed, D deleted", "-v");
        var command = new Command("layers") { name, verbose };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            LocalImage image = await context.Engine.ResolveImageAsync(parsed.GetValue(name)!, cancellationToken);
            IReadOnlyList<LayerSummary> layers = await context.Engine.GetLayersAsync(image, cancellationToken);
            var table = new Table("LAYER", "DIFF ID", "FILES", "BLOB", "ADDED", "CHANGED", "DELETED", "CREATED BY");
            var below = new HashSet<string>(StringComparer.Ordinal);
            var paths = new List<(int Layer, char Kind, string Path)>();
            foreach (LayerSummary layer in layers)
            {
                List<(char Kind, string Path)> changes = [.. (await context.Engine.ReadLayerAsync(image, layer.Number, cancellationToken)).Select(e => (KindOf(e, below), "/" + e.Path))];
                int Count(char kind) => changes.Count(c => c.Kind == kind);
                string by = SafeText.OneLine(layer.CreatedBy ?? "");
                table.Add(Number(layer.Number), layer.DiffId.ToString()[..19], Sizes.Human(layer.ContentBytes), Sizes.Human(layer.Blob.Size), Number(Count('A')), Number(Count('C')), Number(Count('D')), by.Length > 60 ? by[..59] + "…" : by);
                paths.AddRange(changes.Select(c => (layer.Number, c.Kind, c.Path)));
                // Deletions are about the layers below: first they go, with all that is in them, then comes what this layer has.
                HashSet<string> deleted = [.. changes.Where(c => c.Kind == 'D').Select(c => c.Path)];
                below.RemoveWhere(p => IsWithin(p, deleted));
                below.UnionWith(changes.Where(c => c.Kind != 'D').Select(c => c.Path));
            }
            table.Write(context.Out);
            foreach ((int layer, char kind, string path) in parsed.GetValue(verbose) ? paths : [])
            {
                context.Out.WriteLine($"{layer} {kind} {SafeText.Escape(path)}");
            }
            return 0;
        });
        return command;
    }

    internal static Command CreateLayer(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name or ID");
        Argument<int> number = Options.OneNumber("LAYER", "1 is the bottom");
        var list = new Command("ls", "List the entries of a layer as its archive has them") { name, number };
        list.SetAction(async (parsed, cancellationToken) =>
        {
            LocalImage image = await context.Engine.ResolveImageAsync(parsed.GetValue(name)!, cancellationToken);
            foreach (LayerEntry entry in await context.Engine.ReadLayerAsync(image, parsed.GetValue(number), cancellationToken))
            {
                context.Out.WriteLine(Line(entry));
            }
            return 0;
        });
        return new Command("layer") { list, UnpackCommand.CreateLayer(context) };
    }

    private static char KindOf(LayerEntry entry, HashSet<string> below) => entry is WhiteoutEntry or OpaqueEntry ? 'D' : below.Contains("/" + entry.Path) ? 'C' : 'A';

    private static bool IsWithin(string path, HashSet<string> folders)
    {
        for (int end = path.Length; folders.Count > 0 && end > 0; end = path.LastIndexOf('/', end - 1))
        {
            if (folders.Contains(path[..end]))
            {
                return true;
            }
        }
        return folders.Contains("/");
    }

    private static string Line(LayerEntry entry)
    {
        int slash = entry.Path.LastIndexOf('/');
        string folder = slash < 0 ? "" : entry.Path[..(slash + 1)], leaf = entry.Path[(slash + 1)..];
        return entry switch
        {
            WhiteoutEntry => $"---------- 0:0 {0,12} {SafeText.Escape($"{folder}.wh.{leaf}")}",
            OpaqueEntry => $"---------- 0:0 {0,12} {SafeText.Escape(entry.Path.Length == 0 ? ".wh..wh..opq" : entry.Path + "/.wh..wh..opq")}",
            NodeEntry node => $"{Mode(node)} {node.Metadata.Uid}:{node.Metadata.Gid} {(node is FileEntry file ? file.Size : 0),12} {SafeText.Escape(node.Path)}{Suffix(node)}",
            _ => throw new System.Diagnostics.UnreachableException(entry.GetType().Name),
        };
    }

    private static string Suffix(NodeEntry node) => node switch { DirectoryEntry => "/", SymbolicLinkEntry l => $" -> {SafeText.Escape(l.Target)}", HardLinkEntry l => $" link to {SafeText.Escape(l.Target)}", _ => "" };

    private static string Mode(NodeEntry node)
    {
        char kind = node switch { DirectoryEntry => 'd', SymbolicLinkEntry => 'l', DeviceEntry { Kind: Linux.FileKind.CharacterDevice } => 'c', DeviceEntry { Kind: Linux.FileKind.BlockDevice } => 'b', DeviceEntry => 'p', HardLinkEntry => 'h', _ => '-' };
        char[] bits = [.. Enumerable.Range(0, 9).Select(i => (node.Metadata.Mode & (0x100 >> i)) != 0 ? "rwx"[i % 3] : '-')];
        return kind + new string(bits);
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
