using System.Net;
using Strata.Containers.Networks;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class NetworkFilesTests
{
    private const string Host = "# made by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch example.org lab\noptions edns0 trust-ad\nfish\n";

    [Theory]
    [InlineData(true, "", "nameserver 192.0.2.53\nsearch example.org lab\noptions edns0 trust-ad\n")]
    [InlineData(false, "", "nameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch example.org lab\noptions edns0 trust-ad\n")]
    [InlineData(true, "10.1.0.1", "nameserver 10.1.0.1\nsearch example.org lab\noptions edns0 trust-ad\n")]
    [InlineData(true, "10.1.0.1 10.2.0.1", "nameserver 10.1.0.1\nnameserver 10.2.0.1\nsearch example.org lab\noptions edns0 trust-ad\n")]
    public void Name_servers_are_the_hosts_or_the_networks(bool ownNet, string gateways, string expected)
        => Assert.Equal(expected, NetworkFiles.Resolv(Host, ownNet, [.. gateways.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(IPAddress.Parse)], new NetworkOptions()));

    [Theory]
    [InlineData("", "nameserver 9.9.9.9\nnameserver fd00::1\nsearch a b\noptions ndots:2\n")]
    [InlineData("10.1.0.1", "nameserver 10.1.0.1\nnameserver 9.9.9.9\nnameserver fd00::1\nsearch a b\noptions ndots:2\n")]
    public void What_is_asked_for_stands_in_the_hosts_place(string gateway, string expected)
        => Assert.Equal(expected, NetworkFiles.Resolv(Host, true, gateway.Length == 0 ? [] : [IPAddress.Parse(gateway)], new NetworkOptions { Dns = ["9.9.9.9", "fd00::1"], DnsSearch = ["a", "b"], DnsOptions = ["ndots:2"] }));

    [Fact]
    public void A_dot_is_no_search_domain_and_three_servers_are_the_most()
        => Assert.Equal("nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\noptions edns0 trust-ad\n",
            NetworkFiles.Resolv(Host, true, [], new NetworkOptions { Dns = ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"], DnsSearch = ["."] }));

    [Fact]
    public void Hosts_has_the_containers_own_addresses_and_what_is_added()
    {
        Assert.Equal("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.0.2\tabc web\nfd00::2\tabc web\n10.0.0.5\tdb\n10.1.0.1\thost.docker.internal\n::1\tsix\n",
            NetworkFiles.Hosts("abc", "web", [IPAddress.Parse("10.1.0.2"), IPAddress.Parse("fd00::2")], ["db:10.0.0.5", "host.docker.internal:host-gateway", "six=[::1]"], IPAddress.Parse("10.1.0.1")));
        Assert.EndsWith("\n127.0.1.1\tabc\n", NetworkFiles.Hosts("abc", "abc", [], [], IPAddress.Loopback), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("db")]
    [InlineData("db:")]
    [InlineData(":10.0.0.1")]
    [InlineData("db:fish")]
    [InlineData("d b:10.0.0.1")]
    [InlineData("db\n:10.0.0.1")]
    public void A_line_that_is_none_is_refused(string text)
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => NetworkSyntax.CheckNames(new NetworkOptions { AddHosts = [text] })).Kind);

    [Theory]
    [InlineData("fish", "", "")]
    [InlineData("", "a b", "")]
    [InlineData("", "", "x\noptions y")]
    public void Names_that_would_break_the_file_are_refused(string dns, string search, string option)
        => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => NetworkSyntax.CheckNames(new NetworkOptions
        {
            Dns = dns.Length == 0 ? [] : [dns], DnsSearch = search.Length == 0 ? [] : [search], DnsOptions = option.Length == 0 ? [] : [option],
        })).Kind);

    [Theory]
    [InlineData("10.90.0.2", "02:42:0a:5a:00:02")]
    [InlineData("fd00::1:2:3", "02:42:00:02:00:03")]
    public void A_hardware_address_follows_from_the_address(string address, string mac) => Assert.Equal(mac, ContainerNetworks.MacOf(IPAddress.Parse(address)));

    [Fact]
    public void A_name_server_is_asked_and_its_answer_told_from_a_refusal()
    {
        byte[] question = NameServer.Question(0x0102, "web.lab", 1);
        Assert.Equal([1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, .. "web"u8, 3, .. "lab"u8, 0, 0, 1, 0, 1], question);
        byte[] answer = [.. question];
        (answer[2], answer[3], answer[7]) = (0x81, 0x80, 1);
        Assert.True(NameServer.IsAnswer(answer, 0x0102));
        Assert.False(NameServer.IsAnswer(answer, 0x0103));
        Assert.False(NameServer.IsAnswer(question, 0x0102));
        Assert.False(NameServer.IsAnswer(answer.AsSpan(0, 12), 0x0102));
        answer[3] = 0x83; // no such name
        Assert.False(NameServer.IsAnswer(answer, 0x0102));
    }
}
