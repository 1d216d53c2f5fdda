using System.Globalization;
using System.Text;
using Strata.Linux;

namespace Strata.Cli.Output;

/// <summary>
/// Lines at the bottom of a terminal that tell what is going on: drawn in place ten times a second, never wider or higher than the terminal, and
/// gone when it is over. What lasts is printed above them. What is over within a second shows nothing.
/// </summary>
internal sealed class LiveDisplay : IDisposable
{
    private const string ClearToEnd = "\e[J", ClearLine = "\e[K";
    private const int MinColumns = 20, DefaultColumns = 80, DefaultRows = 24;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_frame = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly TextWriter _terminal;
    private readonly Func<(int Rows, int Columns)?> _size;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly List<LiveTask> _tasks = [];
    private int[] _drawn = []; // the width of each line that is on the screen
    private bool _isOver;

    internal LiveDisplay(TextWriter terminal, Func<(int Rows, int Columns)?> size, TimeProvider time)
    {
        (_terminal, _size, _time) = (terminal, size, time);
        _timer = time.CreateTimer(_ => OnFrame(), null, s_patience, s_frame);
    }

    /// <summary>Whether there is a terminal that lines can be drawn on in place.</summary>
    internal static bool IsPossible => Terminal.IsTerminal(2) && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");

    /// <summary>Something that goes on from now.</summary>
    /// <param name="label">What it is; escaped here.</param>
    /// <param name="total">How many bytes it is about, where that is known.</param>
    internal LiveTask Add(string label, long? total = null)
    {
        var task = new LiveTask(SafeText.Escape(label), total, _time);
        lock (_lock)
        {
            _tasks.Add(task);
        }
        return task;
    }

    /// <summary>It is over.</summary>
    internal void Remove(LiveTask task)
    {
        lock (_lock)
        {
            _tasks.Remove(task);
        }
    }

    /// <summary>Lets something be written that stays, above the lines.</summary>
    internal void Print(Action write)
    {
        lock (_lock)
        {
            bool isShown = _drawn.Length > 0;
            Clear();
            write();
            if (isShown)
            {
                Draw();
            }
        }
    }

    /// <summary>Takes the lines away.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        lock (_lock)
        {
            if (!_isOver)
            {
                _isOver = true;
                Clear();
            }
        }
    }

    private void OnFrame()
    {
        lock (_lock)
        {
            if (_isOver)
            {
                return;
            }
            try
            {
                Draw();
            }
            catch (IOException)
            {
                _isOver = true; // the terminal has gone, which is no reason to stop working
            }
        }
    }

    private void Draw()
    {
        (int rows, int columns) = Size();
        List<string> lines = [.. _tasks.SelectMany(t => t.Render(columns - 1))];
        // The last row is the cursor's: a line more would scroll away what is to be drawn over.
        if (lines.Count > rows - 1)
        {
            int hidden = lines.Count - (rows - 2);
            lines = [.. lines.Take(rows - 2), string.Create(CultureInfo.InvariantCulture, $"… and {hidden} more")];
        }
        var frame = new StringBuilder(Up(columns));
        foreach (string line in lines)
        {
            frame.Append(line).Append(ClearLine).Append('\n');
        }
        _terminal.Write(frame.Append(ClearToEnd).ToString());
        _terminal.Flush();
        _drawn = [.. lines.Select(Table.WidthOf)];
    }

    private void Clear()
    {
        if (_drawn.Length > 0)
        {
            _terminal.Write(Up(Size().Columns) + ClearToEnd);
            _terminal.Flush();
            _drawn = [];
        }
    }

    // A terminal that became narrower has broken the lines that it shows.
    private string Up(int columns)
    {
        int rows = _drawn.Sum(width => Math.Max(1, (width + columns - 1) / columns));
        return rows == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"\r\e[{rows}A");
    }

    private (int Rows, int Columns) Size() => _size() is { } size ? (Math.Max(3, size.Rows), Math.Max(MinColumns, size.Columns)) : (DefaultRows, DefaultColumns);
}

/// <summary>One of the things that go on: a line, and the last lines of what it says.</summary>
internal sealed class LiveTask
{
    private const int ShownLines = 4, BarColumns = 24, MinLabelColumns = 16;

    private readonly Lock _lock = new();
    private readonly Queue<string> _said = new();
    private readonly TimeProvider _time;
    private readonly long? _total;
    private readonly long _start;
    private string _label;
    private long _done;

    internal LiveTask(string label, long? total, TimeProvider time) => (_label, _total, _time, _start) = (label, total, time, time.GetTimestamp());

    /// <summary>What it is about now.</summary>
    internal string Label
    {
        set
        {
            lock (_lock)
            {
                _label = SafeText.Escape(value);
            }
        }
    }

    /// <summary>How many bytes have passed.</summary>
    internal long Done
    {
        get => Volatile.Read(ref _done);
        set => Volatile.Write(ref _done, value);
    }

    /// <summary>Adds to <see cref="Done"/>.</summary>
    internal void Advance(long bytes) => Interlocked.Add(ref _done, bytes);

    /// <summary>A line that it said.</summary>
    internal void Say(string line)
    {
        lock (_lock)
        {
            _said.Enqueue(SafeText.Escape(line));
            if (_said.Count > ShownLines)
            {
                _said.Dequeue();
            }
        }
    }

    /// <summary>Its lines, none wider than <paramref name="columns"/>.</summary>
    internal IReadOnlyList<string> Render(int columns)
    {
        lock (_lock)
        {
            string seconds = " " + _time.GetElapsedTime(_start).TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture) + "s";
            string amount = Done == 0 && _total is null ? "" : _total is { } total ? $" {Sizes.Human(Done)}/{Sizes.Human(total)}" : $" {Sizes.Human(Done)}";
            string bar = _total is > 0 && columns - seconds.Length - amount.Length - BarColumns - 3 >= MinLabelColumns ? " " + Bar((double)Done / _total.Value) : "";
            string tail = bar + amount + seconds;
            return [Cut(_label, Math.Max(1, columns - tail.Length)) + tail, .. _said.Select(line => Cut("   | " + line, columns))];
        }
    }

    // As Docker draws it: [=====>    ].
    private static string Bar(double part)
    {
        int full = (int)(Math.Clamp(part, 0, 1) * BarColumns);
        return "[" + (full == BarColumns ? new string('=', BarColumns) : new string('=', full) + ">" + new string(' ', BarColumns - full - 1)) + "]";
    }

    private static string Cut(string text, int columns)
    {
        if (Table.WidthOf(text) <= columns)
        {
            return text;
        }
        var cut = new StringBuilder();
        int width = 1; // of the mark that something is missing
        foreach (Rune rune in text.EnumerateRunes())
        {
            string next = rune.ToString();
            if ((width += Table.WidthOf(next)) > columns)
            {
                break;
            }
            cut.Append(next);
        }
        return cut.Append('…').ToString();
    }
}
