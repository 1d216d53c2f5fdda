using System.Collections.Immutable;
using Strata.Containers;
using Strata.Content;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Makes an image of a container: its image's layers, and one more with what the container changed (none where it changed nothing).</summary>
    /// <returns>The manifest, and the config's digest: the image's id.</returns>
    public async ValueTask<(Descriptor Manifest, Digest ImageId)> CommitContainerAsync(string nameOrId, CommitOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        using StoreLease lease = Content.AcquireLease("commit");
        ContainerRecord record = Containers.Get(nameOrId);
        ActiveSnapshot snapshot = await OpenSnapshotAsync(record, cancellationToken).ConfigureAwait(false);
        ImageManifest manifest = OciJson.ParseManifest(await Content.ReadAsync(record.Manifest, cancellationToken).ConfigureAwait(false), record.Manifest.MediaType);
        ImageConfig config = OciJson.ParseConfig(await Content.ReadAsync(manifest.Config, cancellationToken).ConfigureAwait(false));
        ContainerConfig changed = options.Changes.Aggregate(record.Config, ConfigChange.Apply);
        CommittedLayer? layer = await WriteLayerAsync(record, snapshot, options, cancellationToken).ConfigureAwait(false);
        CommittedLayer? volumes = options.WithVolumes ? await WriteVolumesAsync(record, cancellationToken).ConfigureAwait(false) : null;

        DateTimeOffset now = _options.Time.GetUtcNow();
        var row = new HistoryEntry { Created = now, CreatedBy = string.Join(' ', record.Arguments), Author = options.Author, Comment = options.Message, EmptyLayer = layer is null };
        ImageConfig made = config with
        {
            Created = now,
            Author = options.Author ?? config.Author,
            Config = changed,
            History = options.Squash ? [row] : config.History.Add(row),
            RootFs = layer is null ? config.RootFs : config.RootFs with { DiffIds = options.Squash ? [layer.DiffId] : config.RootFs.DiffIds.Add(layer.DiffId) },
        };
        if (volumes is not null)
        {
            made = made with { History = made.History.Add(new HistoryEntry { Created = now, CreatedBy = "strata commit --with-volumes" }), RootFs = made.RootFs with { DiffIds = made.RootFs.DiffIds.Add(volumes.DiffId) } };
        }
        bool docker = MediaTypes.DockerManifest == (manifest.MediaType ?? record.Manifest.MediaType);
        ImmutableArray<Descriptor> layers = options.Squash ? [] : manifest.Layers;
        foreach (CommittedLayer? added in (CommittedLayer?[])[layer, volumes])
        {
            if (added is not null)
            {
                layers = layers.Add(docker ? added.Layer with { MediaType = MediaTypes.DockerLayerGzip } : added.Layer);
            }
        }
        return await WriteImageAsync(made, layers, docker, options.Reference, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Makes an image of one layer from a tar, plain or compressed.</summary>
    public ValueTask<(Descriptor Manifest, Digest ImageId)> ImportImageAsync(Stream tar, CommitOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tar);
        ArgumentNullException.ThrowIfNull(options);
        return ImportImageAsync(tar, options, () => ValueTask.CompletedTask, cancellationToken);
    }

    // isWhole is asked where the tar ends, before there is a layer and long before there is a name: it fails where who writes the tar failed.
    private async ValueTask<(Descriptor Manifest, Digest ImageId)> ImportImageAsync(Stream tar, CommitOptions options, Func<ValueTask> isWhole, CancellationToken cancellationToken)
    {
        using StoreLease lease = Content.AcquireLease("import");
        CommittedLayer layer = await LayerCommitter.WriteAsync(Content, async target =>
        {
            using Stream plain = Compression.OpenDecompressor(tar);
            await plain.CopyToAsync(target, 1 << 20, cancellationToken).ConfigureAwait(false);
            await isWhole().ConfigureAwait(false);
            return true;
        }, cancellationToken: cancellationToken).ConfigureAwait(false) ?? throw new System.Diagnostics.UnreachableException();
        // Unpacked before it gets a name: what is no layer is no image.
        await Snapshots.ApplyAsync(null, layer.Layer, layer.DiffId, Content, cancellationToken).ConfigureAwait(false);
        DateTimeOffset now = _options.Time.GetUtcNow();
        var config = new ImageConfig
        {
            Created = now,
            Author = options.Author,
            Architecture = Platform.Host.Architecture,
            Os = Platform.Host.Os,
            Variant = Platform.Host.Variant,
            Config = options.Changes.Aggregate(new ContainerConfig(), ConfigChange.Apply),
            RootFs = new RootFs("layers", [layer.DiffId]),
            History = [new HistoryEntry { Created = now, CreatedBy = "strata import", Author = options.Author, Comment = options.Message }],
        };
        return await WriteImageAsync(config, [layer.Layer], docker: false, options.Reference, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Writes the file system of a container, or of an image, as one tar: what its layers hold, without what is mounted there and without the
    /// places that were only made to mount on.
    /// </summary>
    public async ValueTask ExportAsync(string containerOrImage, Stream tar, CancellationToken cancellationToken = default)
    {
        Snapshot? snapshot = TryGetContainer(containerOrImage) is { } container
            ? await OpenSnapshotAsync(container.Record, cancellationToken).ConfigureAwait(false)
            : await UnpackImageAsync(await ResolveImageAsync(containerOrImage, cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
        using LayerStack? stack = snapshot is null ? null : Snapshots.OpenStack(snapshot);
        using var writer = new LayerWriter(tar);
        if (stack is not null)
        {
            TreeArchive.Write(stack, writer, cancellationToken);
        }
        writer.Finish();
    }

    // The root of a running container as its monitor sees it: the file system itself, without the container's own mounts.
    private string? TryGetLiveRoot(ContainerRecord record)
        => Containers.GetState(record).Status == ContainerStatus.Running && Containers.ReadStart(record.Id) is { } start
            && LiveProcess.IsSame(start.MonitorPid, start.MonitorStarted)
            ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/proc/{start.MonitorPid}/root{Path.Combine(Runtime.Layout.Bundle(record.Id), "rootfs")}") : null;

    private async ValueTask<CommittedLayer?> WriteLayerAsync(ContainerRecord record, ActiveSnapshot snapshot, CommitOptions options, CancellationToken cancellationToken)
    {
        // A user's container cannot be held: what it writes meanwhile is in the layer or is not, as with --pause=false.
        bool pause = options.Pause && UserNamespace.Current is null && Containers.GetState(record).Status == ContainerStatus.Running;
        if (pause)
        {
            await Runtime.PauseAsync(record.Id, cancellationToken).ConfigureAwait(false);
        }
        try
        {
            return options.Squash ? await LayerCommitter.WriteAsync(Content, tar => WriteWhole(snapshot, tar, cancellationToken), cancellationToken: cancellationToken).ConfigureAwait(false)
                : await LayerCommitter.WriteAsync(Snapshots, snapshot, Content, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            if (pause)
            {
                await Runtime.ResumeAsync(record.Id, CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    private ValueTask<bool> WriteWhole(ActiveSnapshot snapshot, Stream tar, CancellationToken cancellationToken)
    {
        using LayerStack stack = Snapshots.OpenStack(snapshot);
        using var writer = new LayerWriter(tar);
        TreeArchive.Write(stack, writer, cancellationToken);
        writer.Finish();
        return ValueTask.FromResult(true);
    }

    // A layer of its own, over what the container changed: each volume's files at its place.
    private async ValueTask<CommittedLayer?> WriteVolumesAsync(ContainerRecord record, CancellationToken cancellationToken)
    {
        ContainerMount[] full = [.. GetVolumesWithData(record).OrderBy(m => m.Target, StringComparer.Ordinal)];
        return full.Length == 0 ? null : await LayerCommitter.WriteAsync(Content, tar =>
        {
            using var writer = new LayerWriter(tar);
            foreach (ContainerMount mount in full)
            {
                using Linux.RootedDirectory data = Linux.RootedDirectory.Open(Volumes.PathOf(mount.Source));
                FileTransfer.WriteTree(data, mount.Target.TrimStart('/'), writer, cancellationToken);
            }
            writer.Finish();
            return ValueTask.FromResult(true);
        }, cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The volumes of a container that hold something: what a commit leaves out unless it is told otherwise.</summary>
    public IReadOnlyList<ContainerMount> GetVolumesWithData(ContainerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        return [.. record.Mounts.Where(m => m.Kind == ContainerMountKind.Volume && Linux.FileSystems.TryGetNames(Volumes.PathOf(m.Source)) is { Count: > 0 })];
    }

    private async ValueTask<(Descriptor Manifest, Digest ImageId)> WriteImageAsync(ImageConfig config, ImmutableArray<Descriptor> layers, bool docker, ImageReference? reference, CancellationToken cancellationToken)
    {
        Descriptor configBlob = await Content.WriteAsync(docker ? MediaTypes.DockerConfig : MediaTypes.OciConfig, OciJson.Serialize(config), cancellationToken).ConfigureAwait(false);
        string mediaType = docker ? MediaTypes.DockerManifest : MediaTypes.OciManifest;
        var manifest = new ImageManifest(configBlob, layers) { MediaType = mediaType };
        Descriptor descriptor = await Content.WriteAsync(mediaType, OciJson.Serialize(manifest), cancellationToken).ConfigureAwait(false);
        ImageRecord record = await MakeRecordAsync(descriptor, cancellationToken).ConfigureAwait(false);
        if (reference is not null)
        {
            await Images.SetAsync(reference, record, cancellationToken).ConfigureAwait(false);
        }
        else
        {
            Images.AddUntagged(record);
        }
        return (descriptor, configBlob.Digest);
    }
}

/// <summary>How a container or a tar becomes an image.</summary>
public sealed record CommitOptions
{
    /// <summary>Its name; where null it is kept by its digest alone.</summary>
    public ImageReference? Reference { get; init; }
    /// <summary>Who made it.</summary>
    public string? Author { get; init; }
    /// <summary>Why.</summary>
    public string? Message { get; init; }
    /// <summary>Dockerfile instructions that change the config.</summary>
    public ImmutableArray<string> Changes { get; init; } = [];
    /// <summary>One layer with all files in place of the image's layers and one more.</summary>
    public bool Squash { get; init; }
    /// <summary>What the container's volumes hold, too, as a layer of its own.</summary>
    public bool WithVolumes { get; init; }
    /// <summary>Stop the container's processes while its files are read.</summary>
    public bool Pause { get; init; } = true;
}
