using System.Diagnostics;
using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>The OCI distribution protocol over a store.</summary>
/// <remarks><see href="https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md"/></remarks>
public static class RegistryEndpoints
{
    private const int ClientClosedRequest = 499; // nginx' name for an answer that nobody waited for

    /// <summary>Maps <c>/v2/</c> and all below it, <c>/v1/search</c>, <c>/healthz</c>, <c>/readyz</c>, <c>/metrics</c> and, where tokens are handed out, <c>/token</c>.</summary>
    public static void MapOciRegistry(this IEndpointRouteBuilder app, OciRegistry registry)
    {
        ArgumentNullException.ThrowIfNull(app);
        ArgumentNullException.ThrowIfNull(registry);
        RequestDelegate v2 = context => RunAsync(registry, context, "", HandleAsync);
        app.Map("/v2", v2);
        app.Map("/v2/{**path}", v2);
        Map("/v1/_ping", "ping", (_, context) => SearchEndpoints.PingAsync(context));
        Map("/v1/search", "search", SearchEndpoints.SearchAsync);
        Map("/healthz", "health", (_, context) => HealthEndpoints.HealthAsync(context));
        Map("/readyz", "health", HealthEndpoints.ReadyAsync);
        Map("/metrics", "metrics", HealthEndpoints.MetricsAsync);
        Map("/token", "token", (registry, context) => registry.Access.TokenAsync(context));

        void Map(string path, string resource, Func<OciRegistry, HttpContext, Task> handle) => app.Map(path, context => RunAsync(registry, context, resource, (r, c) =>
        {
            // Nothing here is changed by a request.
            bool isRead = HttpMethods.IsGet(c.Request.Method) || HttpMethods.IsHead(c.Request.Method);
            return isRead ? handle(r, c) : throw new RegistryFault(405, DistributionCodes.Unsupported, $"{AccessLog.Escape(c.Request.Method)} is not possible here");
        }));
    }

    /// <summary>For all that is mapped nowhere: an answer in the same form, and a line in the log.</summary>
    internal static Task NothingAsync(OciRegistry registry, HttpContext context)
        => RunAsync(registry, context, "other", (_, _) => throw new RegistryFault(404, DistributionCodes.Unsupported, "there is nothing at this address"));

    private static async Task RunAsync(OciRegistry registry, HttpContext context, string resource, Func<OciRegistry, HttpContext, Task> handle)
    {
        long start = Stopwatch.GetTimestamp();
        ActivityContext? parent = RegistryTrace.Parent(context);
        Activity? span = RegistryTrace.Begin(context, parent);
        bool isAnswered = false;
        try
        {
            await AnswerAsync(registry, context, handle);
            isAnswered = true;
        }
        finally
        {
            TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
            bool isCut = !isAnswered || context.RequestAborted.IsCancellationRequested;
            int status = isCut ? ClientClosedRequest : context.Response.StatusCode;
            long bytes = isCut || HttpMethods.IsHead(context.Request.Method) ? 0 : context.Response.ContentLength ?? 0;
            RequestNote? note = context.Features.Get<RequestNote>();
            string what = resource.Length > 0 ? resource : note?.Resource ?? "other";
            registry.Metrics.Answered(context.Request.Method, what, status, elapsed);
            registry.Metrics.Add(RegistryMetrics.BytesSent, bytes);
            RegistryTrace.End(span, context, what, note?.Identity.User, status, bytes);
            registry.Options.AccessLog?.Write(new AccessLine(context.Connection.RemoteIpAddress?.ToString() ?? "-", note?.Identity.User,
                context.Request.Method, context.Request.Path.Value ?? "", status, bytes, elapsed) { Trace = (span?.Context ?? parent)?.TraceId.ToString() });
        }
    }

