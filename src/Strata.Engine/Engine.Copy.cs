using Strata.Content;
using Strata.Distribution;
using Strata.Images;
using Strata.Linux;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>
    /// Copies an image from one place to another, byte for byte, so digests stay; what is there already is not sent, and within one registry blobs are
    /// mounted. Nothing of it stays in this store.
    /// </summary>
    /// <returns>What is at the destination now.</returns>
    /// <exception cref="StrataException">NotFound: no such image; Invalid: the destination cannot hold it; Conflict: something is there; as of pull and push.</exception>
    public async ValueTask<Descriptor> CopyAsync(ImagePlace source, ImagePlace destination, ImageCopyOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(destination);
        options ??= new();
        if (options.Referrers && (source.Kind, destination.Kind) != (ImagePlaceKind.Registry, ImagePlaceKind.Registry))
        {
            throw new StrataException(ErrorKind.Unsupported, $"copy {source} to {destination}: what refers to an image is copied from registry to registry only") { Hint = "leave --referrers away" };
        }
        // Archives go by way of a store of their own, which is gone at the end, and with its process should that be killed.
        string temporary = Layout.NewIngestPath("copy");
        try
        {
            (IContentSource from, Descriptor root) = await OpenAsync(source, temporary + "/from", options, cancellationToken).ConfigureAwait(false);
            if (destination.Kind == ImagePlaceKind.Registry)
            {
                await SendAsync(source, from, destination.Reference!, root, options, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await WriteAsync(from, destination, temporary + "/to", root, options, cancellationToken).ConfigureAwait(false);
            }
            return root;
        }
        finally
        {
            FileSystems.RemoveTree(temporary);
        }
    }

    private async ValueTask<(IContentSource From, Descriptor Root)> OpenAsync(ImagePlace source, string temporary, ImageCopyOptions options, CancellationToken cancellationToken)
    {
        if (source.Reference is { } reference)
        {
            RemoteRepository remote = Registries.GetRepository(reference);
            Descriptor root = await remote.ResolveAsync(reference.Digest?.ToString() ?? reference.Tag ?? ImageReference.DefaultTag, cancellationToken).ConfigureAwait(false);
            return (remote, options.AllPlatforms ? root : await SelectAsync(remote, source, root, options, cancellationToken).ConfigureAwait(false));
        }
        ContentStore store = ContentStore.Open(temporary);
        var reader = new ArchiveReader(store);
        IReadOnlyList<ArchivedImage> images;
        if (source.Kind == ImagePlaceKind.OciFolder)
        {
            images = Directory.Exists(source.Path) ? await reader.ReadFolderAsync(source.Path!, cancellationToken).ConfigureAwait(false) : throw Missing(source);
        }
        else
        {
            FileStream archive = File.Exists(source.Path) ? File.OpenRead(source.Path!) : throw Missing(source);
            await using (archive.ConfigureAwait(false))
            {
                images = await reader.ReadAsync(archive, cancellationToken).ConfigureAwait(false);
            }
        }
        ArchivedImage[] fitting = [.. images.Where(i => source.Name is not { } wanted || i.Names.Any(n => n.Tag == wanted || n.ToString() == wanted || n.Familiar == wanted))];
        return fitting.Select(i => i.Descriptor.Digest).Distinct().Count() == 1 ? (store, fitting[0].Descriptor)
            : throw new StrataException(fitting.Length == 0 ? ErrorKind.NotFound : ErrorKind.Invalid, fitting.Length == 0 ? $"copy {source}: it has no image {source.Name}" : $"copy {source}: it has {fitting.Length} images")
            {
                Hint = $"there are: {string.Join(", ", images.SelectMany(i => i.Names).Select(n => n.Familiar))}; name one behind a colon",
            };
    }

    private static StrataException Missing(ImagePlace source) => new(ErrorKind.NotFound, $"copy {source}: there is no such {(source.Kind == ImagePlaceKind.OciFolder ? "folder" : "file")}");

    private static async ValueTask<Descriptor> SelectAsync(RemoteRepository remote, ImagePlace source, Descriptor root, ImageCopyOptions options, CancellationToken cancellationToken)
    {
        if (!MediaTypes.IsIndex(root.MediaType))
        {
            return root;
        }
        ImageIndex index = OciJson.ParseIndex(await ContentCopier.ReadDocumentAsync(remote, root, cancellationToken).ConfigureAwait(false), root.MediaType);
        return index.Select(options.Platform ?? Platform.Host) ?? throw new StrataException(ErrorKind.NotFound, $"copy {source}: no image for {options.Platform ?? Platform.Host}")
        {
            Hint = $"--all copies all of it; there are: {string.Join(", ", index.Manifests.Select(m => m.Platform?.ToString()).OfType<string>().Distinct())}",
        };
    }

    private async ValueTask SendAsync(ImagePlace source, IContentSource from, ImageReference to, Descriptor root, ImageCopyOptions options, CancellationToken cancellationToken)
    {
        bool isNear = source.Reference is { } reference && reference.Registry == to.Registry && reference.Repository != to.Repository;
        RemoteRepository remote = Registries.GetRepository(to, isNear ? _ => source.Reference!.Repository : null);
        CopyOptions copy = new() { Parallelism = options.Parallelism, Progress = options.Progress, LeavesForeign = !options.ForeignLayers };
        await ContentCopier.CopyAsync(from, remote, root, copy, cancellationToken).ConfigureAwait(false);
        if (options.Referrers)
        {
            await new ReferrerCopy((RemoteRepository)from, remote, copy).RunAsync(root, cancellationToken).ConfigureAwait(false);
        }
        if (to.Tag is { } tag)
        {
            await remote.TagAsync(root, tag, cancellationToken).ConfigureAwait(false);
        }
    }

    private static async ValueTask WriteAsync(IContentSource from, ImagePlace destination, string temporary, Descriptor root, ImageCopyOptions options, CancellationToken cancellationToken)
    {
        if (MediaTypes.IsIndex(root.MediaType))
        {
            throw new StrataException(ErrorKind.Unsupported, $"copy to {destination}: only a registry takes all platforms of an image") { Hint = "leave --all away, or name one with --platform" };
        }
        ContentStore store = ContentStore.Open(temporary);
        await ContentCopier.CopyAsync(from, store, root, new CopyOptions { Parallelism = options.Parallelism, Progress = options.Progress }, cancellationToken).ConfigureAwait(false);
        ImageReference? name = destination.Name is null ? null : ImageReference.Parse(ImageReference.IsTag(destination.Name) && destination.Kind != ImagePlaceKind.DockerArchive ? "image:" + destination.Name : destination.Name);
        IReadOnlyList<(Descriptor, IReadOnlyList<ImageReference>)> images = [(root, name is null ? [] : [name])];
        if (destination.Kind == ImagePlaceKind.OciFolder)
        {
            await FolderOutput.WriteAsync("copy to", destination.Path!, files => ArchiveWriter.WriteFolderAsync(store, images, files, cancellationToken)).ConfigureAwait(false);
            return;
        }
        ArchiveFormat format = destination.Kind == ImagePlaceKind.OciArchive ? ArchiveFormat.OciArchive : ArchiveFormat.DockerArchive;
        string aside = Path.GetFullPath(destination.Path!) + "." + Guid.NewGuid().ToString("n");
        try
        {
            FileStream file = File.Create(aside);
            await using (file.ConfigureAwait(false))
            {
                await ArchiveWriter.WriteAsync(store, images, format, file, cancellationToken).ConfigureAwait(false);
                await file.FlushAsync(cancellationToken).ConfigureAwait(false);
                Durability.SyncFile(file.SafeFileHandle, aside);
            }
            Durability.Rename(aside, Path.GetFullPath(destination.Path!), replace: true);
            Durability.SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(destination.Path!))!);
        }
        finally
        {
            File.Delete(aside);
        }
    }
}

/// <summary>How to copy an image.</summary>
public sealed record ImageCopyOptions
{
    /// <summary>All platforms of an index, and the index itself.</summary>
    public bool AllPlatforms { get; init; }
    /// <summary>Which platform of an index; the host's where null.</summary>
    public Platform? Platform { get; init; }
    /// <summary>How many blobs at once.</summary>
    public int Parallelism { get; init; } = 4;
    /// <summary>Told as bytes move.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }
    /// <summary>Also what refers to it: signatures, bills of materials and other artifacts, and what refers to those. Between registries only.</summary>
    public bool Referrers { get; init; }
    /// <summary>Also layers that say themselves where they are to be had: most often they must not be handed on.</summary>
    public bool ForeignLayers { get; init; }
}
