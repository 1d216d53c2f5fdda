using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using Strata.Oci;

namespace Strata.Distribution;

public sealed partial class RemoteRepository
{
    // The manifests this object wrote: naming one means sending it again, under the name.
    private readonly ConcurrentDictionary<Digest, byte[]> _written = new();

    private string PushScope => $"repository:{Repository}:pull,push";

    /// <inheritdoc/>
    public async ValueTask<bool> ContainsAsync(Descriptor descriptor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        bool isDocument = MediaTypes.IsDocument(descriptor.MediaType);
        RegistryRequest request = isDocument
            ? ManifestRequest(HttpMethod.Head, descriptor.Digest.ToString()) with { Scope = PushScope }
            : new(HttpMethod.Head, $"v2/{Repository}/blobs/{descriptor.Digest}", PushScope);
        RegistryEndpoint origin = _client.Mirrors.Origin(Registry, Repository);
        using HttpResponseMessage response = await _client.Transport.SendAsync(origin, request, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            return false;
        }
        if (!response.IsSuccessStatusCode)
        {
            throw await RegistryErrors.ReadAsync(response, RegistryTransport.AddressOf(origin, request), cancellationToken).ConfigureAwait(false);
        }
        return response.Content.Headers.ContentLength is not { } length || length == descriptor.Size;
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(Descriptor descriptor, Stream content, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        ArgumentNullException.ThrowIfNull(content);
        if (MediaTypes.IsDocument(descriptor.MediaType))
        {
            byte[] bytes = await ReadDocumentAsync(descriptor, content, cancellationToken).ConfigureAwait(false);
            await PutManifestAsync(descriptor, bytes, descriptor.Digest.ToString(), cancellationToken).ConfigureAwait(false);
            _written[descriptor.Digest] = bytes;
            return;
        }
        Uri session = await StartUploadAsync(descriptor, from: null, cancellationToken).ConfigureAwait(false)
            ?? throw new StrataException(ErrorKind.Unavailable, $"push {descriptor.Digest} to {this}: the registry says it is done before it began");
        await FinishUploadAsync(descriptor, content, session, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Points a tag at a manifest that is there.</summary>
    public async ValueTask TagAsync(Descriptor manifest, string tag, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        if (!ImageReference.IsTag(tag))
        {
            throw new StrataException(ErrorKind.Invalid, $"tag in {this}: '{Hosts.Printable(tag ?? "")}' is not a tag");
        }
        if (!_written.TryGetValue(manifest.Digest, out byte[]? bytes))
        {
            (_, bytes) = await ReadManifestAsync(manifest.Digest.ToString(), manifest.Digest, cancellationToken).ConfigureAwait(false);
        }
        await PutManifestAsync(manifest, bytes, tag, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Asks the registry to take a blob from another of its repositories. False where it does not (it may not let us read there, or
    /// cannot): then the blob has to be written.
    /// </summary>
    public async ValueTask<bool> TryMountAsync(Descriptor descriptor, string fromRepository, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        if (!ImageReference.IsRepository(fromRepository))
        {
            throw new StrataException(ErrorKind.Invalid, $"mount into {this}: '{Hosts.Printable(fromRepository ?? "")}' is not a repository");
        }
        Uri? session = await StartUploadAsync(descriptor, fromRepository, cancellationToken).ConfigureAwait(false);
        if (session is not null)
        {
            // It began an upload instead. Not to be left open; that some registries cannot cancel does not matter, they expire.
            RegistryRequest cancel = new(HttpMethod.Delete, "", PushScope) { Absolute = session, IsRepeatable = false };
            using HttpResponseMessage response = await _client.Transport.SendAsync(_client.Mirrors.Origin(Registry, Repository), cancel, cancellationToken).ConfigureAwait(false);
        }
        return session is null;
    }

    /// <summary>Removes a manifest (by digest) or a tag, where the registry lets us.</summary>
    public async ValueTask DeleteAsync(string tagOrDigest, CancellationToken cancellationToken = default)
    {
        RegistryRequest request = new(HttpMethod.Delete, $"v2/{Repository}/manifests/{tagOrDigest}", $"repository:{Repository}:delete,pull,push");
        using HttpResponseMessage response = await _client.SendAsync(_client.Mirrors.Origin(Registry, Repository), request, cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask<byte[]> ReadDocumentAsync(Descriptor descriptor, Stream content, CancellationToken cancellationToken)
    {
        if (descriptor.Size > OciJson.MaxDocumentBytes)
        {
            throw new StrataException(ErrorKind.Invalid, $"push {descriptor.Digest}: a manifest of {descriptor.Size} bytes is more than {OciJson.MaxDocumentBytes}");
        }
        byte[] bytes = new byte[descriptor.Size + 1];
        // One byte more than expected: the end has to be seen for the source to have verified itself.
        int length = await content.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false);
        Digest actual = Digest.Of(bytes.AsSpan(0, length), descriptor.Digest.HashAlgorithm);
        return actual == descriptor.Digest ? bytes[..length] : throw new DigestMismatchException(descriptor.Digest, actual, $"push {descriptor.Digest}");
    }

    private async ValueTask PutManifestAsync(Descriptor descriptor, byte[] bytes, string tagOrDigest, CancellationToken cancellationToken)
    {
        RegistryRequest request = new(HttpMethod.Put, $"v2/{Repository}/manifests/{tagOrDigest}", PushScope)
        {
            Content = () => new ByteArrayContent(bytes) { Headers = { ContentType = new MediaTypeHeaderValue(descriptor.MediaType) } },
        };
        using HttpResponseMessage response = await _client.SendAsync(_client.Mirrors.Origin(Registry, Repository), request, cancellationToken).ConfigureAwait(false);
        if (ReadDigest(response) is { } stored && stored.HashAlgorithm == descriptor.Digest.HashAlgorithm && stored != descriptor.Digest)
        {
            throw new DigestMismatchException(descriptor.Digest, stored, $"push {this}:{tagOrDigest}");
        }
    }

    // Where to send the bytes; null where the registry took the blob from another repository.
    private async ValueTask<Uri?> StartUploadAsync(Descriptor descriptor, string? from, CancellationToken cancellationToken)
    {
        string query = from is null ? "" : $"?mount={descriptor.Digest}&from={Uri.EscapeDataString(from)}";
        string scope = from is null ? PushScope : $"{PushScope} repository:{from}:pull";
        RegistryEndpoint origin = _client.Mirrors.Origin(Registry, Repository);
        // An upload begun twice leaves one session that expires: no harm.
        RegistryRequest request = new(HttpMethod.Post, $"v2/{Repository}/blobs/uploads/{query}", scope) { Content = () => new ByteArrayContent([]) };
        using HttpResponseMessage response = await _client.SendAsync(origin, request, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.Created)
        {
            return from is null ? throw new StrataException(ErrorKind.Unavailable, $"push {descriptor.Digest} to {this}: 201 to a request that carried no content") : null;
        }
        Uri asked = RegistryTransport.AddressOf(origin, request);
        Uri? location = response.Headers.Location;
        if (location is null || !Uri.TryCreate(asked, location, out Uri? session) || session.Scheme is not ("http" or "https") || session.UserInfo.Length > 0)
        {
            throw new StrataException(ErrorKind.Unavailable, $"push {descriptor.Digest} to {this}: the registry does not say where to send it");
        }
        // Behind a proxy that ends TLS, registries often call themselves http: what was https stays so.
        bool isDowngrade = asked.Scheme == Uri.UriSchemeHttps && session.Scheme == Uri.UriSchemeHttp;
        return isDowngrade && session.Host == asked.Host ? new UriBuilder(session) { Scheme = asked.Scheme, Port = asked.Port }.Uri
            : isDowngrade ? throw new StrataException(ErrorKind.Denied, $"push {descriptor.Digest} to {this}: sent from https to http ({session.Authority}): not followed")
            : session;
    }

    private async ValueTask FinishUploadAsync(Descriptor descriptor, Stream content, Uri session, CancellationToken cancellationToken)
    {
        string separator = session.Query.Length > 0 ? "&" : "?";
        long start = content.CanSeek ? content.Position : 0;
        RegistryRequest request = new(HttpMethod.Put, "", PushScope)
        {
            Absolute = new Uri($"{session.AbsoluteUri}{separator}digest={Uri.EscapeDataString(descriptor.Digest.ToString())}"),
            IsRepeatable = content.CanSeek,
            IsLong = true,
            Content = () =>
            {
                if (content.CanSeek)
                {
                    content.Position = start;
                }
                StreamContent body = new(new Undisposed(content), bufferSize: 128 << 10);
                body.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
                body.Headers.ContentLength = descriptor.Size;
                return body;
            },
        };
        using HttpResponseMessage response = await _client.SendAsync(_client.Mirrors.Origin(Registry, Repository), request, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode != HttpStatusCode.Created && response.StatusCode != HttpStatusCode.NoContent)
        {
            throw new StrataException(ErrorKind.Unavailable, $"push {descriptor.Digest} to {this}: {(int)response.StatusCode} instead of 201");
        }
    }

    // HttpContent disposes its stream; ours belongs to the caller.
    private sealed class Undisposed(Stream inner) : Stream
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => inner.ReadAsync(buffer, cancellationToken);
        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => inner.ReadAsync(buffer, offset, count, cancellationToken);
        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
