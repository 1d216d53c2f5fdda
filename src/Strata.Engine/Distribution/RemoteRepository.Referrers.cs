using System.Net;
using Strata.Oci;

namespace Strata.Distribution;

public sealed partial class RemoteRepository
{
    // Pages of a list of referrers; who sends more than this many sends us in circles.
    private const int MostPages = 1000;

    // Two who add to one tag at the same time: the later one overwrites, the earlier one looks and adds again.
    private const int AttemptsToAdd = 5;

    /// <summary>
    /// What is about a manifest: signatures, bills of materials, and whatever else names it as its subject. Registries that cannot tell keep the list
    /// under a tag made of the digest (distribution-spec 1.1, "Referrers Tag Schema").
    /// </summary>
    /// <param name="subject">The manifest's digest; it need not be there.</param>
    /// <param name="artifactType">Only those of a type; null: all.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="StrataException">Unauthenticated, Denied, Unavailable; Invalid: what the registry says is no list.</exception>
    public async ValueTask<IReadOnlyList<Descriptor>> ListReferrersAsync(Digest subject, string? artifactType = null, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<Descriptor> all = await TryListReferrersAsync(subject, cancellationToken).ConfigureAwait(false)
            ?? (await ReadFallbackAsync(subject, cancellationToken).ConfigureAwait(false))?.Manifests ?? [];
        return [.. all.Where(d => artifactType is null || d.ArtifactType == artifactType).DistinctBy(d => d.Digest)];
    }

    /// <summary>The tag under which registries without a list of referrers keep it.</summary>
    internal static string FallbackTag(Digest subject) => $"{subject.Algorithm}-{subject.Hex}";

    // Null: this registry knows no such list.
    private async ValueTask<IReadOnlyList<Descriptor>?> TryListReferrersAsync(Digest subject, CancellationToken cancellationToken)
    {
        RegistryEndpoint origin = _client.Mirrors.Origin(Registry, Repository);
        RegistryRequest request = new(HttpMethod.Get, $"v2/{Repository}/referrers/{subject}", PullScope) { Accept = [MediaTypes.OciIndex] };
        var found = new List<Descriptor>();
        for (int page = 0; page < MostPages; page++)
        {
            using HttpResponseMessage response = await _client.Transport.SendAsync(origin, request, cancellationToken).ConfigureAwait(false);
            Uri address = RegistryTransport.AddressOf(origin, request);
            if (response.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed or HttpStatusCode.BadRequest && page == 0)
            {
                return null;
            }
            if (!response.IsSuccessStatusCode)
            {
                throw await RegistryErrors.ReadAsync(response, address, cancellationToken).ConfigureAwait(false);
            }
            if (page == 0 && response.Content.Headers.ContentType?.MediaType != MediaTypes.OciIndex)
            {
                return null; // a server that answers everything with a page of its own
            }
            found.AddRange(OciJson.ParseIndex(await _client.ReadAllAsync(response, OciJson.MaxDocumentBytes, cancellationToken).ConfigureAwait(false), MediaTypes.OciIndex).Manifests);
            if (RegistryClient.NextPage(response, address) is not { } next || !Hosts.IsSameOrigin(next, address))
            {
                break;
            }
            request = request with { Absolute = next };
        }
        return found;
    }

    private async ValueTask<ImageIndex?> ReadFallbackAsync(Digest subject, CancellationToken cancellationToken)
    {
        try
        {
            (Descriptor descriptor, byte[] bytes) = await ReadManifestAsync(FallbackTag(subject), wanted: null, cancellationToken).ConfigureAwait(false);
            return MediaTypes.IsIndex(descriptor.MediaType) ? OciJson.ParseIndex(bytes, descriptor.MediaType) : null;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
        {
            return null;
        }
    }

    // A registry that takes note of a manifest's subject says so (OCI-Subject); where it does not, the list under the tag is ours to keep.
    private async ValueTask KeepReferrerAsync(HttpResponseMessage response, Descriptor descriptor, byte[] bytes, CancellationToken cancellationToken)
    {
        Descriptor referrer;
        Digest subject;
        if (MediaTypes.IsIndex(descriptor.MediaType))
        {
            ImageIndex index = OciJson.ParseIndex(bytes, descriptor.MediaType);
            (subject, referrer) = (index.Subject?.Digest ?? default, descriptor with { ArtifactType = index.ArtifactType, Annotations = index.Annotations, Platform = null });
            if (index.Subject is null)
            {
                return;
            }
        }
        else
        {
            ImageManifest manifest = OciJson.ParseManifest(bytes, descriptor.MediaType);
            (subject, referrer) = (manifest.Subject?.Digest ?? default, descriptor with { ArtifactType = manifest.ArtifactType ?? manifest.Config.MediaType, Annotations = manifest.Annotations, Platform = null });
            if (manifest.Subject is null)
            {
                return;
            }
        }
        if (response.Headers.Contains("OCI-Subject"))
        {
            return;
        }
        for (int attempt = 1; ; attempt++)
        {
            ImageIndex list = await ReadFallbackAsync(subject, cancellationToken).ConfigureAwait(false) ?? new ImageIndex([]) { MediaType = MediaTypes.OciIndex };
            if (list.Manifests.Any(m => m.Digest == referrer.Digest))
            {
                return;
            }
            if (attempt > AttemptsToAdd)
            {
                throw new StrataException(ErrorKind.Unavailable, $"push {this}@{descriptor.Digest}: its place in the list {FallbackTag(subject)} is taken away again and again") { Hint = "others push to the same list; try again" };
            }
            byte[] longer = OciJson.Serialize(list with { Manifests = list.Manifests.Add(referrer) });
            await PutManifestAsync(new Descriptor(MediaTypes.OciIndex, Digest.Of(longer), longer.Length), longer, FallbackTag(subject), cancellationToken).ConfigureAwait(false);
        }
    }
}
