using Strata.Content;
using Strata.Oci;

namespace Strata.Distribution;

/// <summary>Brings what refers to an image, and to its platforms, from one repository to another.</summary>
internal sealed class ReferrerCopy(RemoteRepository from, RemoteRepository to, CopyOptions options)
{
    // A signature of a bill of materials of an image: nobody goes much deeper.
    private const int MaxDepth = 8;

    // Where cosign keeps what it attaches: tags made of the digest, without a subject.
    private static readonly string[] s_suffixes = [".sig", ".att", ".sbom"];

    private readonly HashSet<Digest> _seen = [];

    /// <summary>All about <paramref name="root"/>.</summary>
    /// <exception cref="StrataException">As of reading and writing; Invalid: they refer to each other deeper than anybody would.</exception>
    public ValueTask RunAsync(Descriptor root, CancellationToken cancellationToken) => RunAsync(root, 0, cancellationToken);

    private async ValueTask RunAsync(Descriptor about, int depth, CancellationToken cancellationToken)
    {
        if (depth > MaxDepth)
        {
            throw new StrataException(ErrorKind.Invalid, $"copy {from}@{about.Digest}: what refers to it is referred to deeper than {MaxDepth}");
        }
        if (!_seen.Add(about.Digest))
        {
            return;
        }
        if (MediaTypes.IsIndex(about.MediaType))
        {
            foreach (Descriptor child in OciJson.ParseIndex(await ContentCopier.ReadDocumentAsync(from, about, cancellationToken).ConfigureAwait(false), about.MediaType).Manifests.Where(m => MediaTypes.IsDocument(m.MediaType)))
            {
                await RunAsync(child, depth + 1, cancellationToken).ConfigureAwait(false);
            }
        }
        foreach (Descriptor referrer in await from.ListReferrersAsync(about.Digest, cancellationToken: cancellationToken).ConfigureAwait(false))
        {
            await ContentCopier.CopyAsync(from, to, referrer, options, cancellationToken).ConfigureAwait(false);
            await RunAsync(referrer, depth + 1, cancellationToken).ConfigureAwait(false);
        }
        foreach (string tag in s_suffixes.Select(s => RemoteRepository.FallbackTag(about.Digest) + s))
        {
            await CopyTagAsync(tag, cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask CopyTagAsync(string tag, CancellationToken cancellationToken)
    {
        Descriptor attached;
        try
        {
            attached = await from.ResolveAsync(tag, cancellationToken).ConfigureAwait(false);
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
        {
            return; // most images have none
        }
        await ContentCopier.CopyAsync(from, to, attached, options, cancellationToken).ConfigureAwait(false);
        await to.TagAsync(attached, tag, cancellationToken).ConfigureAwait(false);
    }
}
