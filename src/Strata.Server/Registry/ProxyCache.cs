using System.Collections.Concurrent;
using Microsoft.AspNetCore.Http;
using Strata.Distribution;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>A repository of a registry behind this one.</summary>
/// <param name="Local">Its name here, the upstream's name before it.</param>
/// <param name="Source">The upstream.</param>
/// <param name="Remote">Where it is read.</param>
internal sealed record UpstreamRepository(string Local, UpstreamSource Source, RemoteRepository Remote);

/// <summary>A registry behind this one, and whether it answered last time.</summary>
internal sealed class UpstreamSource(RegistryUpstream upstream, RegistryClient client)
{
    public RegistryUpstream Upstream { get; } = upstream;
    public RegistryClient Client { get; } = client;

    /// <summary>When it last failed to answer; 0: it did not.</summary>
    public long FailedAt { get; set; }
}

/// <summary>
/// Serves what other registries have, and keeps it: an image becomes a name of the store (<c>registry.local/docker.io/library/alpine:3</c>) when all of it is
/// here, as one that was pushed does; until then its manifest is held by the registry's lease and known to this process only.
/// </summary>
internal sealed class ProxyCache : IDisposable
{
    private const int MostRemembered = 20_000;

    // How long an upstream that does not answer is left alone where there is something to serve without it.
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(10);

    private readonly OciRegistry _registry;
    private readonly UpstreamSource[] _sources;
    private readonly UpstreamSource? _default;
    private readonly NameLocks _turns = new();
    private readonly ConcurrentDictionary<ImageReference, Descriptor> _pending = new();
    private readonly ConcurrentDictionary<ImageReference, long> _fresh = new();
    private readonly ConcurrentDictionary<Digest, Lazy<ProxyDownload>> _downloads = new();
    private readonly CancellationTokenSource _end = new();

    /// <exception cref="StrataException">Invalid: an upstream's name or address is none.</exception>
    public ProxyCache(OciRegistry registry)
    {
        _registry = registry;
        RegistryServerOptions options = registry.Options;
        _sources = [.. options.Upstreams.Select(u => new UpstreamSource(u, CreateClient(u, options.Time)))];
        _default = options.DefaultUpstream is null ? null : _sources.FirstOrDefault(s => s.Upstream.Name == options.DefaultUpstream)
            ?? throw new StrataException(ErrorKind.Invalid, $"default upstream '{options.DefaultUpstream}': no upstream has that name");
    }

    private static RegistryClient CreateClient(RegistryUpstream upstream, TimeProvider time)
    {
        bool isFit = ImageReference.IsRepository(upstream.Name) && upstream.Address.IsAbsoluteUri && (upstream.Address.Scheme == Uri.UriSchemeHttps || upstream.Address.Scheme == Uri.UriSchemeHttp)
            && upstream.Address.UserInfo.Length == 0 && upstream.Address.Query.Length == 0;
        if (!isFit)
        {
            throw new StrataException(ErrorKind.Invalid, $"upstream {AccessLog.Escape(upstream.Name)}: not NAME=URL") { Hint = "write docker.io=https://registry-1.docker.io; passwords are read from docker's and podman's files" };
        }
        bool isPlain = upstream.Address.Scheme == Uri.UriSchemeHttp;
        return new RegistryClient(new RegistryOptions
        {
            Configuration = new RegistryConfiguration { Insecure = isPlain ? new HashSet<string> { upstream.Address.Authority } : new HashSet<string>() },
            // Clients wait meanwhile, and try again by themselves.
            Attempts = 2,
            Patience = TimeSpan.FromSeconds(20),
            LongestTotalWait = TimeSpan.FromSeconds(10),
            Time = time,
        });
    }

    /// <summary>Whether a name begins with an upstream's.</summary>
    public bool IsUpstreams(string repository) => _sources.Any(s => IsBelow(repository, s));

    private static bool IsBelow(string repository, UpstreamSource source) => repository.StartsWith(source.Upstream.Name + "/", StringComparison.Ordinal);

    /// <summary>Where a repository is fetched from; null: it is our own.</summary>
    public UpstreamRepository? Find(string repository)
    {
        UpstreamSource? source = Array.Find(_sources, s => IsBelow(repository, s));
        if (source is not null)
        {
            return Open(source, repository[(source.Upstream.Name.Length + 1)..]);
        }
        return _default is not null && !_registry.Names(repository).Any() ? Open(_default, repository) : null;
    }

