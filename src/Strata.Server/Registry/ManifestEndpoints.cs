using Microsoft.AspNetCore.Http;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary><c>GET</c>, <c>HEAD</c>, <c>PUT</c>, <c>DELETE</c> of <c>NAME/manifests/REFERENCE</c>.</summary>
internal static class ManifestEndpoints
{
    public static async Task GetAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        Descriptor manifest = await ResolveAsync(registry, route, context.RequestAborted)
            ?? throw new RegistryFault(404, DistributionCodes.ManifestUnknown, $"no manifest {route.Last} in {route.Repository}");
        HttpResponse response = context.Response;
        RegistryEndpoints.SetContent(response, manifest.Digest);
        if (RegistryEndpoints.IsNotModified(context, manifest.Digest))
        {
            return;
        }
        response.ContentType = manifest.MediaType;
        response.ContentLength = manifest.Size;
        if (HttpMethods.IsGet(context.Request.Method))
        {
            byte[] bytes = await registry.Content.ReadAsync(manifest, context.RequestAborted);
            await response.Body.WriteAsync(bytes, context.RequestAborted);
        }
    }

    public static async Task PutAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        Digest? named = route.TryDigest();
        if (named is null && !ImageReference.IsTag(route.Last))
        {
            throw new RegistryFault(400, route.Last.Contains(':', StringComparison.Ordinal) ? DistributionCodes.DigestInvalid : DistributionCodes.ManifestInvalid, "neither a tag nor a digest");
        }
        byte[] bytes = await ReadBodyAsync(context);
        Digest digest = Digest.Of(bytes, named?.HashAlgorithm ?? System.Security.Cryptography.HashAlgorithmName.SHA256);
        if (named is not null && named != digest)
        {
            throw new RegistryFault(400, DistributionCodes.DigestInvalid, $"the manifest is {digest}, not {named}");
        }
        (string mediaType, Descriptor? subject) = Check(registry, context, bytes);
        Descriptor descriptor = new(mediaType, digest, bytes.Length);
        using (MemoryStream content = new(bytes))
        {
            await registry.Content.WriteAsync(descriptor, content, context.RequestAborted);
        }
        // Its digest first: a tag that moves on later leaves the manifest to be found by it.
        await registry.Images.SetAsync(registry.NameOf(route.Repository, digest), descriptor, context.RequestAborted);
        if (named is null)
        {
            await registry.Images.SetAsync(registry.NameOf(route.Repository, route.Last), descriptor, context.RequestAborted);
        }
        if (subject is not null)
        {
            context.Response.Headers["OCI-Subject"] = subject.Digest.ToString();
        }
        RegistryEndpoints.SetContent(context.Response, digest);
        context.Response.Headers.Location = $"/v2/{route.Repository}/manifests/{digest}";
        context.Response.StatusCode = StatusCodes.Status201Created;
    }

    public static async Task DeleteAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        Descriptor manifest = await ResolveAsync(registry, route, context.RequestAborted)
            ?? throw new RegistryFault(404, DistributionCodes.ManifestUnknown, $"no manifest {route.Last} in {route.Repository}");
        if (route.TryDigest() is null)
        {
            await registry.Images.RemoveAsync(registry.NameOf(route.Repository, route.Last), context.RequestAborted);
        }
        else
        {
            // The digest last: killed between, what is left is whole.
            foreach ((ImageReference reference, _) in registry.Names(route.Repository).Where(n => n.Manifest.Digest == manifest.Digest).OrderBy(n => n.Reference.Tag is null))
            {
                await registry.Images.RemoveAsync(reference, context.RequestAborted);
            }
        }
        context.Response.StatusCode = StatusCodes.Status202Accepted;
    }

    private static async ValueTask<Descriptor?> ResolveAsync(OciRegistry registry, RegistryRoute route, CancellationToken cancellationToken)
    {
        if (route.TryDigest() is { } digest)
        {
            return await registry.Images.TryResolveAsync(registry.NameOf(route.Repository, digest), cancellationToken);
        }
        return ImageReference.IsTag(route.Last)
            ? await registry.Images.TryResolveAsync(registry.NameOf(route.Repository, route.Last), cancellationToken)
            : null;
    }

    private static async ValueTask<byte[]> ReadBodyAsync(HttpContext context)
    {
        if (context.Request.ContentLength > OciJson.MaxDocumentBytes)
        {
            throw TooLarge();
        }
        using MemoryStream bytes = new();
        byte[] buffer = new byte[16 << 10];
        for (int read; (read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0;)
        {
            bytes.Write(buffer, 0, read);
            if (bytes.Length > OciJson.MaxDocumentBytes)
            {
                throw TooLarge();
            }
        }
        return bytes.ToArray();
    }

    private static RegistryFault TooLarge() => new(413, DistributionCodes.ManifestInvalid, $"a manifest has at most {OciJson.MaxDocumentBytes} bytes");

    // A manifest is taken only whole: readable in one way, and with all that it names already here.
    private static (string MediaType, Descriptor? Subject) Check(OciRegistry registry, HttpContext context, byte[] bytes)
    {
        try
        {
            string? type = context.Request.ContentType?.Split(';')[0].Trim();
            string mediaType = string.IsNullOrEmpty(type) ? OciJson.DetectMediaType(bytes) : type;
            if (MediaTypes.IsIndex(mediaType))
            {
                ImageIndex index = OciJson.ParseIndex(bytes, mediaType);
                Require(registry, index.Manifests);
                return (mediaType, index.Subject);
            }
            ImageManifest manifest = OciJson.ParseManifest(bytes, mediaType);
            Require(registry, manifest.Layers.Append(manifest.Config));
            return (mediaType, manifest.Subject);
        }
        catch (StrataException e) when (e.Kind is ErrorKind.Invalid or ErrorKind.Unsupported)
        {
            throw new RegistryFault(400, DistributionCodes.ManifestInvalid, e.Message);
        }
    }

    private static void Require(OciRegistry registry, IEnumerable<Descriptor> children)
    {
        // What may be fetched elsewhere need not be here (foreign layers).
        Descriptor? missing = children.FirstOrDefault(c => c.Urls is not { Length: > 0 } && registry.Content.TryGetSize(c.Digest) != c.Size);
        if (missing is not null)
        {
            throw new RegistryFault(404, DistributionCodes.ManifestBlobUnknown, $"{missing.Digest} ({missing.Size} bytes) is not here: push it first");
        }
    }
}
