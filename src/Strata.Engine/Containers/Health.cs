using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Strata.Content;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>One health check.</summary>
/// <param name="Start">When it began.</param>
/// <param name="End">When it was over.</param>
/// <param name="ExitCode">0: healthy; -1: it could not be run, or did not end in time.</param>
/// <param name="Output">What it wrote, at most 4 KiB.</param>
public sealed record HealthResult(DateTimeOffset Start, DateTimeOffset End, int ExitCode, string Output);

/// <summary>What the health checks of a container found: containers/ID/health.json.</summary>
public sealed record HealthState
{
    /// <summary>Docker's words.</summary>
    public const string Starting = "starting", Healthy = "healthy", Unhealthy = "unhealthy";
    internal const int MostOutputBytes = 4096;
    private const int KeptResults = 5;

    /// <summary>starting, healthy or unhealthy.</summary>
    public required string Status { get; init; }
    /// <summary>Failures in a row.</summary>
    public int FailingStreak { get; init; }
    /// <summary>The last five checks, oldest first.</summary>
    public ImmutableArray<HealthResult> Log { get; init; } = [];

    internal HealthState With(HealthResult result, string status, int streak) => new() { Status = status, FailingStreak = streak, Log = [.. Log.TakeLast(KeptResults - 1), result] };
}

/// <summary>Decides what checks mean, as Docker does: failures in the start period do not count, so many in a row make unhealthy, one success healthy.</summary>
internal sealed class HealthJudge(HealthcheckConfig check, DateTimeOffset started, HealthState state)
{

    public HealthState State { get; private set; } = state;

    private TimeSpan StartPeriod => Of(check.StartPeriod, 0);

    /// <summary>How long until the next check.</summary>
    public TimeSpan NextDelay(DateTimeOffset now)
    {
        TimeSpan interval = Of(check.Interval, HealthPlan.DefaultInterval);
        bool isStarting = State.Status == HealthState.Starting && now - started < StartPeriod;
        return isStarting ? Smaller(Of(check.StartInterval, HealthPlan.DefaultStartInterval), interval) : interval;
    }

    /// <summary>The state after a check.</summary>
    public HealthState Take(HealthResult result)
    {
        if (result.ExitCode == 0)
        {
            return State = State.With(result, HealthState.Healthy, 0);
        }
        if (State.Status == HealthState.Starting && result.Start - started < StartPeriod)
        {
            return State = State.With(result, HealthState.Starting, State.FailingStreak);
        }
        int streak = State.FailingStreak + 1;
        int retries = check.Retries is > 0 and int said ? said : HealthPlan.DefaultRetries;
        return State = State.With(result, streak >= retries ? HealthState.Unhealthy : State.Status, streak);
    }

    private static TimeSpan Smaller(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static TimeSpan Of(long? nanoseconds, long otherwise) => TimeSpan.FromTicks((nanoseconds is > 0 and long said ? said : otherwise) / 100);
}

/// <summary>Reads and writes health.json.</summary>
internal static class HealthStore
{
    public static HealthState? TryRead(string directory)
    {
        if (AtomicFile.TryRead(Path.Combine(directory, "health.json")) is not { } bytes)
        {
            return null;
        }
        try
        {
            JsonFields o = JsonFields.Parse(bytes);
            return new HealthState
            {
                Status = o.String("status"),
                FailingStreak = o.Int32("failingStreak"),
                Log = o.Objects("log", l => new HealthResult(l.Time("start"), l.Time("end"), l.Int32("exitCode"), l.String("output"))),
            };
        }
        catch (JsonException)
        {
            return null; // what is not readable is found again by the next check
        }
    }

    /// <summary>Writes it where the container is still there.</summary>
    public static void Write(string directory, HealthState state)
    {
        if (!Directory.Exists(directory))
        {
            return;
        }
        AtomicFile.Write(Path.Combine(directory, "health.json"), JsonFieldsWriter.Serialize(state, (writer, s) =>
        {
            writer.Field("status", s.Status);
            writer.Field("failingStreak", (long?)s.FailingStreak);
            writer.Objects("log", s.Log, (w, result) =>
            {
                w.Field("start", (DateTimeOffset?)result.Start);
                w.Field("end", (DateTimeOffset?)result.End);
                w.Field("exitCode", (long?)result.ExitCode);
                w.Field("output", result.Output);
            });
        }), durable: false);
    }
}

/// <summary>Keeps the first bytes that are written to it.</summary>
internal sealed class LimitedStream(int limit) : Stream
{
    private readonly MemoryStream _kept = new();

    public string Text => Encoding.UTF8.GetString(_kept.ToArray());

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        lock (_kept)
        {
            _kept.Write(buffer[..(int)Math.Min(buffer.Length, limit - _kept.Length)]);
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => _kept.Length;
    public override long Position { get => _kept.Position; set => throw new NotSupportedException(); }
    public override void Flush() { }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _kept.Dispose();
        }
        base.Dispose(disposing);
    }
}