    private static UpstreamRepository? Open(UpstreamSource source, string remote)
    {
        // Docker Hub's official images are below library/, and people leave it out.
        string full = source.Upstream.Name == ImageReference.DefaultRegistry && !remote.Contains('/', StringComparison.Ordinal) ? "library/" + remote : remote;
        string local = $"{source.Upstream.Name}/{full}";
        string path = source.Upstream.Address.AbsolutePath.Trim('/');
        return ImageReference.IsRepository(local) && ImageReference.TryParse($"{source.Upstream.Address.Authority}/{(path.Length > 0 ? path + "/" : "")}{full}", out ImageReference? reference)
            ? new UpstreamRepository(local, source, source.Client.GetRepository(reference))
            : null;
    }

    /// <summary>What a tag or digest is, its manifest being here; null: upstream has none.</summary>
    /// <exception cref="StrataException">Unavailable: it is not here, and upstream does not answer. Corrupt: what upstream sends is not what it says.</exception>
    public async ValueTask<Descriptor?> ResolveAsync(UpstreamRepository repository, RegistryRoute route, CancellationToken cancellationToken)
    {
        Digest? named = route.TryDigest();
        if (named is null && !ImageReference.IsTag(route.Last))
        {
            return null;
        }
        ImageReference name = named is { } digest ? _registry.NameOf(repository.Local, digest) : _registry.NameOf(repository.Local, route.Last);
        using NameLocks.Held turn = await _turns.HoldAsync(name.ToString(), cancellationToken);
        Descriptor? here = await FindHereAsync(name, cancellationToken);
        if (here is not null && (named is not null || IsFresh(name) || IsResting(repository.Source)))
        {
            _registry.Metrics.Add(RegistryMetrics.ProxyHits);
            return here;
        }
        try
        {
            Descriptor there = await repository.Remote.ResolveAsync(route.Last, cancellationToken);
            repository.Source.FailedAt = 0;
            bool isSame = here?.Digest == there.Digest;
            _registry.Metrics.Add(isSame ? RegistryMetrics.ProxyHits : RegistryMetrics.ProxyMisses);
            if (!isSame)
            {
                await FetchManifestAsync(repository, name, there, cancellationToken);
            }
            Remember(name);
            return there;
        }
        catch (StrataException e) when (e.Kind is ErrorKind.NotFound or ErrorKind.Unauthenticated or ErrorKind.Denied)
        {
            return null; // what upstream does not show us is not there; that it wants a password is not our client's affair
        }
        catch (StrataException e) when (e.Kind == ErrorKind.Unavailable && here is not null)
        {
            repository.Source.FailedAt = _registry.Options.Time.GetTimestamp();
            _registry.Options.Notify?.Invoke($"{repository.Remote}: {e.Message}; serving what is here");
            return here;
        }
    }

    private async ValueTask<Descriptor?> FindHereAsync(ImageReference name, CancellationToken cancellationToken)
    {
        Descriptor? here = await _registry.Images.TryResolveAsync(name, cancellationToken) ?? _pending.GetValueOrDefault(name);
        // Held from now on: a collection may come between this look and the answer.
        return here is not null && await _registry.Content.ContainsAsync(here, cancellationToken) ? here : null;
    }

    private bool IsFresh(ImageReference name) => _fresh.TryGetValue(name, out long since) && _registry.Options.Time.GetElapsedTime(since) < _registry.Options.UpstreamTagLife;

    private bool IsResting(UpstreamSource source) => source.FailedAt != 0 && _registry.Options.Time.GetElapsedTime(source.FailedAt) < s_rest;

    private void Remember(ImageReference name)
    {
        if (_fresh.Count >= MostRemembered)
        {
            _fresh.Clear();
        }
        _fresh[name] = _registry.Options.Time.GetTimestamp();
    }

    private async ValueTask FetchManifestAsync(UpstreamRepository repository, ImageReference name, Descriptor there, CancellationToken cancellationToken)
    {
        _registry.Space.Demand(there.Size);
        await using (Stream bytes = await repository.Remote.OpenAsync(there, cancellationToken))
        {
            await _registry.Content.WriteAsync(there, bytes, cancellationToken);
        }
        if (_pending.Count >= MostRemembered)
        {
            _pending.Clear(); // they are fetched again when they are asked for again
        }
        _pending[_registry.NameOf(repository.Local, there.Digest)] = there;
        _pending[name] = there;
        await SettleAsync(repository.Local, cancellationToken);
    }

