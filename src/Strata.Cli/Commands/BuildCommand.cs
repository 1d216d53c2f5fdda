using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Strata.Build;
using Strata.Cli.Output;
using Strata.Cli.Syntax;
using Strata.Layers;
using Strata.Oci;
using Strata.Server;

namespace Strata.Cli.Commands;

/// <summary><c>strata build</c>.</summary>
internal sealed class BuildCommand
{
    private readonly Argument<string?> _folder = Options.Maybe("CONTEXT", "what COPY and ADD read from: a folder, an archive, a URL, a git repository, or - for standard input");
    private readonly Option<string[]> _tags = Options.Values("--tag", "NAME", "name for the image (may come again)", "-t");
    private readonly Option<string?> _file = Options.Value("--file", "FILE", "the Dockerfile; - reads standard input", "-f");
    private readonly Option<string[]> _arguments = Options.Values("--build-arg", "NAME=VALUE", "value of an ARG");
    private readonly Option<string[]> _labels = Options.Values("--label", "NAME=VALUE", "label to add");
    private readonly Option<string[]> _annotations = Options.Values("--annotation", "NAME=VALUE", "annotation of the manifest");
    private readonly Option<string?> _target = Options.Value("--target", "STAGE", "the stage to build");
    private readonly Option<string[]> _platforms = Options.Values("--platform", "OS/ARCH[,OS/ARCH]", "what to build for; several give an index");
    private readonly Option<string[]> _contexts = Options.Values("--build-context", "NAME=WHAT", "one more context: a folder, URL, docker-image://NAME or oci-layout://FOLDER");
    private readonly Option<string[]> _outputs = Options.Values("--output", "FOLDER|type=…", "where the result goes: type=local, tar, oci, docker, image or registry, with dest= or name=", "-o");
    private readonly Option<bool> _push = Options.Flag("--push", "push the image under its names");
    private readonly Option<bool> _load = Options.Flag("--load", "for docker's sake: what is built is always in the store");
    private readonly Option<string?> _network = Options.Value("--network", "MODE", "host (default) or none, for RUN");
    private readonly Option<string[]> _hosts = Options.Values("--add-host", "NAME:IP", "a line for /etc/hosts of every RUN");
    private readonly Option<string?> _shm = Options.Value("--shm-size", "SIZE", "size of /dev/shm of every RUN: 64m");
    private readonly Option<string[]> _ulimits = Options.Values("--ulimit", "NAME=SOFT[:HARD]", "a resource limit of every RUN: nofile=1024");
    private readonly Option<string[]> _secrets = Options.Values("--secret", "id=ID,src=FILE", "a secret for RUN --mount=type=secret; or id=ID,env=VARIABLE");
    private readonly Option<string[]> _ssh = Options.Values("--ssh", "ID[=SOCKET|KEY]", "an agent for RUN --mount=type=ssh; default forwards SSH_AUTH_SOCK");
    private readonly Option<string[]> _allow = Options.Values("--allow", "RIGHT", "what RUN may ask for: security.insecure, network.host");
    private readonly Option<string?> _compression = Options.Value("--compression", "KIND", "of layers: gzip (default), zstd or none");
    private readonly Option<string?> _idFile = Options.Value("--iidfile", "FILE", "write the image's ID to a file");
    private readonly Option<string?> _metadata = Options.Value("--metadata-file", "FILE", "write what was built to a file, as JSON");
    private readonly Option<bool> _noCache = Options.Flag("--no-cache", "run every step anew");
    private readonly Option<string[]> _noCacheFilter = Options.Values("--no-cache-filter", "STAGE[,STAGE]", "run the steps of these stages anew");
    private readonly Option<bool> _pull = Options.Flag("--pull", "ask the registry for newer bases");
    private readonly Option<int> _jobs = Options.Number("--jobs", "N", "the most steps at once; 0: as many as can", 0, "-j");
    private readonly Option<string?> _onFailure = Options.Value("--on-failure", "WHAT", "keep: a container with what the failed step left");
    private readonly Option<string[]> _cacheTo = Options.Values("--cache-to", "type=…", "bring the cache to type=registry,ref=NAME, type=local,dest=FOLDER or type=inline; mode=min|max, mounts=SIZE|off");
    private readonly Option<string[]> _cacheFrom = Options.Values("--cache-from", "NAME|type=…", "use a cache of type=registry,ref=NAME or type=local,src=FOLDER too");
    private readonly Option<bool> _explain = Options.Flag("--explain", "say of each step that is not in the cache what changed");
    private readonly Option<string?> _progress = Options.Value("--progress", "KIND", "auto (default), plain, tty, json (one object a line), rawjson (as BuildKit's) or quiet");
    private readonly Option<bool> _quiet = Options.Flag("--quiet", "print only the image's ID", "-q");
    private readonly Option<string?> _call = Options.Value("--call", "WHAT", "build (default), or check: only say what lint finds");
    private readonly Option<bool> _check = Options.Flag("--check", "only say what lint finds; ends with 3 where it finds something");
    private readonly SupplyFlags _supply = new();
    private readonly CommandContext _context;

