using System.Collections.Immutable;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata publish</c>: an image of a .NET project, without a Dockerfile.</summary>
internal static class PublishCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string?> project = Options.Maybe("PROJECT", "a project, or a folder with one (default: this folder)");
        Option<string?> from = Options.Value("--from", "FOLDER", "take what dotnet publish has put out already");
        Option<string[]> tags = Options.Values("--tag", "NAME", "name for the image (may come again; default: the application's)", "-t");
        Option<string?> image = Options.Value("--base", "IMAGE", "the image below (default: Microsoft's for the application's runtime)");
        Option<string?> configuration = Options.Value("--configuration", "NAME", "Release (default), Debug", "-c");
        Option<string?> runtime = Options.Value("--runtime", "RID", "what to publish for: linux-x64", "-r");
        Option<bool> selfContained = Options.Flag("--self-contained", "bring the runtime");
        Option<bool> shared = Options.Flag("--no-self-contained", "leave the runtime to the image below");
        Option<string[]> properties = Options.Values("--property", "NAME=VALUE", "a property of the project (may come again)", "-p");
        Option<string?> entry = Options.Value("--entry", "NAME", "the application, where the output has several");
        Option<string?> user = Options.Value("--user", "USER", "who it runs as", "-u");
        Option<string[]> labels = Options.Values("--label", "NAME=VALUE", "label to add");
        Option<string?> platform = Options.Value("--platform", "OS/ARCH", "what the image is for");
        Option<bool> pull = Options.Flag("--pull", "ask the registry for a newer base");
        Option<bool> quiet = Options.Flag("--quiet", "print only the image's ID", "-q");
        var supply = new SupplyFlags();
        var command = new Command("publish")
        {
            project, from, tags, image, configuration, runtime, selfContained, shared, properties, entry, user, labels, platform, pull, quiet, supply.Verify, supply.Sbom, supply.Provenance,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var request = new PublishRequest
            {
                Project = parsed.GetValue(project) ?? ".", Folder = parsed.GetValue(from), Base = parsed.GetValue(image), Configuration = parsed.GetValue(configuration) ?? "Release",
                Runtime = parsed.GetValue(runtime), SelfContained = parsed.GetValue(selfContained) ? true : parsed.GetValue(shared) ? false : null, Properties = [.. parsed.GetValue(properties)],
                Entry = parsed.GetValue(entry), User = parsed.GetValue(user), Pull = parsed.GetValue(pull), Tags = [.. parsed.GetValue(tags).Select(ImageReference.Parse)],
                Labels = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(parsed.GetValue(labels))),
                Platform = parsed.GetValue(platform) is { } text ? Platform.Parse(text) : null, SourceDateEpoch = BuildCommand.SourceDateEpoch([]), Supply = supply.Read(parsed),
            };
            using LiveDisplay? live = context.StartLive(parsed.GetValue(quiet));
            BuildResult build = await context.Engine.PublishAsync(request, new BuildLines(context.Error, parsed.GetValue(quiet), live), cancellationToken);
            live?.Dispose();
            context.Out.WriteLine(build.ImageId.ToString());
            return supply.Tell(context, parsed, build);
        });
        return command;
    }
}
