using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Content;
using Strata.Images;
using Strata.Server;

namespace Strata.Cli.Commands;

/// <summary><c>strata analyze</c> and <c>strata verify</c>.</summary>
internal static class AnalyzeCommand
{
    private const int ShownFiles = 20;

    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name or ID");
        Option<bool> all = Options.Flag("--all", "all files, not only the largest", "-a");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json; fields: Image, TotalBytes, WastedBytes, Efficiency, Files");
        Option<bool> bases = Options.Flag("--bases", "list what it could be built on instead, and what would break");
        var command = new Command("analyze") { name, all, format, bases };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(bases))
            {
                BasesTable.Write(context.Out, await context.Engine.FindBasesAsync(parsed.GetValue(name)!, cancellationToken), parsed.GetValue(format));
                return 0;
            }
            LocalImage image = await context.Engine.ResolveImageAsync(parsed.GetValue(name)!, cancellationToken);
            WasteReport report = await WasteAnalyzer.AnalyzeAsync(context.Engine.Content, image.Manifest, cancellationToken);
            if (parsed.GetValue(format) is { } template)
            {
                Formatted.Write(context.Out, template, [Describe(parsed.GetValue(name)!, report)]);
                return 0;
            }
            IReadOnlyList<HistoryRow> history = (await context.Engine.GetHistoryAsync(parsed.GetValue(name)!, cancellationToken)).Rows;
            string By(int layer) => history.FirstOrDefault(r => r.Layer == layer)?.Entry.CreatedBy?.ReplaceLineEndings(" ") ?? "";
            context.Out.WriteLine($"{parsed.GetValue(name)}: {Sizes.Human(report.TotalBytes)} of files, {Sizes.Human(report.WastedBytes)} ({report.WastedBytes.ToString("N0", CultureInfo.InvariantCulture)} bytes) nobody can see; efficiency {report.Efficiency.ToString("P1", CultureInfo.InvariantCulture)}");
            if (report.Files.IsEmpty)
            {
                return 0;
            }
            var table = new Table("WASTED", "IN LAYER", "HIDDEN BY", "PATH");
            foreach (WastedFile file in parsed.GetValue(all) ? report.Files : report.Files.Take(ShownFiles))
            {
                table.Add(Sizes.Human(file.Bytes), Number(file.Layer), Number(file.HiddenBy), "/" + file.Path);
            }
            table.Write(context.Out);
            foreach (IGrouping<(int Layer, int HiddenBy), WastedFile> pair in report.Files.GroupBy(f => (f.Layer, f.HiddenBy)).OrderByDescending(g => g.Sum(f => f.Bytes)))
            {
                context.Out.WriteLine($"layer {pair.Key.Layer} ({SafeText.Escape(By(pair.Key.Layer))}) carries {Sizes.Human(pair.Sum(f => f.Bytes))} that layer {pair.Key.HiddenBy} ({SafeText.Escape(By(pair.Key.HiddenBy))}) hides: do both in one step");
            }
            return 0;
        });
        return command;
    }

    private static JsonObject Describe(string image, WasteReport report) => new()
    {
        ["Image"] = image,
        ["TotalBytes"] = report.TotalBytes,
        ["WastedBytes"] = report.WastedBytes,
        ["Efficiency"] = report.Efficiency,
        ["Files"] = new JsonArray([.. report.Files.Select(f => new JsonObject { ["Path"] = "/" + f.Path, ["Bytes"] = f.Bytes, ["Layer"] = f.Layer, ["HiddenBy"] = f.HiddenBy })]),
    };

    internal static Command CreateVerify(CommandContext context)
    {
        Argument<string[]> names = Options.Many("IMAGE", "names or IDs");
        var command = new Command("verify") { names };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            int bad = 0;
            foreach (string name in parsed.GetValue(names))
            {
                LocalImage image = await context.Engine.ResolveImageAsync(name, cancellationToken);
                IReadOnlyList<StoreProblem> problems = await context.Engine.VerifyAsync(image, cancellationToken);
                bad += problems.Count;
                foreach (StoreProblem problem in problems)
                {
                    context.Out.WriteLine($"{SafeText.Escape(problem.Path)}: {SafeText.Escape(problem.What)}; {problem.Advice}");
                }
                if (problems.Count == 0)
                {
                    context.Out.WriteLine($"{SafeText.Escape(name)}: {image.Manifest.Config.Digest}, {image.Manifest.Layers.Length} layers: as they were made");
                }
            }
            return bad == 0 ? 0 : ErrorTable.CheckFailedExitCode;
        });
        return command;
    }

    private static string Number(int number) => number.ToString(CultureInfo.InvariantCulture);
}
