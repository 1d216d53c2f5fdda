using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using Strata.Oci;

namespace Strata.Distribution;

public sealed partial class RegistryClient
{
    private static readonly string[] s_documents = [MediaTypes.OciIndex, MediaTypes.OciManifest, MediaTypes.DockerManifestList, MediaTypes.DockerManifest];

    /// <summary>The document a name stands for, byte for byte as the registry has it; of an index, the manifest for one platform where that is asked for.</summary>
    /// <exception cref="StrataException">NotFound: no such name, or nothing for that platform. Unauthenticated, Unavailable, Corrupt.</exception>
    public async ValueTask<(Descriptor Descriptor, byte[] Bytes)> ReadDocumentAsync(ImageReference reference, Platform? platform = null, CancellationToken cancellationToken = default)
    {
        RemoteRepository repository = GetRepository(reference);
        Descriptor descriptor = await repository.ResolveAsync(reference.Digest?.ToString() ?? reference.Tag!, cancellationToken).ConfigureAwait(false);
        byte[] bytes = await ReadAsync(repository, descriptor, cancellationToken).ConfigureAwait(false);
        if (platform is null || !MediaTypes.IsIndex(descriptor.MediaType))
        {
            return (descriptor, bytes);
        }
        ImageIndex index = OciJson.ParseIndex(bytes, descriptor.MediaType);
        Descriptor image = index.Select(platform, strict: true) ?? throw new StrataException(ErrorKind.NotFound, $"inspect {reference.Familiar}: there is nothing for {platform}")
        {
            Hint = $"there are: {string.Join(", ", index.Manifests.Select(m => m.Platform).OfType<Platform>().Distinct())}",
        };
        return (image, await ReadAsync(repository, image, cancellationToken).ConfigureAwait(false));
    }

