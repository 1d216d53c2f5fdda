using Strata.Content;
using Strata.Images;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Writes images into an archive. An image named by a tag keeps that name only; one named by its ID keeps none.</summary>
    /// <exception cref="StrataException">NotFound: no such image; Corrupt: the store lacks part of it.</exception>
    public async ValueTask SaveAsync(IReadOnlyList<string> images, ArchiveFormat format, Stream archive, CancellationToken cancellationToken = default)
    {
        using StoreLease lease = Content.AcquireLease("save");
        await ArchiveWriter.WriteAsync(Content, await FindAsync(images, cancellationToken).ConfigureAwait(false), format, archive, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes images as an OCI layout into a folder, which must be empty; it is made where it is missing.</summary>
    /// <exception cref="StrataException">NotFound: no such image; Corrupt: the store lacks part of it; Conflict: something is in the folder.</exception>
    public async ValueTask SaveFolderAsync(IReadOnlyList<string> images, string folder, CancellationToken cancellationToken = default)
    {
        using StoreLease lease = Content.AcquireLease("save");
        IReadOnlyList<(Descriptor, IReadOnlyList<ImageReference>)> found = await FindAsync(images, cancellationToken).ConfigureAwait(false);
        await FolderOutput.WriteAsync("save", folder, files => ArchiveWriter.WriteFolderAsync(Content, found, files, cancellationToken)).ConfigureAwait(false);
    }

    private async ValueTask<IReadOnlyList<(Descriptor, IReadOnlyList<ImageReference>)>> FindAsync(IReadOnlyList<string> images, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(images);
        var found = new List<(Descriptor, IReadOnlyList<ImageReference>)>();
        foreach (string text in images)
        {
            LocalImage image = await ResolveImageAsync(text, cancellationToken).ConfigureAwait(false);
            Images.NoteUse(image.Reference, image.Record.Manifest.Digest);
            bool byName = image.Reference is { Tag: not null } && ImageReference.TryParse(text, out ImageReference? typed) && typed == image.Reference;
            found.Add((image.Descriptor, byName ? [image.Reference!] : []));
        }
        return [.. found.GroupBy(f => f.Item1.Digest).Select(g => (g.First().Item1, (IReadOnlyList<ImageReference>)[.. g.SelectMany(f => f.Item2)]))];
    }

    /// <summary>Takes the images of an archive (OCI layout or docker-archive, compressed or not) or of an OCI layout folder.</summary>
    /// <returns>What came: names, or the ID of an image without one.</returns>
    public async ValueTask<IReadOnlyList<(ImageReference? Name, Digest ImageId)>> LoadAsync(Stream? archive, string? folder, CancellationToken cancellationToken = default)
    {
        using StoreLease lease = Content.AcquireLease("load");
        var reader = new ArchiveReader(Content);
        IReadOnlyList<ArchivedImage> images = folder is not null ? await reader.ReadFolderAsync(folder, cancellationToken).ConfigureAwait(false)
            : await reader.ReadAsync(archive ?? throw new ArgumentNullException(nameof(archive)), cancellationToken).ConfigureAwait(false);
        var loaded = new List<(ImageReference?, Digest)>();
        foreach (ArchivedImage image in images)
        {
            if (Images.FindManifests().Contains(image.Descriptor.Digest))
            {
                await HealAsync(image.Descriptor, cancellationToken).ConfigureAwait(false);
            }
            ImageRecord record = await MakeRecordAsync(image.Descriptor, cancellationToken).ConfigureAwait(false);
            foreach (ImageReference name in image.Names)
            {
                await Images.SetAsync(name, record, cancellationToken).ConfigureAwait(false);
                loaded.Add((name, record.Config ?? record.Manifest.Digest));
            }
            if (image.Names.Count == 0)
            {
                if (!Images.List().Any(i => i.Record.Manifest.Digest == record.Manifest.Digest))
                {
                    Images.AddUntagged(record);
                }
                loaded.Add((null, record.Config ?? record.Manifest.Digest));
            }
        }
        return loaded;
    }
}
