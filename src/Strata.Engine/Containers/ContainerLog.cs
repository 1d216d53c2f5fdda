using System.Buffers.Text;
using System.Runtime.CompilerServices;

namespace Strata.Containers;

/// <summary>
/// A container's output as conmon keeps it (the kubelet's CRI format): <c>TIME STREAM TAG TEXT\n</c>. STREAM is stdout or stderr; TAG is F, or P
/// where the text is only a part of its line and has no line break of its own. Text is bytes: it need not be UTF-8.
/// </summary>
/// <param name="Time">RFC 3339 with nanoseconds.</param>
/// <param name="IsError">Whether it was written to the error output.</param>
/// <param name="IsPartial">Whether the line goes on in the next one.</param>
/// <param name="Text">The text, without the line break.</param>
public sealed record LogLine(string Time, bool IsError, bool IsPartial, ReadOnlyMemory<byte> Text);

/// <summary>Which lines of a log.</summary>
public sealed record LogOptions
{
    /// <summary>Go on until the container is over.</summary>
    public bool Follow { get; init; }
    /// <summary>Only the last so many lines of what is there; all where null.</summary>
    public int? Tail { get; init; }
    /// <summary>Only lines written then or later.</summary>
    public DateTimeOffset? Since { get; init; }
    /// <summary>Only lines written then or before.</summary>
    public DateTimeOffset? Until { get; init; }
}

/// <summary>Reads the logs of containers.</summary>
internal static class ContainerLog
{
    // conmon writes at most 8 KiB of text as one line; much more than that is no log of its making.
    private const int MaxLineBytes = 1 << 20;
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(20);

    /// <summary>The lines of a log file that conmon may still write to; <paramref name="isOver"/> tells when it does not any more.</summary>
    public static async IAsyncEnumerable<LogLine> ReadAsync(string path, LogOptions options, Func<bool> isOver, TimeProvider time, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (!File.Exists(path))
        {
            yield break;
        }
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        var reader = new LineReader(file, path);
        if (options.Tail is { } tail)
        {
            foreach (LogLine line in Last(tail, reader, options))
            {
                yield return line;
            }
        }
        while (true)
        {
            bool over = !options.Follow || isOver() || (options.Until is { } end && time.GetUtcNow() > end); // asked before the last read, so that nothing written before the end is missed
            while (reader.TryRead() is { } line)
            {
                if (IsWanted(line, options))
                {
                    yield return line;
                }
            }
            if (over)
            {
                yield break;
            }
            await Task.Delay(s_pause, time, cancellationToken).ConfigureAwait(false);
        }
    }

    // The last lines that are there now; parts of one line count as one.
    private static Queue<LogLine> Last(int count, LineReader reader, LogOptions options)
    {
        var kept = new Queue<LogLine>();
        int whole = 0;
        while (reader.TryRead() is { } line)
        {
            if (!IsWanted(line, options))
            {
                continue;
            }
            kept.Enqueue(line);
            whole += line.IsPartial ? 0 : 1;
            while (whole > count)
            {
                whole -= kept.Dequeue().IsPartial ? 0 : 1;
            }
        }
        return kept;
    }

    private static bool IsWanted(LogLine line, LogOptions options)
        => (options.Since is null && options.Until is null) || !DateTimeOffset.TryParse(line.Time, System.Globalization.CultureInfo.InvariantCulture, out DateTimeOffset at)
            || ((options.Since is not { } since || at >= since) && (options.Until is not { } until || at <= until));

    /// <summary>Splits a growing file into lines, at \n alone.</summary>
    private sealed class LineReader(FileStream file, string path)
    {
        private byte[] _buffer = new byte[1 << 14];
        private int _start, _end;

        /// <summary>The next whole line, or null where the file has none now.</summary>
        public LogLine? TryRead()
        {
            while (true)
            {
                int length = _buffer.AsSpan(_start, _end - _start).IndexOf((byte)'\n');
                if (length >= 0)
                {
                    LogLine line = Parse(_buffer.AsSpan(_start, length).ToArray());
                    _start += length + 1;
                    return line;
                }
                if (!Fill())
                {
                    return null;
                }
            }
        }

        private bool Fill()
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
            if (_end == _buffer.Length)
            {
                if (_end >= MaxLineBytes)
                {
                    throw Damaged();
                }
                Array.Resize(ref _buffer, _buffer.Length * 2);
            }
            int read = file.Read(_buffer, _end, _buffer.Length - _end);
            _end += read;
            return read > 0;
        }

        private LogLine Parse(byte[] line)
        {
            ReadOnlySpan<byte> rest = line;
            int first = rest.IndexOf((byte)' ');
            // "TIME stdout F " or "TIME stderr P ": both streams have six letters.
            const int streamAndTag = 6 + 1 + 1 + 1;
            if (first < 0 || line.Length < first + 1 + streamAndTag || !Utf8Parser.TryParse(rest[..4], out int _, out _))
            {
                throw Damaged();
            }
            ReadOnlySpan<byte> stream = rest.Slice(first + 1, 6);
            byte tag = rest[first + 8];
            if (!(stream.SequenceEqual("stdout"u8) || stream.SequenceEqual("stderr"u8)) || tag is not ((byte)'F' or (byte)'P'))
            {
                throw Damaged();
            }
            return new LogLine(System.Text.Encoding.ASCII.GetString(rest[..first]), stream.SequenceEqual("stderr"u8), tag == (byte)'P', line.AsMemory(first + 1 + streamAndTag));
        }

        private StrataException Damaged() => new(ErrorKind.Corrupt, $"log {path}: a line is not as conmon writes it");
    }
}
