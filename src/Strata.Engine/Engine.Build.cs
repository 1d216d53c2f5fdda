using System.Collections.Immutable;
using Strata.Build;
using Strata.Containers;
using Strata.Content;
using Strata.Dockerfiles;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Builds an image from a Dockerfile and a context, and gives it its names.</summary>
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
        using RootedDirectory? context = request.ContextDirectory is { } folder ? OpenContext(folder) : null;
        (string text, string name) = ReadDockerfile(request, context);
        Dockerfile file = Dockerfile.Parse(text, name);
        var bases = new Dictionary<ImageReference, BaseImage>();
        foreach ((ImageReference image, SourceSpan span) in BuildPlanner.FindBases(file, request.Options))
        {
            bases[image] = await ReadBaseAsync(image, span, request, cancellationToken).ConfigureAwait(false);
        }
        WarnOfFindings(file, bases, request, ReadIgnore(context, name), progress);
        BuildGraph graph = BuildPlanner.Plan(file, bases, request.Options);
        foreach (string warning in graph.Warnings)
        {
            progress.Warn(warning);
        }
        using var agents = new SshAgents();
        await agents.OpenAsync(request.Agents, cancellationToken).ConfigureAwait(false);
        var environment = new BuildEnvironment(Content, Snapshots, BuildCache.Open(Layout), new StepRunner(Snapshots, Runtime), _options.Time);
        var settings = new BuildSettings(context, ReadIgnore(context, name))
        {
            NoCache = request.NoCache, NoCacheStages = request.NoCacheStages, Compression = request.Compression, SourceDateEpoch = request.SourceDateEpoch, Jobs = request.Jobs,
            Secrets = request.Secrets, Agents = agents.Sockets, KeepsFailure = request.KeepFailed, Annotations = request.Annotations, Ledger = request.Ledger,
        };
        using var executor = new BuildExecutor(environment, settings, progress);
        BuiltImage built;
        try
        {
            built = await executor.RunAsync(graph, cancellationToken).ConfigureAwait(false);
        }
        catch (BuildStepException e) when (executor.Failure is not null)
        {
            throw await KeepFailureAsync(graph, executor.Failure, settings, e, cancellationToken).ConfigureAwait(false);
        }
        // What a list shows is when the image was made here; what it says of itself does not depend on the clock.
        DateTimeOffset? made = request.SourceDateEpoch is not null ? built.Created : FindMade(built.Manifest.Digest) ?? _options.Time.GetUtcNow();
        var record = new ImageRecord(built.Manifest) { Config = built.Config.Digest, Created = made, Size = built.LayerBytes.Sum(), LayerBytes = built.LayerBytes };
        foreach (ImageReference tag in request.Tags)
        {
            await Images.SetAsync(tag, record, cancellationToken).ConfigureAwait(false);
        }
        if (request.Tags.IsEmpty && !Images.List().Any(i => i.Record.Manifest.Digest == built.Manifest.Digest))
        {
            Images.AddUntagged(record);
        }
        return new BuildResult(built.Manifest, built.Config.Digest);
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

    private DateTimeOffset? FindMade(Digest manifest)
    {
        foreach (ListedImage image in ListImages())
        {
            if (image.Record.Manifest.Digest == manifest)
            {
                return image.Record.Created;
            }
        }
        return null;
    }

    private static RootedDirectory OpenContext(string folder)
    {
        try
        {
            return RootedDirectory.Open(folder);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.ENOTDIR)
        {
            throw new StrataException(ErrorKind.NotFound, $"build context {folder}: {(e.Errno is Errno.ENOENT ? "no such directory" : "not a directory")}", e)
            {
                Hint = "the last argument of build is a directory, mostly the dot: strata build -t NAME .",
            };
        }
    }

    private static (string Text, string Name) ReadDockerfile(BuildRequest request, RootedDirectory? context)
    {
        if (request.DockerfileText is { } given)
        {
            return (given, request.DockerfileName ?? "Dockerfile");
        }
        string name = request.DockerfileName ?? "Dockerfile";
        if (request.DockerfilePath is { } path)
        {
            return File.Exists(path) ? (File.ReadAllText(path), Path.GetFileName(path))
                : throw new StrataException(ErrorKind.NotFound, $"Dockerfile {path}: no such file") { Hint = "name it with -f FILE, or - to read it from the input" };
        }
        if (context?.TryGetStatus(name, follow: true) is null)
        {
            throw new StrataException(ErrorKind.NotFound, $"{request.ContextDirectory}: no {name} in it") { Hint = "name it with -f FILE, or - to read it from the input" };
        }
        using var stream = new FileStream(context.OpenFile(name, follow: true), FileAccess.Read);
        using var reader = new StreamReader(stream);
        return (reader.ReadToEnd(), name);
    }

    private static DockerIgnore? ReadIgnore(RootedDirectory? context, string dockerfile)
    {
        foreach (string name in new[] { dockerfile + ".dockerignore", ".dockerignore" })
        {
            if (context?.TryGetStatus(name, follow: true) is { Kind: FileKind.Regular })
            {
                using var stream = new FileStream(context.OpenFile(name, follow: true), FileAccess.Read);
                using var reader = new StreamReader(stream);
                try
                {
                    return DockerIgnore.Parse(reader.ReadToEnd());
                }
                catch (FormatException e)
                {
                    throw new StrataException(ErrorKind.Invalid, $"{name}: {e.Message}", e);
                }
            }
        }
        return null;
    }

    private async ValueTask<BaseImage> ReadBaseAsync(ImageReference image, SourceSpan span, BuildRequest request, CancellationToken cancellationToken)
    {
        Descriptor? descriptor = request.Pull ? null : await Images.TryResolveAsync(image, cancellationToken).ConfigureAwait(false);
        if (descriptor is null && !request.Pull && await BudgetTurn.WaitAsync(Layout, cancellationToken).ConfigureAwait(false))
        {
            descriptor = await Images.TryResolveAsync(image, cancellationToken).ConfigureAwait(false); // its name was only put aside
        }
        try
        {
            descriptor ??= (await PullAsync(image, new PullOptions { Platform = request.Options.Platform }, cancellationToken).ConfigureAwait(false)).Descriptor;
        }
        catch (Exception e) when (e is StrataException or HttpRequestException or IOException)
        {
            throw new DockerfileException(span, $"base image {image.Familiar} is not here and cannot be pulled: {e.Message}")
            {
                Hint = image.Repository.EndsWith("debian", StringComparison.Ordinal) ? $"strata bootstrap debian:{image.Tag} makes it without a registry" : "see strata images for what is here",
            };
        }
        (Descriptor manifestDescriptor, ImageManifest manifest, ImageConfig config) = await ReadImageAsync(descriptor, request.Options.Platform, cancellationToken).ConfigureAwait(false);
        request.Ledger?.Note(new Supply.LockedSource(Supply.SourceKind.Image, image.ToString(), descriptor.Digest.ToString()) { Platform = request.Options.Platform.ToString() });
        if (!IsNamed(descriptor.Digest) && (!await BudgetTurn.WaitAsync(Layout, cancellationToken).ConfigureAwait(false) || !IsNamed(descriptor.Digest)))
        {
            throw new DockerfileException(span, $"base image {image.Familiar} was removed meanwhile");
        }
        Images.NoteUse(image, descriptor.Digest);
        return new BaseImage(image, manifestDescriptor, manifest, config);
    }

    // From a name's descriptor (an index, perhaps) to the image of a platform.
    private async ValueTask<(Descriptor Descriptor, ImageManifest Manifest, ImageConfig Config)> ReadImageAsync(Descriptor descriptor, Platform platform, CancellationToken cancellationToken)
    {
        while (MediaTypes.IsIndex(descriptor.MediaType))
        {
            Content.Pin(descriptor.Digest); // before it is read: who holds a lease keeps what he has read
            ImageIndex index = OciJson.ParseIndex(await Content.ReadAsync(descriptor, cancellationToken).ConfigureAwait(false), descriptor.MediaType);
            descriptor = index.Select(platform) ?? throw new StrataException(ErrorKind.NotFound, $"{descriptor.Digest}: no image for {platform}");
        }
        Content.Pin(descriptor.Digest);
        ImageManifest manifest = OciJson.ParseManifest(await Content.ReadAsync(descriptor, cancellationToken).ConfigureAwait(false), descriptor.MediaType);
        Content.Pin([manifest.Config.Digest, .. manifest.Layers.Select(l => l.Digest)]);
        return (descriptor, manifest, OciJson.ParseConfig(await Content.ReadAsync(manifest.Config, cancellationToken).ConfigureAwait(false)));
    }
}

/// <summary>What to build.</summary>
public sealed record BuildRequest
{
    /// <summary>The folder that COPY and ADD read from; null: none.</summary>
    public string? ContextDirectory { get; init; }
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
    /// <summary>Keeps what a failed step left as a container; the failure's hint names it.</summary>
    public bool KeepFailed { get; init; }
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
/// <param name="Manifest">Its manifest.</param>
/// <param name="ImageId">Its config's digest: Docker's image ID.</param>
public sealed record BuildResult(Descriptor Manifest, Digest ImageId)
{
    /// <summary>Where a second build differed first; null where it did not, or was not asked for.</summary>
    public string? Difference { get; init; }
}
