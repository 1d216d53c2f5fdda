using System.Runtime.InteropServices;

namespace Strata.Linux;

/// <summary>
/// Starts programs with posix_spawn (a vfork underneath: no copy of our address space), with exactly the descriptors, environment and
/// signals that are named, and waits for them by pidfd. Started from the calling thread, so in that thread's mount namespace.
/// The base library's Process is not used beside it: two reapers in one process steal each other's children.
/// </summary>
public sealed class ChildProcess : IDisposable
{
    private ChildProcess() { }

    /// <summary>Starts a program.</summary>
    /// <exception cref="LinuxException">posix_spawn failed: ENOENT where the program is not there, EACCES where it is not executable.</exception>
    public static ChildProcess Start(ChildStart start) => throw new NotImplementedException(start.Program);

    /// <summary>Starts, gives it no input, collects both outputs (each at most <paramref name="outputLimit"/> bytes; what is beyond is dropped), waits.</summary>
    public static ValueTask<ChildResult> RunAsync(ChildStart start, int outputLimit = 1 << 20, CancellationToken cancellationToken = default) => throw new NotImplementedException(start.Program);

    /// <summary>The absolute path of a program on PATH (or of a path with a slash, as it is), or null.</summary>
    public static string? FindProgram(string name) => throw new NotImplementedException(name);

    /// <summary>Process id.</summary>
    public int Id => throw new NotImplementedException();

    /// <summary>Waits for its end: the exit code, or 128 + the signal that ended it. Cancelling stops the waiting, not the process.</summary>
    public ValueTask<int> WaitAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Sends a signal by pidfd. Gone already is no error.</summary>
    public void Kill(int signal) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Dispose() => throw new NotImplementedException();
}

/// <summary>What to start, and how.</summary>
public sealed record ChildStart
{
    /// <summary>Absolute path of the program.</summary>
    public required string Program { get; init; }
    /// <summary>Arguments, without the program's own name.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];
    /// <summary>The whole environment, <c>NAME=value</c>. Null: PATH, HOME, LANG and TZ of this process, nothing else (no proxies, no credentials).</summary>
    public IReadOnlyList<string>? Environment { get; init; }
    /// <summary>Working directory; this process's where null.</summary>
    public string? WorkingDirectory { get; init; }
    /// <summary>Descriptor numbers in the child, and what they are. 0, 1 and 2 are /dev/null where not named. All others are closed (CLOEXEC).</summary>
    public IReadOnlyDictionary<int, SafeHandle> Descriptors { get; init; } = new Dictionary<int, SafeHandle>();
    /// <summary>Gives the child this process's stdin, stdout and stderr where <see cref="Descriptors"/> says nothing else.</summary>
    public bool InheritStandardStreams { get; init; }
    /// <summary>Makes the child the leader of a new session.</summary>
    public bool NewSession { get; init; }
}

/// <summary>How a program ended and what it said.</summary>
public sealed record ChildResult(int ExitCode, byte[] Output, byte[] Error)
{
    /// <summary>The outputs as text, trimmed.</summary>
    public string OutputText => System.Text.Encoding.UTF8.GetString(Output).Trim();
    /// <summary>The error output as text, trimmed.</summary>
    public string ErrorText => System.Text.Encoding.UTF8.GetString(Error).Trim();
}
