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
    private readonly Queue<string> _last = new();
    private readonly ConcurrentDictionary<BuildStep, LiveTask> _running = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<BuildStep, (int Number, StringBuilder Line)> _steps = new(ReferenceEqualityComparer.Instance);

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

    public void Output(BuildStep work, ReadOnlySpan<byte> bytes, bool isError)
    {
        string text = Encoding.UTF8.GetString(bytes);
        lock (_lock)
        {
            int number = NumberOf(work);
            StringBuilder line = _steps[work].Line;
            foreach (char c in text)
            {
                if (c != '\n')
                {
                    line.Append(c);
                    continue;
                }
                string whole = line.ToString().TrimEnd('\r');
                Keep(whole);
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

    /// <summary>The end of a failed step's output, where it was not shown.</summary>
    internal void RepeatLast()
    {
        foreach (string line in quiet || live is not null ? _last : [])
        {
            Write(SafeText.Escape(line));
        }
    }

    private void Keep(string line)
    {
        _last.Enqueue(line);
        if (_last.Count > KeptLines)
        {
            _last.Dequeue();
        }
    }

    private int NumberOf(BuildStep step)
    {
        lock (_lock)
        {
            if (!_steps.TryGetValue(step, out (int Number, StringBuilder Line) entry))
            {
                _steps[step] = entry = (_steps.Count + 1, new StringBuilder());
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
}
