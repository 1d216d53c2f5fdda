using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Strata.Build;

namespace Strata.Cli.Output;

/// <summary>
/// What a build says in the shape of BuildKit's <c>--progress=rawjson</c>: each line is a status with <c>vertexes</c>, <c>logs</c> or <c>warnings</c>. A step is a
/// vertex; its digest names it within this build and is no content's.
/// </summary>
internal sealed class BuildRawJson(TextWriter output, TimeProvider time) : IBuildProgress
{
    private const int StandardOutput = 1, StandardError = 2;
    private readonly ConcurrentDictionary<BuildStep, DateTimeOffset> _running = new(ReferenceEqualityComparer.Instance);
    private readonly Lock _lock = new();

    public void Begin(BuildGraph graph)
    {
    }

    public void Started(BuildStep work)
    {
        DateTimeOffset now = time.GetUtcNow();
        _running[work] = now;
        WriteVertex(work, now, completed: null, isCached: false, error: null);
    }

    public void Output(BuildStep work, ReadOnlySpan<byte> bytes, bool isError)
    {
        byte[] data = bytes.ToArray();
        Write("logs", w =>
        {
            w.WriteString("vertex", DigestOf(work));
            w.WriteNumber("stream", isError ? StandardError : StandardOutput);
            w.WriteBase64String("data", data);
            w.WriteString("timestamp", time.GetUtcNow());
        });
    }

    public void Finished(BuildStep work, TimeSpan elapsed, StepOutcome outcome)
    {
        DateTimeOffset now = time.GetUtcNow();
        WriteVertex(work, _running.TryRemove(work, out DateTimeOffset started) ? started : now - elapsed, now, outcome == StepOutcome.Cached, error: null);
    }

    public void Warn(string message) => Write("warnings", w =>
    {
        w.WriteNumber("level", 1);
        w.WriteBase64String("short", Encoding.UTF8.GetBytes(message));
    });

    /// <summary>The step that failed, where one did, is over.</summary>
    internal void Failed(StrataException failure)
    {
        foreach ((BuildStep step, DateTimeOffset started) in _running.Where(r => failure is BuildStepException failed && r.Key.Span == failed.Span))
        {
            WriteVertex(step, started, time.GetUtcNow(), isCached: false, failure.Message);
        }
    }

    private static string DigestOf(BuildStep step) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{step.Span}\0{step.Display}")));

    private void WriteVertex(BuildStep step, DateTimeOffset started, DateTimeOffset? completed, bool isCached, string? error) => Write("vertexes", w =>
    {
        w.WriteString("digest", DigestOf(step));
        if (!step.Inputs.IsEmpty)
        {
            w.WriteStartArray("inputs");
            foreach (BuildStep input in step.Inputs)
            {
                w.WriteStringValue(DigestOf(input));
            }
            w.WriteEndArray();
        }
        w.WriteString("name", step.Display);
        w.WriteString("started", started);
        if (completed is { } end)
        {
            w.WriteString("completed", end);
        }
        if (isCached)
        {
            w.WriteBoolean("cached", true);
        }
        if (error is not null)
        {
            w.WriteString("error", error);
        }
    });

    private void Write(string kind, Action<Utf8JsonWriter> fields)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteStartArray(kind);
            writer.WriteStartObject();
            fields(writer);
            writer.WriteEndObject();
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        string line = Encoding.UTF8.GetString(buffer.WrittenSpan);
        lock (_lock)
        {
            output.WriteLine(line);
        }
    }
}
