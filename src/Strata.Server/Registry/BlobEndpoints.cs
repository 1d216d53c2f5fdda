using System.IO.Pipelines;
using System.Net.Http.Headers;
using Microsoft.AspNetCore.Http;
using Strata.Content;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary><c>GET</c>, <c>HEAD</c> of <c>NAME/blobs/DIGEST</c>: whole, or one range.</summary>
internal static class BlobEndpoints
{
    private const int SendBytes = 128 << 10;

    public static async Task GetAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        Digest digest = route.Digest;
        long size = await FindAsync(registry, context, route.Repository, digest) ?? -1;
        if (size < 0 && registry.Proxy?.Find(route.Repository) is { } upstream)
        {
            if (await registry.Proxy.TryStreamBlobAsync(context, upstream, digest))
            {
                return;
            }
            size = await FindAsync(registry, context, upstream.Local, digest) ?? -1; // fetched: for a part of it the whole had to be here
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
            await SendAsync(context, registry.Content, digest, from, count);
        }
    }

    // A plain connection takes the file itself. With TLS each byte has to be seen: from the page cache into the memory that Kestrel encrypts from
    // (its own SendFileAsync copies 16 KiB at a time, and twice).
    private static async Task SendAsync(HttpContext context, ContentStore content, Digest digest, long from, long count)
    {
        await using FileStream file = content.OpenFile(digest);
        if (file.Length < from + count)
        {
            throw new StrataException(ErrorKind.Corrupt, $"store: {digest} was cut while it was read");
        }
        await context.Response.StartAsync(context.RequestAborted);
        PipeWriter body = context.Response.BodyWriter;
        IFileSending? files = context.Features.Get<IFileSending>();
        for (long at = from, end = from + count; at < end;)
        {
            int next;
            if (files is null)
            {
                Memory<byte> memory = body.GetMemory(SendBytes);
                next = RandomAccess.Read(file.SafeFileHandle, memory.Span[..(int)Math.Min(memory.Length, end - at)], at);
                if (next == 0)
                {
                    throw new StrataException(ErrorKind.Corrupt, $"store: {digest} was cut while it was read");
                }
            }
            else
            {
                next = (int)Math.Min(files.MaxBytes, end - at);
                files.Announce(file, at, next);
                body.GetMemory(next);
            }
            body.Advance(next);
            at += next;
            if ((await body.FlushAsync(context.RequestAborted)).IsCompleted)
            {
                return; // nobody reads any more
            }
        }
    }

    // HEAD says it is there, which is a promise to who pushes; GET gives it, which is none.
    private static async ValueTask<long?> FindAsync(OciRegistry registry, HttpContext context, string repository, Digest digest)
    {
        if (!await registry.Contents.IsVisibleAsync(repository, digest, context.RequestAborted))
        {
            return null;
        }
        return HttpMethods.IsHead(context.Request.Method) ? await registry.FindBlobAsync(digest, context.RequestAborted) : registry.TryGetSize(digest);
    }

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
