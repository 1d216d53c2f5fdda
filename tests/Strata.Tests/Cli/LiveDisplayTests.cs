using System.Text;
using Strata.Cli.Output;
using Xunit;

namespace Strata.Tests.Cli;

public sealed class LiveDisplayTests : IDisposable
{
    private readonly ManualTime _time = new();
    private readonly Screen _screen = new();
    private readonly LiveDisplay _display;
    private (int Rows, int Columns)? _size = (24, 80);

    public LiveDisplayTests() => _display = new LiveDisplay(_screen, () => _size, _time);

    [Fact]
    public void What_is_over_within_a_second_shows_nothing()
    {
        LiveTask task = _display.Add("short");
        _time.Advance(0.9);
        _display.Print(() => _screen.Write("result\n"));
        _display.Remove(task);
        _display.Dispose();
        _time.Advance(5);
        Assert.Equal("result\n", _screen.Raw);
    }

    [Fact]
    public void A_line_is_drawn_over_in_place_and_is_gone_at_the_end()
    {
        LiveTask task = _display.Add("layer", 10_000_000);
        task.Done = 5_000_000;
        _time.Advance(1);
        Assert.Equal(["layer [============>           ] 5MB/10MB 1.0s"], _screen.Lines);
        task.Advance(5_000_000);
        _time.Advance(0.1);
        Assert.Equal(["layer [========================] 10MB/10MB 1.1s"], _screen.Lines);
        _display.Dispose();
        Assert.Empty(_screen.Lines);
    }

    [Fact]
    public void There_are_at_most_ten_frames_a_second_however_much_happens()
    {
        LiveTask task = _display.Add("busy");
        _time.Advance(1);
        int before = _screen.Writes;
        for (int i = 0; i < 1000; i++)
        {
            task.Advance(1);
            _time.Advance(0.001);
        }
        Assert.InRange(_screen.Writes - before, 5, 11);
    }

    [Fact]
    public void What_lasts_is_printed_above()
    {
        LiveTask first = _display.Add("first"), second = _display.Add("second");
        _time.Advance(1);
        _display.Print(() => _screen.Write("first: done\n"));
        Assert.Equal(["first: done", "first 1.0s", "second 1.0s"], _screen.Lines);
        _display.Remove(first);
        _time.Advance(0.1);
        Assert.Equal(["first: done", "second 1.1s"], _screen.Lines);
        _display.Remove(second);
        _display.Dispose();
        Assert.Equal(["first: done"], _screen.Lines);
    }

    [Theory]
    [InlineData(30)]
    [InlineData(60)]
    [InlineData(200)]
    public void No_line_is_wider_than_the_terminal(int columns)
    {
        _size = (24, columns);
        LiveTask task = _display.Add(string.Concat(Enumerable.Repeat("語x", 100)), 1000);
        task.Say(new string('y', 500));
        _time.Advance(1);
        Assert.Equal(2, _screen.Lines.Length);
        Assert.All(_screen.Lines, line => Assert.InRange(Table.WidthOf(line), columns / 2, columns - 1));
        Assert.EndsWith(" 0B/1kB 1.0s", _screen.Lines[0], StringComparison.Ordinal);
    }

    [Fact]
    public void No_more_lines_are_drawn_than_the_terminal_has()
    {
        _size = (6, 80);
        foreach (int i in Enumerable.Range(0, 20))
        {
            _display.Add($"task {i}");
        }
        _time.Advance(1);
        Assert.Equal(["task 0 1.0s", "task 1 1.0s", "task 2 1.0s", "task 3 1.0s", "… and 16 more"], _screen.Lines);
    }

    [Fact]
    public void A_terminal_that_became_narrower_is_tidied_all_the_same()
    {
        _display.Add(new string('z', 60));
        _time.Advance(1);
        _size = (24, 40);
        _screen.Narrow(40);
        _time.Advance(0.1);
        Assert.Single(_screen.Lines);
    }

    [Fact]
    public void Only_the_last_lines_of_what_is_said_are_shown_and_nothing_of_it_moves_the_cursor()
    {
        LiveTask task = _display.Add("step");
        foreach (int i in Enumerable.Range(1, 9))
        {
            task.Say($"line {i}\e[2J");
        }
        _time.Advance(1);
        Assert.Equal(["step 1.0s", "   | line 6\\x1b[2J", "   | line 7\\x1b[2J", "   | line 8\\x1b[2J", "   | line 9\\x1b[2J"], _screen.Lines);
    }

