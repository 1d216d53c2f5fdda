using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using Microsoft.Win32.SafeHandles;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Containers.Networks;

/// <summary>
/// The net of containers: made at each start, undone when they are cleaned up. What is to be undone by netavark stands in /run/strata/net/up/ID.json
/// before it is done, so that any later command of any store finds it; interfaces and namespaces go with the container's processes by themselves.
/// </summary>
internal sealed class ContainerNetworks(StoreLayout layout, ContainerStore containers, NetworkStore networks)
{
    private const int MaxWakes = 3;
    private static readonly string s_upFolder = Path.Combine(NetworkStore.MachineRoot, "up");
    private readonly Netavark _netavark = new();

    private static string UpFile(string id) => Path.Combine(s_upFolder, id + ".json");

    private string StateFile(string id) => Path.Combine(containers.DirectoryOf(id), "network.json");

    /// <summary>How a container's net was made last; null where it has none of its own, or was never started.</summary>
    internal ContainerNetworkState? TryReadState(string id)
        => AtomicFile.TryReadUnsynced(StateFile(id), bytes => NetworkFields.ReadState(JsonFields.Parse(bytes)));

    internal void WriteState(string id, ContainerNetworkState state, bool durable)
        => AtomicFile.Write(StateFile(id), JsonFieldsWriter.Serialize(state, NetworkFields.Write), durable);

    /// <summary>
    /// Begins to make a container's net: when this returns its addresses and files are known and its namespace is there; the rest is done when
    /// <see cref="StartingNetwork.Ready"/> is.
    /// </summary>
    internal async ValueTask<StartingNetwork> BeginAsync(ContainerRecord record, ContainerUsers? users, CancellationToken cancellationToken)
    {
        string hostResolv = ReadHostResolv();
        switch (record.Isolation.Network)
        {
            case NetworkMode.Container:
                return Share(record);
            case NetworkMode.Host or NetworkMode.None:
                bool own = record.Isolation.Network == NetworkMode.None;
                return new StartingNetwork(null, NetworkFiles.Hosts(record.Hostname, null, [], record.Networking.AddHosts, IPAddress.Loopback),
                    NetworkFiles.Resolv(hostResolv, own, [], record.Networking));
            default:
                break;
        }
        if (UserNamespace.Current is not null)
        {
            return BeginAsUser(record, hostResolv, cancellationToken);
        }
        List<(NetworkEndpoint Endpoint, NetworkRecord Network)> places = await LeaseAsync(record, TryReadState(record.Id), cancellationToken).ConfigureAwait(false);
        PortReservation? ports = Wanted(record) is { Length: > 0 } wanted ? PortReservation.Take(wanted) : null;
        try
        {
            WriteState(record.Id, new ContainerNetworkState { Endpoints = [.. places.Select(p => p.Endpoint)], Ports = ports?.Ports ?? [] }, durable: false);
            SafeFileHandle? quick = users is null ? TryJoinBridge(places, ports is not null) : null;
            SafeFileHandle netNamespace = quick ?? users?.OpenNetwork() ?? NetworkNamespace.Create();
            var own = new List<IPAddress>();
            foreach ((NetworkEndpoint endpoint, _) in places)
            {
                foreach (EndpointAddress address in endpoint.Addresses)
                {
                    own.Add(address.Address);
                }
            }
            IPAddress gateway = places[0].Network.Subnets[0].Gateway;
            return new StartingNetwork(netNamespace, NetworkFiles.Hosts(record.Hostname, record.Name, own, record.Networking.AddHosts, gateway), Resolv(record, places, hostResolv))
            {
                Ports = ports,
                Ready = quick is not null ? Task.CompletedTask : MakeAsync(record, places, ports?.Ports ?? [], netNamespace, cancellationToken),
            };
        }
        catch
        {
            ports?.Dispose();
            throw;
        }
    }

    // The helper takes the ports itself: they are taken here only to see that they are free, and which they are.
    private StartingNetwork BeginAsUser(ContainerRecord record, string hostResolv, CancellationToken cancellationToken)
    {
        UserNetwork.Check(record.Networking);
        ImmutableArray<PortMapping> ports = [];
        if (Wanted(record) is { Length: > 0 } wanted)
        {
            using var taken = PortReservation.Take(wanted);
            ports = taken.Ports;
        }
        WriteState(record.Id, new ContainerNetworkState { Ports = ports }, durable: false);
        SafeFileHandle netNamespace = NetworkNamespace.Create();
        return new StartingNetwork(netNamespace, NetworkFiles.Hosts(record.Hostname, record.Name, [], record.Networking.AddHosts, UserNetwork.HostAddress),
            NetworkFiles.Resolv(hostResolv, ownNet: true, UserNetwork.NameServers, record.Networking))
        {
            Ready = UserNetwork.ConnectAsync(record.Id, layout.Root, NetworkNamespace.PathOf(netNamespace), ports, cancellationToken),
        };
    }

