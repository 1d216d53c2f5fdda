using System.Globalization;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Content;
using Strata.Distribution;
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
        Option<bool> verbose = Options.Flag("--verbose", "each request to a registry or mirror, and its answer, on standard error", "-v");
        Option<bool> foreign = Options.Flag("--foreign-layers", "fetch layers that the registry lacks from where the image says they are");
        var command = new Command("pull") { name, quiet, platform, verbose, foreign };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            context.ForeignLayers = parsed.GetValue(foreign);
            context.Answers = parsed.GetValue(verbose) ? new AnswerLines(context.Error) : null;
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
            using LiveDisplay? live = context.StartLive(silent);
            live?.Add($"Pulling {reference.Familiar}");
            var options = new PullOptions { Platform = parsed.GetValue(platform) is { } text ? Platform.Parse(text) : null, Progress = silent ? null : new LayerLines(context.Out, live, "Downloading", "Already exists", "Pull complete"), Heals = true };
            PullResult result = await context.Engine.PullAsync(reference, options, cancellationToken);
            live?.Dispose();
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
        Option<bool> foreign = Options.Flag("--foreign-layers", "also push layers that say themselves where they are to be had");
        var command = new Command("push") { name, quiet, foreign };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ImageReference reference = ImageReference.Parse(parsed.GetValue(name)!);
            if (!parsed.GetValue(quiet))
            {
                context.Out.WriteLine($"The push refers to repository [{reference.Name}]");
                context.Out.Flush();
            }
            using LiveDisplay? live = context.StartLive(parsed.GetValue(quiet));
            live?.Add($"Pushing {reference.Familiar}");
            var options = new PushOptions { ForeignLayers = parsed.GetValue(foreign), Progress = parsed.GetValue(quiet) ? null : new LayerLines(context.Out, live, "Pushing", "Layer already exists", "Pushed") };
            PushResult result = await context.Engine.PushAsync(reference, options, cancellationToken);
            live?.Dispose();
            if (!parsed.GetValue(quiet))
            {
                context.Out.WriteLine($"{reference.Tag ?? reference.Digest?.ToString()}: digest: {result.Descriptor.Digest} size: {result.Descriptor.Size}");
            }
            return 0;
        });
        return command;
    }

    /// <summary>A line for each answer.</summary>
    private sealed class AnswerLines(TextWriter output) : IProgress<RegistryAnswer>
    {
        private readonly Lock _lock = new();

        public void Report(RegistryAnswer value)
        {
            lock (_lock)
            {
                output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{value.Method} {value.Address} {value.Failure ?? ((int)value.Status).ToString(CultureInfo.InvariantCulture)} {value.Elapsed.TotalMilliseconds:0} ms"));
            }
        }
    }

    /// <summary>A line for each layer that is done or was there, as soon as it is; on a terminal, a bar for each that is on its way.</summary>
    private sealed class LayerLines(TextWriter output, LiveDisplay? live, string moving, string there, string done) : IProgress<TransferProgress>
    {
        private readonly Lock _lock = new();
        private readonly Dictionary<Digest, LiveTask> _moving = [];

        public void Report(TransferProgress value)
        {
            Digest digest = value.Descriptor.Digest;
            string name = digest.Hex[..12].ToString();
            lock (_lock)
            {
                if (value.State == TransferState.Moving)
                {
                    Move(digest, name, value);
                    return;
                }
                if (_moving.Remove(digest, out LiveTask? task))
                {
                    live!.Remove(task);
                }
                if (MediaTypes.IsConfig(value.Descriptor.MediaType))
                {
                    return;
                }
                string line = $"{name}: {value.State switch { TransferState.AlreadyThere => there, TransferState.Mounted => "Mounted", TransferState.LeftOut => "Skipped foreign layer", _ => done }}";
                if (live is null)
                {
                    Write(line);
                }
                else
                {
                    live.Print(() => Write(line));
                }
            }
        }

        private void Move(Digest digest, string name, TransferProgress value)
        {
            if (live is null)
            {
                return;
            }
            if (!_moving.TryGetValue(digest, out LiveTask? task))
            {
                _moving[digest] = task = live.Add($"{name}: {moving}", value.Descriptor.Size);
            }
            task.Done = value.Bytes;
        }

        private void Write(string line)
        {
            output.WriteLine(line);
            output.Flush();
        }
    }
}
