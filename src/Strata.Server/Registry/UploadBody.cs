using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Strata.Content;

namespace Strata.Server.Registry;

/// <summary>
/// A request's body on its way to a blob: hashed and written where the socket put it, while more arrives, so that an upload takes as long as the slowest of
/// the three, and not as all together.
/// </summary>
internal static class UploadBody
{
    private const int PieceBytes = 512 << 10; // half of what Kestrel lets wait: the other half fills meanwhile
    private const long LookBytes = 64 << 20; // so often an upload looks whether the disk still has room

    /// <summary>Appends the body. What arrived before a client went away stays: it is told where to go on.</summary>
    /// <exception cref="RegistryFault">413: more than a blob may have; 507: the disk is full.</exception>
    public static async Task CopyAsync(OciRegistry registry, HttpContext context, BlobWriter writer)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = null; // layers may have any size; the server's limit is for documents
        }
        long most = registry.Options.MaxBlobBytes ?? long.MaxValue, before = writer.Length;
        if (context.Request.ContentLength > most - before)
        {
            throw TooLarge(most);
        }
        PipeReader body = context.Request.BodyReader;
        try
        {
            for (long length = before; ;)
            {
                ReadResult read = await body.ReadAsync(context.RequestAborted);
                ReadOnlySequence<byte> piece = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, PieceBytes));
                if (piece.Length > most - length)
                {
                    throw TooLarge(most);
                }
                if (length / LookBytes != (length + piece.Length) / LookBytes)
                {
                    registry.Space.Demand(piece.Length);
                }
                length += piece.Length;
                await writer.WriteAsync(piece);
                bool isAll = read.IsCompleted && piece.Length == read.Buffer.Length;
                body.AdvanceTo(piece.End);
                if (isAll)
                {
                    return;
                }
            }
        }
        finally
        {
            registry.Metrics.Add(RegistryMetrics.BytesReceived, writer.Length - before);
        }
    }

    private static RegistryFault TooLarge(long most) => new(413, DistributionCodes.SizeInvalid, $"a blob has at most {most} bytes here");
}