    private static string Resolv(ContainerRecord record, IEnumerable<(NetworkEndpoint Endpoint, NetworkRecord Network)> places, string hostResolv)
        => NetworkFiles.Resolv(hostResolv, ownNet: true, [.. ServersOf(places)], record.Networking);

    private static string ReadHostResolv()
    {
        // systemd-resolved's own file has the servers that it asks; the usual one only its loopback address.
        const string Usual = "/etc/resolv.conf", Resolved = "/run/systemd/resolve/resolv.conf";
        string text = File.Exists(Usual) ? File.ReadAllText(Usual) : "";
        return text.Contains("nameserver 127.0.0.53", StringComparison.Ordinal) && File.Exists(Resolved) ? File.ReadAllText(Resolved) : text;
    }

    private static PortMapping[] Wanted(ContainerRecord record)
    {
        if (!record.Networking.PublishAll)
        {
            return [.. record.Networking.Ports];
        }
        HashSet<string> published = [.. record.Networking.Ports.SelectMany(p => p.Each()).Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.ContainerPort}/{p.Protocol}"))];
        return [.. record.Networking.Ports, .. record.Networking.Expose.Where(e => !published.Contains(e)).Select(PortSyntax.Parse)];
    }

    // Takes its addresses, those it had where nobody has them now.
    private async ValueTask<List<(NetworkEndpoint Endpoint, NetworkRecord Network)>> LeaseAsync(ContainerRecord record, ContainerNetworkState? last, CancellationToken cancellationToken)
    {
        var places = new List<(NetworkEndpoint, NetworkRecord)>();
        var interfaces = new List<string>();
        IEnumerable<NetworkAttachment> attachments = last?.Endpoints.Select(e => e.Attachment) ?? record.Networking.Networks;
        foreach (NetworkAttachment attachment in attachments)
        {
            NetworkEndpoint? before = last?.Endpoints.FirstOrDefault(e => e.Attachment.Network == attachment.Network);
            (NetworkEndpoint Endpoint, NetworkRecord Network) place = await LeaseAsync(record, attachment, before, interfaces, cancellationToken).ConfigureAwait(false);
            interfaces.Add(place.Endpoint.Interface);
            places.Add(place);
        }
        return places;
    }

    internal ValueTask<NetworkRecord> FindAsync(string name, CancellationToken cancellationToken)
        => name == NetworkSyntax.DefaultName ? networks.GetDefaultAsync(cancellationToken) : ValueTask.FromResult(networks.Get(name));

    private async ValueTask<(NetworkEndpoint Endpoint, NetworkRecord Network)> LeaseAsync(ContainerRecord record, NetworkAttachment attachment, NetworkEndpoint? before, IReadOnlyList<string> interfaces, CancellationToken cancellationToken)
    {
        while (true)
        {
            NetworkRecord network = await FindAsync(attachment.Network, cancellationToken).ConfigureAwait(false);
            using FileLock? held = await networks.TryLockAsync(network, cancellationToken).ConfigureAwait(false);
            if (held is not null)
            {
                return (LeaseHeld(record, attachment, network, before, interfaces), network);
            }
            // It was removed between the two. The default one is made anew; of others it is said that they are not there.
        }
    }

