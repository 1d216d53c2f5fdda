using System.Collections.Concurrent;
using System.Diagnostics;
using Xunit;

namespace Strata.Tests.Server;

/// <summary>Spans and the W3C's traceparent.</summary>
public sealed class ServerTraceTests
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c", Span = "b7ad6b7169203331";

    [Theory]
    [InlineData($"00-{Trace}-{Span}-01", true)]
    [InlineData($"00-{Trace}-{Span}-00", true)]
    [InlineData($"00-00000000000000000000000000000000-{Span}-01", false)]
    [InlineData($"00-{Trace}-0000000000000000-01", false)]
    [InlineData($"ff-{Trace}-{Span}-01", false)]
    [InlineData("nonsense\u0001", false)]
    public async Task The_log_names_the_trace_that_a_request_belongs_to(string header, bool isTrace)
    {
        await using TestRegistry registry = await TestRegistry.StartAsync();
        await registry.SendAsync("GET", "/v2/", null, ("traceparent", header.TrimEnd('\u0001')));
        string line = Assert.Single(registry.Lines);
        Assert.Equal(isTrace, line.EndsWith(" " + Trace, StringComparison.Ordinal));
        Assert.Equal(isTrace ? 9 : 8, line.Split(' ').Length);
    }

    [Fact]
    public async Task Whoever_listens_has_a_span_of_each_request()
    {
        ConcurrentQueue<Activity> spans = [];
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name == "Strata.Registry",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = spans.Enqueue,
        };
        ActivitySource.AddActivityListener(listener);
        await using TestRegistry registry = await TestRegistry.StartAsync();
        await registry.PushAsync("secret/name", "1");
        await registry.SendAsync("GET", "/v2/secret/name/manifests/1", null, ("traceparent", $"00-{Trace}-{Span}-01"));
        await registry.SendAsync("GET", "/v2/secret/name/manifests/none");
        Activity[] ours = [.. spans.Where(s => s.GetTagItem("url.path") is string path && path.Contains("secret/name", StringComparison.Ordinal))];
        Assert.Equal(5, ours.Length); // two blobs, a manifest, and its two readers
        Activity get = ours.Single(s => s.TraceId.ToString() == Trace);
        Assert.Equal(("GET manifest", ActivityKind.Server, Span, 200), (get.DisplayName, get.Kind, get.ParentSpanId.ToString(), get.GetTagItem("http.response.status_code")));
        Assert.Contains(ours, s => (int)s.GetTagItem("http.response.status_code")! == 404 && s.Status == ActivityStatusCode.Unset); // the client's error is not ours
        Assert.DoesNotContain(spans, s => s.DisplayName.Contains("secret", StringComparison.Ordinal));
        // One that the request did not bring is named too, so that log and spans are found by each other.
        lock (registry.Lines)
        {
            Assert.All(ours, s => Assert.Contains(registry.Lines, l => l.EndsWith(" " + s.TraceId, StringComparison.Ordinal)));
        }
    }
}
