using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Writes the files of a built image into a folder of this machine, over what is there.</summary>
    /// <exception cref="LinuxException">The disk refused.</exception>
    public async ValueTask WriteFilesAsync(BuildResult result, string folder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(folder);
        Directory.CreateDirectory(folder);
        string tar = Layout.NewIngestPath("files");
        try
        {
            var file = new FileStream(tar, FileMode.CreateNew, FileAccess.ReadWrite);
            await using (file.ConfigureAwait(false))
            {
                await ExportAsync(result.ImageId.ToString(), file, cancellationToken).ConfigureAwait(false);
                file.Position = 0;
                using RootedDirectory root = RootedDirectory.Open(folder);
                using var reader = new LayerReader(file);
                LayerExtractor.Extract(reader, root, new ExtractOptions(), cancellationToken);
            }
        }
        finally
        {
            File.Delete(tar);
        }
    }

    /// <summary>Brings a built image to a registry under its digest alone: no tag there is set.</summary>
    public async ValueTask PushByDigestAsync(BuildResult result, ImageReference repository, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(repository);
        using StoreLease lease = Content.AcquireLease("push");
        await ContentCopier.CopyAsync(Content, Registries.GetRepository(repository), result.Manifest, new CopyOptions(), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Gives a built image one more name.</summary>
    public async ValueTask NameAsync(BuildResult result, ImageReference name, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(name);
        using StoreLease lease = Content.AcquireLease("tag");
        await Images.SetAsync(name, await MakeRecordAsync(result.Manifest, cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
    }
}
