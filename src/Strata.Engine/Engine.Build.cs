using System.Collections.Immutable;
using Strata.Build;
using Strata.Containers;
using Strata.Content;
using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Strata.Layers;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Builds an image from a Dockerfile and a context, and gives it its names; for several platforms an index of images.</summary>
    /// <exception cref="DockerfileException">The Dockerfile is wrong; says where.</exception>
    /// <exception cref="BuildStepException">A step's process failed. Nothing of it stays; finished steps stay in the cache.</exception>
    public async ValueTask<BuildResult> BuildAsync(BuildRequest request, IBuildProgress progress, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(progress);
        if (request.Supply is { IsEmpty: false } supply)
        {
            return await BuildWithAccountAsync(request with { Supply = null }, supply, progress, cancellationToken).ConfigureAwait(false);
        }
        using StoreLease lease = Content.AcquireLease("build");
        using var agents = new SshAgents();
        await agents.OpenAsync(request.Agents, cancellationToken).ConfigureAwait(false);
        using var contexts = new BuildContexts();
        await OpenContextsAsync(contexts, request, agents.Sockets.GetValueOrDefault("default"), cancellationToken).ConfigureAwait(false);
        (string text, string name) = contexts.ReadDockerfile(request);
        try
        {
            return await BuildTextAsync(text, name, request, contexts, agents, progress, cancellationToken).ConfigureAwait(false);
        }
        catch (DockerfileException e) when (e.Excerpt is null)
        {
            throw e.In(text);
        }
    }

    private async ValueTask<BuildResult> BuildTextAsync(string text, string name, BuildRequest request, BuildContexts contexts, SshAgents agents, IBuildProgress progress, CancellationToken cancellationToken)
    {
        Dockerfile file = Dockerfile.Parse(text, name);
        StatCache stats = contexts.Main is { IsLocal: true, Root: { } root } ? StatCache.Open(Layout, root, _options.Time) : StatCache.CreateEmpty(_options.Time);
        BuildSettings settings = SettingsOf(request, contexts, name) with
        {
            Agents = agents.Sockets, Stats = stats, Imports = await OpenImportsAsync(request, progress, cancellationToken).ConfigureAwait(false),
        };
        ImmutableArray<Platform> platforms = request.Platforms.IsEmpty ? [request.Options.Platform] : [.. request.Platforms.Distinct()];
        var images = new List<(Platform Platform, BuiltImage Image)>();
        foreach (Platform platform in platforms)
        {
            BuildOptions options = request.Options with { Platform = platform, Contexts = contexts.Named };
            try
            {
                images.Add((platform, await BuildImageAsync(file, request with { Options = options }, contexts, settings, progress, cancellationToken).ConfigureAwait(false)));
            }
            finally
            {
                stats.Save();
            }
        }
        ImageRecord record = platforms.Length == 1 ? RecordOf(images[0].Image, request) : await WriteIndexAsync(images, cancellationToken).ConfigureAwait(false);
        foreach (ImageReference tag in request.Tags)
        {
            await Images.SetAsync(tag, record, cancellationToken).ConfigureAwait(false);
        }
        if (request.Tags.IsEmpty && !Images.List().Any(i => i.Record.Manifest.Digest == record.Manifest.Digest))
        {
            Images.AddUntagged(record);
        }
        return new BuildResult(record.Manifest, images[0].Image.Config.Digest) { DockerfileName = name, DockerfileDigest = Digest.Of(System.Text.Encoding.UTF8.GetBytes(text)) };
    }

    private async ValueTask<BuiltImage> BuildImageAsync(Dockerfile file, BuildRequest request, BuildContexts contexts, BuildSettings settings, IBuildProgress progress, CancellationToken cancellationToken)
    {
        var bases = new Dictionary<BaseName, BaseImage>();
        foreach (NeededImage needed in BuildPlanner.FindBases(file, request.Options))
        {
            bases[needed.Name] = contexts.Layouts.TryGetValue(needed.Name.Image, out Descriptor? layout) ? await ReadLayoutAsync(needed.Name, layout, request, cancellationToken).ConfigureAwait(false)
                : await ReadBaseAsync(needed, request, cancellationToken).ConfigureAwait(false);
        }
        Task<ImmutableArray<LintFinding>> linting = StartLinting(file, bases, request, settings.Ignore, progress);
        try
        {
            return await BuildPlannedAsync(BuildPlanner.Plan(file, bases, request.Options), request, settings, progress, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Warn(await linting.ConfigureAwait(false), progress);
        }
    }

    private async ValueTask<BuiltImage> BuildPlannedAsync(BuildGraph graph, BuildRequest request, BuildSettings settings, IBuildProgress progress, CancellationToken cancellationToken)
    {
        foreach (string warning in graph.Warnings)
        {
            progress.Warn(warning);
        }
        var environment = new BuildEnvironment(Content, Snapshots, BuildCache.Open(Layout), new StepRunner(Snapshots, Runtime), _options.Time);
        using var executor = new BuildExecutor(environment, settings, progress);
        try
        {
            BuiltImage built = await executor.RunAsync(graph, cancellationToken).ConfigureAwait(false);
            foreach (CachePlace place in request.CacheTo.Where(p => p.Type != "inline"))
            {
                await ExportCacheAsync(place, executor, graph, cancellationToken).ConfigureAwait(false);
            }
            return built;
        }
        catch (BuildStepException e) when (executor.Failure is not null)
        {
            throw await KeepFailureAsync(graph, executor.Failure, settings, e, cancellationToken).ConfigureAwait(false);
        }
    }

    private static BuildSettings SettingsOf(BuildRequest request, BuildContexts contexts, string dockerfile) => new(contexts.Main?.Root, BuildContexts.ReadIgnore(contexts.Main?.Root, dockerfile, request.DockerfilePath))
    {
        NoCache = request.NoCache, NoCacheStages = request.NoCacheStages, Compression = request.Compression, SourceDateEpoch = request.SourceDateEpoch, Jobs = request.Jobs,
        Secrets = request.Secrets, KeepsFailure = request.KeepFailed, Annotations = request.Annotations, Ledger = request.Ledger, Contexts = contexts.Files, Explains = request.Explain, CarriesCache = request.CacheTo.Any(p => p.Type == "inline"),
        Dockerfile = $"{(contexts.Main is { IsLocal: true } main ? Path.GetFullPath(main.Name) : contexts.Main?.Name)}\0{request.DockerfilePath ?? dockerfile}",
    };

    // What a list shows is when the image was made here; what it says of itself does not depend on the clock.
    private ImageRecord RecordOf(BuiltImage built, BuildRequest request)
    {
        DateTimeOffset? made = request.SourceDateEpoch is not null ? built.Created : FindMade(built.Manifest.Digest, request.Tags) ?? _options.Time.GetUtcNow();
        return new ImageRecord(built.Manifest) { Config = built.Config.Digest, Created = made, Size = built.LayerBytes.Sum(), LayerBytes = built.LayerBytes };
    }

    private async ValueTask<ImageRecord> WriteIndexAsync(List<(Platform Platform, BuiltImage Image)> images, CancellationToken cancellationToken)
    {
        var index = new ImageIndex([.. images.Select(i => i.Image.Manifest with { Platform = i.Platform })]) { MediaType = MediaTypes.OciIndex };
        Descriptor descriptor = await Content.WriteAsync(MediaTypes.OciIndex, OciJson.Serialize(index), cancellationToken).ConfigureAwait(false);
        return await MakeRecordAsync(descriptor, cancellationToken).ConfigureAwait(false);
    }

    // What a failed step left becomes a container with a shell in place of the step's command: its files, its user, its variables.
    private async ValueTask<BuildStepException> KeepFailureAsync(BuildGraph graph, FailedStep failed, BuildSettings settings, BuildStepException cause, CancellationToken cancellationToken)
    {
        var config = new ContainerConfig { Env = failed.Step.Environment, WorkingDir = failed.Step.WorkingDirectory, User = failed.Step.User, Cmd = ["/bin/sh"] };
        BuiltImage image = await ImageAssembler.AssembleAsync(Content, graph with { Config = config, History = [] }, failed.State, _ => failed.State, settings, cancellationToken).ConfigureAwait(false);
        Images.AddUntagged(new ImageRecord(image.Manifest) { Config = image.Config.Digest, Created = _options.Time.GetUtcNow(), Size = image.LayerBytes.Sum(), LayerBytes = image.LayerBytes });
        ContainerRecord container = await CreateContainerAsync(new ContainerOptions { Image = image.Config.Digest.ToString(), Input = true, Terminal = true }, cancellationToken).ConfigureAwait(false);
        return new BuildStepException(cause.Span, failed.Step.Command, cause.ExitCode)
        {
            Hint = $"the step's files are kept in container {container.Name}: strata start -ai {container.Name}   opens a shell there; strata rm {container.Name}   lets them go"
                + (cause.Hint is null ? "" : "\n" + cause.Hint),
        };
    }

    // Mostly it has the names that it is to have: others are looked through only where it has not.
    private DateTimeOffset? FindMade(Digest manifest, ImmutableArray<ImageReference> likely)
    {
        foreach (ImageReference tag in likely)
        {
            if (Images.TryRead(tag) is { } record && record.Manifest.Digest == manifest)
            {
                return record.Created;
            }
        }
        foreach (ListedImage image in ListImages())
        {
            if (image.Record.Manifest.Digest == manifest)
            {
                return image.Record.Created;
            }
        }
        return null;
    }
}