    private NetworkEndpoint LeaseHeld(ContainerRecord record, NetworkAttachment attachment, NetworkRecord network, NetworkEndpoint? before, IReadOnlyList<string> interfaces)
    {
        string owner = containers.DirectoryOf(record.Id);
        if ((attachment.Address is not null && network.Subnets.All(s => s.Subnet.Is6)) || (attachment.Address6 is not null && !network.HasIPv6))
        {
            throw new StrataException(ErrorKind.Invalid, $"network {network.Name}: it has no addresses of {(attachment.Address6 is null ? "IPv4" : "IPv6")}");
        }
        AddressPool pool = networks.PoolOf(network.Name);
        var addresses = new List<EndpointAddress>();
        foreach (NetworkSubnet subnet in network.Subnets)
        {
            string? wanted = subnet.Subnet.Is6 ? attachment.Address6 : attachment.Address;
            IPAddress? had = before?.NetworkId == network.Id ? (subnet.Subnet.Is6 ? before.V6 : before.V4)?.Address : null;
            IPAddress address = pool.Lease(subnet, owner, wanted is null ? null : IPAddress.Parse(wanted), had);
            addresses.Add(new EndpointAddress(address, subnet.Subnet.PrefixLength, network.Internal ? null : subnet.Gateway));
        }
        string? name = attachment.Interface ?? before?.Interface;
        for (int i = 0; name is null; i++)
        {
            string free = string.Create(CultureInfo.InvariantCulture, $"eth{i}");
            name = interfaces.Contains(free) ? null : free;
        }
        return new NetworkEndpoint(attachment, network.Id, name, attachment.MacAddress ?? MacOf(addresses[0].Address)) { Addresses = [.. addresses] };
    }

    // As Docker makes them: whoever has an address after another has its hardware address too, and no neighbour's table is wrong.
    internal static string MacOf(IPAddress address)
    {
        byte[] bytes = address.GetAddressBytes();
        return string.Create(CultureInfo.InvariantCulture, $"02:42:{bytes[^4]:x2}:{bytes[^3]:x2}:{bytes[^2]:x2}:{bytes[^1]:x2}");
    }

    // A container of the default network without ports needs no rules and no names of its own: where netavark has made the bridge, the kernel is asked
    // directly. Null: this is for netavark.
    private SafeFileHandle? TryJoinBridge(List<(NetworkEndpoint Endpoint, NetworkRecord Network)> places, bool hasPorts)
    {
        if (hasPorts || places is not [(NetworkEndpoint endpoint, { IsDefault: true, HasIPv6: false, Dns: false } network)] || !File.Exists(networks.ReadyFile(network)) || !NetworkStore.IsUp(network))
        {
            return null;
        }
        EndpointAddress address = endpoint.V4!;
        // The bridge stays while we have an address of it (who takes a bridge away looks at the leases first).
        return BridgePort.CreateNamespace(network.Bridge, new BridgePortSpec(endpoint.Interface, Convert.FromHexString(endpoint.MacAddress.Replace(":", "", StringComparison.Ordinal)), address.Address, address.PrefixLength, address.Gateway));
    }

    private async Task MakeAsync(ContainerRecord record, List<(NetworkEndpoint Endpoint, NetworkRecord Network)> places, ImmutableArray<PortMapping> ports, SafeFileHandle netNamespace, CancellationToken cancellationToken)
    {
        using FileLock held = await NetworkStore.LockMachineAsync(cancellationToken).ConfigureAwait(false);
        await SweepHeldAsync(record.Id, cancellationToken).ConfigureAwait(false);
        foreach ((_, NetworkRecord network) in places)
        {
            networks.ClaimAgain(network);
        }
        await SetUpHeldAsync(record, places, ports, netNamespace, UpFile(record.Id), cancellationToken).ConfigureAwait(false);
        foreach (NetworkRecord network in places.Select(p => p.Network).Where(n => n.IsDefault))
        {
            await File.WriteAllBytesAsync(networks.ReadyFile(network), [], cancellationToken).ConfigureAwait(false);
        }
        if (ports.IsEmpty && !places.Exists(p => p.Network.Dns))
        {
            File.Delete(UpFile(record.Id)); // nothing of it outlives its namespace
        }
    }

