using System.Globalization;
using Microsoft.AspNetCore.Http;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>Below <c>NAME/blobs/uploads/</c>: whole in one request, begun and finished, in chunks, or taken from another repository.</summary>
internal static class UploadEndpoints
{
    private const string BlobType = "application/octet-stream";

    public static async Task StartAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        DemandOwn(registry, route);
        IQueryCollection query = context.Request.Query;
        if (query.TryGetValue("mount", out Microsoft.Extensions.Primitives.StringValues mount) && await TryMountAsync(registry, context, route, identity, ParseDigest(mount)))
        {
            return;
        }
        if (query.TryGetValue("digest", out Microsoft.Extensions.Primitives.StringValues whole))
        {
            Digest digest = ParseDigest(whole);
            await DemandSpaceAsync(registry, context, route, 0, digest);
            await using BlobWriter writer = registry.Content.CreateWriter();
            await UploadBody.CopyAsync(registry, context, writer);
            await CommitAsync(registry, writer, digest, context.RequestAborted);
            Created(registry, context, route, digest);
            return;
        }
        await DemandSpaceAsync(registry, context, route, 0);
        Accepted(context, route, registry.Uploads.Start(route.Repository, identity.User), StatusCodes.Status202Accepted);
    }

    public static async Task StatusAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, identity.User, context.RequestAborted);
        Accepted(context, route, held.Session, StatusCodes.Status204NoContent);
    }

    public static async Task AppendAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, identity.User, context.RequestAborted);
        CheckRange(context, route, held.Session);
        await DemandSpaceAsync(registry, context, route, held.Session.Writer.Length);
        await AppendBodyAsync(registry, context, held.Session);
        Accepted(context, route, held.Session, StatusCodes.Status202Accepted);
    }

    public static async Task FinishAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        Digest digest = ParseDigest(context.Request.Query["digest"]);
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, identity.User, context.RequestAborted);
        CheckRange(context, route, held.Session);
        await DemandSpaceAsync(registry, context, route, held.Session.Writer.Length, digest);
        await AppendBodyAsync(registry, context, held.Session);
        // A wrong digest may be the request's fault: the bytes stay, and can be asked for again by their right one.
        await CommitAsync(registry, held.Session.Writer, digest, context.RequestAborted);
        await registry.Uploads.RemoveAsync(held.Session);
        Created(registry, context, route, digest);
    }

    public static async Task CancelAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, identity.User, context.RequestAborted);
        await registry.Uploads.RemoveAsync(held.Session);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    /// <summary>What belongs to an upstream is fetched from there, and nobody else puts anything under its name.</summary>
    /// <exception cref="RegistryFault">403.</exception>
    public static void DemandOwn(OciRegistry registry, RegistryRoute route)
    {
        if (registry.Proxy?.IsUpstreams(route.Repository) == true)
        {
            throw new RegistryFault(403, DistributionCodes.Denied, $"{route.Repository} is fetched from its own registry: push it there, or under another name");
        }
    }

    // One store holds the blobs of all repositories: to mount is to look. One that is not here, or that he may not see, is uploaded instead, as the spec wants.
    private static async ValueTask<bool> TryMountAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity, Digest digest)
    {
        if (registry.Access.IsDivided && !await registry.Contents.IsVisibleAsync(route.Repository, digest, context.RequestAborted))
        {
            string from = context.Request.Query["from"].ToString();
            bool may = ImageReference.IsRepository(from) && registry.Access.RightsOf(identity, from).HasFlag(RegistryRights.Read)
                && await registry.Contents.IsVisibleAsync(from, digest, context.RequestAborted);
            if (!may)
            {
                return false;
            }
        }
        if (await registry.FindBlobAsync(digest, context.RequestAborted) is null)
        {
            return false;
        }
        Created(registry, context, route, digest);
        return true;
    }

    private static async ValueTask CommitAsync(OciRegistry registry, BlobWriter writer, Digest digest, CancellationToken cancellationToken)
    {
        if (registry.Damaged.TryRemove(digest, out _))
        {
            FileSystems.RemoveTree(registry.Content.Layout.Blob(digest)); // the one that is here is not what it says; this one may be
        }
        try
        {
            await writer.CommitAsync(BlobType, digest, cancellationToken);
        }
        catch (DigestMismatchException e)
        {
            throw new RegistryFault(400, DistributionCodes.DigestInvalid, $"the bytes are {e.Actual}, not {e.Expected}");
        }
    }

    private static ValueTask DemandSpaceAsync(OciRegistry registry, HttpContext context, RegistryRoute route, long before, Digest? digest = null)
    {
        long bytes = context.Request.ContentLength ?? 0;
        registry.Space.Demand(bytes);
        return registry.Quotas.DemandAsync(route.Repository, digest, before + bytes, context.RequestAborted);
    }

    // After a write that failed nobody knows how much of it is in the file: such an upload is begun anew.
    private static async Task AppendBodyAsync(OciRegistry registry, HttpContext context, UploadSession session)
    {
        try
        {
            await UploadBody.CopyAsync(registry, context, session.Writer);
        }
        catch (LinuxException)
        {
            await registry.Uploads.RemoveAsync(session);
            throw;
        }
    }

    // Chunks come in order. distribution-spec: an out-of-order chunk is answered with 416, and where the upload stands.
    private static void CheckRange(HttpContext context, RegistryRoute route, UploadSession session)
    {
        string? text = context.Request.Headers.ContentRange;
        if (string.IsNullOrEmpty(text))
        {
            return;
        }
        string range = text.StartsWith("bytes ", StringComparison.OrdinalIgnoreCase) ? text["bytes ".Length..] : text;
        string[] ends = range.Split('/')[0].Split('-');
        bool isRange = ends.Length == 2
            & long.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out long from)
            & long.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out long to);
        bool fits = isRange && from == session.Writer.Length && to >= from && (context.Request.ContentLength is not { } length || length == to - from + 1);
        if (!fits)
        {
            SetPlace(context, route, session);
            throw new RegistryFault(416, DistributionCodes.BlobUploadInvalid, $"the next byte is {session.Writer.Length}");
        }
    }

    private static void Accepted(HttpContext context, RegistryRoute route, UploadSession session, int status)
    {
        SetPlace(context, route, session);
        context.Response.StatusCode = status;
    }

    private static void SetPlace(HttpContext context, RegistryRoute route, UploadSession session)
    {
        context.Response.Headers.Location = $"/v2/{route.Repository}/blobs/uploads/{session.Id}";
        context.Response.Headers["Docker-Upload-UUID"] = session.Id;
        // The last byte that is here; an empty upload has none, and says 0-0 by convention.
        context.Response.Headers.Range = $"0-{RegistryEndpoints.Number(Math.Max(0, session.Writer.Length - 1))}";
    }

    private static void Created(OciRegistry registry, HttpContext context, RegistryRoute route, Digest digest)
    {
        registry.Contents.NoteUpload(route.Repository, digest);
        RegistryEndpoints.SetContent(context.Response, digest);
        context.Response.Headers.Location = $"/v2/{route.Repository}/blobs/{digest}";
        context.Response.StatusCode = StatusCodes.Status201Created;
    }

    private static Digest ParseDigest(string? text) => Digest.TryParse(text, null, out Digest digest)
        ? digest
        : throw new RegistryFault(400, DistributionCodes.DigestInvalid, "digest= is missing or not a digest");
}
