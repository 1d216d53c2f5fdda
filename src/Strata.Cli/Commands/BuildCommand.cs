using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using Strata.Build;
using Strata.Cli.Output;
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
                Tags = [.. parsed.All(tags).Select(ImageReference.Parse)],
                NoCache = parsed.GetValue(noCache),
                Pull = parsed.GetValue(pull),
                SourceDateEpoch = SourceDateEpoch(parsed.All(arguments)),
                Compression = parsed.GetValue(compression) switch { null or "gzip" => CompressionKind.Gzip, "zstd" => CompressionKind.Zstd, "none" => CompressionKind.None, string other => throw new StrataException(ErrorKind.Invalid, $"--compression {other}: there are gzip, zstd and none") },
                Options = new BuildOptions
                {
                    Target = parsed.GetValue(target),
                    Arguments = ImmutableDictionary.CreateRange(BuildArguments(parsed.All(arguments))),
                    Labels = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, Options.Pairs(parsed.All(labels))),
                    Platform = parsed.GetValue(platform) is { } text ? Platform.Parse(text) : Platform.Host,
                    NoNetwork = parsed.GetValue(network) switch { null or "host" or "default" => false, "none" => true, string other => throw new StrataException(ErrorKind.Invalid, $"--network {other}: there are host and none") },
                },
            };
            var progress = new BuildLines(context.Error, parsed.GetValue(quiet));
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
    private static IEnumerable<KeyValuePair<string, string>> BuildArguments(string[] texts)
        => texts.Select(t => t.Contains('=', StringComparison.Ordinal) ? t : Environment.GetEnvironmentVariable(t) is { } value ? $"{t}={value}" : null).OfType<string>()
            .Select(t => t.Split('=', 2)).GroupBy(p => p[0]).Select(g => KeyValuePair.Create(g.Key, g.Last()[1]));

    private static DateTimeOffset? SourceDateEpoch(string[] arguments)
    {
        string? text = arguments.LastOrDefault(a => a.StartsWith("SOURCE_DATE_EPOCH=", StringComparison.Ordinal))?["SOURCE_DATE_EPOCH=".Length..] ?? Environment.GetEnvironmentVariable("SOURCE_DATE_EPOCH");
        return string.IsNullOrEmpty(text) ? null : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds) ? DateTimeOffset.FromUnixTimeSeconds(seconds)
            : throw new StrataException(ErrorKind.Invalid, $"SOURCE_DATE_EPOCH={text}: not a number of seconds");
    }

    /// <summary>Plain lines, labelled by step, as output comes.</summary>
    private sealed class BuildLines(TextWriter output, bool quiet) : IBuildProgress
    {
        private const int KeptLines = 20;
        private readonly Lock _lock = new();
        private readonly Queue<string> _last = new();
        private readonly Dictionary<BuildStep, (int Number, System.Text.StringBuilder Line)> _steps = new(ReferenceEqualityComparer.Instance);

        public void Begin(BuildGraph graph)
        {
        }

        public void Started(BuildStep work) => Say($"#{NumberOf(work)} {work.Display}");

        public void Output(BuildStep work, ReadOnlySpan<byte> bytes, bool isError)
        {
            string text = System.Text.Encoding.UTF8.GetString(bytes);
            lock (_lock)
            {
                int number = NumberOf(work);
                System.Text.StringBuilder line = _steps[work].Line;
                foreach (char c in text)
                {
                    if (c != '\n')
                    {
                        line.Append(c);
                        continue;
                    }
                    Keep(line.ToString());
                    Say($"#{number} {SafeText.Escape(line.ToString().TrimEnd('\r'))}");
                    line.Clear();
                }
            }
        }

        public void Finished(BuildStep work, TimeSpan elapsed, StepOutcome outcome)
        {
            int number = NumberOf(work);
            if (outcome == StepOutcome.Cached)
            {
                Say($"#{number} {work.Display}");
            }
            Say(outcome == StepOutcome.Cached ? $"#{number} CACHED" : $"#{number} DONE {elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)}s");
        }

        public void Warn(string message)
        {
            lock (_lock)
            {
                output.WriteLine($"warning: {SafeText.Escape(message)}");
            }
        }

        /// <summary>The end of a failed step's output, where it was not shown.</summary>
        internal void RepeatLast()
        {
            foreach (string line in quiet ? _last : [])
            {
                output.WriteLine(SafeText.Escape(line));
            }
        }

        private void Keep(string line)
        {
            _last.Enqueue(line);
            if (_last.Count > KeptLines)
            {
                _last.Dequeue();
            }
        }

        private int NumberOf(BuildStep step)
        {
            lock (_lock)
            {
                if (!_steps.TryGetValue(step, out (int Number, System.Text.StringBuilder Line) entry))
                {
                    _steps[step] = entry = (_steps.Count + 1, new System.Text.StringBuilder());
                }
                return entry.Number;
            }
        }

        private void Say(string line)
        {
            if (!quiet)
            {
                lock (_lock)
                {
                    output.WriteLine(line);
                }
            }
        }
    }
}
