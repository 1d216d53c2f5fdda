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
        long start = content.CanSeek ? content.Position : 0;
        bool isRead = false;
        await UploadAsync(descriptor, mountFrom: null, (from, _) =>
        {
            if (isRead && !content.CanSeek)
            {
                throw new StrataException(ErrorKind.Unsupported, $"push {descriptor.Digest} to {this}: it broke off, and what is sent can be read only once");
            }
            isRead = true;
            if (content.CanSeek)
            {
                content.Position = start + from;
            }
            return ValueTask.FromResult<Stream>(new Undisposed(content));
        }, cancellationToken).ConfigureAwait(false);
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
        await KeepReferrerAsync(response, descriptor, bytes, cancellationToken).ConfigureAwait(false);
    }
}
