using System.Buffers;
using System.Runtime.ExceptionServices;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Strata.Content;

namespace Strata.Server.Registry;

/// <summary>
/// A request's body on its way to a blob. Two large buffers: while one fills from the network, the other is hashed and written, so that an upload takes
/// as long as the slower of both, and not as both together.
/// </summary>
internal static class UploadBody
{
    private const int BufferBytes = 256 << 10;
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
        byte[] filling = ArrayPool<byte>.Shared.Rent(BufferBytes), writing = ArrayPool<byte>.Shared.Rent(BufferBytes);
        Task written = Task.CompletedTask;
        try
        {
            for (long length = before; ;)
            {
                (int count, ExceptionDispatchInfo? cut) = await FillAsync(context.Request.Body, filling, context.RequestAborted);
                await written;
                if (count > most - length)
                {
                    throw TooLarge(most);
                }
                if (length / LookBytes != (length + count) / LookBytes)
                {
                    registry.Space.Demand(count);
                }
                length += count;
                if (count < BufferBytes)
                {
                    writer.Write(filling.AsSpan(0, count));
                    cut?.Throw();
                    return;
                }
                (filling, writing) = (writing, filling);
                ReadOnlyMemory<byte> full = writing.AsMemory(0, BufferBytes);
                written = Task.Run(async () => await writer.WriteAsync(full, CancellationToken.None), CancellationToken.None);
            }
        }
        finally
        {
            // Its buffer goes back only when nobody reads it any more.
            await written.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            ArrayPool<byte>.Shared.Return(filling);
            ArrayPool<byte>.Shared.Return(writing);
            registry.Metrics.Add(RegistryMetrics.BytesReceived, writer.Length - before);
        }
    }

    // Less than a buffer is the end: of the body, or of the connection, which is told of once what has come is kept.
    private static async ValueTask<(int Count, ExceptionDispatchInfo? Cut)> FillAsync(Stream body, byte[] buffer, CancellationToken cancellationToken)
    {
        int count = 0;
        try
        {
            for (int read; count < BufferBytes && (read = await body.ReadAsync(buffer.AsMemory(count, BufferBytes - count), cancellationToken)) > 0;)
            {
                count += read;
            }
            return (count, null);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            return (count, ExceptionDispatchInfo.Capture(e));
        }
    }

    private static RegistryFault TooLarge(long most) => new(413, DistributionCodes.SizeInvalid, $"a blob has at most {most} bytes here");
}
