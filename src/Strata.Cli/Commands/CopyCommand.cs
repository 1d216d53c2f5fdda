using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Images;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata copy</c>.</summary>
internal static class CopyCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> source = Options.One("SOURCE", "a name at a registry, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]");
        Argument<string> destination = Options.One("DESTINATION", "as SOURCE");
        Option<bool> all = Options.Flag("--all", "all platforms, and the index that lists them", "-a");
        Option<string?> platform = Options.Value("--platform", "OS/ARCH", "the image for another platform");
        Option<bool> quiet = Options.Flag("--quiet", "print nothing but errors", "-q");
        var command = new Command("copy") { source, destination, all, platform, quiet };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(all) && parsed.GetValue(platform) is not null)
            {
                throw new StrataException(ErrorKind.Invalid, "--all and --platform exclude each other");
            }
            var options = new ImageCopyOptions { AllPlatforms = parsed.GetValue(all), Platform = parsed.GetValue(platform) is { } text ? Platform.Parse(text) : null };
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
}