    /// <summary>
    /// Removes a tag, or (where only a digest is named) an image with all its tags, from a registry. Answers what went. A registry that cannot remove a
    /// tag alone loses the image, if the tag is its only one.
    /// </summary>
    /// <exception cref="StrataException">
    /// NotFound: it is not there. Conflict: the registry removes images only, and the image has other tags. Unsupported: the registry removes nothing.
    /// </exception>
    public async ValueTask<ImageReference> DeleteAsync(ImageReference reference, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reference);
        RemoteRepository repository = GetRepository(reference);
        RegistryEndpoint origin = Mirrors.Origin(reference.Registry, reference.Repository);
        Digest digest = reference.Digest ?? await FindDigestAsync(origin, reference.Repository, reference.Tag!, cancellationToken).ConfigureAwait(false);
        bool isTag = reference.Digest is null;
        if (isTag)
        {
            try
            {
                await DeleteAsync(origin, reference, reference.Tag!, cancellationToken).ConfigureAwait(false);
                return reference;
            }
            catch (RegistryException e) when (e.Status is HttpStatusCode.BadRequest or HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed or HttpStatusCode.NotImplemented)
            {
                await CheckOnlyTagAsync(origin, repository, reference, digest, cancellationToken).ConfigureAwait(false);
            }
        }
        try
        {
            await DeleteAsync(origin, reference, digest.ToString(), cancellationToken).ConfigureAwait(false);
        }
        catch (RegistryException e) when (e.Status is HttpStatusCode.MethodNotAllowed or HttpStatusCode.NotImplemented)
        {
            throw new StrataException(ErrorKind.Unsupported, $"remove {reference.Familiar}: the registry removes nothing: {e.Message}", e) { Hint = "distribution's registry does where its configuration says storage.delete.enabled: true" };
        }
        return reference.WithOnlyDigest(digest);
    }

    private async ValueTask DeleteAsync(RegistryEndpoint origin, ImageReference reference, string tagOrDigest, CancellationToken cancellationToken)
    {
        RegistryRequest request = new(HttpMethod.Delete, $"v2/{reference.Repository}/manifests/{tagOrDigest}", $"repository:{reference.Repository}:pull,delete");
        using HttpResponseMessage response = await SendAsync(origin, request, cancellationToken).ConfigureAwait(false);
    }

    // Asked of the registry itself: a mirror may not know yet.
    private async ValueTask<Digest> FindDigestAsync(RegistryEndpoint origin, string repository, string tag, CancellationToken cancellationToken)
    {
        RegistryRequest request = new(HttpMethod.Get, $"v2/{repository}/manifests/{tag}", $"repository:{repository}:pull,delete") { Accept = s_documents };
        using HttpResponseMessage response = await SendAsync(origin, request, cancellationToken).ConfigureAwait(false);
        return Digest.Of(await ReadAllAsync(response, OciJson.MaxDocumentBytes, cancellationToken).ConfigureAwait(false));
    }

    private async ValueTask CheckOnlyTagAsync(RegistryEndpoint origin, RemoteRepository repository, ImageReference reference, Digest digest, CancellationToken cancellationToken)
    {
        List<string> others = [];
        await foreach (string tag in repository.ListTagsAsync(cancellationToken).ConfigureAwait(false))
        {
            if (tag != reference.Tag && await FindDigestAsync(origin, reference.Repository, tag, cancellationToken).ConfigureAwait(false) == digest)
            {
                others.Add(tag);
            }
        }
        if (others.Count > 0)
        {
            throw new StrataException(ErrorKind.Conflict, $"remove {reference.Familiar}: the registry removes images only, and this one has other tags: {string.Join(", ", others.Take(10))}")
            {
                Hint = $"to remove it with all of them: strata registry rm {reference.WithOnlyDigest(digest).Familiar}",
            };
        }
    }

    /// <summary>Asks the servers for a name, in the order in which a pull does, and says what each answers. After the one that serves it nobody is asked.</summary>
    public async IAsyncEnumerable<MirrorAnswer> ExplainAsync(ImageReference reference, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reference);
        RegistryRequest request = new(HttpMethod.Head, $"v2/{reference.Repository}/manifests/{reference.Digest?.ToString() ?? reference.Tag}", $"repository:{reference.Repository}:pull") { Accept = s_documents };
        bool isServed = false;
        foreach (RegistryEndpoint endpoint in Mirrors.All(reference.Registry, reference.Repository))
        {
            if (isServed || (endpoint.IsForDigests && !request.IsForDigest))
            {
                yield return new MirrorAnswer(Hosts.WithoutSecrets(endpoint.Address), endpoint.IsMirror) { Failure = isServed ? "not asked" : "not asked: it is asked for digests only" };
                continue;
            }
            MirrorAnswer answer = await AskAsync(endpoint, request, cancellationToken).ConfigureAwait(false);
            isServed = answer.IsServing;
            yield return answer;
        }
    }

    private async ValueTask<MirrorAnswer> AskAsync(RegistryEndpoint endpoint, RegistryRequest request, CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        try
        {
            using HttpResponseMessage response = await Transport.SendAsync(endpoint, request, cancellationToken).ConfigureAwait(false);
            return new MirrorAnswer(Hosts.WithoutSecrets(endpoint.Address), endpoint.IsMirror) { Status = response.StatusCode, IsServing = response.IsSuccessStatusCode, Elapsed = Stopwatch.GetElapsedTime(started) };
        }
        catch (StrataException e)
        {
            string cause = e.InnerException is HttpRequestException inner ? inner.InnerException?.Message ?? inner.Message : e.Message;
            return new MirrorAnswer(Hosts.WithoutSecrets(endpoint.Address), endpoint.IsMirror) { Status = (e as RegistryException)?.Status, Failure = cause, Elapsed = Stopwatch.GetElapsedTime(started) };
        }
    }

    private static async ValueTask<byte[]> ReadAsync(RemoteRepository repository, Descriptor descriptor, CancellationToken cancellationToken)
    {
        Stream stream = await repository.OpenAsync(descriptor, cancellationToken).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            using MemoryStream bytes = new();
            await stream.CopyToAsync(bytes, cancellationToken).ConfigureAwait(false);
            return bytes.ToArray();
        }
    }
}

/// <summary>What one server said when it was asked for a name.</summary>
/// <param name="Address">The server.</param>
/// <param name="IsMirror">A mirror; else the registry itself.</param>
public sealed record MirrorAnswer(Uri Address, bool IsMirror)
{
    /// <summary>Its answer; null where none came.</summary>
    public HttpStatusCode? Status { get; init; }
    /// <summary>Why none came.</summary>
    public string? Failure { get; init; }
    /// <summary>How long it took.</summary>
    public TimeSpan Elapsed { get; init; }
    /// <summary>It has it: a pull takes it from here.</summary>
    public bool IsServing { get; init; }
}
