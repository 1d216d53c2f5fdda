using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>The OCI distribution protocol over a store.</summary>
/// <remarks><see href="https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md"/></remarks>
public static class RegistryEndpoints
{
    /// <summary>Maps <c>/v2/</c> and all below it.</summary>
    public static void MapOciRegistry(this IEndpointRouteBuilder app, OciRegistry registry)
    {
        ArgumentNullException.ThrowIfNull(app);
        ArgumentNullException.ThrowIfNull(registry);
        RequestDelegate handle = context => HandleAsync(registry, context);
        app.Map("/v2", handle);
        app.Map("/v2/{**path}", handle);
    }

    private static async Task HandleAsync(OciRegistry registry, HttpContext context)
    {
        context.Response.Headers["Docker-Distribution-API-Version"] = "registry/2.0";
        try
        {
            RegistryRoute route = RegistryRoute.Parse(context.Request.Path.Value ?? "") ?? throw new RegistryFault(404, DistributionCodes.Unsupported, "there is nothing at this address");
            await DispatchAsync(registry, context, route);
        }
        catch (RegistryFault fault)
        {
            await RegistryFaults.WriteAsync(context, fault.Status, fault.Code, fault.Message);
        }
        catch (StrataException e)
        {
            // What a request brought was checked as it came; what is corrupt now lay in our store.
            await RegistryFaults.WriteAsync(context, ErrorTable.HttpStatus(e.Kind, isFromClient: false), ErrorTable.DistributionCode(e.Kind), e.Message, e.Hint);
        }
        catch (BadHttpRequestException e)
        {
            await RegistryFaults.WriteAsync(context, e.StatusCode, e.StatusCode == 413 ? DistributionCodes.SizeInvalid : DistributionCodes.Unknown, e.Message);
        }
    }

    private static Task DispatchAsync(OciRegistry registry, HttpContext context, RegistryRoute route)
    {
        string method = context.Request.Method.ToUpperInvariant();
        return (route.Resource, method) switch
        {
            (RegistryResource.Base, "GET" or "HEAD") => BaseAsync(context),
            (RegistryResource.Catalog, "GET") => ListEndpoints.CatalogAsync(registry, context),
            (RegistryResource.Tags, "GET") => ListEndpoints.TagsAsync(registry, context, route),
            (RegistryResource.Referrers, "GET") => ListEndpoints.ReferrersAsync(registry, context, route),
            (RegistryResource.Manifest, "GET" or "HEAD") => ManifestEndpoints.GetAsync(registry, context, route),
            (RegistryResource.Manifest, "PUT") => ManifestEndpoints.PutAsync(registry, context, route),
            (RegistryResource.Manifest, "DELETE") => ManifestEndpoints.DeleteAsync(registry, context, route),
            (RegistryResource.Blob, "GET" or "HEAD") => BlobEndpoints.GetAsync(registry, context, route),
            (RegistryResource.Uploads, "POST") => UploadEndpoints.StartAsync(registry, context, route),
            (RegistryResource.Upload, "GET") => UploadEndpoints.StatusAsync(registry, context, route),
            (RegistryResource.Upload, "PATCH") => UploadEndpoints.AppendAsync(registry, context, route),
            (RegistryResource.Upload, "PUT") => UploadEndpoints.FinishAsync(registry, context, route),
            (RegistryResource.Upload, "DELETE") => UploadEndpoints.CancelAsync(registry, context, route),
            _ => throw new RegistryFault(405, DistributionCodes.Unsupported, $"{context.Request.Method} is not possible here"),
        };
    }

    private static async Task BaseAsync(HttpContext context)
    {
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync("{}", context.RequestAborted);
    }

    /// <summary>What says which content it is, for caches and clients.</summary>
    internal static void SetContent(HttpResponse response, Digest digest)
    {
        response.Headers["Docker-Content-Digest"] = digest.ToString();
        response.Headers.ETag = $"\"{digest}\"";
    }

    /// <summary>Whether the client has it already (If-None-Match): answered with 304.</summary>
    internal static bool IsNotModified(HttpContext context, Digest digest)
    {
        bool has = context.Request.Headers.IfNoneMatch.Any(v => v is not null && (v == "*" || v.Contains($"\"{digest}\"", StringComparison.Ordinal)));
        if (has)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
        }
        return has;
    }

    internal static void SetLength(HttpResponse response, long length)
    {
        response.ContentLength = length;
        response.Headers.AcceptRanges = "bytes";
    }

    internal static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
