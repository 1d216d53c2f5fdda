using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Strata.Content;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>Below <c>NAME/blobs/uploads/</c>: whole in one request, begun and finished, in chunks, or taken from another repository.</summary>
internal static class UploadEndpoints
{
    private const string BlobType = "application/octet-stream";

    public static async Task StartAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        IQueryCollection query = context.Request.Query;
        // One store holds the blobs of all repositories: to mount is to look. One that is not here is uploaded instead, as the spec wants.
        if (query.TryGetValue("mount", out Microsoft.Extensions.Primitives.StringValues mount))
        {
            Digest digest = ParseDigest(mount);
            if (registry.Content.TryGetSize(digest) is { } size && await registry.Content.ContainsAsync(new Descriptor(BlobType, digest, size), context.RequestAborted))
            {
                Created(context, route, digest);
                return;
            }
        }
        if (query.TryGetValue("digest", out Microsoft.Extensions.Primitives.StringValues whole))
        {
            Digest digest = ParseDigest(whole);
            await using BlobWriter writer = registry.Content.CreateWriter();
            await CopyBodyAsync(context, writer);
            await CommitAsync(writer, digest, context.RequestAborted);
            Created(context, route, digest);
            return;
        }
        Accepted(context, route, registry.Uploads.Start(route.Repository), StatusCodes.Status202Accepted);
    }

    public static async Task StatusAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, context.RequestAborted);
        Accepted(context, route, held.Session, StatusCodes.Status204NoContent);
    }

    public static async Task AppendAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, context.RequestAborted);
        CheckRange(context, route, held.Session);
        await CopyBodyAsync(context, held.Session.Writer);
        Accepted(context, route, held.Session, StatusCodes.Status202Accepted);
    }

    public static async Task FinishAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        Digest digest = ParseDigest(context.Request.Query["digest"]);
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, context.RequestAborted);
        CheckRange(context, route, held.Session);
        await CopyBodyAsync(context, held.Session.Writer);
        try
        {
            await CommitAsync(held.Session.Writer, digest, context.RequestAborted);
        }
        finally
        {
            // Right or wrong, its bytes have been judged.
            await registry.Uploads.RemoveAsync(held.Session);
        }
        Created(context, route, digest);
    }

    public static async Task CancelAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, context.RequestAborted);
        await registry.Uploads.RemoveAsync(held.Session);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static async ValueTask CommitAsync(BlobWriter writer, Digest digest, CancellationToken cancellationToken)
    {
        try
        {
            await writer.CommitAsync(BlobType, digest, cancellationToken);
        }
        catch (DigestMismatchException e)
        {
            throw new RegistryFault(400, DistributionCodes.DigestInvalid, $"the bytes are {e.Actual}, not {e.Expected}");
        }
    }

    // Layers may have any size; the server's limit is for documents.
    private static async ValueTask CopyBodyAsync(HttpContext context, BlobWriter writer)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = null;
        }
        await context.Request.Body.CopyToAsync(writer, 128 << 10, context.RequestAborted);
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

    private static void Created(HttpContext context, RegistryRoute route, Digest digest)
    {
        RegistryEndpoints.SetContent(context.Response, digest);
        context.Response.Headers.Location = $"/v2/{route.Repository}/blobs/{digest}";
        context.Response.StatusCode = StatusCodes.Status201Created;
    }

    private static Digest ParseDigest(string? text) => Digest.TryParse(text, null, out Digest digest)
        ? digest
        : throw new RegistryFault(400, DistributionCodes.DigestInvalid, "digest= is missing or not a digest");
}
