using System.Text.Json;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata.Build;

/// <summary>Caches from elsewhere: asked where the store's own has no answer. A layer comes when a step wants it, and not before.</summary>
internal sealed class CacheImports(ContentStore content, BuildCache cache)
{
    private readonly Dictionary<Digest, (CachedStep Step, IContentSource Source)> _steps = [];
    private readonly Dictionary<string, (Descriptor Tar, IContentSource Source)> _mounts = new(StringComparer.Ordinal);

    /// <summary>Adds what a manifest has: a cache's own, or an image's with its cache inline.</summary>
    /// <exception cref="StrataException">Invalid: it has no cache.</exception>
    internal async ValueTask AddAsync(IContentSource source, Descriptor root, string name, CancellationToken cancellationToken)
    {
        try
        {
            byte[] bytes = await ContentCopier.ReadDocumentAsync(source, root, cancellationToken).ConfigureAwait(false);
            ImageManifest manifest = OciJson.ParseManifest(bytes, root.MediaType);
            CacheDocument document = manifest.Config.MediaType == CacheDocument.MediaType
                ? CacheDocument.Parse(await ContentCopier.ReadDocumentAsync(source, manifest.Config, cancellationToken).ConfigureAwait(false))
                : manifest.Annotations?.GetValueOrDefault(CacheDocument.InlineAnnotation) is { } inline ? CacheDocument.Parse(System.Text.Encoding.UTF8.GetBytes(inline))
                : throw new StrataException(ErrorKind.Invalid, $"cache {name}: it is an image without a build cache") { Hint = "build it with --cache-to type=inline" };
            foreach (CacheDocumentStep step in document.Steps)
            {
                _steps[step.Key] = (step.Step, source);
            }
            foreach (Descriptor layer in manifest.Layers.Where(l => l.MediaType == CacheDocument.MountType))
            {
                if (layer.Annotations?.GetValueOrDefault(CacheDocument.MountAnnotation) is { } mount)
                {
                    _mounts[mount] = (layer, source);
                }
            }
        }
        catch (Exception e) when (e is JsonException or FormatException)
        {
            throw new StrataException(ErrorKind.Corrupt, $"cache {name}: {e.Message}", e);
        }
    }

    /// <summary>Brings what a key names into the store and its cache; false where no cache knows it.</summary>
    internal async ValueTask<bool> TryFetchAsync(CacheKey key, CancellationToken cancellationToken)
    {
        if (!_steps.TryGetValue(key.Value, out (CachedStep Step, IContentSource Source) found))
        {
            return false;
        }
        if (found.Step.Layer is { } layer)
        {
            await ContentCopier.CopyAsync(found.Source, content, layer, new CopyOptions(), cancellationToken).ConfigureAwait(false);
        }
        cache.Put(key, found.Step);
        return true;
    }

    /// <summary>Puts what a cache mount held elsewhere into <paramref name="folder"/>/data; false where no cache has it.</summary>
    internal bool TryFill(string mount, string folder, CancellationToken cancellationToken)
    {
        if (!_mounts.TryGetValue(mount, out (Descriptor Tar, IContentSource Source) found))
        {
            return false;
        }
        // Whole first: a download is not read by turns, and what breaks off leaves the folder empty. Under the folder's lock there is nothing else to do meanwhile.
        ContentCopier.CopyAsync(found.Source, content, found.Tar, new CopyOptions(), cancellationToken).AsTask().GetAwaiter().GetResult();
        using FileStream tar = content.OpenFile(found.Tar.Digest);
        using RootedDirectory root = RootedDirectory.Open(folder);
        using var reader = new LayerReader(tar);
        LayerExtractor.Extract(reader, root, new ExtractOptions(), cancellationToken);
        return true;
    }
}
