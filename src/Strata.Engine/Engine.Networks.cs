using Strata.Containers;
using Strata.Containers.Networks;
using Strata.Linux;

namespace Strata;

public sealed partial class Engine
{
    private NetworkStore? _networks;
    private ContainerNetworks? _nets;

    /// <summary>The records of networks.</summary>
    public NetworkStore Networks => _networks ??= new NetworkStore(Layout, _options.Time);

    private ContainerNetworks Nets => _nets ??= new ContainerNetworks(Layout, Containers, Networks);

    /// <summary>Makes a bridge network.</summary>
    /// <exception cref="StrataException">Conflict: the name or the addresses are taken; Invalid: the options make no network.</exception>
    public ValueTask<NetworkRecord> CreateNetworkAsync(NetworkCreateOptions options, CancellationToken cancellationToken = default) => Networks.CreateAsync(options, cancellationToken);

    /// <summary>Removes a network that no container is in, with its bridge and rules.</summary>
    /// <exception cref="StrataException">NotFound; Conflict: containers are in it.</exception>
    public async ValueTask<string> RemoveNetworkAsync(string nameOrId, CancellationToken cancellationToken = default)
    {
        NetworkRecord network = Networks.Get(nameOrId);
        if (network.IsDefault)
        {
            throw new StrataException(ErrorKind.Conflict, $"network {network.Name}: it is the default one") { Hint = "strata network prune takes its bridge away while no container is in it" };
        }
        return await TryRemoveNetworkAsync(network, cancellationToken).ConfigureAwait(false) is { } users
            ? throw new StrataException(ErrorKind.Conflict, $"network {network.Name}: {(users.Count == 1 ? "a container is" : "containers are")} in it: {string.Join(", ", users)}") { Hint = $"strata rm -f {string.Join(' ', users)}, or strata network disconnect {network.Name} {users[0]}" }
            : network.Name;
    }

    /// <summary>Removes networks that no container is in, and the default one's bridge where none is in that.</summary>
    /// <param name="matches">Which of them; null: all.</param>
    /// <param name="cancellationToken">Ends it between two networks.</param>
    /// <returns>The names of those that are gone.</returns>
    public async ValueTask<IReadOnlyList<string>> PruneNetworksAsync(Func<NetworkRecord, bool>? matches = null, CancellationToken cancellationToken = default)
    {
        await Nets.SweepAsync(cancellationToken).ConfigureAwait(false);
        var removed = new List<string>();
        foreach (NetworkRecord network in Networks.List().Where(n => matches?.Invoke(n) ?? true))
        {
            if (await TryRemoveNetworkAsync(network, cancellationToken).ConfigureAwait(false) is null && !network.IsDefault)
            {
                removed.Add(network.Name);
            }
        }
        return removed;
    }

    // Null where it is gone; else who is in it.
    private async ValueTask<IReadOnlyList<string>?> TryRemoveNetworkAsync(NetworkRecord network, CancellationToken cancellationToken)
    {
        using FileLock machine = await NetworkStore.LockMachineAsync(cancellationToken).ConfigureAwait(false);
        using FileLock? held = await Networks.TryLockAsync(network, cancellationToken).ConfigureAwait(false);
        if (held is null)
        {
            return null; // another did it
        }
        HashSet<string> users = [.. Networks.PoolOf(network.Name).Owners().Select(o => TryGetContainer(Path.GetFileName(o))?.Record.Name ?? Path.GetFileName(o)[..12])];
        users.UnionWith(network.IsDefault ? [] : ListContainers().Where(c => IsToBeIn(c.Record, network)).Select(c => c.Record.Name));
        if (users.Count > 0)
        {
            return [.. users.Order(StringComparer.Ordinal)];
        }
        await Nets.RemoveBridgeAsync(network, cancellationToken).ConfigureAwait(false);
        Networks.Remove(network);
        return null;
    }

    private bool IsToBeIn(ContainerRecord record, NetworkRecord network)
        => record.Isolation.Network == NetworkMode.Bridge && (Nets.TryReadState(record.Id)?.Endpoints.Select(e => e.Attachment) ?? record.Networking.Networks).Any(a => a.Network == network.Name);

    /// <summary>Puts a container into a network; a running one at once.</summary>
    /// <exception cref="StrataException">NotFound; Conflict: it is in it already, or has no bridge networks.</exception>
    public async ValueTask ConnectNetworkAsync(string network, string container, NetworkAttachment? attachment = null, CancellationToken cancellationToken = default)
    {
        string name = network is NetworkSyntax.DefaultName or "default" ? NetworkSyntax.DefaultName : Networks.Get(network).Name;
        ContainerRecord record = Containers.Get(container);
        using FileLock held = await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        await Nets.ConnectAsync(record, (attachment ?? new NetworkAttachment(name)) with { Network = name }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Takes a container out of a network; a running one at once.</summary>
    /// <exception cref="StrataException">NotFound: no such network or container, or it is not in it.</exception>
    public async ValueTask DisconnectNetworkAsync(string network, string container, CancellationToken cancellationToken = default)
    {
        ContainerRecord record = Containers.Get(container);
        using FileLock held = await Containers.LockAsync(record.Id, cancellationToken).ConfigureAwait(false);
        await Nets.DisconnectAsync(record, Networks.Get(network).Name, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>How a container's net is, or was made last; empty where it has none of its own or was never started.</summary>
    public ContainerNetworkState GetNetworkState(ContainerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        return record.Isolation.Network == NetworkMode.Bridge && Nets.TryReadState(record.Id) is { } state ? state : new ContainerNetworkState();
    }

    /// <summary>The containers that run in a network, each with its place.</summary>
    public IReadOnlyList<(ContainerRecord Container, NetworkEndpoint Endpoint)> ListNetworkContainers(NetworkRecord network)
    {
        ArgumentNullException.ThrowIfNull(network);
        return [.. ListContainers().Where(c => c.State.Status == ContainerStatus.Running)
            .SelectMany(c => GetNetworkState(c.Record).Endpoints.Where(e => e.NetworkId == network.Id).Select(e => (c.Record, e)))];
    }
}
