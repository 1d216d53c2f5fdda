using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Strata.Linux;

/// <summary>
/// Starts programs with posix_spawn (a vfork underneath: no copy of our address space), with exactly the descriptors, environment and
/// signals that are named, and waits for them by pidfd. Started from the calling thread, so in that thread's mount namespace.
/// The base library's Process is not used beside it: two reapers in one process steal each other's children.
/// </summary>
public sealed class ChildProcess : IDisposable
{
    private const int P_PIDFD = 3, WEXITED = 4, CLD_EXITED = 1;
    private const int F_DUPFD_CLOEXEC = 1030;
    private const short POSIX_SPAWN_SETSIGDEF = 4, POSIX_SPAWN_SETSIGMASK = 8, POSIX_SPAWN_SETSID = 0x80;
    private static readonly string[] s_moreFolders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/libexec/podman", "/usr/lib/podman"];
    private readonly ProcessHandle _process;
    private int? _exitCode;

    private ChildProcess(int id) => (Id, _process) = (id, ProcessHandle.Open(id));

    /// <summary>Process id.</summary>
    public int Id { get; }

    /// <summary>Starts a program.</summary>
    /// <exception cref="LinuxException">posix_spawn failed: ENOENT where the program is not there, EACCES where it is not executable.</exception>
    public static ChildProcess Start(ChildStart start)
    {
        ArgumentNullException.ThrowIfNull(start);
        var lent = new List<SafeHandle>();
        var copies = new List<SafeFileHandle>();
        try
        {
            Dictionary<int, int> descriptors = Arrange(start, lent, copies);
            return new ChildProcess(Spawn(start, descriptors));
        }
        finally
        {
            copies.ForEach(c => c.Dispose());
            lent.ForEach(h => h.DangerousRelease());
        }
    }

    /// <summary>Starts, gives it no input, collects both outputs (each at most <paramref name="outputLimit"/> bytes; what is beyond is dropped), waits.</summary>
    public static async ValueTask<ChildResult> RunAsync(ChildStart start, int outputLimit = 1 << 20, CancellationToken cancellationToken = default)
    {
        (ChildProcess child, FileStream output, FileStream error) = StartCollected(start);
        using (child)
        await using (output.ConfigureAwait(false))
        await using (error.ConfigureAwait(false))
        {
            Task<byte[]> outText = CollectAsync(output, outputLimit), errText = CollectAsync(error, outputLimit);
            try
            {
                int code = await child.WaitAsync(cancellationToken).ConfigureAwait(false);
                return new ChildResult(code, await outText.ConfigureAwait(false), await errText.ConfigureAwait(false));
            }
            catch (OperationCanceledException)
            {
                child.Kill(9);
                child.Wait();
                throw;
            }
        }
    }

    /// <summary>The same, on the calling thread: for work inside <see cref="Mounts.RunInPrivateNamespace{T}(Func{T})"/>.</summary>
    public static ChildResult Run(ChildStart start, int outputLimit = 1 << 20)
    {
        (ChildProcess child, FileStream output, FileStream error) = StartCollected(start);
        using (child)
        using (output)
        using (error)
        {
            // One pipe is emptied by another thread: a child that fills both must not wait for us for ever.
            byte[] errText = [];
            var reader = new Thread(() => errText = Collect(error, outputLimit)) { IsBackground = true };
            reader.Start();
            byte[] outText = Collect(output, outputLimit);
            reader.Join();
            return new ChildResult(child.Wait(), outText, errText);
        }
    }