    private BuildCommand(CommandContext context) => _context = context;

    internal static Command Create(CommandContext context)
    {
        var build = new BuildCommand(context);
        var command = new Command("build")
        {
            build._folder, build._tags, build._file, build._arguments, build._labels, build._annotations, build._target, build._platforms, build._contexts, build._outputs, build._push, build._load, build._network, build._hosts, build._shm, build._ulimits,
            build._secrets, build._ssh, build._allow, build._compression, build._idFile, build._metadata, build._noCache, build._noCacheFilter, build._pull, build._jobs, build._onFailure,
            build._cacheTo, build._cacheFrom, build._explain, build._progress, build._quiet, build._call, build._check, build._supply.Lock, build._supply.Locked, build._supply.Verify,
            build._supply.Sbom, build._supply.Provenance,
        };
        command.Add(BuildCacheCommand.Create(context));
        command.SetAction(build.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        BuildRequest request = await ReadAsync(parsed, cancellationToken);
        BuildOutput[] outputs = [.. parsed.GetValue(_outputs).Select(BuildOutput.Parse), .. parsed.GetValue(_push) ? new[] { BuildOutput.Registry } : []];
        string call = parsed.GetValue(_call) ?? (parsed.GetValue(_check) ? "check" : "build");
        if (call is "check" or "lint")
        {
            return await CheckAsync(request, cancellationToken);
        }
        if (call != "build")
        {
            throw new StrataException(ErrorKind.Invalid, $"--call {call}: there are build and check");
        }
        Array.ForEach(outputs, o => o.Check(request));
        string kind = parsed.GetValue(_progress) ?? "auto";
        bool quiet = parsed.GetValue(_quiet) || kind is "quiet" or "none", json = kind is "json" or "rawjson";
        if (!json && kind is not ("auto" or "plain" or "tty" or "quiet" or "none"))
        {
            throw new StrataException(ErrorKind.Invalid, $"--progress {kind}: there are auto, plain, tty, json, rawjson and quiet");
        }
        using LiveDisplay? live = kind is "plain" || json ? null : _context.StartLive(quiet);
        if (kind == "tty" && live is null)
        {
            throw new StrataException(ErrorKind.Invalid, "--progress tty: standard error is no terminal");
        }
        request = request with { Lints = !quiet };
        BuildResult result = kind == "rawjson" ? await BuildAsync(request, new BuildRawJson(_context.Error, TimeProvider.System), cancellationToken)
            : json ? await BuildAsync(request, new BuildJson(_context.Error), cancellationToken) : await BuildAsync(request, new BuildLines(_context.Error, quiet, live), cancellationToken);
        live?.Dispose();
        await WriteFilesAsync(parsed, request, result, cancellationToken);
        foreach (BuildOutput output in outputs)
        {
            await output.WriteAsync(_context, request, result, cancellationToken);
        }
        if (!outputs.Any(o => o.TakesStandardOutput))
        {
            _context.Out.WriteLine(result.ImageId.ToString());
        }
        foreach (ImageReference tag in quiet || json ? [] : request.Tags)
        {
            _context.Error.WriteLine($"Successfully tagged {tag.Familiar}");
        }
        return _supply.Tell(_context, parsed, result);
    }

    private async Task<int> CheckAsync(BuildRequest request, CancellationToken cancellationToken)
    {
        LintedDockerfile checkedFile = await _context.Engine.CheckDockerfileAsync(request, cancellationToken);
        LintText.Write(_context.Out, [new LintedFile(checkedFile.Name, checkedFile.Findings)]);
        _context.Error.WriteLine(checkedFile.Findings.IsEmpty ? "Check complete, no warnings found." : $"Check complete, {checkedFile.Findings.Length} warnings have been found!");
        return checkedFile.Findings.IsEmpty ? 0 : ErrorTable.CheckFailedExitCode;
    }

    private async Task<BuildResult> BuildAsync(BuildRequest request, BuildLines progress, CancellationToken cancellationToken)
    {
        try
        {
            return await _context.Engine.BuildAsync(request, progress, cancellationToken);
        }
        catch (BuildStepException e)
        {
            progress.RepeatLast(e);
            throw;
        }
    }

    private async Task<BuildResult> BuildAsync(BuildRequest request, BuildRawJson progress, CancellationToken cancellationToken)
    {
        try
        {
            return await _context.Engine.BuildAsync(request, progress, cancellationToken);
        }
        catch (StrataException e)
        {
            progress.Failed(e);
            throw;
        }
    }

    private async Task<BuildResult> BuildAsync(BuildRequest request, BuildJson progress, CancellationToken cancellationToken)
    {
        try
        {
            BuildResult result = await _context.Engine.BuildAsync(request, progress, cancellationToken);
            progress.Built(result);
            return result;
        }
        catch (StrataException e)
        {
            progress.Failed(e);
            throw;
        }
    }

    private async Task<BuildRequest> ReadAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        string? dockerfile = parsed.GetValue(_file);
        string? contextFolder = parsed.GetValue(_folder);
        if (contextFolder is null && dockerfile is not "-")
        {
            throw new StrataException(ErrorKind.Invalid, "the context is missing") { Hint = "strata build -t NAME .   builds the folder you are in" };
        }
        if (dockerfile is "-" && contextFolder is "-")
        {
            throw new StrataException(ErrorKind.Invalid, "standard input cannot be both the Dockerfile and the context");
        }
        bool isFolder = contextFolder is null || Directory.Exists(contextFolder);
        return new BuildRequest
        {
            Context = contextFolder,
            Input = contextFolder is "-" ? Console.OpenStandardInput() : null,
            NamedContexts = Options.Map(parsed.GetValue(_contexts), ReadContext),
            Platforms = [.. parsed.GetValue(_platforms).SelectMany(p => p.Split(',')).Select(p => Platform.Parse(p))],
            DockerfileText = dockerfile is "-" ? await Console.In.ReadToEndAsync(cancellationToken) : null,
            DockerfilePath = dockerfile is null or "-" || !isFolder ? null : Path.GetFullPath(dockerfile),
            DockerfileName = isFolder || dockerfile is "-" ? null : dockerfile,
            Tags = [.. parsed.GetValue(_tags).Select(ImageReference.Parse)],
            NoCache = parsed.GetValue(_noCache),
            NoCacheStages = [.. parsed.GetValue(_noCacheFilter).SelectMany(s => s.Split(',', StringSplitOptions.RemoveEmptyEntries))],
            CacheTo = [.. parsed.GetValue(_cacheTo).Select(CachePlace.Parse)],
            CacheFrom = [.. parsed.GetValue(_cacheFrom).Select(CachePlace.Parse)],
            Explain = parsed.GetValue(_explain),
            Pull = parsed.GetValue(_pull),
            Jobs = parsed.GetValue(_jobs) is > 0 and int jobs ? jobs : int.MaxValue,
            Secrets = parsed.GetValue(_secrets) is { Length: > 0 } secrets ? SecretsOf(secrets) : ImmutableDictionary<string, SecretSource>.Empty,
            Agents = [.. parsed.GetValue(_ssh)],
            Annotations = Options.Map(Array.ConvertAll(parsed.GetValue(_annotations), OfManifest)),
            KeepFailed = parsed.GetValue(_onFailure) switch { null => false, "keep" => true, string other => throw new StrataException(ErrorKind.Invalid, $"--on-failure {other}: there is keep") },
            SourceDateEpoch = SourceDateEpoch(parsed.GetValue(_arguments)),
            Compression = parsed.GetValue(_compression) switch { null or "gzip" => CompressionKind.Gzip, "zstd" => CompressionKind.Zstd, "none" => CompressionKind.None, string other => throw new StrataException(ErrorKind.Invalid, $"--compression {other}: there are gzip, zstd and none") },
            Supply = _supply.Read(parsed),
            Options = ReadOptions(parsed),
        };
    }

