using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Strata.Oci;

namespace Strata.Containers.Networks;

/// <summary>A bridge network: networks/NAME/network.json. It never changes.</summary>
public sealed record NetworkRecord
{
    /// <summary>Unique in the store.</summary>
    public required string Name { get; init; }
    /// <summary>64 hex digits.</summary>
    public required string Id { get; init; }
    /// <summary>When it was made.</summary>
    public required DateTimeOffset Created { get; init; }
    /// <summary>The bridge's name on the host.</summary>
    public required string Bridge { get; init; }
    /// <summary>Its addresses, at most one block of each family, IPv4 first.</summary>
    public required ImmutableArray<NetworkSubnet> Subnets { get; init; }
    /// <summary>Whether nothing outside can be reached from it.</summary>
    public bool Internal { get; init; }
    /// <summary>Whether its containers find each other by name.</summary>
    public bool Dns { get; init; }
    /// <summary>Options of its bridge: mtu, vlan, isolate, metric.</summary>
    public ImmutableSortedDictionary<string, string> Options { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>Labels.</summary>
    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>The first 12 digits of the id: what people see.</summary>
    public string ShortId => Id[..12];
    /// <summary>Whether it has IPv6 addresses.</summary>
    public bool HasIPv6 => Subnets.Any(s => s.Subnet.Is6);
    /// <summary>Whether it is the one that containers are in when nothing is said.</summary>
    public bool IsDefault => Name == NetworkSyntax.DefaultName;
}

/// <summary>A block of addresses of a network.</summary>
/// <param name="Subnet">The block.</param>
/// <param name="Gateway">The bridge's own address in it.</param>
/// <param name="Range">Free addresses are taken from here; null: from all of it.</param>
public sealed record NetworkSubnet(Subnet Subnet, IPAddress Gateway, Subnet? Range);

/// <summary>What a network is to be like.</summary>
public sealed record NetworkCreateOptions
{
    /// <summary>Its name.</summary>
    public required string Name { get; init; }
    /// <summary>Blocks of addresses; where none is given a free one is looked for.</summary>
    public ImmutableArray<string> Subnets { get; init; } = [];
    /// <summary>The bridge's address in each of the blocks, in their order; the first one where it is not given.</summary>
    public ImmutableArray<string> Gateways { get; init; } = [];
    /// <summary>Where in each of the blocks free addresses are taken from.</summary>
    public ImmutableArray<string> Ranges { get; init; } = [];
    /// <summary>Whether it has IPv6 addresses too.</summary>
    public bool IPv6 { get; init; }
    /// <summary>Whether nothing outside can be reached from it.</summary>
    public bool Internal { get; init; }
    /// <summary>Whether its containers find each other by name.</summary>
    public bool Dns { get; init; } = true;
    /// <summary>Name of the bridge; one is made up where null.</summary>
    public string? Bridge { get; init; }
    /// <summary>mtu, vlan, isolate, metric, and Docker's names for them.</summary>
    public ImmutableSortedDictionary<string, string> Options { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
    /// <summary>Labels.</summary>
    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}

/// <summary>The fields of the records about networks.</summary>
internal static class NetworkFields
{
    internal static NetworkRecord ReadNetwork(JsonFields o) => new()
    {
        Name = o.String("name"),
        Id = o.String("id"),
        Created = o.Time("created"),
        Bridge = o.String("bridge"),
        Subnets = o.Objects("subnets", s => new NetworkSubnet(Subnet.Parse(s.String("subnet")), Address(s, "gateway")!, s.MaybeString("range") is { } range ? Subnet.Parse(range) : null)),
        Internal = o.MaybeBool("internal") ?? false,
        Dns = o.MaybeBool("dns") ?? false,
        Options = o.MaybeMap("options") ?? ImmutableSortedDictionary<string, string>.Empty,
        Labels = o.MaybeMap("labels") ?? ImmutableSortedDictionary<string, string>.Empty,
    };

    internal static void Write(JsonFieldsWriter writer, NetworkRecord record)
    {
        writer.Field("name", record.Name);
        writer.Field("id", record.Id);
        writer.Field("created", record.Created);
        writer.Field("bridge", record.Bridge);
        writer.Objects("subnets", record.Subnets, (w, s) =>
        {
            w.Field("subnet", s.Subnet.ToString());
            w.Field("gateway", AddressText.Of(s.Gateway));
            w.Field("range", s.Range?.ToString());
        });
        writer.Field("internal", record.Internal);
        writer.Field("dns", record.Dns);
        writer.Field("options", record.Options);
        writer.Field("labels", record.Labels);
    }

