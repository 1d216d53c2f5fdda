using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Containers;

/// <summary>
/// Runs one process to its end in a writable snapshot: a step of a build. No supervisor, no record, no name: the runtime runs in the foreground
/// inside a private mount namespace, and when it is gone so is all but the changes in the snapshot.
/// </summary>
public sealed class StepRunner(ISnapshotter snapshots, OciRuntime runtime)
{
    /// <summary>What a snapshot that steps run in needs to have: give it to <see cref="ISnapshotter.PrepareAsync"/>.</summary>
    public static ImmutableArray<MountPoint> MountPoints { get; } =
        [new("/proc", true), new("/sys", true), new("/dev", true), .. ContainerFiles.Targets.Select(target => new MountPoint(target, false))];

    /// <summary>Runs the process and copies what it writes to <paramref name="output"/> and <paramref name="error"/> as it comes.</summary>
    /// <returns>Its exit code, or 128 + the signal that ended it.</returns>
    /// <exception cref="ContainerStartException">It could not be started.</exception>
    public async ValueTask<int> RunAsync(ActiveSnapshot snapshot, StepProcess process, Stream output, Stream error, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ArgumentNullException.ThrowIfNull(process);
        string id = "step-" + Guid.CreateVersion7().ToString("N");
        string bundle = runtime.Layout.CreateBundle(id);
        var agents = new List<AgentProxy>();
        try
        {
            agents.AddRange(process.Agents.Select((agent, i) => AgentProxy.Start(agent, AgentPath(bundle, i))));
            (SafeFileHandle outRead, SafeFileHandle outWrite) = Pipes.Create();
            (SafeFileHandle errRead, SafeFileHandle errWrite) = Pipes.Create();
            using FileStream outPipe = new(outRead, FileAccess.Read, bufferSize: 0);
            using FileStream errPipe = new(errRead, FileAccess.Read, bufferSize: 0);
            ChildProcess child;
            using (outWrite)
            using (errWrite)
            {
                child = Mounts.RunInPrivateNamespace(() => Start(id, bundle, snapshot, process, outWrite, errWrite));
            }
            using (child)
            {
                Task copied = Task.WhenAll(CopyAsync(outPipe, output), CopyAsync(errPipe, error));
                int exitCode = await WaitAsync(id, child, cancellationToken).ConfigureAwait(false);
                await copied.ConfigureAwait(false);
                ThrowIfNotStarted(bundle, process);
                return exitCode;
            }
        }
        finally
        {
            await runtime.DeleteAsync(id, CancellationToken.None).ConfigureAwait(false);
            foreach (AgentProxy agent in agents)
            {
                await agent.DisposeAsync().ConfigureAwait(false);
            }
            FileSystems.RemoveTree(bundle);
        }
    }

