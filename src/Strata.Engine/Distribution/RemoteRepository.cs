using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using Strata.Content;
using Strata.Oci;

namespace Strata.Distribution;

/// <summary>One repository of one registry (and its mirrors). Reading; writing is in RemoteRepository.Push.cs.</summary>
public sealed partial class RemoteRepository : IResumableSource, IResumableSink
{
    private const string DigestHeader = "Docker-Content-Digest";

    private static readonly string[] s_documents = [MediaTypes.OciIndex, MediaTypes.OciManifest, MediaTypes.DockerManifestList, MediaTypes.DockerManifest];

    private readonly RegistryClient _client;
    private readonly ConcurrentDictionary<Digest, RegistryEndpoint> _servedBy = new();

    internal RemoteRepository(RegistryClient client, string registry, string repository, Func<Digest, string?>? mountsFrom)
    {
        (_client, _mountsFrom) = (client, mountsFrom);
        (Registry, Repository) = (registry, repository);
    }

    /// <summary>Host and port.</summary>
    public string Registry { get; }

    /// <summary>Its path in the registry.</summary>
    public string Repository { get; }

    private string PullScope => $"repository:{Repository}:pull";

    /// <inheritdoc/>
    public override string ToString() => $"{Registry}/{Repository}";

    /// <summary>What a tag points to; for a digest, what type and size the content has.</summary>
    /// <exception cref="StrataException">
    /// NotFound: no such manifest. Invalid, Corrupt: what the registry says contradicts itself. Unsupported: Docker's schema 1.
    /// </exception>
    public async ValueTask<Descriptor> ResolveAsync(string tagOrDigest, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tagOrDigest);
        bool isDigest = Digest.TryParse(tagOrDigest, null, out Digest wanted);
        if (!isDigest && !ImageReference.IsTag(tagOrDigest))
        {
            throw new StrataException(ErrorKind.Invalid, $"resolve {this}: '{Hosts.Printable(tagOrDigest)}' is neither a tag nor a digest");
        }
        // HEAD costs no quota at Docker Hub, and most often says all there is to know.
        RegistryRequest head = ManifestRequest(HttpMethod.Head, tagOrDigest);
        (HttpResponseMessage response, _) = await _client.SendToAnyAsync(Registry, head, cancellationToken).ConfigureAwait(false);
        using (response)
        {
            string? type = response.Content.Headers.ContentType?.MediaType;
            if (type is not null && MediaTypes.IsDocument(type) && ReadDigest(response) is { } digest && response.Content.Headers.ContentLength is > 0 and <= OciJson.MaxDocumentBytes and long size)
            {
                return isDigest && digest != wanted
                    ? throw new DigestMismatchException(wanted, digest, $"resolve {this}@{wanted}")
                    : new Descriptor(type, digest, size);
            }
        }
        (Descriptor descriptor, _) = await ReadManifestAsync(tagOrDigest, isDigest ? wanted : null, cancellationToken).ConfigureAwait(false);
        return descriptor;
    }

    /// <summary>As <see cref="ResolveAsync"/>, with the document: for one that is not here it saves a request.</summary>
    internal ValueTask<(Descriptor Descriptor, byte[] Bytes)> ReadAsync(string tagOrDigest, CancellationToken cancellationToken)
        => ReadManifestAsync(tagOrDigest, Digest.TryParse(tagOrDigest, null, out Digest wanted) ? wanted : null, cancellationToken);

    /// <inheritdoc/>
    public async ValueTask<Stream> OpenAsync(Descriptor descriptor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        if (MediaTypes.IsDocument(descriptor.MediaType))
        {
            (Descriptor found, byte[] bytes) = await ReadManifestAsync(descriptor.Digest.ToString(), descriptor.Digest, cancellationToken).ConfigureAwait(false);
            return found.MediaType == descriptor.MediaType
                ? new VerifyingStream(new MemoryStream(bytes, writable: false), descriptor, ToString())
                : throw new StrataException(ErrorKind.Invalid, $"get {this}@{descriptor.Digest}: it is '{found.MediaType}', not '{descriptor.MediaType}'");
        }
        return new VerifyingStream(await OpenFromAsync(descriptor, 0, cancellationToken).ConfigureAwait(false), descriptor, ToString());
    }

    /// <inheritdoc/>
    public async ValueTask<Stream> OpenFromAsync(Descriptor descriptor, long start, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        Stream first = await OpenBlobAsync(descriptor, start, cancellationToken).ConfigureAwait(false);
        return new ResumingStream(first, start, descriptor, ToString(), _client.Options, (from, token) => OpenBlobAsync(descriptor, from, token), _client.Transport.Backoff);
    }

    /// <summary>The tags, in the order the registry gives them.</summary>
    public async IAsyncEnumerable<string> ListTagsAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        RegistryRequest request = new(HttpMethod.Get, $"v2/{Repository}/tags/list", PullScope);
        await foreach (TagList page in _client.ListAsync(_client.Mirrors.Origin(Registry, Repository), request, DistributionJson.Default.TagList, cancellationToken).ConfigureAwait(false))
        {
            // What is no tag cannot be asked for, and could be anything.
            foreach (string tag in (page.Tags ?? []).Where(ImageReference.IsTag))
            {
                yield return tag;
            }
        }
    }

    /// <summary>
    /// Something that came was not what it should be: mirrors that served this repository are passed over for a while. Answers whether there
    /// were any, that is, whether asking again may help.
    /// </summary>
    internal bool PassOverMirrors()
    {
        RegistryEndpoint[] mirrors = [.. _servedBy.Values.Where(e => e.IsMirror).Distinct()];
        foreach (RegistryEndpoint mirror in mirrors)
        {
            _client.Mirrors.Rest(mirror);
        }
        _servedBy.Clear();
        return mirrors.Length > 0;
    }

    private RegistryRequest ManifestRequest(HttpMethod method, string tagOrDigest)
        => new(method, $"v2/{Repository}/manifests/{tagOrDigest}", PullScope) { Accept = s_documents };

    private async ValueTask<(Descriptor Descriptor, byte[] Bytes)> ReadManifestAsync(string tagOrDigest, Digest? wanted, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            (HttpResponseMessage response, RegistryEndpoint endpoint) = await _client.SendToAnyAsync(Registry, ManifestRequest(HttpMethod.Get, tagOrDigest), cancellationToken).ConfigureAwait(false);
            using (response)
            {
                try
                {
                    byte[] bytes = await _client.ReadAllAsync(response, OciJson.MaxDocumentBytes, cancellationToken).ConfigureAwait(false);
                    return Judge(response, endpoint, bytes, tagOrDigest, wanted);
                }
                catch (StrataException e) when (e.Kind == ErrorKind.Unavailable && attempt < _client.Options.Attempts)
                {
                    // It broke off: asked for again, like a request that was not answered.
                }
            }
            await Task.Delay(_client.Transport.Backoff(attempt), _client.Options.Time, cancellationToken).ConfigureAwait(false);
        }
    }

    private (Descriptor Descriptor, byte[] Bytes) Judge(HttpResponseMessage response, RegistryEndpoint endpoint, byte[] bytes, string tagOrDigest, Digest? wanted)
    {
        string act = $"get {this}{(wanted is null ? ":" : "@")}{tagOrDigest} from {endpoint}";
        Digest? said = ReadDigest(response);
        Digest promised = wanted ?? said ?? Digest.Of(bytes);
        Digest actual = Digest.Of(bytes, promised.HashAlgorithm);
        if (actual != promised)
        {
            _servedBy[promised] = endpoint;
            throw new DigestMismatchException(promised, actual, act);
        }
        _servedBy[actual] = endpoint;
        string? type = response.Content.Headers.ContentType?.MediaType;
        if (type is MediaTypes.DockerSchema1 or MediaTypes.DockerSchema1Signed)
        {
            throw new StrataException(ErrorKind.Unsupported, $"{act}: it is an image of Docker's schema 1, which has no digests of its layers' content") { Hint = "pull and push it once with an old docker (before 26) to convert it" };
        }
        bool isKnown = type is not null && MediaTypes.IsDocument(type);
        // Static file servers say text/plain or application/json.
        string mediaType = isKnown ? type! : OciJson.DetectMediaType(bytes);
        Check(bytes, mediaType);
        return (new Descriptor(mediaType, actual, bytes.Length), bytes);
    }

    // What it says it is and what it is must be the same, before anything acts on it.
    private static void Check(byte[] bytes, string mediaType)
    {
        if (MediaTypes.IsIndex(mediaType))
        {
            OciJson.ParseIndex(bytes, mediaType);
        }
        else
        {
            OciJson.ParseManifest(bytes, mediaType);
        }
    }

    // A header is text of a stranger: a digest, or the answer is not to be used.
    private Digest? ReadDigest(HttpResponseMessage response)
    {
        string? text = response.Headers.TryGetValues(DigestHeader, out IEnumerable<string>? values) ? values.First() : null;
        return text is null ? null
            : Digest.TryParse(text, null, out Digest digest) ? digest
            : throw new StrataException(ErrorKind.Invalid, $"resolve in {this}: the registry's {DigestHeader} '{Hosts.Printable(text)}' is not a digest");
    }

    private async ValueTask<Stream> OpenBlobAsync(Descriptor descriptor, long from, CancellationToken cancellationToken)
    {
        RegistryRequest request = new(HttpMethod.Get, $"v2/{Repository}/blobs/{descriptor.Digest}", PullScope) { From = from };
        HttpResponseMessage response;
        try
        {
            (response, RegistryEndpoint endpoint) = await _client.SendToAnyAsync(Registry, request, cancellationToken).ConfigureAwait(false);
            _servedBy[descriptor.Digest] = endpoint;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound && descriptor.Urls is { Length: > 0 } urls)
        {
            response = await OpenForeignAsync(urls, request, e, cancellationToken).ConfigureAwait(false);
        }
        try
        {
            return await CheckBlobAsync(response, descriptor, from, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    // Layers that may not be redistributed are elsewhere on the web. Nobody's password goes there.
    private async ValueTask<HttpResponseMessage> OpenForeignAsync(IEnumerable<string> urls, RegistryRequest request, StrataException notFound, CancellationToken cancellationToken)
    {
        if (!_client.Options.ForeignLayers)
        {
            throw new StrataException(ErrorKind.Denied, $"{notFound.Message}; it is a foreign layer, to be had from {Hosts.Printable(string.Join(", ", urls))}", notFound)
            {
                Hint = "such addresses are chosen by whoever wrote the image; with --foreign-layers they are followed",
            };
        }
        foreach (string text in urls)
        {
            Uri url = new(text);
            bool isFit = url.UserInfo.Length == 0 && !Hosts.IsLinkLocal(url) && (url.Scheme == Uri.UriSchemeHttps || (url.Scheme == Uri.UriSchemeHttp && !url.IsLoopback));
            if (isFit)
            {
                RegistryEndpoint elsewhere = new(url.Authority, new Uri(url.GetLeftPart(UriPartial.Authority) + "/"), isMirror: true, mayBePlain: false, isUnverified: false, isSchemeKnown: true);
                HttpResponseMessage response = await _client.Transport.SendAsync(elsewhere, request with { Absolute = url, Scope = "" }, cancellationToken).ConfigureAwait(false);
                if (response.IsSuccessStatusCode)
                {
                    return response;
                }
                response.Dispose();
            }
        }
        throw notFound;
    }

    private async ValueTask<Stream> CheckBlobAsync(HttpResponseMessage response, Descriptor descriptor, long from, CancellationToken cancellationToken)
    {
        string act = $"get blob {descriptor.Digest} of {this}";
        if (response.Content.Headers.ContentEncoding.Any(e => !e.Equals("identity", StringComparison.OrdinalIgnoreCase)))
        {
            throw new StrataException(ErrorKind.Unavailable, $"{act}: the server sent it compressed again ({Hosts.Printable(string.Join(", ", response.Content.Headers.ContentEncoding))}), unasked");
        }
        bool isPartial = response.StatusCode == HttpStatusCode.PartialContent;
        long start = isPartial ? response.Content.Headers.ContentRange?.From ?? -1 : 0;
        long? total = isPartial ? response.Content.Headers.ContentRange?.Length : response.Content.Headers.ContentLength;
        if (total is not null && total != descriptor.Size)
        {
            throw new StrataException(ErrorKind.Corrupt, string.Create(CultureInfo.InvariantCulture, $"{act}: the server has {total} bytes, not {descriptor.Size}"));
        }
        if (start != from && start != 0)
        {
            throw new StrataException(ErrorKind.Unavailable, string.Create(CultureInfo.InvariantCulture, $"{act}: asked from byte {from}, got from byte {start}"));
        }
        Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        if (start < from)
        {
            await SkipAsync(stream, from, cancellationToken).ConfigureAwait(false); // it ignored the range, as it may
        }
        return stream;
    }

    private static async ValueTask SkipAsync(Stream stream, long count, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[64 << 10];
        while (count > 0)
        {
            int read = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, count)), cancellationToken).ConfigureAwait(false);
            count -= read > 0 ? read : throw new IOException("it broke off again, earlier");
        }
    }
}
