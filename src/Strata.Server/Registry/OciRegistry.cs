using System.Collections.Concurrent;
using Strata.Content;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>
/// What a registry is made of: the blobs and names of a store, the uploads under way, who may do what, and what is done beside serving. Holds leases
/// while it lives: what it has acknowledged, or said to be there, stays until a manifest names it, or for <see cref="HousekeepingOptions.Grace"/>.
/// </summary>
public sealed class OciRegistry : IDisposable
{
    private readonly Lock _turn = new();
    private readonly Queue<(StoreLease Lease, long Since)> _leases = new();
    private readonly ImageReference _root;
    private readonly RepositoryNames _names;

    /// <summary>Opens a registry over an engine's store. The engine has to live as long.</summary>
    /// <exception cref="StrataException">Invalid: a file that the options name is not what it should be.</exception>
    public OciRegistry(Engine engine, RegistryServerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(engine);
        Engine = engine;
        Options = options ?? new();
        // Any repository of the namespace: the others are made of it.
        _root = ImageReference.ParseWithoutDefaultTag(Options.Namespace + "/x");
        _names = new RepositoryNames(Images, Options.Time);
        Access = new RegistryAccess(Options.Access, Options.Time, Options.Notify);
        Uploads = new UploadSessions(Content, Options);
        Contents = new RepositoryContents(this);
        Manifests = new ManifestCache(Content);
        Quotas = new RepositoryQuotas(this);
        Space = new FreeSpace(Content.Layout.Root, Options);
        Metrics = new RegistryMetrics(Uploads);
        Events = new EventSender(Options, Metrics);
        Proxy = Options.Upstreams.Count > 0 ? new ProxyCache(this) : null;
        _leases.Enqueue((Content.AcquireLease(StoreLease.Registry), Options.Time.GetTimestamp()));
    }

    internal Engine Engine { get; }
    internal ContentStore Content => Engine.Content;
    internal ImageStore Images => Engine.Images;
    internal RegistryServerOptions Options { get; }
    internal RegistryAccess Access { get; }
    internal UploadSessions Uploads { get; }
    internal RepositoryContents Contents { get; }
    internal ManifestCache Manifests { get; }
    internal RepositoryQuotas Quotas { get; }
    internal FreeSpace Space { get; }
    internal RegistryMetrics Metrics { get; }
    internal EventSender Events { get; }
    internal ProxyCache? Proxy { get; }

    /// <summary>One at a time gives or takes a name.</summary>
    internal NameLocks Turns { get; } = new();

    /// <summary>Blobs that a check found damaged: not shown, so that whoever has them pushes them again.</summary>
    internal ConcurrentDictionary<Digest, bool> Damaged { get; } = new();

    /// <summary>It is about to end: no new requests should be sent here.</summary>
    internal bool IsStopping { get; set; }

    /// <summary>The name under which the store keeps a manifest of a repository.</summary>
    internal ImageReference NameOf(string repository, Digest digest) => NameOf(repository).WithOnlyDigest(digest);

    /// <summary>The name under which the store keeps a tag.</summary>
    internal ImageReference NameOf(string repository, string tag) => NameOf(repository).WithTag(tag);

    /// <summary>All names of a repository; of all where null.</summary>
    internal IEnumerable<(ImageReference Reference, Descriptor Manifest)> Names(string? repository = null)
        => from image in repository is null ? Images.List() : _names.List(NameOf(repository))
           where image.Reference.Registry == _root.Registry
           select (image.Reference, image.Record.Manifest);

    /// <summary>The tags of a repository, in no order; null: there is no such repository.</summary>
    internal IReadOnlyList<string>? TryListTags(string repository)
    {
        IReadOnlyList<string> tags = Images.ListTags(NameOf(repository));
        return tags.Count > 0 || Names(repository).Any() ? tags : null;
    }

    /// <summary>All repositories, in no order.</summary>
    internal IReadOnlyList<string> Repositories() => Images.ListRepositories(_root.Registry);

    /// <summary>The size of a blob that is here now and not damaged, or null. Nothing is promised.</summary>
    internal long? TryGetSize(Digest digest) => Damaged.ContainsKey(digest) ? null : Content.TryGetSize(digest);

    /// <summary>The size of a blob that is here and can be relied on: it stays for a while. Null: it is not.</summary>
    internal async ValueTask<long?> FindBlobAsync(Digest digest, CancellationToken cancellationToken)
    {
        if (TryGetSize(digest) is not { } size)
        {
            return null;
        }
        // Saying it is there is a promise: it stays while somebody may be pushing a manifest on the strength of it.
        return await Content.ContainsAsync(new Descriptor("application/octet-stream", digest, size), cancellationToken) ? size : null;
    }

    /// <summary>Does what is to be done beside serving (collection, retention, checks, events, dropping what nobody finishes), until cancelled.</summary>
    public Task RunHousekeepingAsync(CancellationToken cancellationToken) => new Housekeeper(this).RunAsync(cancellationToken);

    /// <summary>Lets go of what was relied on longer ago than the grace.</summary>
    internal void RotateLeases()
    {
        lock (_turn)
        {
            TimeSpan grace = Options.Housekeeping.Grace;
            if (Options.Time.GetElapsedTime(_leases.Last().Since) < grace)
            {
                return;
            }
            // The new one is there before an old one goes. What the old one alone has, nobody has asked for since the new one was made.
            _leases.Enqueue((Content.AcquireLease(StoreLease.Registry), Options.Time.GetTimestamp()));
            while (_leases.Count > 2)
            {
                _leases.Dequeue().Lease.Dispose();
            }
        }
    }

    private ImageReference NameOf(string repository) => ImageReference.ParseWithoutDefaultTag($"{Options.Namespace}/{repository}");

    /// <inheritdoc/>
    public void Dispose()
    {
        Proxy?.Dispose();
        Uploads.Dispose();
        Events.Dispose();
        Metrics.Dispose();
        lock (_turn)
        {
            while (_leases.TryDequeue(out (StoreLease Lease, long) held))
            {
                held.Lease.Dispose();
            }
        }
    }
}

/// <summary>Locks for names: a name always has the same one, some names share one.</summary>
internal sealed class NameLocks
{
    private const int Count = 64;
    private readonly SemaphoreSlim[] _locks = [.. Enumerable.Range(0, Count).Select(_ => new SemaphoreSlim(1))];

    public async ValueTask<Held> HoldAsync(string name, CancellationToken cancellationToken)
    {
        SemaphoreSlim turn = _locks[(int)((uint)string.GetHashCode(name, StringComparison.Ordinal) % Count)];
        await turn.WaitAsync(cancellationToken);
        return new Held(turn);
    }

    internal readonly struct Held(SemaphoreSlim turn) : IDisposable
    {
        public void Dispose() => turn.Release();
    }
}