    // A pipe's read waits as long as the step is silent: on a thread of its own, because the pool gives a new one for each that waits only after half a second.
    private static Task CopyAsync(FileStream pipe, Stream target)
        => Task.Factory.StartNew(() => pipe.CopyTo(target), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private async ValueTask<int> WaitAsync(string id, ChildProcess child, CancellationToken cancellationToken)
    {
        try
        {
            return await child.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The runtime may be anywhere between its own start and its end: what it has made so far goes, until it gives up.
            Task<int> ended = child.WaitAsync(CancellationToken.None).AsTask();
            do
            {
                await runtime.DeleteAsync(id, CancellationToken.None).ConfigureAwait(false);
            }
            while (await Task.WhenAny(ended, Task.Delay(TimeSpan.FromMilliseconds(20), CancellationToken.None)).ConfigureAwait(false) != ended);
            await HostCgroups.RemoveAsync(OciRuntime.CgroupOf(id), CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    private ChildProcess Start(string id, string bundle, ActiveSnapshot snapshot, StepProcess process, SafeFileHandle output, SafeFileHandle error)
    {
        string rootPath = Bundle.Mount(snapshots, snapshot, bundle, isKept: false); // the layer that is made of it is synced by itself
        using (RootedDirectory root = RootedDirectory.Open(rootPath))
        {
            Bundle.CheckMountPoints(root);
            ResolvedUser user = UserLookup.Resolve(process.User, root);
            string workingDirectory = Bundle.PrepareWorkingDirectory(root, rootPath, process.WorkingDirectory);
            List<SpecMount> mounts = [.. ContainerFiles.Write(bundle, process.Hostname, process.Hosts), .. process.Mounts, .. process.Snapshots.Select((mount, i) => Mount(bundle, mount, i)),
                .. WriteSecrets(bundle, process.Secrets), .. process.Agents.Select((agent, i) => new SpecMount(agent.Destination, "bind", AgentPath(bundle, i), ["bind", "rw", "nosuid", "nodev", "noexec"]))];
            ImmutableArray<string> environment = process.Environment.Any(e => e.StartsWith("HOME=", StringComparison.Ordinal))
                ? process.Environment : process.Environment.Add("HOME=" + user.Home);
            var spec = new ProcessSpec(process.Arguments, environment, workingDirectory, user);
            Bundle.WriteSpec(bundle, RuntimeSpec.Create(rootPath, process.Hostname, spec, process.Isolation, mounts, OciRuntime.CgroupOf(id), HostCgroups.Read()));
        }
        return ChildProcess.Start(new ChildStart
        {
            Program = runtime.Program,
            Arguments = [.. runtime.GlobalArguments, "--log=" + LogPath(bundle), "--log-format=json", "run", "--bundle=" + bundle, id],
            Descriptors = new Dictionary<int, System.Runtime.InteropServices.SafeHandle> { [1] = output, [2] = error },
        });
    }

    // A directory of another snapshot: mounted whole beside the root, then bound from inside it by the runtime.
    private SpecMount Mount(string bundle, StepSnapshotMount mount, int number)
    {
        string target = Path.Combine(bundle, "mount-" + number.ToString(System.Globalization.CultureInfo.InvariantCulture));
        Directory.CreateDirectory(target);
        Bundle.MountAt(snapshots, mount.Snapshot, target);
        using RootedDirectory root = RootedDirectory.Open(target);
        return new SpecMount(mount.Destination, "bind", Bundle.ResolvePath(root, target, mount.Path), ["rbind", mount.IsReadOnly ? "ro" : "rw", "nosuid", "nodev"]);
    }

    // In memory, and in this namespace only: gone with the process, and never on a disk.
    private static List<SpecMount> WriteSecrets(string bundle, ImmutableArray<StepSecret> secrets)
    {
        if (secrets.IsEmpty)
        {
            return [];
        }
        string folder = Path.Combine(bundle, "secrets");
        Directory.CreateDirectory(folder);
        Mounts.Mount(new MountSpec("tmpfs", "tmpfs", folder, ["mode=0700"]));
        using RootedDirectory root = RootedDirectory.Open(folder);
        var mounts = new List<SpecMount>();
        foreach (StepSecret secret in secrets)
        {
            string name = mounts.Count.ToString(System.Globalization.CultureInfo.InvariantCulture);
            using (SafeFileHandle file = root.CreateFile(name, secret.Mode))
            {
                RandomAccess.Write(file, secret.Content.Span, 0);
            }
            root.SetOwner(name, secret.Uid, secret.Gid);
            root.SetMode(name, secret.Mode);
            mounts.Add(new SpecMount(secret.Destination, "bind", Path.Combine(folder, name), ["bind", "ro", "nosuid", "nodev", "noexec"]));
        }
        return mounts;
    }

    private static string AgentPath(string bundle, int number) => Path.Combine(bundle, "agent-" + number.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static string LogPath(string bundle) => Path.Combine(bundle, "runtime.log");

    private static void ThrowIfNotStarted(string bundle, StepProcess process)
    {
        if (!File.Exists(LogPath(bundle)))
        {
            return;
        }
        string? error = null;
        foreach (string line in File.ReadLines(LogPath(bundle), Encoding.UTF8))
        {
            using JsonDocument entry = JsonDocument.Parse(line);
            if (entry.RootElement.GetProperty("level").GetString() == "error")
            {
                error = entry.RootElement.GetProperty("msg").GetString();
            }
        }
        if (error is not null)
        {
            throw ContainerStartException.FromRuntime(error, process.Arguments[0]);
        }
    }
}

/// <summary>What a step runs.</summary>
public sealed record StepProcess
{
    /// <summary>Program and arguments.</summary>
    public required ImmutableArray<string> Arguments { get; init; }
    /// <summary>The whole environment; HOME is added where it is missing.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];
    /// <summary>Absolute; made where missing.</summary>
    public string WorkingDirectory { get; init; } = "/";
    /// <summary>As USER says it: names or numbers, <c>user:group</c>. Null: root.</summary>
    public string? User { get; init; }
    /// <summary>Name in the UTS namespace.</summary>
    public string Hostname { get; init; } = "build";
    /// <summary>Mounts from the host or of memory, as the runtime spec writes them; sources are trusted paths.</summary>
    public ImmutableArray<SpecMount> Mounts { get; init; } = [];
    /// <summary>Mounts of files and directories of other snapshots.</summary>
    public ImmutableArray<StepSnapshotMount> Snapshots { get; init; } = [];
    /// <summary>Files that are there for this process only, and never on a disk.</summary>
    public ImmutableArray<StepSecret> Secrets { get; init; } = [];
    /// <summary>Sockets of SSH agents.</summary>
    public ImmutableArray<StepAgent> Agents { get; init; } = [];
    /// <summary>More lines for /etc/hosts.</summary>
    public ImmutableArray<(System.Net.IPAddress Address, string Name)> Hosts { get; init; } = [];
    /// <summary>How far it is closed off.</summary>
    public IsolationOptions Isolation { get; init; } = new();
}

/// <summary>A path of a snapshot, seen at <paramref name="Destination"/> in the step. Links in <paramref name="Path"/> end inside the snapshot.</summary>
public sealed record StepSnapshotMount(Snapshot Snapshot, string Path, string Destination, bool IsReadOnly = true);

/// <summary>A file in memory.</summary>
public sealed record StepSecret(string Destination, ReadOnlyMemory<byte> Content, int Mode, uint Uid, uint Gid);

/// <summary>An agent's socket on this machine, and where the step finds one that leads to it.</summary>
public sealed record StepAgent(string Destination, string Socket, int Mode, uint Uid, uint Gid);