    [Fact]
    public void A_terminal_that_has_gone_stops_nobody()
    {
        _display.Add("task");
        _screen.IsGone = true;
        _time.Advance(2);
        _display.Dispose();
        Assert.Equal(1, _screen.Writes);
    }

    [Fact]
    public async Task Bytes_are_counted_either_way()
    {
        LiveTask task = _display.Add("bytes");
        using var target = new MemoryStream();
        Stream counting = CountingStream.Of(target, task);
        await counting.WriteAsync(new byte[100], TestContext.Current.CancellationToken);
        counting.Write(new byte[11], 0, 11);
        Assert.Equal(111, task.Done);
        using var source = new MemoryStream(new byte[50]);
        await CountingStream.Of(source, task).CopyToAsync(Stream.Null, TestContext.Current.CancellationToken);
        Assert.Equal(161, task.Done);
        Assert.Same(target, CountingStream.Of(target, null));
    }

    public void Dispose() => _display.Dispose();

    /// <summary>A terminal that knows what the display says to it: line feeds, carriage returns, up, clear to the end of line and screen.</summary>
    private sealed class Screen : TextWriter
    {
        private readonly List<string> _rows = [""];
        private readonly StringBuilder _raw = new();
        private int _row;

        public override Encoding Encoding => Encoding.UTF8;

        internal int Writes { get; private set; }

        internal bool IsGone { get; set; }

        internal string Raw => _raw.ToString();

        internal string[] Lines => [.. _rows.Take(_rows.FindLastIndex(r => r.Length > 0) + 1)];

        /// <summary>Breaks what is shown, as a terminal does that becomes narrower.</summary>
        internal void Narrow(int columns)
        {
            string[][] broken = [.. _rows.Select(r => r.Length == 0 ? [""] : r.Chunk(columns).Select(c => new string(c)).ToArray())];
            _row = broken.Take(_row).Sum(b => b.Length);
            _rows.Clear();
            _rows.AddRange(broken.SelectMany(b => b));
        }

        public override void Write(char value) => Write(value.ToString());

        public override void Write(string? value)
        {
            Writes++;
            if (IsGone)
            {
                throw new IOException("gone");
            }
            _raw.Append(value);
            int column = 0;
            for (int i = 0; i < value!.Length; i++)
            {
                switch (value[i])
                {
                    case '\n':
                        column = 0;
                        if (++_row == _rows.Count)
                        {
                            _rows.Add("");
                        }
                        break;
                    case '\r':
                        column = 0;
                        break;
                    case '\e':
                        int end = value.AsSpan(i).IndexOfAnyInRange('A', 'Z') + i;
                        Control(value[(i + 2)..end], value[end], column);
                        i = end;
                        break;
                    default:
                        _rows[_row] = _rows[_row].Length > column ? _rows[_row].Remove(column, 1).Insert(column, value[i].ToString()) : _rows[_row] + value[i];
                        column++;
                        break;
                }
            }
        }

        private void Control(string argument, char command, int column)
        {
            if (command == 'A')
            {
                _row = Math.Max(0, _row - int.Parse(argument, System.Globalization.CultureInfo.InvariantCulture));
                return;
            }
            Assert.True(command is 'J' or 'K', $"unknown control {command}");
            _rows[_row] = _rows[_row][..Math.Min(column, _rows[_row].Length)];
            if (command == 'J')
            {
                _rows.RemoveRange(_row + 1, _rows.Count - _row - 1);
            }
        }
    }

    private sealed class ManualTime : TimeProvider
    {
        private readonly List<ManualTimer> _timers = [];
        private long _now;

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => _now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new ManualTimer(this, () => callback(state), _now + (long)dueTime.TotalMicroseconds, (long)period.TotalMicroseconds);
            _timers.Add(timer);
            return timer;
        }

        internal void Advance(double seconds)
        {
            _now += (long)Math.Round(seconds * 1_000_000);
            foreach (ManualTimer timer in _timers.ToArray())
            {
                timer.Run(_now);
            }
        }

        private sealed class ManualTimer(ManualTime owner, Action callback, long next, long period) : ITimer
        {
            private long _next = next;

            // Frames that were missed are not made up for.
            internal void Run(long now)
            {
                if (now >= _next)
                {
                    _next = now + period;
                    callback();
                }
            }

            public bool Change(TimeSpan dueTime, TimeSpan period) => false;

            public void Dispose() => owner._timers.Remove(this);

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
