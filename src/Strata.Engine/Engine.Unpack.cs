using Strata.Content;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Puts the files of an image, layer upon layer, into a folder, which must be empty or not there. The folder is then anybody's: the store knows nothing of it.</summary>
    /// <exception cref="StrataException">NotFound: no such image; Conflict: something is in the folder; Corrupt: a layer is damaged.</exception>
    /// <exception cref="LinuxException">The disk refused; then nothing is there.</exception>
    public async ValueTask UnpackAsync(string image, string folder, CancellationToken cancellationToken = default)
    {
        using StoreLease lease = Content.AcquireLease("unpack");
        LocalImage found = await ResolveImageAsync(image, cancellationToken).ConfigureAwait(false);
        Images.NoteUse(found.Reference, found.Record.Manifest.Digest);
        await FolderOutput.WriteAsync("unpack", folder, async files =>
        {
            using RootedDirectory root = RootedDirectory.Open(files);
            foreach ((Descriptor layer, Digest diffId) in found.Manifest.Layers.Zip(found.Config.RootFs.DiffIds))
            {
                Stream blob = await Content.OpenAsync(layer, cancellationToken).ConfigureAwait(false);
                await using (blob.ConfigureAwait(false))
                {
                    Digest actual = Extract(blob, root, cancellationToken);
                    if (actual != diffId)
                    {
                        throw new DigestMismatchException(diffId, actual, "layer");
                    }
                }
            }
        }).ConfigureAwait(false);
    }

    /// <summary>Puts what one layer's archive has, compressed or not, into a folder, which must be empty or not there; returns the diff ID.</summary>
    /// <exception cref="StrataException">Conflict: something is in the folder; Corrupt, Invalid: the archive is damaged, or has what must not be.</exception>
    /// <exception cref="LinuxException">The disk refused; then nothing is there.</exception>
    public static async ValueTask<Digest> UnpackLayerAsync(Stream layer, string folder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        Digest? diffId = null;
        await FolderOutput.WriteAsync("unpack", folder, files =>
        {
            using RootedDirectory root = RootedDirectory.Open(files);
            diffId = Extract(layer, root, cancellationToken);
            return ValueTask.CompletedTask;
        }).ConfigureAwait(false);
        return diffId!.Value;
    }

    private static Digest Extract(Stream layer, RootedDirectory root, CancellationToken cancellationToken)
    {
        using var reader = new LayerReader(layer);
        LayerExtractor.Extract(reader, root, new ExtractOptions(), cancellationToken);
        return reader.DiffId;
    }
}
