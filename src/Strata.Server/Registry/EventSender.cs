using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;
using Strata.Oci;

namespace Strata.Server.Registry;

/// <summary>
/// Tells others of pushes, pulls and deletions, in distribution's form. One line of events for each receiver, kept in memory: what a receiver has not
/// taken after some tries is lost, and counted; nobody's push waits for it.
/// </summary>
/// <remarks><see href="https://distribution.github.io/distribution/about/notifications/"/></remarks>
internal sealed class EventSender : IDisposable
{
    private const int MostQueued = 1000, Attempts = 5;
    private const string MediaType = "application/vnd.docker.distribution.events.v1+json";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10), s_firstWait = TimeSpan.FromSeconds(1);

    private readonly RegistryServerOptions _options;
    private readonly RegistryMetrics _metrics;
    private readonly (Uri Address, Channel<byte[]> Queue)[] _receivers;
    private readonly HttpClient? _http;

    public EventSender(RegistryServerOptions options, RegistryMetrics metrics)
    {
        (_options, _metrics) = (options, metrics);
        _receivers = [.. options.Webhooks.Select(address => (address, Channel.CreateBounded<byte[]>(MostQueued)))];
        // A receiver is where the operator said, and nowhere it sends us to.
        _http = _receivers.Length > 0 ? new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { Timeout = s_patience } : null;
    }

    public void Add(HttpContext context, string action, string repository, Descriptor target, string? tag, RegistryIdentity actor)
    {
        if (_receivers.Length == 0)
        {
            return;
        }
        string url = $"{context.Request.Scheme}://{context.Request.Host}/v2/{repository}/manifests/{target.Digest}";
        RegistryEvent one = new(Guid.NewGuid().ToString(), _options.Time.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ss.fffffffZ", CultureInfo.InvariantCulture), action,
            new RegistryEventTarget(target.MediaType, target.Digest.ToString(), target.Size, target.Size, repository, url, tag),
            new RegistryEventRequest(context.TraceIdentifier, context.Connection.RemoteIpAddress?.ToString() ?? "", context.Request.Host.Value ?? "", context.Request.Method, context.Request.Headers.UserAgent.ToString()),
            new RegistryEventActor(actor.User ?? ""));
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(new RegistryEvents([one]), RegistryEventsJson.Default.RegistryEvents);
        foreach ((_, Channel<byte[]> queue) in _receivers)
        {
            if (!queue.Writer.TryWrite(body))
            {
                _metrics.Add(RegistryMetrics.EventsLost);
            }
        }
    }

    /// <summary>Sends what comes, until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => Task.WhenAll(_receivers.Select(r => RunAsync(r.Address, r.Queue.Reader, cancellationToken)));

    private async Task RunAsync(Uri address, ChannelReader<byte[]> queue, CancellationToken cancellationToken)
    {
        await foreach (byte[] body in queue.ReadAllAsync(cancellationToken))
        {
            string? failure = null;
            for (int attempt = 1; attempt <= Attempts; attempt++)
            {
                failure = await TrySendAsync(address, body, cancellationToken);
                if (failure is null)
                {
                    break;
                }
                if (attempt < Attempts)
                {
                    await Task.Delay(s_firstWait * (1 << (attempt - 1)), _options.Time, cancellationToken);
                }
            }
            _metrics.Add(failure is null ? RegistryMetrics.EventsSent : RegistryMetrics.EventsLost);
            if (failure is not null)
            {
                // Its path and query may be a password.
                _options.Notify?.Invoke($"webhook {address.GetLeftPart(UriPartial.Authority)}: {failure}; an event is lost after {Attempts} tries");
            }
        }
    }

    private async Task<string?> TrySendAsync(Uri address, byte[] body, CancellationToken cancellationToken)
    {
        using ByteArrayContent content = new(body);
        content.Headers.ContentType = new MediaTypeHeaderValue(MediaType);
        try
        {
            using HttpResponseMessage response = await _http!.PostAsync(address, content, cancellationToken);
            return response.IsSuccessStatusCode ? null : $"answered {(int)response.StatusCode}";
        }
        catch (HttpRequestException e)
        {
            return e.Message;
        }
        catch (TaskCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return $"no answer in {s_patience.TotalSeconds} seconds";
        }
    }

    public void Dispose() => _http?.Dispose();
}

internal sealed record RegistryEvents(IReadOnlyList<RegistryEvent> Events);
internal sealed record RegistryEvent(string Id, string Timestamp, string Action, RegistryEventTarget Target, RegistryEventRequest Request, RegistryEventActor Actor);
internal sealed record RegistryEventTarget(string MediaType, string Digest, long Size, long Length, string Repository, string Url, string? Tag);
internal sealed record RegistryEventRequest(string Id, string Addr, string Host, string Method, string Useragent);
internal sealed record RegistryEventActor(string Name);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RegistryEvents))]
internal sealed partial class RegistryEventsJson : JsonSerializerContext;
