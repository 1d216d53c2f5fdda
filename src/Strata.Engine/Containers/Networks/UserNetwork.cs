using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Linux;

namespace Strata.Containers.Networks;

/// <summary>
/// The way out of a network namespace that an ordinary user has made: pasta(1) or slirp4netns(1), a process for each container that passes packets on by
/// sockets of its own. It belongs to no namespace that goes by itself, so what is to be ended stands in RUNTIMEROOT/net/helpers/ID before the container runs.
/// </summary>
public static class UserNetwork
{
    private const int Kill = 9;
    private static readonly string[] s_programs = ["pasta", "slirp4netns"];

    /// <summary>What the helper's answers for names come from; nothing where the host's servers are asked.</summary>
    internal static IReadOnlyList<IPAddress> NameServers => IsSlirp(Helper) ? [IPAddress.Parse("10.0.2.3")] : [];

    /// <summary>Where slirp4netns has the host; pasta gives the container the host's own addresses.</summary>
    internal static IPAddress HostAddress => IsSlirp(Helper) ? IPAddress.Parse("10.0.2.2") : IPAddress.Loopback;

    /// <summary>The program's path, or null where none is installed.</summary>
    public static string? Helper { get; } = s_programs.Select(ChildProcess.FindProgram).FirstOrDefault(p => p is not null);

    private static string Folder => Path.Combine(NetworkStore.MachineRoot, "helpers");

    private static string FileOf(string id) => Path.Combine(Folder, id);

    // A socket's path has 107 bytes.
    private static string SocketOf(string id) => Path.Combine(Folder, id[..16] + ".api");

    /// <summary>Refuses what only root's networks have.</summary>
    /// <exception cref="StrataException">Unsupported: networks with names, or no helper is there.</exception>
    internal static void Check(NetworkOptions networking)
    {
        if (networking.Networks is not [{ Network: NetworkSyntax.DefaultName, Address: null, Address6: null, MacAddress: null }])
        {
            throw Refused("networks of several containers, and addresses by choice");
        }
        if (Helper is null)
        {
            throw new StrataException(ErrorKind.Unsupported, "network: a container of an ordinary user needs pasta or slirp4netns, and neither is installed") { Hint = "apt-get install passt; or --network host, --network none" };
        }
        CheckTunnel();
    }

