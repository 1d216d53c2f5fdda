using Strata.Content;
using Strata.Distribution;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Brings an image to its registry, byte for byte as it is here; its tag there is set last.</summary>
    /// <exception cref="StrataException">NotFound: no such image here. Unauthenticated, Denied, Unavailable: the registry does not take it.</exception>
    public async ValueTask<PushResult> PushAsync(ImageReference reference, PushOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reference);
        options ??= new();
        using StoreLease lease = Content.AcquireLease("push");
        Descriptor named = await Images.ResolveAsync(reference, cancellationToken).ConfigureAwait(false);
        Images.NoteUse(reference, named.Digest);
        Descriptor root = await WholeAsync(reference, named, options.Platform, cancellationToken).ConfigureAwait(false);
        IReadOnlyDictionary<Digest, string> elsewhere = await FindInOtherRepositoriesAsync(reference, cancellationToken).ConfigureAwait(false);
        RemoteRepository remote = Registries.GetRepository(reference, digest => elsewhere.GetValueOrDefault(digest));
        try
        {
            CopyOptions copy = new() { Parallelism = options.Parallelism, Progress = options.Progress, LeavesForeign = !options.ForeignLayers };
            await ContentCopier.CopyAsync(Content, remote, root, copy, cancellationToken).ConfigureAwait(false);
            await PushReferrersAsync(root, remote, copy, cancellationToken).ConfigureAwait(false);
            if (reference.Tag is { } tag)
            {
                await remote.TagAsync(root, tag, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (StrataException e) when (e.Kind is ErrorKind.Unauthenticated or ErrorKind.Denied or ErrorKind.Unavailable && IsOfficial(reference))
        {
            throw new StrataException(e.Kind, $"push {reference.Familiar}: {e.Message}", e)
            {
                Hint = $"a name without a registry goes to docker.io/library, where only Docker's own images are; name yours first: strata tag {reference.Familiar} HOST:PORT/{reference.Familiar}",
            };
        }
        return new PushResult(reference, root) { IsPartOfIndex = root.Digest != named.Digest };
    }

    // Layers of images that are named after other repositories of the same registry: it may have them from there. Where it has not, nothing is lost.
    private async ValueTask<IReadOnlyDictionary<Digest, string>> FindInOtherRepositoriesAsync(ImageReference reference, CancellationToken cancellationToken)
    {
        var found = new Dictionary<Digest, string>();
        foreach (NamedImage image in Images.List().Where(i => i.Reference.Registry == reference.Registry && i.Reference.Repository != reference.Repository))
        {
            if (MediaTypes.IsManifest(image.Record.Manifest.MediaType) && Content.TryGetSize(image.Record.Manifest.Digest) is not null)
            {
                ImageManifest manifest = OciJson.ParseManifest(await Content.ReadAsync(image.Record.Manifest, cancellationToken).ConfigureAwait(false), image.Record.Manifest.MediaType);
                foreach (Descriptor layer in manifest.Layers)
                {
                    found.TryAdd(layer.Digest, image.Reference.Repository);
                }
            }
        }
        return found;
    }

    private static bool IsOfficial(ImageReference reference)
        => reference.Registry == ImageReference.DefaultRegistry && reference.Repository.StartsWith("library/", StringComparison.Ordinal);

    // Of an index that was pulled for one platform, the other manifests are not here: what is here is pushed, as itself.
    private async ValueTask<Descriptor> WholeAsync(ImageReference reference, Descriptor named, Platform? platform, CancellationToken cancellationToken)
    {
        if (!MediaTypes.IsIndex(named.MediaType))
        {
            return named;
        }
        ImageIndex index = OciJson.ParseIndex(await Content.ReadAsync(named, cancellationToken).ConfigureAwait(false), named.MediaType);
        bool isWhole = index.Manifests.All(m => Content.TryGetSize(m.Digest) is not null);
        if (isWhole && platform is null)
        {
            return named;
        }
        ImageIndex here = index with { Manifests = [.. index.Manifests.Where(m => Content.TryGetSize(m.Digest) is not null)] };
        Descriptor? image = platform is null && here.Manifests is [Descriptor only] ? only : here.Select(platform ?? Platform.Host);
        return image ?? throw new StrataException(ErrorKind.NotFound, $"push {reference.Familiar}: its image for {platform ?? Platform.Host} is not here") { Hint = "pull it with --platform, or with --all-platforms to push the whole index" };
    }
}

/// <summary>How to push.</summary>
public sealed record PushOptions
{
    /// <summary>Push only this platform of an index.</summary>
    public Platform? Platform { get; init; }
    /// <summary>How many blobs at once.</summary>
    public int Parallelism { get; init; } = 4;
    /// <summary>Told as bytes move.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }
    /// <summary>Also sends layers that say themselves where they are to be had: most often they must not be handed on.</summary>
    public bool ForeignLayers { get; init; }
}

/// <summary>What was pushed.</summary>
public sealed record PushResult(ImageReference Reference, Descriptor Descriptor)
{
    /// <summary>The name here points to an index that is here in part; only the one image that is was pushed, so the digest there is that image's.</summary>
    public bool IsPartOfIndex { get; init; }
}
