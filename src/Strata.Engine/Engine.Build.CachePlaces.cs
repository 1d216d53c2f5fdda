using System.Collections.Immutable;
using Strata.Build;
using Strata.Content;
using Strata.Distribution;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    // A cache that is not there is no failure: the first build of all finds none.
    private async ValueTask<CacheImports?> OpenImportsAsync(BuildRequest request, IBuildProgress progress, CancellationToken cancellationToken)
    {
        if (request.CacheFrom.IsEmpty)
        {
            return null;
        }
        var imports = new CacheImports(Content, BuildCache.Open(Layout));
        foreach (CachePlace place in request.CacheFrom)
        {
            try
            {
                (IContentSource source, Descriptor root) = await OpenCacheAsync(place, cancellationToken).ConfigureAwait(false);
                await imports.AddAsync(source, root, place.Target, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is StrataException or HttpRequestException or IOException)
            {
                progress.Warn($"cache from {place.Target}: {e.Message}");
            }
        }
        return imports;
    }

    private async ValueTask<(IContentSource Source, Descriptor Root)> OpenCacheAsync(CachePlace place, CancellationToken cancellationToken)
    {
        if (place.Type is "local" or "oci")
        {
            var folder = new LayoutFolder(Path.GetFullPath(place.Target));
            return (folder, folder.ReadRoot());
        }
        ImageReference reference = ImageReference.Parse(place.Target);
        RemoteRepository remote = Registries.GetRepository(reference);
        Descriptor root = await remote.ResolveAsync(reference.Digest?.ToString() ?? reference.Tag ?? ImageReference.DefaultTag, cancellationToken).ConfigureAwait(false);
        while (MediaTypes.IsIndex(root.MediaType))
        {
            ImageIndex index = OciJson.ParseIndex(await ContentCopier.ReadDocumentAsync(remote, root, cancellationToken).ConfigureAwait(false), root.MediaType);
            root = index.Select(Platform.Host) ?? throw new StrataException(ErrorKind.NotFound, $"{place.Target}: no image for {Platform.Host}");
        }
        return (remote, root);
    }

    private async ValueTask ExportCacheAsync(CachePlace place, BuildExecutor executor, BuildGraph graph, CancellationToken cancellationToken)
    {
        ImmutableArray<CacheDocumentStep> steps = executor.StepsOf(place.IsMinimal ? graph.Result : null);
        var layers = new List<Descriptor>();
        layers.AddRange(steps.Select(s => s.Step.Layer).OfType<Descriptor>().DistinctBy(l => l.Digest));
        await AddMountsAsync(layers, executor, place.MountBytes, cancellationToken).ConfigureAwait(false);
        Descriptor config = await Content.WriteAsync(CacheDocument.MediaType, new CacheDocument(steps).Serialize(), cancellationToken).ConfigureAwait(false);
        var manifest = new ImageManifest(config, [.. layers]) { MediaType = MediaTypes.OciManifest };
        Descriptor root = await Content.WriteAsync(MediaTypes.OciManifest, OciJson.Serialize(manifest), cancellationToken).ConfigureAwait(false);
        if (place.Type is "local" or "oci")
        {
            var folder = new LayoutFolder(Path.GetFullPath(place.Target));
            await ContentCopier.CopyAsync(Content, folder, root, new CopyOptions(), cancellationToken).ConfigureAwait(false);
            folder.WriteRoot(root);
            return;
        }
        ImageReference reference = ImageReference.Parse(place.Target);
        RemoteRepository remote = Registries.GetRepository(reference);
        await ContentCopier.CopyAsync(Content, remote, root, new CopyOptions(), cancellationToken).ConfigureAwait(false);
        await remote.TagAsync(root, reference.Tag ?? ImageReference.DefaultTag, cancellationToken).ConfigureAwait(false);
    }

    // The folders that this build's steps mount, as long as there is room. One that a step uses now stays at home.
    private async ValueTask AddMountsAsync(List<Descriptor> layers, BuildExecutor executor, long most, CancellationToken cancellationToken)
    {
        long left = most;
        foreach (CacheRecord record in CacheMounts.List(Layout).Where(m => executor.UsesMount(m.Step.Instruction ?? "")).OrderByDescending(m => m.LastUsed))
        {
            using NamedTurn? turn = CacheMounts.TryLock(record.Path);
            long bytes = FileSystems.GetDiskUsage(record.Path);
            if (turn is null || bytes > left)
            {
                continue;
            }
            left -= bytes;
            CommittedLayer? tar = await LayerCommitter.WriteAsync(Content, stream =>
            {
                using RootedDirectory root = RootedDirectory.Open(record.Path);
                using var writer = new LayerWriter(stream);
                TreeArchive.Write(root, writer, cancellationToken);
                writer.Finish();
                return ValueTask.FromResult(true);
            }, cancellationToken: cancellationToken).ConfigureAwait(false);
            string name = Path.GetFileName(record.Path);
            layers.Add(tar!.Layer with
            {
                MediaType = CacheDocument.MountType,
                Annotations = ImmutableSortedDictionary<string, string>.Empty.Add(CacheDocument.MountAnnotation, name[..name.LastIndexOf('-')]).Add(CacheDocument.MountIdAnnotation, record.Step.Instruction ?? ""),
            });
        }
    }
}
