namespace Strata.Oci;

/// <summary>Whether the parts of an image fit together. Each part was valid by itself when it was parsed.</summary>
public static class ImageValidator
{
    /// <summary>A manifest and its config: one diff ID per layer.</summary>
    /// <exception cref="StrataException">Invalid: says which numbers differ.</exception>
    public static void Check(ImageManifest manifest, ImageConfig config)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        ArgumentNullException.ThrowIfNull(config);
        int layers = manifest.Layers.Length;
        int diffIds = config.RootFs.DiffIds.Length;
        if (layers != diffIds)
        {
            throw new StrataException(ErrorKind.Invalid, $"image: the manifest has {layers} layers but the config {diffIds} diff IDs");
        }
    }

    /// <summary>
    /// Whether the history tells which instruction made which layer: as many rows without <c>empty_layer</c> as layers. Histories are
    /// free text that tools get wrong, so a bad one makes no image invalid; it is only not to be used.
    /// </summary>
    public static bool HistoryFits(ImageConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config.History.Count(h => !h.EmptyLayer) == config.RootFs.DiffIds.Length;
    }

    /// <summary>Whether every tool takes this manifest: the spec says there SHOULD be a layer, and some refuse an image without.</summary>
    public static bool IsPortable(ImageManifest manifest)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        return manifest.Layers.Length > 0;
    }
}
