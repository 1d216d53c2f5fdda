using System.Net.Http.Headers;
using Microsoft.AspNetCore.Http;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary><c>GET</c>, <c>HEAD</c> of <c>NAME/blobs/DIGEST</c>: whole, or one range.</summary>
internal static class BlobEndpoints
{
    public static async Task GetAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        Digest digest = route.Digest;
        long size = await FindAsync(registry, route.Repository, digest, context.RequestAborted) ?? -1;
        if (size < 0 && registry.Proxy?.Find(route.Repository) is { } upstream)
        {
            if (await registry.Proxy.TryStreamBlobAsync(context, upstream, digest))
            {
                return;
            }
            size = await FindAsync(registry, upstream.Local, digest, context.RequestAborted) ?? -1; // fetched: for a part of it the whole had to be here
        }
        if (size < 0)
        {
            throw new RegistryFault(404, DistributionCodes.BlobUnknown, $"no blob {digest}");
        }
        HttpResponse response = context.Response;
        RegistryEndpoints.SetContent(response, digest);
        response.Headers.CacheControl = "max-age=31536000, immutable";
        if (RegistryEndpoints.IsNotModified(context, digest))
        {
            return;
        }
        response.ContentType = "application/octet-stream";
        response.Headers.AcceptRanges = "bytes";
        (long from, long count) = Range(context, size);
        response.ContentLength = count;
        if (HttpMethods.IsGet(context.Request.Method) && count > 0)
        {
            await response.SendFileAsync(registry.Content.Layout.Blob(digest), from, count, context.RequestAborted);
        }
    }

    private static async ValueTask<long?> FindAsync(OciRegistry registry, string repository, Digest digest, CancellationToken cancellationToken)
        => await registry.Contents.IsVisibleAsync(repository, digest, cancellationToken) ? await registry.FindBlobAsync(digest, cancellationToken) : null;

    // One range is served; several, or what is no range of bytes, are ignored, as RFC 9110 §14.2 allows.
    private static (long From, long Count) Range(HttpContext context, long size)
    {
        string? text = context.Request.Headers.Range;
        bool isOne = RangeHeaderValue.TryParse(text, out RangeHeaderValue? range) && range is { Unit: "bytes", Ranges.Count: 1 };
        if (!isOne)
        {
            return (0, size);
        }
        RangeItemHeaderValue item = range!.Ranges.First();
        long from = item.From ?? Math.Max(0, size - item.To!.Value);
        long to = item.From is null ? size - 1 : Math.Min(item.To ?? long.MaxValue, size - 1);
        if (from >= size || (item.From is null && item.To == 0))
        {
            context.Response.Headers.ContentRange = $"bytes */{RegistryEndpoints.Number(size)}";
            throw new RegistryFault(416, DistributionCodes.SizeInvalid, $"the blob has {size} bytes");
        }
        context.Response.StatusCode = StatusCodes.Status206PartialContent;
        context.Response.Headers.ContentRange = $"bytes {RegistryEndpoints.Number(from)}-{RegistryEndpoints.Number(to)}/{RegistryEndpoints.Number(size)}";
        return (from, to - from + 1);
    }
}
