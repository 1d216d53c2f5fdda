using Strata.Linux;

namespace Strata.Server.Registry;

/// <summary>
/// What files say, read again when they have changed. Read for the first time when it is made, and then it must be right; later a file that cannot be
/// understood changes nothing, and the operator is told.
/// </summary>
internal sealed class ReloadedFile<T> where T : class
{
    private static readonly TimeSpan s_lookAgain = TimeSpan.FromSeconds(1);

    private readonly Lock _turn = new();
    private readonly string[] _paths;
    private readonly Func<T> _read;
    private readonly TimeProvider _time;
    private readonly Action<string>? _notify;
    private FileStatus?[] _seen;
    private T _value;
    private long _looked;

    public ReloadedFile(string[] paths, Func<T> read, TimeProvider time, Action<string>? notify)
    {
        (_paths, _read, _time, _notify) = (paths, read, time, notify);
        _seen = Look(); // before the read: what changes meanwhile is read again
        _value = read();
        _looked = time.GetTimestamp();
    }

    /// <summary>What they say now.</summary>
    public T Value
    {
        get
        {
            lock (_turn)
            {
                if (_time.GetElapsedTime(_looked) >= s_lookAgain)
                {
                    Refresh();
                }
                return _value;
            }
        }
    }

    private void Refresh()
    {
        _looked = _time.GetTimestamp();
        FileStatus?[] now = Look();
        if (now.SequenceEqual(_seen))
        {
            return;
        }
        try
        {
            _value = _read();
            _notify?.Invoke($"{string.Join(", ", _paths)}: read again");
        }
        catch (StrataException e)
        {
            _notify?.Invoke($"{e.Message}; what was read before still holds");
        }
        _seen = now;
    }

    private FileStatus?[] Look() => [.. _paths.Select(p => FileSystems.TryGetStatus(p, follow: true))];
}

internal static class ServerFiles
{
    /// <summary>A small file that the operator named.</summary>
    /// <exception cref="StrataException">Invalid: it cannot be read, or is larger than any such file.</exception>
    public static byte[] Read(string path)
    {
        const int Most = 4 << 20;
        try
        {
            byte[] bytes = FileSystems.TryRead(path, Most) ?? throw new StrataException(ErrorKind.Invalid, $"{path}: no such file");
            return bytes.Length <= Most ? bytes : throw new StrataException(ErrorKind.Invalid, $"{path}: more than {Most} bytes");
        }
        catch (LinuxException e)
        {
            throw new StrataException(ErrorKind.Invalid, e.Message, e);
        }
    }
}
