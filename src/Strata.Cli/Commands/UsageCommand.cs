using System.Globalization;
using System.Text.Json.Nodes;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata system df</c>: docker's table, and with <c>-v</c> its four, in bytes on disk.</summary>
internal static class UsageCommand
{
    internal static Command Create(CommandContext context)
    {
        Option<bool> verbose = Options.Flag("--verbose", "each image, container, volume and record of the build cache", "-v");
        Option<string?> format = Options.Value("--format", "TEMPLATE", "a Go template, or json; fields: TotalBytes, Areas");
        var command = new Command("df", "Show what the store costs on disk; the total is what du says") { verbose, format };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            _ = context.Engine;
            DiskUsage usage = context.Engine.GetDiskUsage();
            if (parsed.GetValue(format) is { } template)
            {
                var areas = new JsonObject { };
                foreach (DiskArea area in usage.Areas)
                {
                    areas[area.Name] = area.Bytes;
                }
                Formatted.Write(context.Out, template, [new JsonObject { ["TotalBytes"] = usage.TotalBytes, ["Areas"] = areas }]);
                return 0;
            }
            var table = new Table("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE");
            foreach (UsageRow row in await context.Engine.GetUsageSummaryAsync(usage, cancellationToken))
            {
                string part = row.Bytes > 0 ? $" ({Count(row.ReclaimableBytes * 100 / row.Bytes)}%)" : "";
                table.Add(row.Type, Count(row.Total), Count(row.Active), Sizes.Human(row.Bytes, 4), Sizes.Human(row.ReclaimableBytes, 4) + part);
            }
            table.Add("Sum", "", "", $"{Sizes.Human(usage.TotalBytes, 4)} ({Count(usage.TotalBytes)} bytes)");
            table.Write(context.Out);
            if (parsed.GetValue(verbose))
            {
                await WriteImagesAsync(context, cancellationToken);
                await WriteContainersAsync(context, cancellationToken);
                WriteVolumes(context);
                WriteBuildCache(context);
            }
            return 0;
        });
        return command;
    }

    private static async Task WriteImagesAsync(CommandContext context, CancellationToken cancellationToken)
    {
        ILookup<Digest, Container> users = context.Engine.ListContainers().ToLookup(c => c.Record.Manifest.Digest);
        var table = new Table("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "FILES", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS");
        foreach (ImageUsage usage in await context.Engine.GetImageUsageAsync(cancellationToken))
        {
            ListedImage image = usage.Image;
            table.Add(image.Reference?.FamiliarName ?? "<none>", image.Reference?.Tag ?? "<none>", ImagesCommand.Id(image, full: false), Ages.Ago(image.Record.Created, CommandContext.Time.GetUtcNow()),
                Sizes.Human(image.Record.Size ?? 0), Sizes.Human(usage.SharedBytes), Sizes.Human(usage.UniqueBytes), Count(users[image.Record.Manifest.Digest].Count()));
        }
        Write(context, "Images", table);
    }

    private static async Task WriteContainersAsync(CommandContext context, CancellationToken cancellationToken)
    {
        string[] columns = ["ID", "Image", "Command", "LocalVolumes", "Size", "CreatedAgo", "Status", "Names"];
        var table = new Table("CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES");
        foreach (Container container in context.Engine.ListContainers())
        {
            JsonObject row = await PsCommand.DescribeAsync(context.Engine, container, full: false, withSize: true, cancellationToken);
            table.Add([.. columns.Select(c => (string)row[c]!)]);
        }
        Write(context, "Containers", table);
    }

    private static void WriteVolumes(CommandContext context)
    {
        ILookup<string, ContainerRecord> users = context.Engine.ListVolumeUsers();
        var table = new Table("VOLUME NAME", "LINKS", "SIZE");
        foreach (string volume in context.Engine.Volumes.List())
        {
            table.Add(volume, Count(users[volume].Count()), Sizes.Human(context.Engine.Volumes.GetDiskUsage(volume)));
        }
        Write(context, "Local Volumes", table);
    }

    private static void WriteBuildCache(CommandContext context)
    {
        var table = new Table("CACHE ID", "CACHE TYPE", "SIZE", "LAST USED", "DESCRIPTION");
        foreach (BuildCacheEntry entry in context.Engine.ListBuildCache())
        {
            table.Add(entry.Id[..12], entry.Type, Sizes.Human(entry.Bytes), Ages.Ago(entry.LastUsed, CommandContext.Time.GetUtcNow()), SafeText.Escape(entry.Description));
        }
        Write(context, "Build cache", table);
    }

    private static void Write(CommandContext context, string title, Table table)
    {
        context.Out.WriteLine($"\n{title} space usage:\n");
        table.Write(context.Out);
    }

    private static string Count(long count) => count.ToString(CultureInfo.InvariantCulture);
}
