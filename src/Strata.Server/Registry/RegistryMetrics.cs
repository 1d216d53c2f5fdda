using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Strata.Server.Registry;

/// <summary>
/// Counts, in Prometheus' text form at <c>/metrics</c>, and as instruments of the meter <c>Strata.Registry</c> for whoever listens (OpenTelemetry does).
/// No name of a repository or user is in them.
/// </summary>
internal sealed class RegistryMetrics : IDisposable
{
    private static readonly double[] s_bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];

    private readonly UploadSessions _uploads;
    private readonly Meter _meter = new("Strata.Registry");
    private readonly Counter<long> _requests;
    private readonly Histogram<double> _durations;
    private readonly ConcurrentDictionary<(string Method, string Resource, int Status), long> _answers = new();
    private readonly ConcurrentDictionary<string, long> _counts = new(StringComparer.Ordinal);
    private readonly long[] _buckets = new long[s_bounds.Length + 1];
    private long _microseconds;

    public RegistryMetrics(UploadSessions uploads)
    {
        _uploads = uploads;
        _requests = _meter.CreateCounter<long>("strata.registry.requests");
        _durations = _meter.CreateHistogram<double>("strata.registry.request.duration", "s");
        _meter.CreateObservableGauge("strata.registry.uploads", () => _uploads.Count);
    }

    public const string BytesSent = "sent_bytes_total", BytesReceived = "received_bytes_total", ProxyHits = "proxy_hits_total", ProxyMisses = "proxy_misses_total",
        EventsSent = "events_sent_total", EventsLost = "events_lost_total", Collections = "collections_total", CollectedBytes = "collected_bytes_total",
        ScrubbedBlobs = "scrubbed_blobs_total", DamagedBlobs = "damaged_blobs_total", RetainedAway = "tags_expired_total";

    public void Answered(string method, string resource, int status, TimeSpan elapsed)
    {
        string known = KnownMethod(method);
        _answers.AddOrUpdate((known, resource, status), 1, (_, count) => count + 1);
        int bucket = 0;
        while (bucket < s_bounds.Length && elapsed.TotalSeconds > s_bounds[bucket])
        {
            bucket++;
        }
        Interlocked.Increment(ref _buckets[bucket]);
        Interlocked.Add(ref _microseconds, (long)elapsed.TotalMicroseconds);
        if (_requests.Enabled || _durations.Enabled)
        {
            KeyValuePair<string, object?>[] tags = [new("method", known), new("resource", resource), new("status", status)];
            _requests.Add(1, tags);
            _durations.Record(elapsed.TotalSeconds, tags);
        }
    }

    /// <summary>What a stranger calls a method is no label.</summary>
    public static string KnownMethod(string method) => method is "GET" or "HEAD" or "PUT" or "POST" or "PATCH" or "DELETE" ? method : "other";

    /// <summary>How many were answered.</summary>
    public long Requests => _buckets.Sum();

    public void Add(string name, long count = 1) => _counts.AddOrUpdate(name, count, (_, sum) => sum + count);

    public long Get(string name) => _counts.GetValueOrDefault(name);

    /// <summary><see href="https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format"/></summary>
    public string Format()
    {
        StringBuilder text = new();
        text.Append("# TYPE strata_registry_requests_total counter\n");
        foreach (((string method, string resource, int status), long count) in _answers.OrderBy(a => a.Key))
        {
            text.Append(CultureInfo.InvariantCulture, $"strata_registry_requests_total{{method=\"{method}\",resource=\"{resource}\",status=\"{status}\"}} {count}\n");
        }
        text.Append("# TYPE strata_registry_request_duration_seconds histogram\n");
        long sum = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            sum += Interlocked.Read(ref _buckets[i]);
            string bound = i < s_bounds.Length ? s_bounds[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
            text.Append(CultureInfo.InvariantCulture, $"strata_registry_request_duration_seconds_bucket{{le=\"{bound}\"}} {sum}\n");
        }
        text.Append(CultureInfo.InvariantCulture, $"strata_registry_request_duration_seconds_sum {Interlocked.Read(ref _microseconds) / 1e6}\nstrata_registry_request_duration_seconds_count {sum}\n");
        foreach (string name in (string[])[BytesSent, BytesReceived, ProxyHits, ProxyMisses, EventsSent, EventsLost, Collections, CollectedBytes, ScrubbedBlobs, DamagedBlobs, RetainedAway])
        {
            text.Append(CultureInfo.InvariantCulture, $"# TYPE strata_registry_{name} counter\nstrata_registry_{name} {Get(name)}\n");
        }
        return text.Append(CultureInfo.InvariantCulture, $"# TYPE strata_registry_uploads gauge\nstrata_registry_uploads {_uploads.Count}\n").ToString();
    }

    public void Dispose() => _meter.Dispose();
}
