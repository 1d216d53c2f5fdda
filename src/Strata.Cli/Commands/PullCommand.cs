using System.CommandLine;
using Strata.Content;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata pull</c> and <c>strata push</c>, in Docker's words.</summary>
internal static class PullCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name");
        Option<bool> quiet = Options.Flag("--quiet", "only the full name", "-q");
        Option<string?> platform = Options.Value("--platform", "OS/ARCH", "for another platform");
        var command = new Command("pull") { name, quiet, platform };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ImageReference reference = ImageReference.Parse(parsed.GetValue(name)!);
            bool silent = parsed.GetValue(quiet);
            if (!silent)
            {
                if (ImageReference.ParseWithoutDefaultTag(parsed.GetValue(name)!) is { Tag: null, Digest: null })
                {
                    context.Out.WriteLine($"Using default tag: {reference.Tag}");
                }
                context.Out.WriteLine($"{reference.Digest?.ToString() ?? reference.Tag}: Pulling from {(reference.Registry == ImageReference.DefaultRegistry ? reference.Repository : reference.Name)}");
                context.Out.Flush();
            }
            var options = new PullOptions { Platform = parsed.GetValue(platform) is { } text ? Platform.Parse(text) : null, Progress = silent ? null : new LayerLines(context.Out, "Already exists", "Pull complete") };
            PullResult result = await context.Engine.PullAsync(reference, options, cancellationToken);
            if (!silent)
            {
                context.Out.WriteLine($"Digest: {result.Descriptor.Digest}");
                context.Out.WriteLine($"Status: {(result.WasUpToDate ? "Image is up to date for" : "Downloaded newer image for")} {reference.Familiar}");
            }
            context.Out.WriteLine(reference.ToString());
            return 0;
        });
        return command;
    }

    internal static Command CreatePush(CommandContext context)
    {
        Argument<string> name = Options.One("IMAGE", "name; its first part is the registry");
        Option<bool> quiet = Options.Flag("--quiet", "print nothing but errors", "-q");
        var command = new Command("push") { name, quiet };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ImageReference reference = ImageReference.Parse(parsed.GetValue(name)!);
            if (!parsed.GetValue(quiet))
            {
                context.Out.WriteLine($"The push refers to repository [{reference.Name}]");
                context.Out.Flush();
            }
            var options = new PushOptions { Progress = parsed.GetValue(quiet) ? null : new LayerLines(context.Out, "Layer already exists", "Pushed") };
            PushResult result = await context.Engine.PushAsync(reference, options, cancellationToken);
            if (!parsed.GetValue(quiet))
            {
                context.Out.WriteLine($"{reference.Tag ?? reference.Digest?.ToString()}: digest: {result.Descriptor.Digest} size: {result.Descriptor.Size}");
            }
            return 0;
        });
        return command;
    }

    /// <summary>A line for each layer that is done or was there, as soon as it is.</summary>
    private sealed class LayerLines(TextWriter output, string there, string done) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value)
        {
            if (value.State != TransferState.Moving && !MediaTypes.IsConfig(value.Descriptor.MediaType))
            {
                lock (output)
                {
                    output.WriteLine($"{value.Descriptor.Digest.Hex[..12]}: {(value.State == TransferState.AlreadyThere ? there : done)}");
                    output.Flush();
                }
            }
        }
    }
}
