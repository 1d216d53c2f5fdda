using System.Collections.Immutable;
using System.Globalization;
using System.Net;

namespace Strata.Containers.Networks;

/// <summary>What a person says about a container's place in the net. Which kind of network it is says <see cref="IsolationOptions.Network"/>.</summary>
public sealed record NetworkOptions
{
    /// <summary>The bridge networks it is in; empty with <see cref="NetworkMode.Bridge"/>: the default one.</summary>
    public ImmutableArray<NetworkAttachment> Networks { get; init; } = [];
    /// <summary>With <see cref="NetworkMode.Container"/>: the container whose network it uses, by name or id.</summary>
    public string? SharedWith { get; init; }
    /// <summary>Ports of the host that lead to it.</summary>
    public ImmutableArray<PortMapping> Ports { get; init; } = [];
    /// <summary>Whether each exposed port gets a free port of the host.</summary>
    public bool PublishAll { get; init; }
    /// <summary>Ports its programs answer at, as <c>80/tcp</c>, beside those of the image.</summary>
    public ImmutableArray<string> Expose { get; init; } = [];
    /// <summary>Name servers in place of the host's.</summary>
    public ImmutableArray<string> Dns { get; init; } = [];
    /// <summary>Search domains in place of the host's; one that is <c>.</c>: none.</summary>
    public ImmutableArray<string> DnsSearch { get; init; } = [];
    /// <summary>Options of resolv.conf in place of the host's.</summary>
    public ImmutableArray<string> DnsOptions { get; init; } = [];
    /// <summary>Lines for /etc/hosts, as <c>NAME:ADDRESS</c>; the address may be <c>host-gateway</c>.</summary>
    public ImmutableArray<string> AddHosts { get; init; } = [];
}

/// <summary>A container's place in one network, as it was asked for.</summary>
/// <param name="Network">The network's name.</param>
public sealed record NetworkAttachment(string Network)
{
    /// <summary>Names beside the container's own, for the network's DNS.</summary>
    public ImmutableArray<string> Aliases { get; init; } = [];
    /// <summary>The IPv4 address it shall have; null: a free one.</summary>
    public string? Address { get; init; }
    /// <summary>The IPv6 address it shall have; null: a free one.</summary>
    public string? Address6 { get; init; }
    /// <summary>The hardware address it shall have; null: one made from its address.</summary>
    public string? MacAddress { get; init; }
    /// <summary>Name of its interface; null: eth0, eth1 and so on.</summary>
    public string? Interface { get; init; }
}

/// <summary>A container's place in one network, as it is: containers/ID/network.json has these.</summary>
/// <param name="Attachment">What was asked for.</param>
/// <param name="NetworkId">The network's id.</param>
/// <param name="Interface">Name of its interface.</param>
/// <param name="MacAddress">Its hardware address.</param>
public sealed record NetworkEndpoint(NetworkAttachment Attachment, string NetworkId, string Interface, string MacAddress)
{
    /// <summary>Addresses with what they belong to, IPv4 before IPv6.</summary>
    public ImmutableArray<EndpointAddress> Addresses { get; init; } = [];
    /// <summary>The IPv4 address, or null.</summary>
    public EndpointAddress? V4 => Addresses.FirstOrDefault(a => a.Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork);
    /// <summary>The IPv6 address, or null.</summary>
    public EndpointAddress? V6 => Addresses.FirstOrDefault(a => a.Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6);
}

/// <summary>An address of a container.</summary>
/// <param name="Address">The address.</param>
/// <param name="PrefixLength">How many bits of it are the network's.</param>
/// <param name="Gateway">The bridge's address; null where the network has none.</param>
public sealed record EndpointAddress(IPAddress Address, int PrefixLength, IPAddress? Gateway);

/// <summary>How a container's net was made at its last start.</summary>
public sealed record ContainerNetworkState
{
    /// <summary>Its places.</summary>
    public ImmutableArray<NetworkEndpoint> Endpoints { get; init; } = [];
    /// <summary>Its ports, each with the host's port it got.</summary>
    public ImmutableArray<PortMapping> Ports { get; init; } = [];
}

/// <summary>One port, or as many in a row, of the host that lead to a container's.</summary>
/// <param name="HostAddress">The host's address that it answers at; empty: all.</param>
/// <param name="HostPort">The first port of the host; 0: a free one.</param>
/// <param name="ContainerPort">The first port of the container.</param>
/// <param name="Protocol">tcp, udp or sctp.</param>
/// <param name="Count">How many ports in a row.</param>
public sealed record PortMapping(string HostAddress, int HostPort, int ContainerPort, string Protocol, int Count)
{
    /// <summary>The last host port that may be taken where the container has one and the host has several to choose from; 0: no choice.</summary>
    public int HostPortEnd { get; init; }

    /// <summary>Each port by itself.</summary>
    public IEnumerable<PortMapping> Each()
        => Enumerable.Range(0, Count).Select(i => this with { HostPort = HostPort == 0 ? 0 : HostPort + i, ContainerPort = ContainerPort + i, Count = 1 });

    /// <summary>As people write it: <c>0.0.0.0:8080->80/tcp</c>.</summary>
    public override string ToString()
    {
        string Range(int first) => Count == 1 ? first.ToString(CultureInfo.InvariantCulture) : string.Create(CultureInfo.InvariantCulture, $"{first}-{first + Count - 1}");
        string host = HostAddress.Length == 0 ? "0.0.0.0" : HostAddress.Contains(':', StringComparison.Ordinal) ? $"[{HostAddress}]" : HostAddress;
        return HostPort == 0 ? $"{Range(ContainerPort)}/{Protocol}" : $"{host}:{Range(HostPort)}->{Range(ContainerPort)}/{Protocol}";
    }
}
