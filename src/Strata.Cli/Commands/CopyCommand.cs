using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Distribution;
using Strata.Images;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata copy</c> and <c>strata sync</c>.</summary>
internal static class CopyCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> source = Options.One("SOURCE", "a name at a registry, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]");
        Argument<string> destination = Options.One("DESTINATION", "as SOURCE");
        Option<bool> all = Options.Flag("--all", "all platforms, and the index that lists them", "-a");
        Option<string?> platform = Options.Value("--platform", "OS/ARCH", "the image for another platform");
        Option<bool> referrers = Options.Flag("--referrers", "also what refers to it: signatures, bills of materials, other artifacts");
        Option<bool> foreign = Options.Flag("--foreign-layers", "also layers that say themselves where they are to be had");
        Option<bool> quiet = Options.Flag("--quiet", "print nothing but errors", "-q");
        var command = new Command("copy") { source, destination, all, platform, referrers, foreign, quiet };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(all) && parsed.GetValue(platform) is not null)
            {
                throw new StrataException(ErrorKind.Invalid, "--all and --platform exclude each other");
            }
            context.ForeignLayers = parsed.GetValue(foreign);
            var options = new ImageCopyOptions
            {
                AllPlatforms = parsed.GetValue(all), Platform = parsed.GetValue(platform) is { } text ? Platform.Parse(text) : null,
                Referrers = parsed.GetValue(referrers), ForeignLayers = context.ForeignLayers,
            };
            using LiveDisplay? live = context.StartLive(parsed.GetValue(quiet));
            live?.Add($"Copying {parsed.GetValue(source)}");
            Descriptor copied = await context.Engine.CopyAsync(ImagePlace.Parse(parsed.GetValue(source)!), ImagePlace.Parse(parsed.GetValue(destination)!), options, cancellationToken);
            live?.Dispose();
            if (!parsed.GetValue(quiet))
            {
                context.Out.WriteLine(copied.Digest.ToString());
            }
            return 0;
        });
        return command;
    }

    internal static Command CreateSync(CommandContext context)
    {
        Argument<string> file = Options.One("FILE", "TOML or JSON: which repositories and tags");
        Option<bool> delete = Options.Flag("--delete", "remove tags that the source has not");
        Option<bool> dryRun = Options.Flag("--dry-run", "only say what would be done");
        var command = new Command("sync") { file, delete, dryRun };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            int failed = 0;
            await foreach (SyncedTag tag in context.Engine.SyncAsync(SyncFile.Load(parsed.GetValue(file)!), parsed.GetValue(delete), parsed.GetValue(dryRun), cancellationToken))
            {
                string what = tag.Action switch { SyncAction.UpToDate => "up to date", SyncAction.Copied => "copied", SyncAction.Removed => "removed", _ => "failed" };
                context.Out.WriteLine($"{tag.Tag.Familiar}: {what}{(tag.Digest is { } digest ? " " + digest : "")}");
                context.Out.Flush();
                if (tag.Failure is { } failure)
                {
                    failed++;
                    context.Error.WriteLine($"strata: sync {tag.Tag.Familiar}: {failure.Message}");
                }
            }
            return failed == 0 ? 0 : 1;
        });
        return command;
    }
}
