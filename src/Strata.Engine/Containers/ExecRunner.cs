using System.Collections.Immutable;
using System.Globalization;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>A further process in a container that runs.</summary>
public sealed record ExecOptions
{
    /// <summary>Program and arguments.</summary>
    public required ImmutableArray<string> Arguments { get; init; }
    /// <summary><c>NAME=value</c>, over the container's.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Absolute; the container's where null.</summary>
    public string? WorkingDirectory { get; init; }
    /// <summary>As --user says it; the container's where null.</summary>
    public string? User { get; init; }
    /// <summary>Give it a terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>All of the kernel's capabilities that we have.</summary>
    public bool Privileged { get; init; }
}

/// <summary>Starts further processes in containers, under a conmon of their own.</summary>
internal sealed class ExecRunner(OciRuntime runtime, Conmon conmon, TimeProvider time)
{
    /// <summary>Starts a process; with <paramref name="streams"/> where given, else it runs on its own.</summary>
    /// <exception cref="ContainerStartException">It could not be started: 127 not there, 126 cannot be executed.</exception>
    public async ValueTask<ContainerSession> StartAsync(ContainerRecord record, ContainerStart container, ExecOptions options, ContainerStreams? streams, CancellationToken cancellationToken)
    {
        string folder = runtime.Layout.Exec(record.Id, ContainerStore.CreateId());
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        ConmonExec? exec = null;
        AttachedStreams? attached = null;
        try
        {
            string processFile = Path.Combine(folder, "process.json");
            await File.WriteAllBytesAsync(processFile, RuntimeSpecJson.Serialize(Process(record, container, options, streams)), cancellationToken).ConfigureAwait(false);
            // A process that nobody waits for takes its directory with it when it ends.
            var how = new ConmonStart(record.Id, folder, folder) { Terminal = options.Terminal, Input = streams?.Input is not null, ExitCommand = streams is null ? ["/bin/rm", "-rf", "--", folder] : null };
            exec = Mounts.RunInPrivateNamespace(() => StartConmon(how, processFile, streams is not null));
            exec.Monitor.Go();
            if (streams is not null && await exec.WaitForSocketAsync(cancellationToken).ConfigureAwait(false))
            {
                attached = AttachedStreams.Connect(Conmon.AttachSocket(folder), streams);
                exec.Monitor.Go();
            }
            int pid = exec.Monitor.ReadCreated(options.Arguments[0], cancellationToken);
            int monitor = exec.Monitor.Process.Id;
            var start = new ContainerStart(container.BootId, monitor, LiveProcess.TryGetStart(monitor) ?? 0, pid, LiveProcess.TryGetStart(pid) ?? 0, time.GetUtcNow());
            return new ContainerSession(record, start, folder, folder, exec.Monitor, attached);
        }
        catch
        {
            attached?.Dispose();
            if (exec is not null)
            {
                exec.Monitor.KillAll();
                await exec.Monitor.Process.WaitAsync(CancellationToken.None).ConfigureAwait(false);
                exec.Monitor.Dispose();
            }
            FileSystems.RemoveTree(folder);
            throw;
        }
        finally
        {
            exec?.Dispose();
        }
    }

    /// <summary>Removes what a process left that is over.</summary>
    public static void CleanUp(ContainerSession session) => FileSystems.RemoveTree(session.Bundle);

    private ConmonExec StartConmon(ConmonStart how, string processFile, bool attach)
    {
        HostCgroups.HideHybrid();
        return conmon.StartExec(runtime, how, processFile, attach);
    }

    private static SpecProcess Process(ContainerRecord record, ContainerStart container, ExecOptions options, ContainerStreams? streams)
    {
        ResolvedUser user;
        string directory = options.WorkingDirectory ?? record.WorkingDirectory;
        using (RootedDirectory root = OpenRoot(container, record))
        {
            user = UserLookup.Resolve(options.User ?? record.User, root);
            if (options.User is null && !record.Life.Groups.IsEmpty)
            {
                user = UserLookup.AddGroups(user, record.Life.Groups, root);
            }
            CheckDirectory(root, directory);
        }
        List<string> environment = ["HOME=" + user.Home];
        if (options.Terminal)
        {
            environment.Add("TERM=xterm");
        }
        var process = new ProcessSpec(options.Arguments, ContainerPlan.Merge([.. environment, .. record.Environment, .. options.Environment]), directory, user)
        {
            Terminal = options.Terminal,
            TerminalSize = streams?.TerminalSize,
        };
        IsolationOptions isolation = options.Privileged ? record.Isolation with { Capabilities = Capabilities.All, NoNewPrivileges = false } : record.Isolation;
        return RuntimeSpec.CreateProcess(process, isolation, HostCgroups.Read());
    }

    // The container's own processes may change what is there while we look: all we learn is numbers, and whether to refuse.
    private static void CheckDirectory(RootedDirectory root, string path)
    {
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (!path.StartsWith('/') || path.Contains('\0', StringComparison.Ordinal) || parts.Contains("..") || parts is ["proc", _, ..])
        {
            throw new ContainerStartException(126, $"working directory '{path}': not an absolute path without .., outside of /proc");
        }
        if (root.TryGetStatus(path, follow: true) is not { Kind: FileKind.Directory })
        {
            throw new ContainerStartException(126, $"working directory '{path}': no such directory in the container");
        }
    }

    /// <summary>A running container's root as its own processes see it, with all that is mounted there.</summary>
    /// <exception cref="StrataException">Conflict: it does not run any more.</exception>
    public static RootedDirectory OpenRoot(ContainerStart start, ContainerRecord record)
    {
        try
        {
            RootedDirectory root = RootedDirectory.Open(string.Create(CultureInfo.InvariantCulture, $"/proc/{start.Pid}/root"), ContainerUsers.TryReadRange(start.Pid, record));
            if (LiveProcess.IsSame(start.Pid, start.PidStarted)) // asked after it was opened: it is that process's root
            {
                return root;
            }
            root.Dispose();
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.ESRCH or Errno.EACCES)
        {
            // gone: a dead process has no root
        }
        throw new StrataException(ErrorKind.Conflict, $"container {record.Name}: it is not running");
    }
}
