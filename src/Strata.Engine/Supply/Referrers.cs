using System.Collections.Immutable;
using System.Text;
using Strata.Content;
using Strata.Oci;

namespace Strata.Supply;

/// <summary>Documents about images: artifact manifests whose subject is the image (image-spec v1.1, "subject"; distribution-spec v1.1, "referrers").</summary>
internal static class Referrers
{
    private static readonly byte[] s_empty = Encoding.ASCII.GetBytes("{}");

    /// <summary>Writes a document as an artifact about a manifest, and notes it. The same again is no news.</summary>
    internal static async ValueTask<Descriptor> AttachAsync(ContentStore content, Descriptor subject, string type, byte[] document, ImmutableSortedDictionary<string, string>? annotations,
        CancellationToken cancellationToken)
    {
        Descriptor config = await content.WriteAsync(MediaTypes.OciEmpty, s_empty, cancellationToken).ConfigureAwait(false);
        Descriptor layer = await content.WriteAsync(type, document, cancellationToken).ConfigureAwait(false);
        var manifest = new ImageManifest(config, [layer with { Annotations = annotations }])
        {
            MediaType = MediaTypes.OciManifest, ArtifactType = type, Annotations = annotations,
            Subject = new Descriptor(subject.MediaType, subject.Digest, subject.Size),
        };
        Descriptor written = await content.WriteAsync(MediaTypes.OciManifest, OciJson.Serialize(manifest), cancellationToken).ConfigureAwait(false);
        Descriptor noted = written with { ArtifactType = type, Annotations = annotations };
        ReferrerRecords.Put(content.Layout, subject.Digest, noted);
        return noted;
    }

    /// <summary>The document of an artifact: its one layer.</summary>
    internal static async ValueTask<byte[]> ReadAsync(ContentStore content, Descriptor artifact, CancellationToken cancellationToken)
    {
        ImageManifest manifest = OciJson.ParseManifest(await content.ReadAsync(artifact, cancellationToken).ConfigureAwait(false), artifact.MediaType);
        using var document = new MemoryStream();
        Stream blob = await content.OpenAsync(manifest.Layers[0], cancellationToken).ConfigureAwait(false);
        await using (blob.ConfigureAwait(false))
        {
            await blob.CopyToAsync(document, cancellationToken).ConfigureAwait(false);
        }
        return document.ToArray();
    }
}