    private BuildOptions ReadOptions(ParseResult parsed)
    {
        string? network = parsed.GetValue(_network);
        string[] allowed = [.. parsed.GetValue(_allow).SelectMany(a => a.Split(',', StringSplitOptions.RemoveEmptyEntries))];
        if (allowed.FirstOrDefault(a => a is not ("security.insecure" or "network.host")) is { } unknown)
        {
            throw new StrataException(ErrorKind.Invalid, $"--allow {unknown}: there are security.insecure and network.host");
        }
        return new BuildOptions
        {
            Target = parsed.GetValue(_target),
            Arguments = BuildArguments(parsed.GetValue(_arguments)),
            Labels = Options.Map(parsed.GetValue(_labels)),
            Platform = parsed.GetValue(_platforms) is [string first, ..] ? Platform.Parse(first.Split(',')[0]) : Platform.Host,
            NoNetwork = network switch { null or "host" or "default" => false, "none" => true, string other => throw new StrataException(ErrorKind.Invalid, $"--network {other}: there are host and none") },
            Allowed = [.. allowed],
            Limits = new RunLimits
            {
                SharedMemoryBytes = parsed.GetValue(_shm) is { } size ? RunCommand.ParseBytes(size, "--shm-size") : null,
                Limits = [.. parsed.GetValue(_ulimits).Select(RunLimit.Parse)],
                Hosts = [.. parsed.GetValue(_hosts).Select(ReadHost)],
            },
        };
    }

