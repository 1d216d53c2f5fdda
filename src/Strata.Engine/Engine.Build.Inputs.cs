using Strata.Build;
using Strata.Content;
using Strata.Dockerfiles;
using Strata.Dockerfiles.Lint;
using Strata.Images;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    private const string ImagePrefix = "docker-image://", LayoutPrefix = "oci-layout://";

    /// <summary>Says what lint finds in the Dockerfile that would be built, and builds nothing.</summary>
    /// <exception cref="DockerfileException">The Dockerfile is wrong, or has no such target; says where.</exception>
    public async ValueTask<LintedDockerfile> CheckDockerfileAsync(BuildRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        using var contexts = new BuildContexts();
        await OpenContextsAsync(contexts, request, null, cancellationToken).ConfigureAwait(false);
        (string text, string name) = contexts.ReadDockerfile(request);
        try
        {
            Dockerfile file = Dockerfile.Parse(text, name);
            BuildPlanner.FindBases(file, request.Options with { Contexts = contexts.Named }); // the target is there, and what it names can be a name
            var options = new LintOptions
            {
                Ignore = BuildContexts.ReadIgnore(contexts.Main?.Root, name, request.DockerfilePath), Check = request.Options.Arguments.GetValueOrDefault("BUILDKIT_DOCKERFILE_CHECK"),
            };
            return new LintedDockerfile(name, DockerfileLinter.Lint(file, options));
        }
        catch (DockerfileException e)
        {
            throw e.In(text);
        }
    }

    private async ValueTask OpenContextsAsync(BuildContexts contexts, BuildRequest request, string? agent, CancellationToken cancellationToken)
    {
        if (request.Context is { } text)
        {
            contexts.Main = await ContextFolder.OpenAsync(text, request.Input, Layout.NewIngestPath("context"), agent, cancellationToken).ConfigureAwait(false);
        }
        foreach ((string name, string value) in request.NamedContexts)
        {
            if (value.StartsWith(ImagePrefix, StringComparison.Ordinal))
            {
                contexts.Add(new NamedContext(name, ImageReference.Parse(value[ImagePrefix.Length..])));
            }
            else if (value.StartsWith(LayoutPrefix, StringComparison.Ordinal))
            {
                Descriptor descriptor = await LoadLayoutAsync(value, cancellationToken).ConfigureAwait(false);
                contexts.AddLayout(name, ImageReference.Parse($"oci-layout.invalid/layout@{descriptor.Digest}"), descriptor);
            }
            else
            {
                contexts.Add(name, _options.Time, await ContextFolder.OpenAsync(value, null, Layout.NewIngestPath("context"), agent, cancellationToken).ConfigureAwait(false));
            }
        }
    }

    // FOLDER[:TAG][@DIGEST], as buildx has it.
    private async ValueTask<Descriptor> LoadLayoutAsync(string text, CancellationToken cancellationToken)
    {
        string rest = text[LayoutPrefix.Length..];
        int at = rest.LastIndexOf('@');
        Digest? digest = at < 0 ? null : Digest.TryParse(rest[(at + 1)..], null, out Digest parsed) ? parsed : throw new StrataException(ErrorKind.Invalid, $"{text}: {rest[(at + 1)..]} is no digest");
        rest = at < 0 ? rest : rest[..at];
        int colon = rest.IndexOf(':', rest.LastIndexOf('/') + 1);
        (string folder, string? tag) = colon < 0 ? (rest, null) : (rest[..colon], rest[(colon + 1)..]);
        if (!Directory.Exists(folder))
        {
            throw new StrataException(ErrorKind.NotFound, $"{text}: no such folder");
        }
        IReadOnlyList<ArchivedImage> images = await new ArchiveReader(Content).ReadFolderAsync(folder, cancellationToken).ConfigureAwait(false);
        ArchivedImage[] fit = [.. images.Where(i => (digest is null || i.Descriptor.Digest == digest) && (tag is null || i.Names.Any(n => n.Tag == tag)))];
        return fit.Length == 1 ? fit[0].Descriptor : throw new StrataException(ErrorKind.NotFound, $"{text}: {(fit.Length == 0 ? "no such image" : "more than one image")} in it")
        {
            Hint = $"there are: {string.Join(", ", images.Select(i => i.Names.Count == 0 ? i.Descriptor.Digest.ToString() : i.Names[0].Tag))}",
        };
    }

    private async ValueTask<BaseImage> ReadLayoutAsync(BaseName name, Descriptor descriptor, BuildRequest request, CancellationToken cancellationToken)
    {
        (Descriptor image, ImageManifest manifest, ImageConfig config) = await ReadImageAsync(descriptor, name.Platform ?? request.Options.Platform, cancellationToken).ConfigureAwait(false);
        return new BaseImage(name.Image, image, manifest, config);
    }

    private async ValueTask<BaseImage> ReadBaseAsync(NeededImage needed, BuildRequest request, CancellationToken cancellationToken)
    {
        (ImageReference image, SourceSpan span) = (needed.Name.Image, needed.Span);
        Platform platform = needed.Name.Platform ?? request.Options.Platform;
        Descriptor? descriptor = request.Pull ? null : await Images.TryResolveAsync(image, cancellationToken).ConfigureAwait(false);
        if (descriptor is null && !request.Pull && await BudgetTurn.WaitAsync(Layout, cancellationToken).ConfigureAwait(false))
        {
            descriptor = await Images.TryResolveAsync(image, cancellationToken).ConfigureAwait(false); // its name was only put aside
        }
        if (descriptor is not null && !await IsHereAsync(descriptor, platform, cancellationToken).ConfigureAwait(false))
        {
            descriptor = null; // an index of which only other platforms' images were pulled
        }
        try
        {
            descriptor ??= (await PullAsync(image, new PullOptions { Platform = platform }, cancellationToken).ConfigureAwait(false)).Descriptor;
        }
        catch (Exception e) when (e is StrataException or HttpRequestException or IOException)
        {
            throw new DockerfileException(span, $"base image {image.Familiar} is not here and cannot be pulled: {e.Message}") { Hint = HintFor(needed), Culprit = needed.Written };
        }
        (Descriptor manifestDescriptor, ImageManifest manifest, ImageConfig config) = await ReadImageAsync(descriptor, platform, cancellationToken).ConfigureAwait(false);
        request.Ledger?.Note(new Supply.LockedSource(Supply.SourceKind.Image, image.ToString(), descriptor.Digest.ToString()) { Platform = platform.ToString() });
        if (!IsNamed(descriptor.Digest, image) && (!await BudgetTurn.WaitAsync(Layout, cancellationToken).ConfigureAwait(false) || !IsNamed(descriptor.Digest, image)))
        {
            throw new DockerfileException(span, $"base image {image.Familiar} was removed meanwhile") { Culprit = needed.Written };
        }
        Images.NoteUse(image, descriptor.Digest);
        return new BaseImage(image, manifestDescriptor, manifest, config);
    }

    // A plain word that is no image is mostly a stage, misspelt.
    private static string HintFor(NeededImage needed)
        => needed.Written.AsSpan().IndexOfAny(":/@.") < 0 && !needed.Stages.IsEmpty ? $"no stage has that name; {StageOrder.HintFor(needed.Written, needed.Stages, needed.Stages.Length)}"
            : needed.Name.Image.Repository.EndsWith("debian", StringComparison.Ordinal) ? $"strata bootstrap debian:{needed.Name.Image.Tag} makes it without a registry" : "see strata images for what is here";

    // Whether the image of a platform came along with its index. One that has no such image is another matter: that is told where it is read.
    private async ValueTask<bool> IsHereAsync(Descriptor descriptor, Platform platform, CancellationToken cancellationToken)
    {
        if (!MediaTypes.IsIndex(descriptor.MediaType))
        {
            return true;
        }
        ImageIndex index = OciJson.ParseIndex(await Content.ReadAsync(descriptor, cancellationToken).ConfigureAwait(false), descriptor.MediaType);
        return index.Select(platform) is not { } image || Content.TryGetSize(image.Digest) is not null;
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

/// <summary>A Dockerfile, and what lint finds in it.</summary>
public sealed record LintedDockerfile(string Name, System.Collections.Immutable.ImmutableArray<LintFinding> Findings);
