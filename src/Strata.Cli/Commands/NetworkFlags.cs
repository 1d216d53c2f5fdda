using Strata.Cli.Syntax;
using Strata.Containers;
using Strata.Containers.Networks;

namespace Strata.Cli.Commands;

/// <summary>The options of <c>run</c> and <c>create</c> about networks.</summary>
internal sealed class NetworkFlags
{
    private readonly Option<string[]> _network = Options.Values("--network", "NETWORK", "bridge (default), none, host, container:ID, or a network's NAME[:ip=…,alias=…]", "--net");
    private readonly Option<string[]> _alias = Options.Values("--network-alias", "NAME", "one more name in its network", "--net-alias");
    private readonly Option<string[]> _publish = Options.Values("--publish", "[[ADDRESS:]HOSTPORT:]PORT[/udp]", "lead a port of the host to it", "-p");
    private readonly Option<bool> _publishAll = Options.Flag("--publish-all", "lead a free port of the host to each exposed one", "-P");
    private readonly Option<string[]> _expose = Options.Values("--expose", "PORT", "a port that it answers at");
    private readonly Option<string?> _ip = Options.Value("--ip", "ADDRESS", "its IPv4 address");
    private readonly Option<string?> _ip6 = Options.Value("--ip6", "ADDRESS", "its IPv6 address");
    private readonly Option<string?> _mac = Options.Value("--mac-address", "MAC", "its hardware address");
    private readonly Option<string[]> _dns = Options.Values("--dns", "ADDRESS", "a name server in place of the host's");
    private readonly Option<string[]> _dnsSearch = Options.Values("--dns-search", "DOMAIN", "a search domain in place of the host's");
    private readonly Option<string[]> _dnsOption = Options.Values("--dns-option", "OPTION", "an option of resolv.conf", "--dns-opt");
    private readonly Option<string[]> _addHost = Options.Values("--add-host", "NAME:ADDRESS", "a line in /etc/hosts; the address may be host-gateway");

    internal IEnumerable<Symbol> All => [_network, _alias, _publish, _publishAll, _expose, _ip, _ip6, _mac, _dns, _dnsSearch, _dnsOption, _addHost];

    internal (NetworkMode Mode, NetworkOptions Options) Read(ParseResult parsed)
    {
        (NetworkMode mode, NetworkOptions options) = NetworkSyntax.Parse(parsed.GetValue(_network), parsed.GetValue(_alias), parsed.GetValue(_ip), parsed.GetValue(_ip6), parsed.GetValue(_mac));
        return (mode, options with
        {
            Ports = [.. parsed.GetValue(_publish).Select(PortSyntax.Parse)],
            PublishAll = parsed.GetValue(_publishAll),
            Expose = [.. parsed.GetValue(_expose).SelectMany(e => PortSyntax.ParseExposed(e))],
            Dns = [.. parsed.GetValue(_dns)],
            DnsSearch = [.. parsed.GetValue(_dnsSearch)],
            DnsOptions = [.. parsed.GetValue(_dnsOption)],
            AddHosts = [.. parsed.GetValue(_addHost)],
        });
    }
}