    internal static ContainerNetworkState ReadState(JsonFields o) => new()
    {
        Endpoints = o.Objects("endpoints", e => new NetworkEndpoint(ReadAttachment(e.Object("attachment")), e.String("networkId"), e.String("interface"), e.String("mac"))
        {
            Addresses = e.Objects("addresses", a => new EndpointAddress(Address(a, "address")!, a.Int32("prefix"), Address(a, "gateway"))),
        }),
        Ports = o.Objects("ports", ReadPort),
    };

    internal static void Write(JsonFieldsWriter writer, ContainerNetworkState state)
    {
        writer.Objects("endpoints", state.Endpoints, (w, e) =>
        {
            w.Object("attachment", e.Attachment, Write);
            w.Field("networkId", e.NetworkId);
            w.Field("interface", e.Interface);
            w.Field("mac", e.MacAddress);
            w.Objects("addresses", e.Addresses, (v, a) =>
            {
                v.Field("address", AddressText.Of(a.Address));
                v.Field("prefix", a.PrefixLength);
                v.Field("gateway", a.Gateway is null ? null : AddressText.Of(a.Gateway));
            });
        });
        writer.Objects("ports", state.Ports, Write);
    }

    internal static NetworkOptions ReadOptions(JsonFields o) => new()
    {
        Networks = o.Objects("networks", ReadAttachment),
        SharedWith = o.MaybeString("sharedWith"),
        Ports = o.Objects("ports", ReadPort),
        PublishAll = o.MaybeBool("publishAll") ?? false,
        Expose = o.Strings("expose"),
        Dns = o.Strings("dns"),
        DnsSearch = o.Strings("dnsSearch"),
        DnsOptions = o.Strings("dnsOptions"),
        AddHosts = o.Strings("addHosts"),
    };

    internal static void Write(JsonFieldsWriter writer, NetworkOptions options)
    {
        writer.Objects("networks", options.Networks, Write);
        writer.Field("sharedWith", options.SharedWith);
        writer.Objects("ports", options.Ports, Write);
        writer.Field("publishAll", options.PublishAll);
        writer.Field("expose", options.Expose);
        writer.Field("dns", options.Dns);
        writer.Field("dnsSearch", options.DnsSearch);
        writer.Field("dnsOptions", options.DnsOptions);
        writer.Field("addHosts", options.AddHosts);
    }

    private static NetworkAttachment ReadAttachment(JsonFields o) => new(o.String("network"))
    {
        Aliases = o.Strings("aliases"),
        Address = o.MaybeString("address"),
        Address6 = o.MaybeString("address6"),
        MacAddress = o.MaybeString("mac"),
        Interface = o.MaybeString("interface"),
    };

    private static void Write(JsonFieldsWriter writer, NetworkAttachment attachment)
    {
        writer.Field("network", attachment.Network);
        writer.Field("aliases", attachment.Aliases);
        writer.Field("address", attachment.Address);
        writer.Field("address6", attachment.Address6);
        writer.Field("mac", attachment.MacAddress);
        writer.Field("interface", attachment.Interface);
    }

    private static PortMapping ReadPort(JsonFields o)
        => new(o.String("hostAddress"), o.Int32("hostPort"), o.Int32("containerPort"), o.String("protocol"), o.Int32("count")) { HostPortEnd = o.MaybeInt32("hostPortEnd") ?? 0 };

    private static void Write(JsonFieldsWriter writer, PortMapping port)
    {
        writer.Field("hostAddress", port.HostAddress);
        writer.Field("hostPort", port.HostPort);
        writer.Field("containerPort", port.ContainerPort);
        writer.Field("protocol", port.Protocol);
        writer.Field("count", port.Count);
        writer.Field("hostPortEnd", port.HostPortEnd);
    }

    private static IPAddress? Address(JsonFields o, string name)
        => o.MaybeString(name) is not { } text ? null : AddressText.TryParse(text) ?? throw new JsonException(string.Create(CultureInfo.InvariantCulture, $"{name}: '{text}' is no address"));
}
