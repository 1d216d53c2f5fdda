using System.Buffers;
using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>Below <c>NAME/blobs/uploads/</c>: whole in one request, begun and finished, in chunks, or taken from another repository.</summary>
internal static class UploadEndpoints
{
    private const string BlobType = "application/octet-stream";
    private const int ChunkBytes = 128 << 10;
    private const long LookBytes = 64 << 20; // so often an upload looks whether the disk still has room

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
            registry.Space.Demand(context.Request.ContentLength ?? 0);
            await using BlobWriter writer = registry.Content.CreateWriter();
            await CopyBodyAsync(registry, context, writer);
            await CommitAsync(registry, writer, digest, context.RequestAborted);
            Created(registry, context, route, digest);
            return;
        }
        registry.Space.Demand(0);
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
        registry.Space.Demand(context.Request.ContentLength ?? 0);
        await CopyBodyAsync(registry, context, held.Session.Writer);
        Accepted(context, route, held.Session, StatusCodes.Status202Accepted);
    }

    public static async Task FinishAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        Digest digest = ParseDigest(context.Request.Query["digest"]);
        using HeldUpload held = await registry.Uploads.HoldAsync(route.Repository, route.Last, identity.User, context.RequestAborted);
        CheckRange(context, route, held.Session);
        registry.Space.Demand(context.Request.ContentLength ?? 0);
        await CopyBodyAsync(registry, context, held.Session.Writer);
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

    // Layers may have any size; the server's limit is for documents. What arrived before a client went away stays: it is told where to go on.
    private static async ValueTask CopyBodyAsync(OciRegistry registry, HttpContext context, BlobWriter writer)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = null;
        }
        long most = registry.Options.MaxBlobBytes ?? long.MaxValue, before = writer.Length;
        if (context.Request.ContentLength > most - before)
        {
            throw TooLarge(most);
        }
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            for (int read; (read = await context.Request.Body.ReadAsync(buffer.AsMemory(0, ChunkBytes), context.RequestAborted)) > 0;)
            {
                if (writer.Length + read > most)
                {
                    throw TooLarge(most);
                }
                await writer.WriteAsync(buffer.AsMemory(0, read), context.RequestAborted);
                if ((writer.Length & ~(LookBytes - 1)) != ((writer.Length - read) & ~(LookBytes - 1)))
                {
                    registry.Space.Demand(0);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            registry.Metrics.Add(RegistryMetrics.BytesReceived, writer.Length - before);
        }
    }

    private static RegistryFault TooLarge(long most) => new(413, DistributionCodes.SizeInvalid, $"a blob has at most {most} bytes here");

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
