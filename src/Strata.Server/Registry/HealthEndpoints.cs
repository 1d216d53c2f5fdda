using System.Text;
using Microsoft.AspNetCore.Http;
using Strata.Linux;

namespace Strata.Server.Registry;

/// <summary>For those who watch: alive, ready, counts.</summary>
internal static class HealthEndpoints
{
    public static Task HealthAsync(HttpContext context) => RegistryAnswers.WriteAsync(context, "ok\n"u8.ToArray(), "text/plain");

    // Ready is: the store can be read, and requests that come now will be answered.
    public static Task ReadyAsync(OciRegistry registry, HttpContext context)
    {
        bool isReady = !registry.IsStopping && FileSystems.TryGetStatus(registry.Content.Layout.Meta) is not null;
        context.Response.StatusCode = isReady ? 200 : 503;
        return RegistryAnswers.WriteAsync(context, isReady ? "ready\n"u8.ToArray() : "not ready\n"u8.ToArray(), "text/plain");
    }

    public static Task MetricsAsync(OciRegistry registry, HttpContext context)
        => RegistryAnswers.WriteAsync(context, Encoding.UTF8.GetBytes(registry.Metrics.Format()), "text/plain; version=0.0.4");
}
