using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Containers;

/// <summary>
/// Starts a container under conmon: a small process that outlives us, holds the container's streams, logs them, lets clients attach, and writes
/// down the exit code. What we say to it and it to us (conmon.8 is silent about most):
/// <code>
/// environment _OCI_STARTPIPE=4     it begins when something comes there
/// environment _OCI_SYNCPIPE=3      it writes one line of JSON there: {"pid": PID} or {"pid": -1, "message": "what the runtime said"}
/// BUNDLE/attach                    SOCK_SEQPACKET. From it: a byte (2 output, 3 error output), then data. To it: plain input; shutdown ends the input
/// BUNDLE/ctl                       FIFO: "1 ROWS COLUMNS\n" resizes the terminal
/// BUNDLE/exits/ID, PERSIST/exit    the exit code in decimal, written when the container's process is gone
/// </code>
/// </summary>
public sealed partial class Conmon
{
    private const int FirstHeld = 5; // behind the pipes of _OCI_SYNCPIPE and _OCI_STARTPIPE

    private readonly string _binary;
    private string? _program;

    /// <summary>Creates a driver for a binary.</summary>
    public Conmon(string binary) => _binary = binary;

    /// <summary>Absolute path of the binary.</summary>
    /// <exception cref="ContainerStartException">It is not installed.</exception>
    public string Program => _program ??= OciRuntime.Find(_binary, "the container monitor", "conmon");

    /// <summary>Where a client attaches.</summary>
    internal static string AttachSocket(string bundle) => Path.Combine(bundle, "attach");

    /// <summary>Where the process id of the container's first process is.</summary>
    internal static string ContainerPidFile(string bundle) => Path.Combine(bundle, "pid");

    /// <summary>The name of the file with the exit code, in the persistent directory.</summary>
    internal const string ExitFile = "exit";
    private const int ExitFileLimit = 64;

    /// <summary>Resizes the terminal of a running container.</summary>
    internal static void Resize(string bundle, int rows, int columns)
    {
        using FileStream control = new(Path.Combine(bundle, "ctl"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        control.Write(System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"1 {rows} {columns}\n")));
    }

    /// <summary>
    /// Starts conmon for a bundle, whose config.json is written before <see cref="ConmonProcess.Go"/>: it loads its libraries meanwhile. Called inside a
    /// private mount namespace, which conmon and the container then hold; what is mounted there until it goes is mounted for both. It keeps the descriptors it is given open as long as it lives; the container gets none of them.
    /// </summary>
    internal ConmonProcess Start(OciRuntime runtime, ConmonStart start)
    {
        string exits = Path.Combine(start.Bundle, "exits");
        Directory.CreateDirectory(exits);
        List<string> arguments =
        [
            .. Common(runtime, start), "--container-pidfile", ContainerPidFile(start.Bundle), "--exit-dir", exits, "--log-path", "k8s-file:" + start.LogFile, "--no-sync-log",
        ];
        if (start.LeaveInputOpen)
        {
            arguments.Add("--leave-stdin-open");
        }
        if (start.ExitCommand is { } command)
        {
            AddExitCommand(arguments, command);
        }
        (SafeFileHandle read, SafeFileHandle write) = Pipes.Create();
        (SafeFileHandle startRead, SafeFileHandle startWrite) = Pipes.Create();
        using (write)
        using (startRead)
        {
            ChildProcess process = ChildProcess.Start(new ChildStart
            {
                Program = Program,
                Arguments = arguments,
                Environment = [.. WithRuntimeOfOurs(start.ExitCommand is not null), "_OCI_STARTPIPE=4"],
                WorkingDirectory = start.Bundle,
                Descriptors = Descriptors(write, startRead, start.Held),
                NewSession = true,
            });
            return new ConmonProcess(process, read, startWrite);
        }
    }

