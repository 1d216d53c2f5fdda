using Microsoft.AspNetCore.Http;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary><c>GET</c>, <c>HEAD</c>, <c>PUT</c>, <c>DELETE</c> of <c>NAME/manifests/REFERENCE</c>.</summary>
internal static class ManifestEndpoints
{
    public static async Task GetAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        UpstreamRepository? upstream = registry.Proxy?.Find(route.Repository);
        Descriptor manifest = await (upstream is null ? ResolveAsync(registry, route, context.RequestAborted) : registry.Proxy!.ResolveAsync(upstream, route, context.RequestAborted))
            ?? throw new RegistryFault(404, DistributionCodes.ManifestUnknown, $"no manifest {AccessLog.Escape(route.Last)} in {route.Repository}");
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
            await response.Body.WriteAsync(await registry.Manifests.ReadAsync(manifest, context.RequestAborted), context.RequestAborted);
            Digest? named = route.TryDigest();
            string repository = upstream?.Local ?? route.Repository;
            registry.Engine.TouchName(named is { } digest ? registry.NameOf(repository, digest) : registry.NameOf(repository, route.Last));
            registry.Events.Add(context, "pull", route.Repository, manifest, named is null ? route.Last : null, identity);
        }
    }

    public static async Task PutAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        UploadEndpoints.DemandOwn(registry, route);
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
        registry.Space.Demand(bytes.Length);
        using NameLocks.Held turn = await registry.Turns.HoldAsync(route.Repository + ":" + route.Last, context.RequestAborted);
        await DemandOverwriteAsync(registry, context, route, identity, named, digest);
        ManifestParts parts = await CheckAsync(registry, context, route.Repository, bytes);
        Descriptor descriptor = new(parts.MediaType, digest, bytes.Length);
        await registry.Quotas.DemandAsync(route.Repository, [descriptor, .. parts.Blobs], context.RequestAborted);
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
        registry.Events.Add(context, "push", route.Repository, descriptor, named is null ? route.Last : null, identity);
        if (parts.Subject is { } subject)
        {
            context.Response.Headers["OCI-Subject"] = subject.Digest.ToString();
        }
        RegistryEndpoints.SetContent(context.Response, digest);
        context.Response.Headers.Location = $"/v2/{route.Repository}/manifests/{digest}";
        context.Response.StatusCode = StatusCodes.Status201Created;
    }

    // Whoever may only create finds a tag that is there as it is: the same once more is no change.
    private static async ValueTask DemandOverwriteAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity, Digest? named, Digest digest)
    {
        if (named is null && !registry.Access.RightsOf(identity, route.Repository).HasFlag(RegistryRights.Overwrite)
            && await ResolveAsync(registry, route, context.RequestAborted) is { } before && before.Digest != digest)
        {
            throw new RegistryFault(403, DistributionCodes.Denied, $"the tag {route.Last} is there and stays what it is: you may make new ones");
        }
    }

    public static async Task DeleteAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        using NameLocks.Held turn = await registry.Turns.HoldAsync(route.Repository + ":" + route.Last, context.RequestAborted);
        Descriptor manifest = await ResolveAsync(registry, route, context.RequestAborted)
            ?? throw new RegistryFault(404, DistributionCodes.ManifestUnknown, $"no manifest {AccessLog.Escape(route.Last)} in {route.Repository}");
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
        registry.Events.Add(context, "delete", route.Repository, manifest, route.TryDigest() is null ? route.Last : null, identity);
        context.Response.StatusCode = StatusCodes.Status202Accepted;
    }

    internal static async ValueTask<Descriptor?> ResolveAsync(OciRegistry registry, RegistryRoute route, CancellationToken cancellationToken)
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
    private static async ValueTask<ManifestParts> CheckAsync(OciRegistry registry, HttpContext context, string repository, byte[] bytes)
    {
        try
        {
            string? type = context.Request.ContentType?.Split(';')[0].Trim();
            string mediaType = string.IsNullOrEmpty(type) ? OciJson.DetectMediaType(bytes) : type;
            if (MediaTypes.IsIndex(mediaType))
            {
                ImageIndex index = OciJson.ParseIndex(bytes, mediaType);
                await RequireAsync(registry, repository, index.Manifests, context.RequestAborted);
                return new ManifestParts(mediaType, index.Subject, []);
            }
            ImageManifest manifest = OciJson.ParseManifest(bytes, mediaType);
            Descriptor[] parts = [manifest.Config, .. manifest.Layers];
            await RequireAsync(registry, repository, parts, context.RequestAborted);
            return new ManifestParts(mediaType, manifest.Subject, [.. parts.Where(p => p.Urls is not { Length: > 0 })]);
        }
        catch (StrataException e) when (e.Kind is ErrorKind.Invalid or ErrorKind.Unsupported)
        {
            throw new RegistryFault(400, DistributionCodes.ManifestInvalid, e.Message);
        }
    }

    private static async ValueTask RequireAsync(OciRegistry registry, string repository, IEnumerable<Descriptor> children, CancellationToken cancellationToken)
    {
        // What may be fetched elsewhere need not be here (foreign layers). What is here is held from now on, until the name is set.
        foreach (Descriptor child in children.Where(c => c.Urls is not { Length: > 0 }))
        {
            bool isHere = await registry.Contents.IsVisibleAsync(repository, child.Digest, cancellationToken) && await registry.FindBlobAsync(child.Digest, cancellationToken) == child.Size;
            if (!isHere)
            {
                throw new RegistryFault(404, DistributionCodes.ManifestBlobUnknown, $"{child.Digest} ({child.Size} bytes) is not here: push it first");
            }
        }
    }
}

/// <summary>What a manifest that may be stored says.</summary>
/// <param name="MediaType">Its type.</param>
/// <param name="Subject">What it refers to.</param>
/// <param name="Blobs">What it names and is kept here; an index's manifests are repositories' names of their own.</param>
internal sealed record ManifestParts(string MediaType, Descriptor? Subject, IReadOnlyList<Descriptor> Blobs);
