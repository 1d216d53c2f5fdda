using System.Collections.Concurrent;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>
/// Which blobs belong to a repository. One store has the blobs of all, so that nothing is there twice; who may see one repository must not see another's
/// by its digests.
/// </summary>
internal sealed class RepositoryContents(OciRegistry registry)
{
    private const int MostRemembered = 20_000;

    private readonly ConcurrentDictionary<Digest, Descriptor[]> _children = new();
    private readonly ConcurrentDictionary<(Digest, string), string> _descriptions = new();
    private readonly ConcurrentDictionary<(string Repository, Digest Digest), long> _uploaded = new();

    /// <summary>Notes that a blob came to a repository: until a manifest names it, its uploader may look for it.</summary>
    public void NoteUpload(string repository, Digest digest)
    {
        if (registry.Access.IsDivided)
        {
            _uploaded[(repository, digest)] = registry.Options.Time.GetTimestamp();
        }
    }

    /// <summary>Forgets uploads that came longer ago than the grace: nobody relies on them any more.</summary>
    public void Sweep()
    {
        foreach (((string, Digest) key, long since) in _uploaded)
        {
            if (registry.Options.Time.GetElapsedTime(since) > registry.Options.Housekeeping.Grace)
            {
                _uploaded.TryRemove(key, out _);
            }
        }
    }

    /// <summary>Whether a repository has a blob, or it is nobody's secret.</summary>
    public async ValueTask<bool> IsVisibleAsync(string repository, Digest digest, CancellationToken cancellationToken)
        => !registry.Access.IsDivided || _uploaded.ContainsKey((repository, digest)) || await FindAsync(repository, digest, cancellationToken) is not null;

    /// <summary>What the manifests of a repository say of a blob or manifest; null: they do not name it.</summary>
    public async ValueTask<Descriptor?> FindAsync(string repository, Digest digest, CancellationToken cancellationToken)
    {
        foreach (Descriptor manifest in registry.Names(repository).Select(n => n.Manifest).DistinctBy(m => m.Digest))
        {
            if (manifest.Digest == digest)
            {
                return manifest;
            }
            if ((await ChildrenAsync(manifest, cancellationToken)).FirstOrDefault(c => c.Digest == digest) is { } child)
            {
                return child;
            }
        }
        return null;
    }

    /// <summary>What a manifest or index names; nothing where it is not here.</summary>
    public async ValueTask<Descriptor[]> ChildrenAsync(Descriptor manifest, CancellationToken cancellationToken)
    {
        if (_children.TryGetValue(manifest.Digest, out Descriptor[]? known))
        {
            return known;
        }
        if (registry.Content.TryGetSize(manifest.Digest) is null || !MediaTypes.IsDocument(manifest.MediaType))
        {
            return [];
        }
        byte[] bytes = await registry.Content.ReadAsync(manifest, cancellationToken);
        Descriptor[] children;
        if (MediaTypes.IsIndex(manifest.MediaType))
        {
            children = [.. OciJson.ParseIndex(bytes, manifest.MediaType).Manifests];
        }
        else
        {
            ImageManifest content = OciJson.ParseManifest(bytes, manifest.MediaType);
            children = [content.Config, .. content.Layers];
        }
        if (_children.Count >= MostRemembered)
        {
            _children.Clear();
        }
        return _children[manifest.Digest] = children;
    }

    /// <summary>What an image says of itself under a key: its annotation, or its config's label. Empty where it says nothing.</summary>
    public async ValueTask<string> DescribeAsync(Descriptor image, string key, CancellationToken cancellationToken)
    {
        if (_descriptions.TryGetValue((image.Digest, key), out string? known))
        {
            return known;
        }
        if (_descriptions.Count >= MostRemembered)
        {
            _descriptions.Clear();
        }
        return _descriptions[(image.Digest, key)] = await ReadDescriptionAsync(image, key, 0, cancellationToken) ?? "";
    }

    private async ValueTask<string?> ReadDescriptionAsync(Descriptor image, string key, int depth, CancellationToken cancellationToken)
    {
        const int Deepest = 4; // nobody nests indexes deeper than once or twice
        if (depth > Deepest || registry.Content.TryGetSize(image.Digest) is null)
        {
            return null;
        }
        try
        {
            byte[] bytes = await registry.Content.ReadAsync(image, cancellationToken);
            if (MediaTypes.IsIndex(image.MediaType))
            {
                ImageIndex index = OciJson.ParseIndex(bytes, image.MediaType);
                return index.Annotations?.GetValueOrDefault(key)
                    ?? (index.Manifests.Length > 0 ? await ReadDescriptionAsync(index.Select(Platform.Host) ?? index.Manifests[0], key, depth + 1, cancellationToken) : null);
            }
            ImageManifest manifest = OciJson.ParseManifest(bytes, image.MediaType);
            if (manifest.Annotations?.GetValueOrDefault(key) is { } said)
            {
                return said;
            }
            bool hasConfig = MediaTypes.IsConfig(manifest.Config.MediaType) && registry.Content.TryGetSize(manifest.Config.Digest) is not null;
            return hasConfig ? OciJson.ParseConfig(await registry.Content.ReadAsync(manifest.Config, cancellationToken)).Config?.Labels?.GetValueOrDefault(key) : null;
        }
        catch (StrataException)
        {
            return null; // what cannot be read is told of by a check; a search shows the rest
        }
    }
}
