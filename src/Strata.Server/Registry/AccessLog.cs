using System.Globalization;
using System.Text;
using Strata.Linux;

namespace Strata.Server.Registry;

/// <summary>
/// A line for each request: time, client, user, method, path, status, bytes, milliseconds, and the trace where there is one. No query, no header and no body: what could be secret is in
/// those. What a stranger wrote is escaped, so that a line is a line.
/// </summary>
public sealed class AccessLog : IDisposable
{
    private static readonly TimeSpan s_lookAgain = TimeSpan.FromSeconds(1);

    private readonly Lock _turn = new();
    private readonly TimeProvider _time;
    private readonly string? _path;
    private readonly Action<string>? _write;
    private FileStream? _file;
    private ulong _inode;
    private long _looked;

    private AccessLog(string? path, Action<string>? write, TimeProvider time) => (_path, _write, _time) = (path, write, time);

    /// <summary>Lines to a file, which is made (0600) where missing and opened again when somebody has moved it away.</summary>
    /// <exception cref="StrataException">Invalid: it cannot be written.</exception>
    public static AccessLog ToFile(string path, TimeProvider? time = null)
    {
        AccessLog log = new(path, null, time ?? TimeProvider.System);
        log.Open();
        return log;
    }

    /// <summary>Lines to wherever the function puts them.</summary>
    public static AccessLog To(Action<string> write, TimeProvider? time = null) => new(null, write, time ?? TimeProvider.System);

    internal void Write(in AccessLine line)
    {
        string text = string.Create(CultureInfo.InvariantCulture,
            $"{_time.GetUtcNow():yyyy-MM-ddTHH:mm:ss.fffZ} {line.Client} {(line.User is null ? "-" : Escape(line.User))} {Escape(line.Method)} {Escape(line.Path)} {line.Status} {line.Bytes} {line.Elapsed.TotalMilliseconds:F1}{(line.Trace is null ? "" : " ")}{line.Trace}");
        lock (_turn)
        {
            if (_write is not null)
            {
                _write(text);
                return;
            }
            if (_time.GetElapsedTime(_looked) > s_lookAgain)
            {
                Reopen();
            }
            _file?.Write(Encoding.UTF8.GetBytes(text + "\n"));
        }
    }

    // A line of a log has blanks between its fields, and ends at its end: whatever is not a plain character is %XX, as in a URL.
    internal static string Escape(string text)
    {
        const int Most = 1024;
        if (text.Length is > 0 and <= Most && !text.AsSpan().ContainsAnyExceptInRange('!', '~'))
        {
            return text;
        }
        StringBuilder escaped = new();
        foreach (byte b in Encoding.UTF8.GetBytes(text.Length > Most ? text[..Most] : text))
        {
            _ = b is > 0x20 and < 0x7f ? escaped.Append((char)b) : escaped.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
        }
        return escaped.Length == 0 ? "-" : escaped.Append(text.Length > Most ? "..." : "").ToString();
    }

    private void Reopen()
    {
        _looked = _time.GetTimestamp();
        if (FileSystems.TryGetStatus(_path!)?.Inode != _inode)
        {
            _file?.Dispose();
            _file = null;
            try
            {
                Open();
            }
            catch (StrataException)
            {
                _inode = 0; // its folder is not there just now: requests are answered all the same, and it is tried again
            }
        }
    }

    private void Open()
    {
        try
        {
            _file = new FileStream(_path!, new FileStreamOptions { Mode = FileMode.Append, Access = FileAccess.Write, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StrataException(ErrorKind.Invalid, $"access log {_path}: {e.Message}", e);
        }
        _inode = FileSystems.TryGetStatus(_path!)?.Inode ?? 0;
        _looked = _time.GetTimestamp();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_turn)
        {
            _file?.Dispose();
            _file = null;
        }
    }
}

/// <summary>What a line of the access log says. A status of 499 is an answer that did not get to its end.</summary>
internal readonly record struct AccessLine(string Client, string? User, string Method, string Path, int Status, long Bytes, TimeSpan Elapsed)
{
    /// <summary>The W3C trace it is part of, 32 hex digits; null: none.</summary>
    public string? Trace { get; init; }
}
