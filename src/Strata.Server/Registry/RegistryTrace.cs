using System.Diagnostics;
using Microsoft.AspNetCore.Http;

namespace Strata.Server.Registry;

/// <summary>
/// A span for each request, by the names of OpenTelemetry's conventions for HTTP servers, from the source <c>Strata.Registry</c>: whoever listens has them.
/// It is part of the client's trace where the request brings one (<c>traceparent</c>), and the access log names that trace. No repository and no user is in
/// a span's name, so that they can be counted by it.
/// </summary>
/// <remarks><see href="https://www.w3.org/TR/trace-context/#traceparent-header"/></remarks>
internal static class RegistryTrace
{
    private static readonly ActivitySource s_source = new("Strata.Registry");

    /// <summary>The trace that a request says it belongs to; null: to none, or it says so in no form that counts.</summary>
    public static ActivityContext? Parent(HttpContext context)
    {
        // Headers that are there twice are no header (trace-context §2.2.1).
        Microsoft.Extensions.Primitives.StringValues parents = context.Request.Headers.TraceParent;
        string? parent = parents.Count == 1 ? parents[0] : null, state = context.Request.Headers.TraceState.ToString();
        return parent is not null && ActivityContext.TryParse(parent, state, isRemote: true, out ActivityContext found) ? found : null;
    }

    /// <summary>Begins a span; null: nobody listens.</summary>
    public static Activity? Begin(HttpContext context, ActivityContext? parent)
        => s_source.HasListeners() ? s_source.StartActivity(RegistryMetrics.KnownMethod(context.Request.Method), ActivityKind.Server, parent ?? default) : null;

    /// <summary>Ends a span with what came of the request.</summary>
    public static void End(Activity? span, HttpContext context, string resource, string? user, int status, long bytes)
    {
        if (span is null)
        {
            return;
        }
        string method = RegistryMetrics.KnownMethod(context.Request.Method);
        span.DisplayName = $"{method} {resource}";
        span.SetTag("http.request.method", method);
        span.SetTag("http.route", resource);
        span.SetTag("http.response.status_code", status);
        span.SetTag("http.response.body.size", bytes);
        span.SetTag("url.path", AccessLog.Escape(context.Request.Path.Value ?? ""));
        span.SetTag("url.scheme", context.Request.Scheme);
        span.SetTag("client.address", context.Connection.RemoteIpAddress?.ToString());
        if (user is not null)
        {
            span.SetTag("user.name", AccessLog.Escape(user));
        }
        if (status >= 500)
        {
            span.SetStatus(ActivityStatusCode.Error);
        }
        span.Stop();
    }
}