    // What is whole gets its names: then it outlives this process, is listed, and is collected when its names go.
    private async ValueTask SettleAsync(string repository, CancellationToken cancellationToken)
    {
        foreach ((ImageReference name, Descriptor manifest) in _pending.Where(p => p.Key.Repository == repository).OrderBy(p => p.Key.Tag is not null))
        {
            if (await IsWholeAsync(manifest, cancellationToken))
            {
                await _registry.Images.SetAsync(name, manifest, cancellationToken);
                _pending.TryRemove(name, out _);
            }
        }
    }

    private async ValueTask<bool> IsWholeAsync(Descriptor manifest, CancellationToken cancellationToken)
    {
        if (!await _registry.Content.ContainsAsync(manifest, cancellationToken))
        {
            return false;
        }
        Descriptor[] children = await _registry.Contents.ChildrenAsync(manifest, cancellationToken);
        if (!MediaTypes.IsIndex(manifest.MediaType))
        {
            foreach (Descriptor child in children.Where(c => c.Urls is not { Length: > 0 }))
            {
                if (!await _registry.Content.ContainsAsync(child, cancellationToken))
                {
                    return false;
                }
            }
            return true;
        }
        // Of an index those platforms are here that somebody asked for; one of them is enough, and none may be here in part.
        bool hasOne = false;
        foreach (Descriptor child in children.Where(c => _registry.Content.TryGetSize(c.Digest) is not null))
        {
            if (!await IsWholeAsync(child, cancellationToken))
            {
                return false;
            }
            hasOne = true;
        }
        return hasOne;
    }

    /// <summary>
    /// Answers with a blob that is not here, while it comes; false: upstream's manifests, as far as they were asked for, do not name it, or it is
    /// here by now.
    /// </summary>
    public async Task<bool> TryStreamBlobAsync(HttpContext context, UpstreamRepository repository, Digest digest)
    {
        if (await FindDescriptorAsync(repository.Local, digest, context.RequestAborted) is not { } blob || await _registry.FindBlobAsync(digest, context.RequestAborted) == blob.Size)
        {
            return false;
        }
        _registry.Metrics.Add(RegistryMetrics.ProxyMisses);
        HttpResponse response = context.Response;
        if (HttpMethods.IsGet(context.Request.Method))
        {
            _registry.Space.Demand(blob.Size);
            ProxyDownload download = _downloads.GetOrAdd(digest, _ => new Lazy<ProxyDownload>(() => Start(repository, blob))).Value;
            if (context.Request.Headers.Range.Count > 0)
            {
                await download.Ended.WaitAsync(context.RequestAborted);
                return false;
            }
            await download.WaitForStartAsync(context.RequestAborted); // what upstream refuses is refused with its reason, not with a cut answer
            SetHeaders(response, blob);
            await download.CopyToAsync(response.Body, context.RequestAborted);
            return true;
        }
        SetHeaders(response, blob);
        return true;
    }

    private static void SetHeaders(HttpResponse response, Descriptor blob)
    {
        RegistryEndpoints.SetContent(response, blob.Digest);
        response.Headers.CacheControl = "max-age=31536000, immutable";
        response.ContentType = "application/octet-stream";
        response.Headers.AcceptRanges = "bytes";
        response.ContentLength = blob.Size;
    }

    private ProxyDownload Start(UpstreamRepository repository, Descriptor blob)
    {
        ProxyDownload download = new(_registry.Content, blob);
        _ = RunAsync();
        return download;

        // Not for one client: whoever comes next has it, also when this one has gone. Its failure is for those who wait for it.
        async Task RunAsync()
        {
            await Task.Yield();
            try
            {
                await download.RunAsync(repository.Remote, () => SettleAsync(repository.Local, _end.Token), _end.Token);
            }
            finally
            {
                _downloads.TryRemove(blob.Digest, out _);
            }
        }
    }

    private async ValueTask<Descriptor?> FindDescriptorAsync(string repository, Digest digest, CancellationToken cancellationToken)
    {
        foreach (Descriptor manifest in _pending.Where(p => p.Key.Repository == repository).Select(p => p.Value).DistinctBy(m => m.Digest))
        {
            if ((await _registry.Contents.ChildrenAsync(manifest, cancellationToken)).FirstOrDefault(c => c.Digest == digest) is { } found)
            {
                return found;
            }
        }
        return await _registry.Contents.FindAsync(repository, digest, cancellationToken);
    }

    public void Dispose()
    {
        _end.Cancel();
        foreach (UpstreamSource source in _sources)
        {
            source.Client.Dispose();
        }
        _end.Dispose();
    }
}
