using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Strata.Build;

namespace Strata.Cli.Output;

/// <summary>
/// What a build says: plain lines, labelled by step, as output comes. On a terminal a step that runs has a line of its own with the last of its
/// output below, and leaves one line when it is over.
/// </summary>
internal sealed class BuildLines(TextWriter output, bool quiet, LiveDisplay? live) : IBuildProgress
{
    private const int KeptLines = 20;
    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<BuildStep, LiveTask> _running = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<BuildStep, StepLines> _steps = new(ReferenceEqualityComparer.Instance);

    public void Begin(BuildGraph graph)
    {
    }

    public void Started(BuildStep work)
    {
        string line = $"#{NumberOf(work)} {work.Display}";
        if (live is null)
        {
            Say(line);
        }
        else
        {
            _running[work] = live.Add(line);
        }
    }

    public void Missed(BuildStep work, System.Collections.Immutable.ImmutableArray<MissCause> causes)
    {
        string line = $"#{NumberOf(work)} {SafeText.Escape(work.Display)}";
        foreach (MissCause cause in causes)
        {
            Write($"{line}: {SafeText.Escape(cause.ToString())}");
        }
    }

    public void Output(BuildStep work, ReadOnlySpan<byte> bytes, bool isError)
    {
        string text = Encoding.UTF8.GetString(bytes);
        lock (_lock)
        {
            int number = NumberOf(work);
            StepLines step = _steps[work];
            StringBuilder line = step.Line;
            foreach (char c in text)
            {
                if (c != '\n')
                {
                    line.Append(c);
                    continue;
                }
                string whole = line.ToString().TrimEnd('\r');
                step.Keep(whole);
                if (_running.TryGetValue(work, out LiveTask? task))
                {
                    task.Say(whole);
                }
                else
                {
                    Say($"#{number} {SafeText.Escape(whole)}");
                }
                line.Clear();
            }
        }
    }

    public void Finished(BuildStep work, TimeSpan elapsed, StepOutcome outcome)
    {
        int number = NumberOf(work);
        if (live is not null)
        {
            if (_running.TryRemove(work, out LiveTask? task))
            {
                live.Remove(task);
            }
            Say($"#{number} {SafeText.Escape(work.Display)} {(outcome == StepOutcome.Cached ? "CACHED" : $"{elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)}s")}");
            return;
        }
        if (outcome == StepOutcome.Cached)
        {
            Say($"#{number} {work.Display}");
        }
        Say(outcome == StepOutcome.Cached ? $"#{number} CACHED" : $"#{number} DONE {elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)}s");
    }

    public void Warn(string message)
    {
        Write($"warning: {SafeText.Escape(message)}");
    }

    /// <summary>The end of a failed step's output once more: on a terminal and with --quiet it was not shown, and else it may stand far above.</summary>
    internal void RepeatLast(BuildStepException failure)
    {
        foreach ((BuildStep step, StepLines lines) in _steps.Where(s => s.Key.Span == failure.Span && (s.Value.Last.Count > 0 || s.Value.Line.Length > 0)))
        {
            Write($"------\n > {SafeText.Escape(step.Display)}:");
            foreach (string line in lines.Line.Length > 0 ? lines.Last.Append(lines.Line.ToString()) : lines.Last)
            {
                Write(SafeText.Escape(line));
            }
            Write("------");
        }
    }

    private int NumberOf(BuildStep step)
    {
        lock (_lock)
        {
            if (!_steps.TryGetValue(step, out StepLines? entry))
            {
                _steps[step] = entry = new StepLines(_steps.Count + 1);
            }
            return entry.Number;
        }
    }

    private void Say(string line)
    {
        if (!quiet)
        {
            Write(line);
        }
    }

    private void Write(string line)
    {
        if (live is not null)
        {
            live.Print(() => output.WriteLine(line)); // its lock serves both
            return;
        }
        lock (_lock)
        {
            output.WriteLine(line);
        }
    }

    /// <summary>What a step wrote: the line that is not over yet, and the last ones that are.</summary>
    private sealed class StepLines(int number)
    {
        internal int Number { get; } = number;
        internal StringBuilder Line { get; } = new();
        internal Queue<string> Last { get; } = new();

        internal void Keep(string line)
        {
            Last.Enqueue(line);
            if (Last.Count > KeptLines)
            {
                Last.Dequeue();
            }
        }
    }
}
