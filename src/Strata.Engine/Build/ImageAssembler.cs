using System.Collections.Immutable;
using Strata.Content;
using Strata.Oci;

namespace Strata.Build;

/// <summary>Puts config and manifest together from what the steps left.</summary>
internal static class ImageAssembler
{
    /// <summary>Writes config and manifest, children first; equal inputs give equal bytes.</summary>
    internal static async ValueTask<BuiltImage> AssembleAsync(ContentStore content, BuildGraph graph, StepResult top, Func<BuildStep, StepResult> resultOf,
        BuildSettings settings, CancellationToken cancellationToken)
    {
        ImmutableArray<HistoryEntry> history = HistoryOf(graph, resultOf, settings);
        DateTimeOffset? created = settings.SourceDateEpoch ?? history.LastOrDefault()?.Created ?? graph.Base?.Config.Created;
        ImageConfig config = (graph.Base?.Config ?? Blank(graph.Platform)) with
        {
            Created = created,
            Author = graph.Author ?? graph.Base?.Config.Author,
            Config = graph.Config,
            RootFs = new RootFs("layers", DiffIdsOf(top)),
            History = history,
            Extra = null, // container, container_config, docker_version: they tell how the base was made, and are not true of this image
        };
        byte[] configJson = OciJson.Serialize(config);
        Descriptor configDescriptor = await content.WriteAsync(MediaTypes.OciConfig, configJson, cancellationToken).ConfigureAwait(false);
        var manifest = new ImageManifest(configDescriptor, [.. top.Layers.Select(l => AsOci(l.Layer))])
        {
            MediaType = MediaTypes.OciManifest,
            Annotations = AnnotationsOf(graph, settings) is { IsEmpty: false } annotations ? annotations : null,
        };
        byte[] manifestJson = OciJson.Serialize(manifest);
        Descriptor descriptor = await content.WriteAsync(MediaTypes.OciManifest, manifestJson, cancellationToken).ConfigureAwait(false);
        return new BuiltImage(descriptor, configDescriptor, created, [.. (top.Snapshot?.Stack ?? []).Select(l => l.ContentBytes)]);
    }

    private static ImmutableSortedDictionary<string, string> AnnotationsOf(BuildGraph graph, BuildSettings settings)
    {
        ImmutableSortedDictionary<string, string> annotations = ImmutableSortedDictionary<string, string>.Empty.WithComparers(StringComparer.Ordinal);
        if (graph.Base is { } image)
        {
            annotations = annotations.Add("org.opencontainers.image.base.digest", image.Descriptor.Digest.ToString()).Add("org.opencontainers.image.base.name", image.Reference.ToString());
        }
        return settings.Annotations.IsEmpty ? annotations : annotations.SetItems(settings.Annotations);
    }

    private static ImmutableArray<Digest> DiffIdsOf(StepResult top)
    {
        ImmutableArray<Digest>.Builder ids = ImmutableArray.CreateBuilder<Digest>(top.Layers.Length);
        foreach (LayerReference layer in top.Layers)
        {
            ids.Add(layer.DiffId);
        }
        return ids.MoveToImmutable();
    }

    private static ImageConfig Blank(Platform platform)
        => new() { Architecture = platform.Architecture, Os = platform.Os, Variant = platform.Variant, RootFs = new RootFs("layers", []) };

    private static ImmutableArray<HistoryEntry> HistoryOf(BuildGraph graph, Func<BuildStep, StepResult> resultOf, BuildSettings settings)
    {
        DateTimeOffset? last = graph.Base?.Config.Created;
        ImmutableArray<HistoryEntry>.Builder history = ImmutableArray.CreateBuilder<HistoryEntry>();
        history.AddRange(graph.Base?.Config.History ?? []);
        foreach (PlannedRow row in graph.History)
        {
            StepResult? result = row.Step is null ? null : resultOf(row.Step);
            // An instruction that makes no files has no time of its own: it carries that of the step before, so that a build that
            // finds everything in the cache gives the same bytes again. History never goes back, even where older files are copied.
            last = result?.Created is { } time && (last is null || time > last || settings.SourceDateEpoch is not null) ? time : last;
            history.Add(new HistoryEntry { Created = last, CreatedBy = row.CreatedBy, EmptyLayer = result is not { MadeLayer: true } });
        }
        return history.ToImmutable();
    }

    // The bytes are the same; an OCI manifest names them by OCI's types.
    private static Descriptor AsOci(Descriptor layer) => layer with
    {
        MediaType = layer.MediaType switch
        {
            MediaTypes.DockerLayer => MediaTypes.OciLayer,
            MediaTypes.DockerLayerGzip => MediaTypes.OciLayerGzip,
            string other => other,
        },
    };
}
