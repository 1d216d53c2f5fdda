using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Containers.Networks;

/// <summary>
/// The records of networks. Those that people make belong to a store; the default one belongs to the machine, as its bridge does:
/// <code>
/// STORE/networks/NAME/network.json    what it is
///                     lock            held while addresses are taken, and while it is made or removed
///                     leases/ADDRESS  who has it (AddressPool)
/// /run/strata/net/lock                held while netavark works, and while blocks of addresses are taken
///                 claims/             whose blocks of addresses are whose (SubnetClaims)
///                 default/            the default network, with leases of all stores; made anew after a boot
///                 up/ID.json          what netavark did for a container that runs: what there is to undo (ContainerNetworks)
///                 dns/                what aardvark-dns answers from
/// </code>
/// </summary>
public sealed class NetworkStore
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const string DefaultBridge = "strata0";
    private static readonly string[] s_reserved = ["none", "host", "container", "default"];
    private static readonly string[] s_options = ["mtu", "vlan", "isolate", "metric"];

    private readonly StoreLayout _layout;
    private readonly TimeProvider _time;

    /// <summary>Opens the records of a store. Does no I/O.</summary>
    public NetworkStore(StoreLayout layout, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(layout);
        (_layout, _time) = (layout, time);
    }

    /// <summary>What all stores of this machine share.</summary>
    internal static string MachineRoot { get; } = Path.Combine(UserPlaces.RuntimeRoot, "net");

    private static SubnetClaims Claims => new(Path.Combine(MachineRoot, "claims"));

    /// <summary>The id of a network that every machine has: its name's bytes.</summary>
    public static string BuiltInId(string name) => Convert.ToHexStringLower(Encoding.ASCII.GetBytes(name)).PadRight(64, '0');

    /// <summary>Where a network's record is.</summary>
    internal string DirectoryOf(string name) => name == NetworkSyntax.DefaultName ? Path.Combine(MachineRoot, "default") : Path.Combine(_layout.Networks, name);

    /// <summary>There when netavark has made the bridge and its rules since the machine was started.</summary>
    internal string ReadyFile(NetworkRecord network) => Path.Combine(DirectoryOf(network.Name), "ready");

    internal AddressPool PoolOf(string name) => new(DirectoryOf(name));

    /// <summary>Waits for the lock of the machine's networks.</summary>
    internal static ValueTask<FileLock> LockMachineAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(MachineRoot, Private);
        return FileLock.AcquireAsync(Path.Combine(MachineRoot, "lock"), exclusive: true, cancellationToken);
    }

    /// <summary>Waits for a network's lock; null where the network was removed meanwhile.</summary>
    internal async ValueTask<FileLock?> TryLockAsync(NetworkRecord network, CancellationToken cancellationToken)
    {
        string path = Path.Combine(DirectoryOf(network.Name), "lock");
        FileLock held;
        try
        {
            held = await FileLock.AcquireAsync(path, exclusive: true, cancellationToken).ConfigureAwait(false);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT)
        {
            return null;
        }
        // Another one of its name may be there by now, with a lock of its own.
        if (FileSystems.TryGetStatus(path) is { } named && named.Inode == Files.GetStatus(held.Handle).Inode && TryRead(network.Name)?.Id == network.Id)
        {
            return held;
        }
        held.Dispose();
        return null;
    }

    /// <summary>A network by name, id or unique beginning of an id.</summary>
    /// <exception cref="StrataException">NotFound: none; Invalid: several.</exception>
    public NetworkRecord Get(string nameOrId) => TryGet(nameOrId) ?? throw new StrataException(ErrorKind.NotFound, $"network '{nameOrId}': not found") { Hint = $"strata network create {nameOrId}" };

    /// <summary>The same, null where there is none.</summary>
    /// <exception cref="StrataException">Invalid: several.</exception>
    public NetworkRecord? TryGet(string nameOrId)
    {
        if (!ContainerStore.IsName(nameOrId))
        {
            return null;
        }
        if (TryRead(nameOrId) is { } named)
        {
            return named;
        }
        NetworkRecord[] found = [.. List().Where(n => n.Id.StartsWith(nameOrId, StringComparison.Ordinal))];
        return found.Length <= 1 ? found.FirstOrDefault() : throw new StrataException(ErrorKind.Invalid, $"network '{nameOrId}': several ids begin so");
    }

    /// <summary>Whether the store has networks beside the machine's.</summary>
    internal bool HasOwn => (FileSystems.TryGetNames(_layout.Networks) ?? []).Count > 0;

    /// <summary>All bridge networks, by name.</summary>
    public IReadOnlyList<NetworkRecord> List()
        => [.. (FileSystems.TryGetNames(_layout.Networks) ?? []).Append(NetworkSyntax.DefaultName).Where(ContainerStore.IsName).Select(TryRead).OfType<NetworkRecord>().OrderBy(n => n.Name, StringComparer.Ordinal)];

    private NetworkRecord? TryRead(string name)
    {
        if (AtomicFile.TryRead(Path.Combine(DirectoryOf(name), "network.json")) is not { } bytes)
        {
            return null;
        }
        try
        {
            return NetworkFields.ReadNetwork(JsonFields.Parse(bytes));
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"network {name}: its record is damaged: {e.Message}", e) { Hint = $"rm -r {DirectoryOf(name)}" };
        }
    }

    /// <summary>The default network; made where this machine has none since it was started.</summary>
    internal async ValueTask<NetworkRecord> GetDefaultAsync(CancellationToken cancellationToken)
    {
        if (TryRead(NetworkSyntax.DefaultName) is { } there)
        {
            return there;
        }
        using FileLock held = await LockMachineAsync(cancellationToken).ConfigureAwait(false);
        if (TryRead(NetworkSyntax.DefaultName) is { } made)
        {
            return made;
        }
        Subnet subnet = Claims.FindFree(forDefault: true);
        var record = new NetworkRecord
        {
            Name = NetworkSyntax.DefaultName,
            Id = BuiltInId(NetworkSyntax.DefaultName),
            Created = _time.GetUtcNow(),
            Bridge = DefaultBridge,
            Subnets = [new NetworkSubnet(subnet, subnet.At(1), null)],
        };
        Directory.CreateDirectory(DirectoryOf(record.Name), Private);
        Claims.Claim(subnet, DirectoryOf(record.Name), isUp: false);
        AtomicFile.Write(Path.Combine(DirectoryOf(record.Name), "network.json"), JsonFieldsWriter.Serialize(record, NetworkFields.Write), durable: false);
        return record;
    }

    /// <summary>Makes a network. Its bridge is made when its first container starts.</summary>
    /// <exception cref="StrataException">Conflict: the name or the addresses are taken; Invalid: the options make no network.</exception>
    public async ValueTask<NetworkRecord> CreateAsync(NetworkCreateOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        string name = options.Name;
        if (UserNamespace.Current is not null)
        {
            throw UserNetwork.Refused("networks that containers share by name");
        }
        if (!ContainerStore.IsName(name) || s_reserved.Contains(name))
        {
            throw new StrataException(ErrorKind.Invalid, $"network '{name}': {(s_reserved.Contains(name) ? "this name has a meaning of its own" : "only letters, digits, '_', '.' and '-', at most 128, the first a letter or digit")}");
        }
        ImmutableSortedDictionary<string, string> bridgeOptions = ReadOptions(options.Options, out bool noNat, out string? bridge);
        using FileLock held = await LockMachineAsync(cancellationToken).ConfigureAwait(false);
        if (name == NetworkSyntax.DefaultName || TryRead(name) is not null)
        {
            throw new StrataException(ErrorKind.Conflict, $"network {name}: there is one of this name");
        }
        string id = ContainerStore.CreateId();
        var record = new NetworkRecord
        {
            Name = name,
            Id = id,
            Created = _time.GetUtcNow(),
            Bridge = CheckBridge(options.Bridge ?? bridge ?? "st-" + id[..12]),
            Subnets = Blocks(options),
            Internal = options.Internal || noNat,
            Dns = options.Dns,
            Options = bridgeOptions,
            Labels = options.Labels,
        };
        string directory = DirectoryOf(name);
        StoreDirectory.Create(directory);
        foreach (NetworkSubnet subnet in record.Subnets)
        {
            Claims.Claim(subnet.Subnet, directory, isUp: false);
        }
        AtomicFile.Write(Path.Combine(directory, "network.json"), JsonFieldsWriter.Serialize(record, NetworkFields.Write));
        return record;
    }

    /// <summary>Takes a network's blocks of addresses again, as after a boot. The caller holds the machine's lock.</summary>
    /// <exception cref="StrataException">Conflict: something else has them meanwhile.</exception>
    internal void ClaimAgain(NetworkRecord network)
    {
        foreach (NetworkSubnet subnet in network.Subnets)
        {
            Claims.Claim(subnet.Subnet, DirectoryOf(network.Name), IsUp(network));
        }
    }

    /// <summary>Whether its bridge is there.</summary>
    internal static bool IsUp(NetworkRecord network) => Directory.Exists("/sys/class/net/" + network.Bridge);

    /// <summary>Forgets a network. The caller holds the machine's lock and its own.</summary>
    internal void Remove(NetworkRecord network)
    {
        foreach (NetworkSubnet subnet in network.Subnets)
        {
            Claims.Release(subnet.Subnet);
        }
        AtomicFile.Delete(Path.Combine(DirectoryOf(network.Name), "network.json"), durable: !network.IsDefault);
        FileSystems.RemoveTree(DirectoryOf(network.Name));
    }

    private static ImmutableArray<NetworkSubnet> Blocks(NetworkCreateOptions options)
    {
        List<Subnet> subnets = [.. options.Subnets.Select(Subnet.Parse)];
        if (subnets.Count(s => s.Is6) > 1 || subnets.Count(s => !s.Is6) > 1)
        {
            throw new StrataException(ErrorKind.Invalid, $"network {options.Name}: at most one subnet of IPv4 and one of IPv6");
        }
        if (options.Gateways.Length > Math.Max(subnets.Count, 1) || options.Ranges.Length > Math.Max(subnets.Count, 1))
        {
            throw new StrataException(ErrorKind.Invalid, $"network {options.Name}: more gateways or ranges than subnets");
        }
        if (subnets.Count == 0)
        {
            if (options.Ranges.Length > 0 || options.Gateways.Length > 0)
            {
                throw new StrataException(ErrorKind.Invalid, $"network {options.Name}: --gateway and --ip-range need --subnet") { Hint = "strata network create --subnet 192.168.77.0/24 --gateway 192.168.77.1 NAME" };
            }
            subnets.Add(Claims.FindFree(forDefault: false));
        }
        if (options.IPv6 && !subnets.Exists(s => s.Is6))
        {
            subnets.Add(Claims.FindFree(forDefault: false, is6: true));
        }
        return [.. subnets.Select(s => Block(s, options)).OrderBy(s => s.Subnet.Is6)];
    }

    private static NetworkSubnet Block(Subnet subnet, NetworkCreateOptions options)
    {
        AddressFamily family = subnet.Is6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork;
        IPAddress[] gateways = [.. options.Gateways.Select(g => IPAddress.TryParse(g, out IPAddress? a) ? a : throw new StrataException(ErrorKind.Invalid, $"gateway '{g}': not an address"))];
        Subnet[] ranges = [.. options.Ranges.Select(Subnet.Parse).Where(r => r.Is6 == subnet.Is6)];
        IPAddress gateway = gateways.FirstOrDefault(g => g.AddressFamily == family) ?? subnet.At(1);
        if (subnet.Usable < 2)
        {
            throw new StrataException(ErrorKind.Invalid, $"subnet {subnet}: too small for a gateway and a container");
        }
        if (!subnet.IsUsable(gateway))
        {
            throw new StrataException(ErrorKind.Invalid, $"gateway {gateway}: not an address of {subnet}");
        }
        return ranges.Length == 0 || subnet.Contains(ranges[0]) ? new NetworkSubnet(subnet, gateway, ranges.Length == 0 ? null : ranges[0])
            : throw new StrataException(ErrorKind.Invalid, $"ip-range {ranges[0]}: not a part of {subnet}");
    }

    // Docker's names for what netavark has; what it says by default is no difference.
    private static ImmutableSortedDictionary<string, string> ReadOptions(ImmutableSortedDictionary<string, string> options, out bool noNat, out string? bridge)
    {
        (noNat, bridge) = (false, null);
        ImmutableSortedDictionary<string, string>.Builder known = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach ((string key, string value) in options)
        {
            switch (key)
            {
                case "com.docker.network.bridge.name":
                    bridge = value;
                    break;
                case "com.docker.network.driver.mtu" or "com.docker.network.mtu":
                    known["mtu"] = value;
                    break;
                case "com.docker.network.bridge.enable_ip_masquerade":
                    noNat = value == "false";
                    break;
                default:
                    known[key] = s_options.Contains(key) ? value
                        : throw new StrataException(ErrorKind.Unsupported, $"network option {key}: there are {string.Join(", ", s_options)}, com.docker.network.bridge.name and com.docker.network.driver.mtu");
                    break;
            }
        }
        foreach (string number in s_options.Where(o => o != "isolate" && known.TryGetValue(o, out string? v) && !uint.TryParse(v, out _)))
        {
            throw new StrataException(ErrorKind.Invalid, $"network option {number}={known[number]}: not a number");
        }
        return known.ToImmutable();
    }

    private static string CheckBridge(string name)
        => name.Length is > 0 and <= 15 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') && name is not ("." or ".." or "lo") && !Directory.Exists("/sys/class/net/" + name)
            ? name : throw new StrataException(ErrorKind.Invalid, $"bridge '{name}': no name for a new interface (at most 15 letters, digits, '-', '_', '.'), or one is there");
}
