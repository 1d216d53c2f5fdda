using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;

namespace Strata.Server.Registry;

/// <summary>Answers that are whole before they are sent, with their length.</summary>
internal static class RegistryAnswers
{
    public static Task WriteAsync<T>(HttpContext context, T answer, JsonTypeInfo<T> type)
        => WriteAsync(context, JsonSerializer.SerializeToUtf8Bytes(answer, type), "application/json; charset=utf-8");

    public static async Task WriteAsync(HttpContext context, byte[] body, string type)
    {
        context.Response.ContentType = type;
        context.Response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
        {
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
        }
    }
}
