using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>The most bytes that each repository of a pattern may have.</summary>
/// <param name="Repositories">Which: <c>team/**</c>; <c>**</c> is all.</param>
/// <param name="Bytes">All that its manifests name, each blob once, and the manifests.</param>
public sealed record RepositoryQuota(string Repositories, long Bytes);

/// <summary>Keeps repositories to their size: asked before an upload is taken, and when a manifest makes it a part of the repository.</summary>
internal sealed class RepositoryQuotas
{
    private readonly OciRegistry _registry;
    private readonly IReadOnlyList<RepositoryQuota> _quotas;

    /// <exception cref="StrataException">Invalid: a pattern or size that is none.</exception>
    public RepositoryQuotas(OciRegistry registry)
    {
        (_registry, _quotas) = (registry, registry.Options.Quotas);
        if (_quotas.FirstOrDefault(q => !Glob.IsFit(q.Repositories) || q.Bytes <= 0) is { } wrong)
        {
            throw new StrataException(ErrorKind.Invalid, $"quota {wrong.Repositories}={wrong.Bytes}: not a pattern of repositories and a size") { Hint = "write team/**=10GB, or 10GB for each repository" };
        }
    }

    /// <summary>Goes on only where an upload of so many bytes may still find its place; of what the repository has already, only the digest tells.</summary>
    /// <exception cref="RegistryFault">413.</exception>
    public async ValueTask DemandAsync(string repository, Digest? digest, long bytes, CancellationToken cancellationToken)
    {
        if (Find(repository) is { } quota)
        {
            Dictionary<Digest, long> parts = await PartsAsync(repository, cancellationToken);
            bool isThere = digest is { } known && parts.ContainsKey(known);
            Demand(repository, quota, parts.Values.Sum(), isThere ? 0 : bytes);
        }
    }

    /// <summary>Goes on only where a manifest and all that it names have a place in a repository; what the repository has already costs nothing.</summary>
    /// <exception cref="RegistryFault">413.</exception>
    public async ValueTask DemandAsync(string repository, IEnumerable<Descriptor> more, CancellationToken cancellationToken)
    {
        if (Find(repository) is { } quota)
        {
            Dictionary<Digest, long> parts = await PartsAsync(repository, cancellationToken);
            long used = parts.Values.Sum();
            Demand(repository, quota, used, more.Sum(part => parts.TryAdd(part.Digest, part.Size) ? part.Size : 0));
        }
    }

    private RepositoryQuota? Find(string repository) => _quotas.FirstOrDefault(q => Glob.IsMatch(q.Repositories, repository));

    private static void Demand(string repository, RepositoryQuota quota, long used, long wanted)
    {
        if (wanted > 0 && wanted > quota.Bytes - used)
        {
            throw new RegistryFault(413, DistributionCodes.Denied, $"{repository} has {used} of {quota.Bytes} bytes, and this needs {wanted} more: delete what is not needed");
        }
    }

    private async ValueTask<Dictionary<Digest, long>> PartsAsync(string repository, CancellationToken cancellationToken)
    {
        Dictionary<Digest, long> parts = [];
        foreach ((_, Descriptor manifest) in _registry.Names(repository))
        {
            if (parts.TryAdd(manifest.Digest, manifest.Size))
            {
                // What is fetched elsewhere takes no place here; an index's manifests have names of their own, and are counted by those.
                foreach (Descriptor child in (await _registry.Contents.ChildrenAsync(manifest, cancellationToken)).Where(c => c.Urls is not { Length: > 0 } && !MediaTypes.IsDocument(c.MediaType)))
                {
                    parts.TryAdd(child.Digest, child.Size);
                }
            }
        }
        return parts;
    }
}