    private static async Task AnswerAsync(OciRegistry registry, HttpContext context, Func<OciRegistry, HttpContext, Task> handle)
    {
        try
        {
            DemandOneLength(context);
            await handle(registry, context);
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
        catch (LinuxException e)
        {
            registry.Options.Notify?.Invoke($"{context.Request.Method} {AccessLog.Escape(context.Request.Path.Value ?? "")}: {e.Message}");
            bool isFull = e.Errno is Errno.ENOSPC or Errno.EDQUOT;
            // The store's paths are nobody's business out there.
            await RegistryFaults.WriteAsync(context, isFull ? 507 : 500, isFull ? DistributionCodes.Denied : DistributionCodes.Unknown, $"the registry's store: {e.Errno}");
        }
        catch (BadHttpRequestException e)
        {
            await RegistryFaults.WriteAsync(context, e.StatusCode, e.StatusCode == 413 ? DistributionCodes.SizeInvalid : DistributionCodes.Unknown, e.Message);
        }
    }

    // A body of two lengths is how a request is smuggled past who reads the other one (RFC 9112 §6.1). Kestrel puts the length it ignores under this name.
    private static void DemandOneLength(HttpContext context)
    {
        IHeaderDictionary headers = context.Request.Headers;
        if (headers.TransferEncoding.Count > 0 && (headers.ContentLength is not null || headers.ContainsKey("X-Content-Length")))
        {
            headers = context.Response.Headers;
            headers.Connection = "close";
            throw new RegistryFault(400, DistributionCodes.Unsupported, "a request has a length or comes in chunks, not both");
        }
    }

    private static async Task HandleAsync(OciRegistry registry, HttpContext context)
    {
        context.Response.Headers["Docker-Distribution-API-Version"] = "registry/2.0";
        RequestNote note = new();
        context.Features.Set(note);
        RegistryRoute route = RegistryRoute.Parse(context.Request.Path.Value ?? "") ?? throw new RegistryFault(404, DistributionCodes.Unsupported, "there is nothing at this address");
        note.Resource = ResourceName(route.Resource);
        RegistryRights rights = RightsFor(route.Resource, context.Request.Method);
        note.Identity = await registry.Access.IdentifyAsync(context, route.Repository.Length > 0 ? RegistryAccess.ScopeOf(route.Repository, rights) : "");
        if (route.Repository.Length > 0)
        {
            registry.Access.Demand(context, note.Identity, route.Repository, rights);
        }
        if (registry.Options.IsReadOnly && (rights & ~RegistryRights.Read) != 0)
        {
            throw new RegistryFault(405, DistributionCodes.Unsupported, "the registry is read-only");
        }
        await DispatchAsync(registry, context, route, note.Identity);
    }

    private static string ResourceName(RegistryResource resource) => resource switch
    {
        RegistryResource.Base => "base",
        RegistryResource.Catalog => "catalog",
        RegistryResource.Tags => "tags",
        RegistryResource.Manifest => "manifest",
        RegistryResource.Blob => "blob",
        RegistryResource.Uploads or RegistryResource.Upload => "upload",
        _ => "referrers",
    };

    private static RegistryRights RightsFor(RegistryResource resource, string method) => resource switch
    {
        RegistryResource.Uploads or RegistryResource.Upload => RegistryRights.Create,
        _ => method.ToUpperInvariant() switch
        {
            "GET" or "HEAD" => RegistryRights.Read,
            "DELETE" => RegistryRights.Delete,
            _ => RegistryRights.Create,
        },
    };

    private static Task DispatchAsync(OciRegistry registry, HttpContext context, RegistryRoute route, RegistryIdentity identity)
    {
        string method = context.Request.Method.ToUpperInvariant();
        return (route.Resource, method) switch
        {
            (RegistryResource.Base, "GET" or "HEAD") => BaseAsync(registry, context, identity),
            (RegistryResource.Catalog, "GET") => ListEndpoints.CatalogAsync(registry, context, identity),
            (RegistryResource.Tags, "GET") => ListEndpoints.TagsAsync(registry, context, route),
            (RegistryResource.Referrers, "GET") => ListEndpoints.ReferrersAsync(registry, context, route),
            (RegistryResource.Manifest, "GET" or "HEAD") => ManifestEndpoints.GetAsync(registry, context, route, identity),
            (RegistryResource.Manifest, "PUT") => ManifestEndpoints.PutAsync(registry, context, route, identity),
            (RegistryResource.Manifest, "DELETE") => ManifestEndpoints.DeleteAsync(registry, context, route, identity),
            (RegistryResource.Blob, "GET" or "HEAD") => BlobEndpoints.GetAsync(registry, context, route),
            (RegistryResource.Uploads, "POST") => UploadEndpoints.StartAsync(registry, context, route, identity),
            (RegistryResource.Upload, "GET") => UploadEndpoints.StatusAsync(registry, context, route, identity),
            (RegistryResource.Upload, "PATCH") => UploadEndpoints.AppendAsync(registry, context, route, identity),
            (RegistryResource.Upload, "PUT") => UploadEndpoints.FinishAsync(registry, context, route, identity),
            (RegistryResource.Upload, "DELETE") => UploadEndpoints.CancelAsync(registry, context, route, identity),
            _ => throw new RegistryFault(405, DistributionCodes.Unsupported, $"{AccessLog.Escape(context.Request.Method)} is not possible here"),
        };
    }

    private static async Task BaseAsync(OciRegistry registry, HttpContext context, RegistryIdentity identity)
    {
        registry.Access.DemandKnown(context, identity);
        await RegistryAnswers.WriteAsync(context, "{}"u8.ToArray(), "application/json");
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

    internal static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>What is found out about a request on its way, for the log.</summary>
internal sealed class RequestNote
{
    public RegistryIdentity Identity { get; set; } = RegistryIdentity.Nobody;
    public string Resource { get; set; } = "other";
}