    private static Dictionary<int, System.Runtime.InteropServices.SafeHandle> Descriptors(SafeFileHandle sync, SafeFileHandle start, IReadOnlyList<System.Runtime.InteropServices.SafeHandle> held)
    {
        var descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [3] = sync, [4] = start };
        for (int i = 0; i < held.Count; i++)
        {
            descriptors[FirstHeld + i] = held[i];
        }
        return descriptors;
    }

    private static readonly string[] s_environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "_OCI_SYNCPIPE=3"];

    private static List<string> Common(OciRuntime runtime, ConmonStart start)
    {
        List<string> arguments =
        [
            "--cid", start.ContainerId, "--cuuid", start.ContainerId, "--name", start.ContainerId, "--runtime", runtime.Program, "--bundle", start.Bundle, "--full-attach",
            "--persist-dir", start.Persistent, "--log-level", "error", "--sync",
        ];
        foreach (string argument in runtime.GlobalArguments)
        {
            arguments.Add("--runtime-arg");
            arguments.Add(argument);
        }
        if (start.Terminal)
        {
            arguments.Add("--terminal");
        }
        if (start.Input)
        {
            arguments.Add("--stdin");
        }
        return arguments;
    }

    /// <summary>The exit code in a container's persistent directory and when it was written, or null where the container did not end (or was not watched when it did).</summary>
    internal static (int Code, DateTimeOffset At)? TryReadExit(string persistent)
    {
        string path = Path.Combine(persistent, ExitFile);
        // Conmon truncates and writes in one step each: an empty file is on its way.
        return FileSystems.TryRead(path, ExitFileLimit) is { } text && int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int code)
            ? (code, new DateTimeOffset(File.GetLastWriteTimeUtc(path), TimeSpan.Zero)) : null;
    }
}

/// <summary>A conmon that we started, and its first words.</summary>
internal sealed class ConmonProcess(ChildProcess process, SafeFileHandle sync, SafeFileHandle start) : IDisposable
{
    private const int LastLooks = 8; // in a row: what it wrote before is in the pipe by then
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(250), s_patience = TimeSpan.FromMinutes(1);

    /// <summary>The monitor itself. It ends after the container.</summary>
    public ChildProcess Process { get; } = process;

    /// <summary>Lets it begin, or go on.</summary>
    public void Go() => Files.Write(start, "0\n"u8, "(start pipe)");

    /// <summary>Waits until the runtime has created the container; returns the process id of its first process.</summary>
    /// <remarks>On the calling thread: it takes as long as a program takes to start, and threads and tasks for it would take a part of that again.</remarks>
    /// <exception cref="ContainerStartException">The runtime could not.</exception>
    public int ReadCreated(string program, CancellationToken cancellationToken)
    {
        byte[]? line = ReadWords(cancellationToken);
        if (line is null)
        {
            throw new ContainerStartException(125, string.Create(CultureInfo.InvariantCulture, $"conmon ended with {Process.Wait()} before the container was created"));
        }
        JsonFields words = JsonFields.Parse(line);
        int pid = words.MaybeInt32("pid") ?? words.MaybeInt32("data") ?? -1;
        return pid > 0 ? pid : throw ContainerStartException.FromRuntime(words.MaybeString("message") ?? "", program);
    }

    // Its first line, or null where there is none. Killed helpers say nothing, and a process that they leave may hold their pipes open: then nobody else
    // would ever end this wait.
    private byte[]? ReadWords(CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[4096];
        int length = 0, looks = 0;
        for (TimeSpan waited = TimeSpan.Zero; ;)
        {
            if (Pipes.WaitReadable(sync, s_look))
            {
                if (length == buffer.Length)
                {
                    Array.Resize(ref buffer, length * 2);
                }
                int read = Pipes.Read(sync, buffer.AsSpan(length));
                int end = Array.IndexOf(buffer, (byte)'\n', length, read);
                length += read;
                if (end >= 0 || read == 0)
                {
                    return end >= 0 ? buffer[..end] : length > 0 ? buffer[..length] : null;
                }
                continue;
            }
            cancellationToken.ThrowIfCancellationRequested();
            waited += s_look;
            bool hasEnded = LiveProcess.TryGetStart(Process.Id) is null;
            looks = hasEnded || HasLostRuntime() ? looks + 1 : 0;
            if (looks == LastLooks || waited > s_patience)
            {
                string who = hasEnded ? "conmon ended" : looks == LastLooks ? "the runtime ended" : string.Create(CultureInfo.InvariantCulture, $"nothing happened for {s_patience.TotalSeconds} s");
                throw new ContainerStartException(125, $"{who} before the container was created");
            }
        }
    }

    // What conmon has below it is all in the container's process namespace: the runtime, which is not, has left it behind.
    private bool HasLostRuntime()
    {
        int own = LiveProcess.NamespacesOf(Process.Id);
        IReadOnlyList<int> children = LiveProcess.ChildrenOf(Process.Id);
        return own > 0 && children.Count > 0 && children.All(c => LiveProcess.NamespacesOf(c) > own);
    }

    /// <summary>Kills the monitor and what it has below it.</summary>
    public void KillAll()
    {
        const int Kill = 9;
        foreach (int child in LiveProcess.ChildrenOf(Process.Id))
        {
            if (LiveProcess.TryGetStart(child) is { } started)
            {
                LiveProcess.Signal(child, started, Kill);
            }
        }
        Process.Kill(Kill);
    }

    public void Dispose()
    {
        start.Dispose();
        sync.Dispose();
        Process.Dispose();
    }
}
