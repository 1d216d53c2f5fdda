using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>What conmon is told.</summary>
/// <param name="ContainerId">The container.</param>
/// <param name="Bundle">Where its sockets are.</param>
/// <param name="Persistent">Where the exit code goes.</param>
internal sealed record ConmonStart(string ContainerId, string Bundle, string Persistent)
{
    /// <summary>Where the output is kept.</summary>
    public string LogFile { get; init; } = "";
    /// <summary>Whether it has a terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>Whether its input is open.</summary>
    public bool Input { get; init; }
    /// <summary>Whether its input stays open when a client goes.</summary>
    public bool LeaveInputOpen { get; init; }
    /// <summary>What is run when it is over: a program and its arguments.</summary>
    public IReadOnlyList<string>? ExitCommand { get; init; }
    /// <summary>Descriptors it keeps open as long as it lives; the container gets none of them.</summary>
    public IReadOnlyList<System.Runtime.InteropServices.SafeHandle> Held { get; init; } = [];
}

/// <summary>
/// The part of conmon for a further process in a container that runs. It is the same program with two more pipes: it begins when something comes
/// through _OCI_STARTPIPE, says through _OCI_ATTACHPIPE when its socket can be connected to, and starts the process when something more comes
/// through the first one. So nothing of the output is missed.
/// </summary>
public sealed partial class Conmon
{
    internal ConmonExec StartExec(OciRuntime runtime, ConmonStart start, string processFile, bool attach)
    {
        string exits = Path.Combine(start.Bundle, "exits");
        Directory.CreateDirectory(exits);
        List<string> arguments = [.. Common(runtime, start), "--container-pidfile", ContainerPidFile(start.Bundle), "--exit-dir", exits, "--log-path", "none", "--api-version", "1", "--exec", "--exec-process-spec", processFile];
        if (attach)
        {
            arguments.Add("--exec-attach");
        }
        if (start.ExitCommand is { } command)
        {
            AddExitCommand(arguments, command);
        }
        (SafeFileHandle syncRead, SafeFileHandle syncWrite) = Pipes.Create();
        (SafeFileHandle startRead, SafeFileHandle startWrite) = Pipes.Create();
        (SafeFileHandle attachRead, SafeFileHandle attachWrite) = Pipes.Create();
        using (syncWrite)
        using (startRead)
        using (attachWrite)
        {
            ChildProcess process = ChildProcess.Start(new ChildStart
            {
                Program = Program,
                Arguments = arguments,
                Environment = [.. s_environment, "_OCI_STARTPIPE=4", "_OCI_ATTACHPIPE=5"],
                WorkingDirectory = start.Bundle,
                Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [3] = syncWrite, [4] = startRead, [5] = attachWrite },
                NewSession = true,
            });
            return new ConmonExec(new ConmonProcess(process, syncRead, startWrite), attachRead);
        }
    }

    private static void AddExitCommand(List<string> arguments, IReadOnlyList<string> command)
    {
        arguments.Add("--exit-command");
        arguments.Add(command[0]);
        for (int i = 1; i < command.Count; i++)
        {
            arguments.Add("--exit-command-arg");
            arguments.Add(command[i]);
        }
    }

    // What starts a .NET program that is not published as one file finds its runtime by this.
    private static List<string> WithRuntimeOfOurs(bool isNeeded)
    {
        List<string> environment = [.. s_environment];
        if (isNeeded && Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } root)
        {
            environment.Add("DOTNET_ROOT=" + root);
        }
        if (UserNamespace.Assignment is { } inside)
        {
            environment.Add(inside);
        }
        return environment;
    }
}

/// <summary>A conmon for a further process, and the pipes that hold it back.</summary>
internal sealed class ConmonExec(ConmonProcess monitor, SafeFileHandle attach) : IDisposable
{
    public ConmonProcess Monitor { get; } = monitor;

    /// <summary>Waits until its socket can be connected to. False: it has ended before.</summary>
    public async ValueTask<bool> WaitForSocketAsync(CancellationToken cancellationToken)
    {
        using FileStream stream = new(attach, FileAccess.Read, bufferSize: 0);
        byte[] buffer = new byte[64];
        return await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false) > 0;
    }

    public void Dispose() => attach.Dispose();
}