    /// <summary>The absolute path of a program on PATH (or of a path with a slash, as it is), or null.</summary>
    public static string? FindProgram(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (name.Contains('/', StringComparison.Ordinal))
        {
            return IsProgram(name) ? Path.GetFullPath(name) : null;
        }
        IEnumerable<string> folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries).Where(f => f.StartsWith('/'));
        return folders.Concat(s_moreFolders).Select(folder => Path.Combine(folder, name)).FirstOrDefault(IsProgram);
    }

    /// <summary>Waits for its end: the exit code, or 128 + the signal that ended it. Cancelling stops the waiting, not the process.</summary>
    public async ValueTask<int> WaitAsync(CancellationToken cancellationToken = default)
    {
        await _process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
        return Wait();
    }

    /// <summary>Waits on the calling thread.</summary>
    public unsafe int Wait()
    {
        if (_exitCode is { } known)
        {
            return known;
        }
        const int SiginfoBytes = 128, CodeOffset = 8, StatusOffset = 24; // siginfo_t: si_signo, si_errno, si_code; si_pid, si_uid, si_status
        byte* info = stackalloc byte[SiginfoBytes];
        while (Native.waitid(P_PIDFD, (uint)_process.Handle.Fd(), info, WEXITED, 0) != 0)
        {
            if (Native.LastErrno is not Errno.EINTR)
            {
                throw Native.Failure("waitid", $"(process {Id})");
            }
        }
        var bytes = new ReadOnlySpan<byte>(info, SiginfoBytes);
        int status = BinaryPrimitives.ReadInt32LittleEndian(bytes[StatusOffset..]);
        _exitCode = BinaryPrimitives.ReadInt32LittleEndian(bytes[CodeOffset..]) == CLD_EXITED ? status : 128 + status;
        return _exitCode.Value;
    }

    /// <summary>Sends a signal by pidfd. Gone already is no error.</summary>
    public void Kill(int signal) => _process.Kill(signal);

    /// <inheritdoc/>
    public void Dispose() => _process.Dispose();

    private static bool IsProgram(string path)
    {
        try
        {
            return FileSystems.TryGetStatus(path, follow: true) is { Kind: FileKind.Regular } status && (status.Mode & 0b001_001_001) != 0;
        }
        catch (LinuxException e) when (e.Errno is Errno.EACCES)
        {
            return false; // a folder of PATH that is another user's
        }
    }

    private static (ChildProcess Child, FileStream Output, FileStream Error) StartCollected(ChildStart start)
    {
        (SafeFileHandle outRead, SafeFileHandle outWrite) = Pipes.Create();
        (SafeFileHandle errRead, SafeFileHandle errWrite) = Pipes.Create();
        using (outWrite)
        using (errWrite)
        {
            var descriptors = new Dictionary<int, SafeHandle>(start.Descriptors) { [1] = outWrite, [2] = errWrite };
            try
            {
                ChildProcess child = Start(start with { Descriptors = descriptors });
                return (child, new FileStream(outRead, FileAccess.Read, 0), new FileStream(errRead, FileAccess.Read, 0));
            }
            catch (LinuxException)
            {
                outRead.Dispose();
                errRead.Dispose();
                throw;
            }
        }
    }

    private static async Task<byte[]> CollectAsync(FileStream stream, int limit)
    {
        using var kept = new MemoryStream();
        byte[] buffer = new byte[1 << 14];
        int read;
        while ((read = await stream.ReadAsync(buffer).ConfigureAwait(false)) > 0)
        {
            kept.Write(buffer, 0, (int)Math.Min(read, limit - kept.Length));
        }
        return kept.ToArray();
    }

    private static byte[] Collect(FileStream stream, int limit)
    {
        using var kept = new MemoryStream();
        byte[] buffer = new byte[1 << 14];
        int read;
        while ((read = stream.Read(buffer)) > 0)
        {
            kept.Write(buffer, 0, (int)Math.Min(read, limit - kept.Length));
        }
        return kept.ToArray();
    }

    // Sources are first copied above all targets, so that putting one in its place never overwrites another.
    private static Dictionary<int, int> Arrange(ChildStart start, List<SafeHandle> lent, List<SafeFileHandle> copies)
    {
        int above = 3;
        foreach ((int target, _) in start.Descriptors)
        {
            above = Math.Max(above, target + 1);
        }
        var result = new Dictionary<int, int>();
        foreach ((int target, SafeHandle handle) in start.Descriptors)
        {
            bool added = false;
            handle.DangerousAddRef(ref added);
            lent.Add(handle);
            result[target] = Duplicate(handle.Fd(), above, copies);
        }
        SafeFileHandle? nothing = null;
        for (int standard = 0; standard <= 2; standard++)
        {
            if (result.ContainsKey(standard))
            {
                continue;
            }
            if (start.InheritStandardStreams)
            {
                result[standard] = Duplicate(standard, above, copies);
                continue;
            }
            if (nothing is null)
            {
                copies.Add(nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));
            }
            result[standard] = Duplicate(nothing.Fd(), above, copies);
        }
        return result;
    }

    private static int Duplicate(int fd, int above, List<SafeFileHandle> copies)
    {
        int copy = Native.fcntl(fd, F_DUPFD_CLOEXEC, above);
        if (copy < 0)
        {
            throw Native.Failure("fcntl", "(descriptor)");
        }
        copies.Add(copy.ToHandle());
        return copy;
    }

    private static unsafe int Spawn(ChildStart start, Dictionary<int, int> descriptors)
    {
        // sizeof(posix_spawn_file_actions_t) is 80 and posix_spawnattr_t 336 in glibc on 64-bit; sigset_t 128.
        const int ActionsBytes = 128, AttributesBytes = 512, SignalSetBytes = 128;
        byte* actions = stackalloc byte[ActionsBytes];
        byte* attributes = stackalloc byte[AttributesBytes];
        byte* none = stackalloc byte[SignalSetBytes];
        byte* all = stackalloc byte[SignalSetBytes];
        new Span<byte>(none, SignalSetBytes).Clear();
        new Span<byte>(all, SignalSetBytes).Fill(0xFF);
        Check(Native.posix_spawn_file_actions_init(actions), start);
        Check(Native.posix_spawnattr_init(attributes), start);
        using var arguments = new StringVector([start.Program, .. start.Arguments]);
        using var environment = new StringVector(start.Environment ?? CleanEnvironment());
        try
        {
            // The runtime's own handlers and masks are not the child's business.
            Check(Native.posix_spawnattr_setsigmask(attributes, none), start);
            Check(Native.posix_spawnattr_setsigdefault(attributes, all), start);
            Check(Native.posix_spawnattr_setflags(attributes, (short)(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | (start.NewSession ? POSIX_SPAWN_SETSID : 0))), start);
            foreach ((int target, int source) in descriptors)
            {
                Check(Native.posix_spawn_file_actions_adddup2(actions, source, target), start);
            }
            if (start.WorkingDirectory is { } folder)
            {
                fixed (byte* name = PathBytes.Of(folder, "chdir"))
                {
                    Check(Native.posix_spawn_file_actions_addchdir_np(actions, name), start);
                }
            }
            int pid;
            fixed (byte* program = PathBytes.Of(start.Program, "posix_spawn"))
            {
                Check(Native.posix_spawn(&pid, program, actions, attributes, arguments.Pointer, environment.Pointer), start);
            }
            return pid;
        }
        finally
        {
            _ = Native.posix_spawn_file_actions_destroy(actions);
            _ = Native.posix_spawnattr_destroy(attributes);
        }
    }

    private static void Check(int error, ChildStart start)
    {
        if (error != 0)
        {
            throw new LinuxException("posix_spawn", start.Program, (Errno)error);
        }
    }

    private static List<string> CleanEnvironment()
    {
        var kept = new List<string>();
        foreach (string name in new[] { "PATH", "HOME", "LANG", "TZ", UserNamespace.Variable })
        {
            if (Environment.GetEnvironmentVariable(name) is { } value)
            {
                kept.Add($"{name}={value}");
            }
        }
        return kept;
    }
}

/// <summary>What to start, and how.</summary>
public sealed record ChildStart
{
    /// <summary>Absolute path of the program.</summary>
    public required string Program { get; init; }
    /// <summary>Arguments, without the program's own name.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];
    /// <summary>The whole environment, <c>NAME=value</c>. Null: PATH, HOME, LANG and TZ of this process and the user namespace it is in, nothing else (no proxies, no credentials).</summary>
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
    /// <summary>The output as text, trimmed.</summary>
    public string OutputText => Encoding.UTF8.GetString(Output).Trim();
    /// <summary>The error output as text, trimmed.</summary>
    public string ErrorText => Encoding.UTF8.GetString(Error).Trim();
}