    private static void CheckTunnel()
    {
        const string Device = "/dev/net/tun";
        try
        {
            using SafeFileHandle device = File.OpenHandle(Device, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StrataException(ErrorKind.Unsupported, $"network: {Device}, which a user's networks are made with, cannot be opened: {(e is UnauthorizedAccessException ? "its mode is not 0666" : e.Message)}", e)
            {
                Hint = $"as root: {(e is UnauthorizedAccessException ? $"chmod 0666 {Device} (as udev makes it; using it needs rights of its own)" : "modprobe tun")}; or --network host, --network none",
            };
        }
    }

    /// <summary>What root's networks have and a user's do not.</summary>
    internal static StrataException Refused(string what)
        => new(ErrorKind.Unsupported, $"{what} are for root: an ordinary user cannot make bridges on this machine") { Hint = "there are the default network (with -p), --network host, --network none, and --network container:NAME, in which containers share one network and reach each other at 127.0.0.1" };

    /// <summary>Connects a namespace, with the ports that are published. When it is done they answer.</summary>
    internal static async Task ConnectAsync(string id, string storeRoot, string namespacePath, ImmutableArray<PortMapping> ports, CancellationToken cancellationToken)
    {
        await Task.Yield(); // the container is made meanwhile
        string program = Helper!;
        StoreDirectory.Create(Folder);
        Sweep();
        string bound = FileOf(id) + ".net", pidFile = FileOf(id) + ".pid", socket = SocketOf(id);
        await File.WriteAllBytesAsync(bound, [], cancellationToken).ConfigureAwait(false);
        try
        {
            int processId;
            if (IsSlirp(program))
            {
                processId = await Slirp.StartAsync(start => Bound(namespacePath, bound, () => ChildProcess.Start(start)), program, bound, socket, ports, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                ChildStart start = new() { Program = program, Arguments = PastaArguments(bound, pidFile, ports), WorkingDirectory = "/" };
                ChildResult result = Bound(namespacePath, bound, () => ChildProcess.Run(start)); // goes into the background when all is there
                processId = result.ExitCode == 0 ? int.Parse(await File.ReadAllTextAsync(pidFile, cancellationToken).ConfigureAwait(false), CultureInfo.InvariantCulture) : throw Failed("pasta", result.ErrorText);
            }
            Note(id, storeRoot, processId);
        }
        finally
        {
            File.Delete(bound);
            File.Delete(pidFile);
        }
    }

    private static bool IsSlirp(string? program) => program is [.., 's'];

    // The helpers give away their rights before they open the namespace, and then may not look into our process: it is shown to them as a file.
    private static T Bound<T>(string namespacePath, string file, Func<T> start) => Mounts.RunInPrivateNamespace(() =>
    {
        Mounts.Mount(new MountSpec("", namespacePath, file, [], MountFlags.Bind));
        return start();
    });

    /// <summary>Ends a container's helper. None is no error.</summary>
    internal static void Disconnect(string id)
    {
        if (AtomicFile.TryRead(FileOf(id)) is not { } bytes)
        {
            return;
        }
        string[] lines = System.Text.Encoding.UTF8.GetString(bytes).Split('\n');
        LiveProcess.Signal(int.Parse(lines[0], CultureInfo.InvariantCulture), ulong.Parse(lines[1], CultureInfo.InvariantCulture), Kill);
        File.Delete(SocketOf(id));
        File.Delete(FileOf(id));
    }

    /// <summary>Ends the helpers of containers that nobody tidied up after (kill -9 of all). Returns of how many.</summary>
    internal static int Sweep()
    {
        int count = 0;
        foreach (string id in (FileSystems.TryGetNames(Folder) ?? []).Where(n => n.Length == 64))
        {
            if (AtomicFile.TryRead(FileOf(id)) is { } bytes && System.Text.Encoding.UTF8.GetString(bytes).Split('\n') is [_, _, var root, ..] && !IsAlive(new ContainerStore(new StoreLayout(root)), id))
            {
                Disconnect(id);
                count++;
            }
        }
        return count;
    }

    // Who starts, stops or removes it has its lock, and sees to its net himself.
    private static bool IsAlive(ContainerStore store, string id)
    {
        if (!Directory.Exists(store.DirectoryOf(id)))
        {
            return false;
        }
        using FileLock? free = store.TryLock(id);
        return free is null || (store.TryRead(id) is { } record && store.GetState(record).Status == ContainerStatus.Running);
    }

    private static void Note(string id, string storeRoot, int processId)
        => AtomicFile.Write(FileOf(id), System.Text.Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{processId}\n{LiveProcess.TryGetStart(processId) ?? 0}\n{storeRoot}\n")), durable: false);

    // Nothing goes in or out but what is asked for: without these pasta forwards whatever is listened at.
    private static string[] PastaArguments(string bound, string pidFile, ImmutableArray<PortMapping> ports) =>
    [
        "--config-net", "--no-netns-quit", "--no-map-gw", "--quiet", "--pid", pidFile, .. Forward(ports, "tcp", "-t"), .. Forward(ports, "udp", "-u"), "-T", "none", "-U", "none", "--netns", bound,
    ];

    internal static ContainerStartException Failed(string program, string said)
    {
        string cause = said.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).LastOrDefault(l => l is not ("parent failed" or "child failed")) ?? "it gave no reason";
        return new ContainerStartException(125, $"network: {program}: {cause}") { Hint = "--network host or --network none does without it; ports below 1024 are root's (net.ipv4.ip_unprivileged_port_start)" };
    }

    private static string[] Forward(ImmutableArray<PortMapping> ports, string protocol, string option)
    {
        string[] specs = [.. ports.SelectMany(p => p.Each()).Where(p => p.Protocol == protocol).SelectMany(p => (string[])[option, Spec(p)])];
        return specs.Length > 0 ? specs : [option, "none"];
    }

    // ADDRESS/HOSTPORT:PORT
    private static string Spec(PortMapping port)
        => string.Create(CultureInfo.InvariantCulture, $"{(port.HostAddress.Length == 0 ? "" : port.HostAddress + "/")}{port.HostPort}:{port.ContainerPort}");
}