    private async ValueTask SetUpHeldAsync(ContainerRecord record, List<(NetworkEndpoint Endpoint, NetworkRecord Network)> places, ImmutableArray<PortMapping> ports, SafeFileHandle netNamespace, string request, CancellationToken cancellationToken)
    {
        AtomicFile.Write(request, Netavark.Request(layout.Root, record.Id, record.Name, places, ports), durable: false);
        IPAddress[] servers = [.. ServersOf(places)];
        await _netavark.SetUpAsync(request, netNamespace, servers.Length > 0, cancellationToken).ConfigureAwait(false);
        // It need not wait for ever: it may not be interested in names at all.
        for (int wakes = 0; servers.Length > 0 && !await NameServer.WaitUntilKnownAsync(netNamespace, servers, record.ShortId).ConfigureAwait(false) && wakes < MaxWakes; wakes++)
        {
            await Netavark.WakeServerAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static IEnumerable<IPAddress> ServersOf(IEnumerable<(NetworkEndpoint Endpoint, NetworkRecord Network)> places)
        => places.Where(p => p.Network.Dns).SelectMany(p => p.Network.Subnets).Select(s => s.Gateway);

    private StartingNetwork Share(ContainerRecord record)
    {
        ContainerRecord other = containers.Get(record.Networking.SharedWith!);
        if (other.Id == record.Id)
        {
            throw new StrataException(ErrorKind.Invalid, $"container {record.Name}: it cannot share its own network");
        }
        if (containers.GetState(other).Status != ContainerStatus.Running || containers.ReadStart(other.Id) is not { } start)
        {
            throw new StrataException(ErrorKind.Conflict, $"container {record.Name}: it shares the network of {other.Name}, which does not run") { Hint = $"strata start {other.Name}" };
        }
        SafeFileHandle netNamespace = NetworkNamespace.OfProcess(start.Pid);
        if (!LiveProcess.IsSame(start.Pid, start.PidStarted)) // opened first: it was that process's if it is there now
        {
            netNamespace.Dispose();
            throw new StrataException(ErrorKind.Conflict, $"container {record.Name}: it shares the network of {other.Name}, which has just ended");
        }
        return new StartingNetwork(netNamespace, "", "") { FilesOf = other.Id };
    }

    /// <summary>Undoes what netavark did for a container that does not run any more. Nothing to undo is no error.</summary>
    internal async ValueTask DownAsync(string id, CancellationToken cancellationToken)
    {
        if (UserNamespace.Current is not null)
        {
            UserNetwork.Disconnect(id);
            return;
        }
        if (!File.Exists(UpFile(id)))
        {
            return;
        }
        using FileLock held = await NetworkStore.LockMachineAsync(cancellationToken).ConfigureAwait(false);
        await DownHeldAsync(id, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask DownHeldAsync(string id, CancellationToken cancellationToken)
    {
        if (File.Exists(UpFile(id)))
        {
            await _netavark.TearDownAsync(UpFile(id), netNamespace: null, cancellationToken).ConfigureAwait(false);
            File.Delete(UpFile(id));
        }
    }

    /// <summary>Gives back a container's addresses, before its directory goes.</summary>
    internal void Release(string id)
    {
        foreach (NetworkEndpoint endpoint in TryReadState(id)?.Endpoints ?? [])
        {
            foreach (EndpointAddress address in endpoint.Addresses)
            {
                networks.PoolOf(endpoint.Attachment.Network).Release(containers.DirectoryOf(id), address.Address);
            }
        }
    }

    /// <summary>Undoes what is left of containers of any store that do not run any more. Returns of how many.</summary>
    internal async ValueTask<int> SweepAsync(CancellationToken cancellationToken)
    {
        if (UserNamespace.Current is not null)
        {
            return UserNetwork.Sweep();
        }
        if ((FileSystems.TryGetNames(s_upFolder) ?? []).Count == 0)
        {
            return 0;
        }
        using FileLock held = await NetworkStore.LockMachineAsync(cancellationToken).ConfigureAwait(false);
        return await SweepHeldAsync("", cancellationToken).ConfigureAwait(false);
    }

    // Those that die without anybody to tidy up (kill -9 of all, a container that ends by itself) leave rules that lead their ports into nowhere.
    private async ValueTask<int> SweepHeldAsync(string except, CancellationToken cancellationToken)
    {
        int count = 0;
        foreach (string name in FileSystems.TryGetNames(s_upFolder) ?? [])
        {
            string id = Path.GetFileNameWithoutExtension(name);
            if (id != except && id.Length == 64 && !IsAlive(id))
            {
                await DownHeldAsync(id, cancellationToken).ConfigureAwait(false);
                count++;
            }
        }
        return count;
    }

    private static bool IsAlive(string id)
    {
        if (AtomicFile.TryRead(UpFile(id)) is not { } bytes)
        {
            return true; // undone by another meanwhile
        }
        var store = new ContainerStore(new StoreLayout(JsonFields.Parse(bytes).String("strata_root")));
        // Who starts, stops or removes it has its lock, and will see to its net himself.
        using FileLock? free = store.TryLock(id);
        return Directory.Exists(store.DirectoryOf(id)) && (free is null || (store.TryRead(id) is { } record && store.GetState(record).Status == ContainerStatus.Running));
    }

    /// <summary>Puts a container into one more network; a running one at once. The caller holds the container's lock.</summary>
    internal async ValueTask ConnectAsync(ContainerRecord record, NetworkAttachment attachment, CancellationToken cancellationToken)
    {
        CheckBridged(record, "connect");
        ContainerNetworkState state = TryReadState(record.Id) ?? await StateOfNewAsync(record, cancellationToken).ConfigureAwait(false);
        if (state.Endpoints.Any(e => e.Attachment.Network == attachment.Network))
        {
            throw new StrataException(ErrorKind.Conflict, $"network connect: container {record.Name} is in {attachment.Network} already");
        }
        (NetworkEndpoint endpoint, NetworkRecord network) = await LeaseAsync(record, attachment, before: null, [.. state.Endpoints.Select(e => e.Interface)], cancellationToken).ConfigureAwait(false);
        state = state with { Endpoints = state.Endpoints.Add(endpoint) };
        WriteState(record.Id, state, durable: true);
        if (TryOpenLive(record) is not { } live)
        {
            return;
        }
        using (live)
        using (FileLock held = await NetworkStore.LockMachineAsync(cancellationToken).ConfigureAwait(false))
        {
            networks.ClaimAgain(network);
            WriteRequest(record, state); // what there is to undo, first
            string request = UpFile(record.Id) + ".new";
            try
            {
                await SetUpHeldAsync(record, [(endpoint, network)], [], live, request, cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                state = state with { Endpoints = state.Endpoints.Remove(endpoint) };
                WriteState(record.Id, state, durable: true);
                WriteRequest(record, state);
                Release(record.Id, endpoint);
                throw;
            }
            finally
            {
                File.Delete(request);
            }
            Rename(record, state);
        }
    }

    /// <summary>Takes a container out of a network; a running one at once. The caller holds the container's lock.</summary>
    internal async ValueTask DisconnectAsync(ContainerRecord record, string name, CancellationToken cancellationToken)
    {
        CheckBridged(record, "disconnect");
        ContainerNetworkState state = TryReadState(record.Id) ?? await StateOfNewAsync(record, cancellationToken).ConfigureAwait(false);
        NetworkEndpoint endpoint = state.Endpoints.FirstOrDefault(e => e.Attachment.Network == name)
            ?? throw new StrataException(ErrorKind.NotFound, $"network disconnect: container {record.Name} is not in {name}");
        ContainerNetworkState left = state with { Endpoints = state.Endpoints.Remove(endpoint) };
        if (TryOpenLive(record) is { } live)
        {
            using (live)
            using (FileLock held = await NetworkStore.LockMachineAsync(cancellationToken).ConfigureAwait(false))
            {
                string request = UpFile(record.Id) + ".new";
                AtomicFile.Write(request, Netavark.Request(layout.Root, record.Id, record.Name, [(endpoint, networks.Get(name))], state.Ports), durable: false);
                await _netavark.TearDownAsync(request, live, cancellationToken).ConfigureAwait(false);
                File.Delete(request);
                WriteRequest(record, left);
                Rename(record, left);
            }
        }
        WriteState(record.Id, left, durable: true);
        Release(record.Id, endpoint);
    }

    // A running container sees these files by mounts of them: they are written in place.
    private void Rename(ContainerRecord record, ContainerNetworkState state)
    {
        List<(NetworkEndpoint Endpoint, NetworkRecord Network)> places = [.. state.Endpoints.Select(e => (e, networks.Get(e.Attachment.Network)))];
        IPAddress gateway = places.SelectMany(p => p.Network.Subnets).Select(s => s.Gateway).FirstOrDefault(IPAddress.Loopback);
        string bundle = new RuntimeLayout(layout).Bundle(record.Id);
        File.WriteAllText(Path.Combine(bundle, "hosts"), NetworkFiles.Hosts(record.Hostname, record.Name, [.. places.SelectMany(p => p.Endpoint.Addresses).Select(a => a.Address)], record.Networking.AddHosts, gateway));
        File.WriteAllText(Path.Combine(bundle, "resolv.conf"), Resolv(record, places, ReadHostResolv()));
    }

    private void Release(string id, NetworkEndpoint endpoint)
    {
        foreach (EndpointAddress address in endpoint.Addresses)
        {
            networks.PoolOf(endpoint.Attachment.Network).Release(containers.DirectoryOf(id), address.Address);
        }
    }

    private void WriteRequest(ContainerRecord record, ContainerNetworkState state)
        => AtomicFile.Write(UpFile(record.Id), Netavark.Request(layout.Root, record.Id, record.Name, [.. state.Endpoints.Select(e => (e, networks.Get(e.Attachment.Network)))], state.Ports), durable: false);

    private async ValueTask<ContainerNetworkState> StateOfNewAsync(ContainerRecord record, CancellationToken cancellationToken)
        => new() { Endpoints = [.. (await LeaseAsync(record, last: null, cancellationToken).ConfigureAwait(false)).Select(p => p.Endpoint)] };

    private SafeFileHandle? TryOpenLive(ContainerRecord record)
        => containers.GetState(record).Status == ContainerStatus.Running && containers.ReadStart(record.Id) is { } start && LiveProcess.IsSame(start.Pid, start.PidStarted)
            ? NetworkNamespace.OfProcess(start.Pid) : null;

    private static void CheckBridged(ContainerRecord record, string verb)
    {
        if (record.Isolation.Network != NetworkMode.Bridge)
        {
            throw new StrataException(ErrorKind.Conflict, $"network {verb}: container {record.Name} has {record.Isolation.Network switch { NetworkMode.Host => "the host's network", NetworkMode.None => "no network", _ => "another container's network" }}")
            {
                Hint = "only containers of bridge networks can be in several",
            };
        }
    }

    /// <summary>Takes away a network's bridge and rules, where they are there; nobody may be in it. The caller holds the machine's lock.</summary>
    internal async ValueTask RemoveBridgeAsync(NetworkRecord network, CancellationToken cancellationToken)
    {
        if (!NetworkStore.IsUp(network))
        {
            return;
        }
        await WaitForPortsToGoAsync(network, cancellationToken).ConfigureAwait(false);
        // netavark removes them with the last one that leaves: so one comes and leaves.
        ImmutableArray<EndpointAddress> addresses = [.. network.Subnets.Select(s => new EndpointAddress(s.Subnet.At(s.Subnet.At(1).Equals(s.Gateway) ? 2u : 1u), s.Subnet.PrefixLength, s.Gateway))];
        string id = ContainerStore.CreateId();
        var last = new NetworkEndpoint(new NetworkAttachment(network.Name), network.Id, "eth0", MacOf(addresses[0].Address)) { Addresses = addresses };
        using SafeFileHandle netNamespace = NetworkNamespace.Create();
        string request = Path.Combine(NetworkStore.MachineRoot, "up", network.ShortId + ".last");
        try
        {
            AtomicFile.Write(request, Netavark.Request(layout.Root, id, network.Name, [(last, network with { Dns = false })], []), durable: false);
            await _netavark.SetUpAsync(request, netNamespace, dns: false, cancellationToken).ConfigureAwait(false);
            File.Delete(networks.ReadyFile(network));
            await _netavark.TearDownAsync(request, netNamespace, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            File.Delete(request);
        }
    }

    // The kernel takes a namespace apart, and its ends of cables with it, some time after its last user has gone. netavark would take them for containers.
    private static async ValueTask WaitForPortsToGoAsync(NetworkRecord network, CancellationToken cancellationToken)
    {
        const int Tries = 400, EachMilliseconds = 5;
        for (int i = 0; i < Tries && (FileSystems.TryGetNames($"/sys/class/net/{network.Bridge}/brif") ?? []).Count > 0; i++)
        {
            await Task.Delay(EachMilliseconds, cancellationToken).ConfigureAwait(false);
        }
    }
}

/// <summary>A container's net on its way.</summary>
/// <param name="netNamespace">Its namespace; null: the host's, or one that the runtime makes.</param>
/// <param name="hosts">Its /etc/hosts.</param>
/// <param name="resolv">Its /etc/resolv.conf.</param>
internal sealed class StartingNetwork(SafeFileHandle? netNamespace, string hosts, string resolv) : IDisposable
{
    internal string Hosts { get; } = hosts;

    internal string Resolv { get; } = resolv;

    /// <summary>The container whose files it sees in place of its own.</summary>
    internal string? FilesOf { get; init; }

    /// <summary>Its ports on the host.</summary>
    internal PortReservation? Ports { get; init; }

    /// <summary>Done when its interfaces and rules are there.</summary>
    internal Task Ready { get; init; } = Task.CompletedTask;

    /// <summary>Where the runtime finds its namespace; null where there is none to be found.</summary>
    internal string? NamespacePath => netNamespace is null ? null : NetworkNamespace.PathOf(netNamespace);

    /// <summary>Waits until nothing works on it any more, however it ended.</summary>
    internal async ValueTask SettleAsync() => await Ready.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    public void Dispose()
    {
        Ports?.Dispose();
        netNamespace?.Dispose();
    }
}