/// <summary>What to build.</summary>
public sealed record BuildRequest
{
    /// <summary>
    /// Where COPY and ADD read from: a folder, an archive's path or URL, a git repository (<c>URL#REF:FOLDER</c>), or <c>-</c> for <see cref="Input"/>; null: none.
    /// </summary>
    public string? Context { get; init; }
    /// <summary>What <c>-</c> reads: an archive, or a Dockerfile.</summary>
    public Stream? Input { get; init; }
    /// <summary>More contexts by name: a path, a URL, <c>docker-image://NAME</c> or <c>oci-layout://FOLDER[:TAG][@DIGEST]</c>.</summary>
    public ImmutableSortedDictionary<string, string> NamedContexts { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>What to build for, where it is not <see cref="BuildOptions.Platform"/> alone: more than one gives an index.</summary>
    public ImmutableArray<Platform> Platforms { get; init; } = [];
    /// <summary>The Dockerfile's path on this machine; null: in the context.</summary>
    public string? DockerfilePath { get; init; }
    /// <summary>The Dockerfile's name in the context, or for messages; Dockerfile where null.</summary>
    public string? DockerfileName { get; init; }
    /// <summary>The Dockerfile itself.</summary>
    public string? DockerfileText { get; init; }
    /// <summary>Names for the image.</summary>
    public ImmutableArray<ImageReference> Tags { get; init; } = [];
    /// <summary>Target, arguments, labels, platform.</summary>
    public BuildOptions Options { get; init; } = new();
    /// <summary>Runs every step anew.</summary>
    public bool NoCache { get; init; }
    /// <summary>Stages, by name or number, whose steps are run anew.</summary>
    public ImmutableArray<string> NoCacheStages { get; init; } = [];
    /// <summary>The most steps that work at once.</summary>
    public int Jobs { get; init; } = int.MaxValue;
    /// <summary>Secrets for RUN --mount=type=secret, by id.</summary>
    public ImmutableDictionary<string, SecretSource> Secrets { get; init; } = ImmutableDictionary<string, SecretSource>.Empty;
    /// <summary>Agents for RUN --mount=type=ssh, as --ssh says it: <c>default</c>, <c>ID=SOCKET</c>, <c>ID=KEY,KEY</c>.</summary>
    public ImmutableArray<string> Agents { get; init; } = [];
    /// <summary>Annotations for the manifest.</summary>
    public ImmutableSortedDictionary<string, string> Annotations { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>Where the cache goes when the image is built.</summary>
    public ImmutableArray<CachePlace> CacheTo { get; init; } = [];
    /// <summary>Caches that are asked where the store's own has no answer. One that is not there is a warning.</summary>
    public ImmutableArray<CachePlace> CacheFrom { get; init; } = [];
    /// <summary>Says of each step that is not in the cache what changed: <see cref="IBuildProgress.Missed"/>.</summary>
    public bool Explain { get; init; }
    /// <summary>Keeps what a failed step left as a container; the failure's hint names it.</summary>
    public bool KeepFailed { get; init; }
    /// <summary>Warns of what the linter finds in the file. What the file itself makes an error is one in any case.</summary>
    public bool Lints { get; init; } = true;
    /// <summary>Asks the registry for newer bases.</summary>
    public bool Pull { get; init; }
    /// <summary>How layers are compressed.</summary>
    public CompressionKind Compression { get; init; } = CompressionKind.Gzip;
    /// <summary>SOURCE_DATE_EPOCH: the time everything made now is said to be made at.</summary>
    public DateTimeOffset? SourceDateEpoch { get; init; }
    /// <summary>Told of all that comes from outside; null: nobody.</summary>
    public Supply.SourceLedger? Ledger { get; init; }
    /// <summary>What is kept of the build beside its image; null: nothing.</summary>
    public SupplyOptions? Supply { get; init; }
}

/// <summary>What was built.</summary>
/// <param name="Manifest">Its manifest, or the index of several platforms.</param>
/// <param name="ImageId">Its config's digest: Docker's image ID. Of several platforms: the first one's.</param>
public sealed record BuildResult(Descriptor Manifest, Digest ImageId)
{
    /// <summary>Whether it was built for several platforms.</summary>
    public bool IsIndex => MediaTypes.IsIndex(Manifest.MediaType);
    /// <summary>Where a second build differed first; null where it did not, or was not asked for.</summary>
    public string? Difference { get; init; }
    /// <summary>The Dockerfile's name.</summary>
    public string DockerfileName { get; init; } = "";
    /// <summary>The digest of its text.</summary>
    public Digest DockerfileDigest { get; init; }
}