    private async Task WriteFilesAsync(ParseResult parsed, BuildRequest request, BuildResult result, CancellationToken cancellationToken)
    {
        if (parsed.GetValue(_idFile) is { } path)
        {
            await File.WriteAllTextAsync(path, result.ImageId.ToString(), cancellationToken);
        }
        if (parsed.GetValue(_metadata) is { } metadata)
        {
            await OutputFile.WriteAsync(metadata, async file =>
            {
                await using var writer = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true });
                BuildJson.WriteMetadata(writer, request, result);
            });
        }
    }

    // buildx: a name alone, or with manifest: before it, is of the manifest.
    private static ImmutableDictionary<string, SecretSource> SecretsOf(string[] texts)
        => ImmutableDictionary.CreateRange(texts.Select(SecretSource.Parse).GroupBy(s => s.Id).Select(g => KeyValuePair.Create(g.Key, g.Last().Source)));

    private static string OfManifest(string annotation) => annotation.StartsWith("manifest:", StringComparison.Ordinal) ? annotation["manifest:".Length..] : annotation;

    private static KeyValuePair<string, string> ReadContext(string text)
        => text.Split('=', 2) is [{ Length: > 0 } name, { Length: > 0 } value] ? KeyValuePair.Create(name, value) : throw new StrataException(ErrorKind.Invalid, $"--build-context {text}: write it like NAME=FOLDER");

    // NAME:IP or NAME=IP; an IPv6 address may stand in brackets.
    private static RunHost ReadHost(string text)
    {
        int sign = text.IndexOfAny(['=', ':']);
        string address = sign < 0 ? "" : text[(sign + 1)..].Trim('[', ']');
        return sign > 0 && IPAddress.TryParse(address, out IPAddress? ip) ? new RunHost(text[..sign], ip)
            : throw new StrataException(ErrorKind.Invalid, $"--add-host {text}: it is no name and address") { Hint = "write it like db:10.0.0.5" };
    }

    // --build-arg NAME without a value takes it from the environment, as Docker does.
    private static ImmutableSortedDictionary<string, string> BuildArguments(string[] texts)
    {
        if (texts.Length == 0)
        {
            return Options.Nothing;
        }
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

    internal static DateTimeOffset? SourceDateEpoch(string[] arguments)
    {
        string? text = arguments.LastOrDefault(a => a.StartsWith("SOURCE_DATE_EPOCH=", StringComparison.Ordinal))?["SOURCE_DATE_EPOCH=".Length..] ?? Environment.GetEnvironmentVariable("SOURCE_DATE_EPOCH");
        return string.IsNullOrEmpty(text) ? null : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds) ? DateTimeOffset.FromUnixTimeSeconds(seconds)
            : throw new StrataException(ErrorKind.Invalid, $"SOURCE_DATE_EPOCH={text}: not a number of seconds");
    }
}
