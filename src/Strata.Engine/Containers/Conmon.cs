using System.Globalization;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>
/// Starts a container under conmon: a small process that outlives us, holds the container's streams, logs them, lets clients attach, and writes
/// down the exit code. What we say to it and it to us (conmon.8 is silent about most):
/// <code>
/// environment _OCI_SYNCPIPE=3      it writes one line of JSON there: {"pid": PID} or {"pid": -1, "message": "what the runtime said"}
/// BUNDLE/attach                    SOCK_SEQPACKET. From it: a byte (2 output, 3 error output), then data. To it: plain input; shutdown ends the input
/// BUNDLE/ctl                       FIFO: "1 ROWS COLUMNS\n" resizes the terminal
/// BUNDLE/exits/ID, PERSIST/exit    the exit code in decimal, written when the container's process is gone
/// </code>
/// </summary>
public sealed partial class Conmon
{
    private const int FirstHeld = 4; // behind the pipe of _OCI_SYNCPIPE

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

    /// <summary>Resizes the terminal of a running container.</summary>
    internal static void Resize(string bundle, int rows, int columns)
    {
        using FileStream control = new(Path.Combine(bundle, "ctl"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        control.Write(System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"1 {rows} {columns}\n")));
    }

    /// <summary>
    /// Starts conmon for a bundle whose config.json is written. Called inside a private mount namespace, which conmon and the container then hold.
    /// It keeps the descriptors it is given open as long as it lives; the container gets none of them.
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
        using (write)
        {
            ChildProcess process = ChildProcess.Start(new ChildStart
            {
                Program = Program,
                Arguments = arguments,
                Environment = start.ExitCommand is null ? s_environment : WithRuntimeOfOurs(),
                WorkingDirectory = start.Bundle,
                Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle>(start.Held.Select((h, i) => KeyValuePair.Create(FirstHeld + i, h))) { [3] = write },
                NewSession = true,
            });
            return new ConmonProcess(process, read);
        }
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
        try
        {
            string text = File.ReadAllText(path);
            // Conmon truncates and writes in one step each: an empty file is on its way.
            return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int code)
                ? (code, new DateTimeOffset(File.GetLastWriteTimeUtc(path), TimeSpan.Zero)) : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }
}

/// <summary>A conmon that we started, and its first words.</summary>
internal sealed class ConmonProcess(ChildProcess process, SafeFileHandle sync) : IDisposable
{
    private const int LastLooks = 8; // in a row: what it wrote before is in the pipe by then
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(250), s_patience = TimeSpan.FromMinutes(1);

    /// <summary>The monitor itself. It ends after the container.</summary>
    public ChildProcess Process { get; } = process;

    /// <summary>Waits until the runtime has created the container; returns the process id of its first process.</summary>
    /// <exception cref="ContainerStartException">The runtime could not.</exception>
    public async ValueTask<int> ReadCreatedAsync(string program, CancellationToken cancellationToken)
    {
        using StreamReader reader = new(new FileStream(sync, FileAccess.Read, bufferSize: 0));
        Task<string?> reading = reader.ReadLineAsync(cancellationToken).AsTask();
        await WaitForWordsAsync(reading, cancellationToken).ConfigureAwait(false);
        string? line = await reading.ConfigureAwait(false);
        if (line is null)
        {
            int exitCode = await Process.WaitAsync(cancellationToken).ConfigureAwait(false);
            throw new ContainerStartException(125, string.Create(CultureInfo.InvariantCulture, $"conmon ended with {exitCode} before the container was created"));
        }
        using JsonDocument words = JsonDocument.Parse(line);
        int pid = words.RootElement.TryGetProperty("pid", out JsonElement value) || words.RootElement.TryGetProperty("data", out value) ? value.GetInt32() : -1;
        if (pid > 0)
        {
            return pid;
        }
        string said = words.RootElement.TryGetProperty("message", out JsonElement message) ? message.GetString() ?? "" : "";
        throw ContainerStartException.FromRuntime(said, program);
    }

    // Killed helpers say nothing, and a process that they leave may hold their pipes open: then nobody else would ever end this wait.
    private async ValueTask WaitForWordsAsync(Task<string?> reading, CancellationToken cancellationToken)
    {
        int looks = 0;
        for (TimeSpan waited = TimeSpan.Zero; await Task.WhenAny(reading, Task.Delay(s_look, cancellationToken)).ConfigureAwait(false) != reading; waited += s_look)
        {
            cancellationToken.ThrowIfCancellationRequested();
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
        sync.Dispose();
        Process.Dispose();
    }
}
