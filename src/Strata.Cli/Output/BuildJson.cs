using System.Buffers;
using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using Strata.Build;

namespace Strata.Cli.Output;

/// <summary>
/// What a build says, for programs: one JSON object a line. <c>event</c> is begin, missed, started, output, finished, warning, built or failed; <c>step</c> is a
/// number that all objects of a step share.
/// </summary>
internal sealed class BuildJson(TextWriter output) : IBuildProgress
{
    private readonly ConcurrentDictionary<BuildStep, int> _numbers = new(ReferenceEqualityComparer.Instance);
    private readonly Lock _lock = new();
    private int _count;

    public void Begin(BuildGraph graph) => Write("begin", null, w => w.WriteString("platform", graph.Platform.ToString()));

    public void Started(BuildStep work) => Write("started", work, w => WriteStep(w, work));

    public void Missed(BuildStep work, System.Collections.Immutable.ImmutableArray<MissCause> causes) => Write("missed", work, w =>
    {
        WriteStep(w, work);
        w.WriteStartArray("causes");
        foreach (MissCause cause in causes)
        {
            w.WriteStartObject();
            w.WriteString("kind", cause.Kind);
            w.WriteString("name", cause.Name);
            w.WriteString("old", cause.Old);
            w.WriteString("new", cause.New);
            w.WriteEndObject();
        }
        w.WriteEndArray();
    });

    public void Output(BuildStep work, ReadOnlySpan<byte> bytes, bool isError)
    {
        string text = Encoding.UTF8.GetString(bytes);
        Write("output", work, w =>
        {
            w.WriteString("stream", isError ? "stderr" : "stdout");
            w.WriteString("text", text);
        });
    }

    public void Finished(BuildStep work, TimeSpan elapsed, StepOutcome outcome) => Write("finished", work, w =>
    {
        WriteStep(w, work);
        w.WriteString("outcome", outcome switch { StepOutcome.Cached => "cached", StepOutcome.Opened => "opened", _ => "done" });
        w.WriteNumber("seconds", Math.Round(elapsed.TotalSeconds, 3));
    });

    public void Warn(string message) => Write("warning", null, w => w.WriteString("message", message));

    internal void Built(BuildResult result) => Write("built", null, w =>
    {
        w.WriteString("imageId", result.ImageId.ToString());
        w.WriteString("digest", result.Manifest.Digest.ToString());
    });

    internal void Failed(StrataException failure) => Write("failed", null, w =>
    {
        w.WriteString("message", failure.Message);
        if (failure.Hint is not null)
        {
            w.WriteString("hint", failure.Hint);
        }
        if (failure is BuildStepException step)
        {
            w.WriteNumber("exitCode", step.ExitCode);
            w.WriteString("at", step.Span.ToString());
        }
    });

    /// <summary>The file of --metadata-file: buildx's names.</summary>
    internal static void WriteMetadata(Utf8JsonWriter writer, BuildRequest request, BuildResult result)
    {
        writer.WriteStartObject();
        writer.WriteString("containerimage.config.digest", result.ImageId.ToString());
        writer.WriteStartObject("containerimage.descriptor");
        writer.WriteString("mediaType", result.Manifest.MediaType);
        writer.WriteString("digest", result.Manifest.Digest.ToString());
        writer.WriteNumber("size", result.Manifest.Size);
        writer.WriteEndObject();
        writer.WriteString("containerimage.digest", result.Manifest.Digest.ToString());
        if (!request.Tags.IsEmpty)
        {
            writer.WriteString("image.name", string.Join(',', request.Tags.Select(t => t.ToString())));
        }
        writer.WriteEndObject();
    }

    private static void WriteStep(Utf8JsonWriter writer, BuildStep step)
    {
        writer.WriteString("name", step.Display);
        writer.WriteString("stage", step.Stage);
        writer.WriteString("at", step.Span.ToString());
    }

    private void Write(string kind, BuildStep? step, Action<Utf8JsonWriter> fields)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("event", kind);
            if (step is not null)
            {
                writer.WriteNumber("step", _numbers.GetOrAdd(step, _ => Interlocked.Increment(ref _count)));
            }
            fields(writer);
            writer.WriteEndObject();
        }
        string line = Encoding.UTF8.GetString(buffer.WrittenSpan);
        lock (_lock)
        {
            output.WriteLine(line);
        }
    }
}
