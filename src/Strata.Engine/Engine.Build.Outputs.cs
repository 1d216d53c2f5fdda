using System.Collections.Immutable;
using Strata.Build;
using Strata.Content;
using Strata.Distribution;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Writes the files of a built image into a folder of this machine, over what is there; of several platforms into a folder for each, <c>linux_arm64</c>.</summary>
    /// <exception cref="LinuxException">The disk refused.</exception>
    public async ValueTask WriteFilesAsync(BuildResult result, string folder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(folder);
        using StoreLease lease = Content.AcquireLease("export");
        foreach (Descriptor image in await ReadImagesAsync(result.Manifest, cancellationToken).ConfigureAwait(false))
        {
            string place = image.Platform is { } platform && result.IsIndex ? Path.Combine(folder, platform.ToString().Replace('/', '_')) : folder;
            Directory.CreateDirectory(place);
            string tar = Layout.NewIngestPath("files");
            try
            {
                var file = new FileStream(tar, FileMode.CreateNew, FileAccess.ReadWrite);
                await using (file.ConfigureAwait(false))
                {
                    await WriteTreeAsync(image, file, cancellationToken).ConfigureAwait(false);
                    file.Position = 0;
                    using RootedDirectory root = RootedDirectory.Open(place);
                    using var reader = new LayerReader(file);
                    LayerExtractor.Extract(reader, root, new ExtractOptions(), cancellationToken);
                }
            }
            finally
            {
                File.Delete(tar);
            }
        }
    }

    /// <summary>Writes the files of a built image as a tar; of several platforms below a folder for each, <c>linux_arm64</c>.</summary>
    /// <exception cref="LinuxException">The disk refused.</exception>
    public async ValueTask WriteTarAsync(BuildResult result, Stream tar, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(result);
        if (!result.IsIndex)
        {
            using StoreLease lease = Content.AcquireLease("export");
            await WriteTreeAsync(result.Manifest, tar, cancellationToken).ConfigureAwait(false);
            return;
        }
        await WriteAsTarAsync(folder => WriteFilesAsync(result, folder, cancellationToken), tar, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes a built index with all its images as an OCI layout into a folder that is empty or not there.</summary>
    /// <exception cref="StrataException">Conflict: something is in the folder.</exception>
    public async ValueTask SaveIndexAsync(BuildResult result, IReadOnlyList<ImageReference> names, string folder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(names);
        using StoreLease lease = Content.AcquireLease("save");
        await FolderOutput.WriteAsync("save", folder, place => WriteLayoutAsync(result, names, place, cancellationToken)).ConfigureAwait(false);
    }

    /// <summary>The same as a tar.</summary>
    public async ValueTask SaveIndexAsync(BuildResult result, IReadOnlyList<ImageReference> names, Stream tar, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(names);
        using StoreLease lease = Content.AcquireLease("save");
        await WriteAsTarAsync(folder => WriteLayoutAsync(result, names, folder, cancellationToken), tar, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask WriteLayoutAsync(BuildResult result, IReadOnlyList<ImageReference> names, string folder, CancellationToken cancellationToken)
    {
        var layout = new LayoutFolder(folder);
        await ContentCopier.CopyAsync(Content, layout, result.Manifest, new CopyOptions(), cancellationToken).ConfigureAwait(false);
        layout.WriteRoots(names.Count == 0 ? [result.Manifest] : [.. names.Select(name => result.Manifest with
        {
            Annotations = ImmutableSortedDictionary<string, string>.Empty.Add("io.containerd.image.name", name.ToString()).Add("org.opencontainers.image.ref.name", name.Tag ?? name.ToString()),
        })]);
    }

    private async ValueTask WriteAsTarAsync(Func<string, ValueTask> write, Stream tar, CancellationToken cancellationToken)
    {
        string folder = Layout.NewIngestPath("output");
        Directory.CreateDirectory(folder);
        try
        {
            await write(folder).ConfigureAwait(false);
            using RootedDirectory root = RootedDirectory.Open(folder);
            using var writer = new LayerWriter(tar);
            TreeArchive.Write(root, writer, cancellationToken);
            writer.Finish();
        }
        finally
        {
            FileSystems.RemoveTree(folder);
        }
    }

    private async ValueTask WriteTreeAsync(Descriptor image, Stream tar, CancellationToken cancellationToken)
    {
        ImageManifest manifest = OciJson.ParseManifest(await Content.ReadAsync(image, cancellationToken).ConfigureAwait(false), image.MediaType);
        ImageConfig config = OciJson.ParseConfig(await Content.ReadAsync(manifest.Config, cancellationToken).ConfigureAwait(false));
        CommittedSnapshot? snapshot = await ImageUnpacker.UnpackAsync(Content, manifest, config, Snapshots, cancellationToken).ConfigureAwait(false);
        using LayerStack? stack = snapshot is null ? null : Snapshots.OpenStack(snapshot);
        using var writer = new LayerWriter(tar);
        if (stack is not null)
        {
            TreeArchive.Write(stack, writer, cancellationToken);
        }
        writer.Finish();
    }

    /// <summary>Brings a built image to a registry under its digest alone: no tag there is set.</summary>
    public async ValueTask PushByDigestAsync(BuildResult result, ImageReference repository, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(repository);
        using StoreLease lease = Content.AcquireLease("push");
        RemoteRepository remote = Registries.GetRepository(repository);
        var copy = new CopyOptions();
        await ContentCopier.CopyAsync(Content, remote, result.Manifest, copy, cancellationToken).ConfigureAwait(false);
        await PushReferrersAsync(result.Manifest, remote, copy, cancellationToken).ConfigureAwait(false);
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
