using System.Collections.Immutable;
using System.Globalization;
using Strata.Build;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Layers;
using Strata.Oci;

namespace Strata.Cli.Commands;

/// <summary><c>strata build</c>.</summary>
internal static class BuildCommand
{
    internal static Command Create(CommandContext context)
    {
        Argument<string?> folder = Options.Maybe("CONTEXT", "the folder that COPY and ADD read from");
        Option<string[]> tags = Options.Values("--tag", "NAME", "name for the image (may come again)", "-t");
        Option<string?> file = Options.Value("--file", "FILE", "the Dockerfile; - reads standard input", "-f");
        Option<string[]> arguments = Options.Values("--build-arg", "NAME=VALUE", "value of an ARG");
        Option<string[]> labels = Options.Values("--label", "NAME=VALUE", "label to add");
        Option<string?> target = Options.Value("--target", "STAGE", "the stage to build");
        Option<string?> platform = Options.Value("--platform", "OS/ARCH", "what to build for");
        Option<string?> network = Options.Value("--network", "MODE", "host (default) or none, for RUN");
        Option<string?> compression = Options.Value("--compression", "KIND", "of layers: gzip (default), zstd or none");
        Option<string?> idFile = Options.Value("--iidfile", "FILE", "write the image's ID to a file");
        Option<bool> noCache = Options.Flag("--no-cache", "run every step anew");
        Option<bool> pull = Options.Flag("--pull", "ask the registry for newer bases");
        Option<bool> quiet = Options.Flag("--quiet", "print only the image's ID", "-q");
        var command = new Command("build") { folder, tags, file, arguments, labels, target, platform, network, compression, idFile, noCache, pull, quiet };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string? dockerfile = parsed.GetValue(file);
            string? contextFolder = parsed.GetValue(folder);
            if (contextFolder is null && dockerfile is not "-")
            {
                throw new StrataException(ErrorKind.Invalid, "the context is missing") { Hint = "strata build -t NAME .   builds the folder you are in" };
            }
            var request = new BuildRequest
            {
                ContextDirectory = contextFolder is null or "-" ? null : Path.GetFullPath(contextFolder),
                DockerfileText = dockerfile is "-" || contextFolder is "-" ? await Console.In.ReadToEndAsync(cancellationToken) : null,
                DockerfilePath = dockerfile is null or "-" ? null : Path.GetFullPath(dockerfile),
                Tags = [.. parsed.GetValue(tags).Select(ImageReference.Parse)],
                NoCache = parsed.GetValue(noCache),
                Pull = parsed.GetValue(pull),
                SourceDateEpoch = SourceDateEpoch(parsed.GetValue(arguments)),
                Compression = parsed.GetValue(compression) switch { null or "gzip" => CompressionKind.Gzip, "zstd" => CompressionKind.Zstd, "none" => CompressionKind.None, string other => throw new StrataException(ErrorKind.Invalid, $"--compression {other}: there are gzip, zstd and none") },
                Options = new BuildOptions
                {
                    Target = parsed.GetValue(target),
                    Arguments = BuildArguments(parsed.GetValue(arguments)),
                    Labels = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(parsed.GetValue(labels))),
                    Platform = parsed.GetValue(platform) is { } text ? Platform.Parse(text) : Platform.Host,
                    NoNetwork = parsed.GetValue(network) switch { null or "host" or "default" => false, "none" => true, string other => throw new StrataException(ErrorKind.Invalid, $"--network {other}: there are host and none") },
                },
            };
            using LiveDisplay? live = context.StartLive(parsed.GetValue(quiet));
            var progress = new BuildLines(context.Error, parsed.GetValue(quiet), live);
            BuildResult result;
            try
            {
                result = await context.Engine.BuildAsync(request, progress, cancellationToken);
            }
            catch (BuildStepException)
            {
                progress.RepeatLast();
                throw;
            }
            live?.Dispose();
            if (parsed.GetValue(idFile) is { } path)
            {
                await File.WriteAllTextAsync(path, result.ImageId.ToString(), cancellationToken);
            }
            context.Out.WriteLine(result.ImageId.ToString());
            foreach (ImageReference tag in parsed.GetValue(quiet) ? [] : request.Tags)
            {
                context.Error.WriteLine($"Successfully tagged {tag.Familiar}");
            }
            return 0;
        });
        return command;
    }

    // --build-arg NAME without a value takes it from the environment, as Docker does.
    private static ImmutableSortedDictionary<string, string> BuildArguments(string[] texts)
    {
        ImmutableSortedDictionary<string, string>.Builder arguments = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (string text in texts)
        {
            int sign = text.IndexOf('=', StringComparison.Ordinal);
            string name = sign < 0 ? text : text[..sign];
            if ((sign < 0 ? Environment.GetEnvironmentVariable(name) : text[(sign + 1)..]) is { } value)
            {
                arguments[name] = value;
            }
        }
        return arguments.ToImmutable();
    }

    private static DateTimeOffset? SourceDateEpoch(string[] arguments)
    {
        string? text = arguments.LastOrDefault(a => a.StartsWith("SOURCE_DATE_EPOCH=", StringComparison.Ordinal))?["SOURCE_DATE_EPOCH=".Length..] ?? Environment.GetEnvironmentVariable("SOURCE_DATE_EPOCH");
        return string.IsNullOrEmpty(text) ? null : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds) ? DateTimeOffset.FromUnixTimeSeconds(seconds)
            : throw new StrataException(ErrorKind.Invalid, $"SOURCE_DATE_EPOCH={text}: not a number of seconds");
    }
}
