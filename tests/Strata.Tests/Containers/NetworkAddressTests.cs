using System.Net;
using Strata.Containers.Networks;
using Strata.Linux;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class NetworkAddressTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-pool").FullName;

    private AddressPool Pool => new(Path.Combine(_folder, "net"));

    private string Owner(string name) => Directory.CreateDirectory(Path.Combine(_folder, "containers", name.PadRight(64, '0'))).FullName;

    private static NetworkSubnet Block(string subnet, string? range = null, string? gateway = null)
        => new(Subnet.Parse(subnet), gateway is null ? Subnet.Parse(subnet).At(1) : IPAddress.Parse(gateway), range is null ? null : Subnet.Parse(range));

    private string Lease(NetworkSubnet block, string owner, string? wanted = null, string? preferred = null)
        => Pool.Lease(block, owner, wanted is null ? null : IPAddress.Parse(wanted), preferred is null ? null : IPAddress.Parse(preferred)).ToString();

    [Fact]
    public void Addresses_are_given_from_the_lowest_and_come_back()
    {
        NetworkSubnet block = Block("10.9.8.0/29");
        string[] owners = [.. Enumerable.Range(1, 6).Select(i => Owner($"c{i}"))];
        Assert.Equal(["10.9.8.2", "10.9.8.3", "10.9.8.4", "10.9.8.5", "10.9.8.6"], owners[..5].Select(o => Lease(block, o)));
        StrataException full = Assert.Throws<StrataException>(() => Lease(block, owners[5]));
        Assert.Equal((ErrorKind.Conflict, true), (full.Kind, full.Hint is not null));
        Pool.Release(owners[2], IPAddress.Parse("10.9.8.4"));
        Assert.Equal("10.9.8.4", Lease(block, owners[5]));
        Pool.Release(owners[0], IPAddress.Parse("10.9.8.4")); // not his
        Assert.Equal(owners[5], Pool.OwnerOf(IPAddress.Parse("10.9.8.4")));
    }

    [Fact]
    public void The_address_of_a_container_that_is_gone_is_free_again()
    {
        NetworkSubnet block = Block("10.9.8.0/30");
        string dead = Owner("dead");
        Assert.Equal("10.9.8.2", Lease(block, dead));
        Directory.Delete(dead);
        Assert.Empty(Pool.Owners());
        Assert.Equal("10.9.8.2", Lease(block, Owner("asks"), wanted: "10.9.8.2"));
        Directory.Delete(Owner("asks"));
        Assert.Equal("10.9.8.2", Lease(block, Owner("next")));
        Assert.Equal([Owner("next")], Pool.Owners());
    }

    [Fact]
    public void An_address_that_is_asked_for_is_given_or_the_reason_said()
    {
        NetworkSubnet block = Block("10.9.8.0/24", "10.9.8.128/25", "10.9.8.254");
        Assert.Equal("10.9.8.128", Lease(block, Owner("a")));
        Assert.Equal("10.9.8.7", Lease(block, Owner("b"), wanted: "10.9.8.7"));
        Assert.Equal("10.9.8.7", Lease(block, Owner("b"), wanted: "10.9.8.7")); // his own
        Assert.Equal((ErrorKind.Conflict, true), Failure("10.9.8.7", "container b00000000000 has it"));
        Assert.Equal((ErrorKind.Invalid, true), Failure("10.9.8.254", "the network's gateway has it"));
        foreach (string none in (string[])["10.9.8.0", "10.9.8.255", "10.9.9.1", "fd00::1"])
        {
            Assert.Equal((ErrorKind.Invalid, true), Failure(none, "not one of 10.9.8.0/24"));
        }

        (ErrorKind, bool) Failure(string address, string cause)
        {
            StrataException failure = Assert.Throws<StrataException>(() => Lease(block, Owner("c"), wanted: address));
            return (failure.Kind, failure.Message.Contains(cause, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_container_gets_the_address_it_had_unless_another_has_it()
    {
        NetworkSubnet block = Block("10.9.8.0/24");
        Assert.Equal("10.9.8.77", Lease(block, Owner("a"), preferred: "10.9.8.77"));
        Assert.Equal("10.9.8.2", Lease(block, Owner("b"), preferred: "10.9.8.77"));
        Assert.Equal("10.9.8.3", Lease(block, Owner("c"), preferred: "192.168.1.1"));
    }

    [Fact]
    public void Large_blocks_of_IPv6_are_no_different()
    {
        NetworkSubnet block = Block("fd00:1::/64");
        Assert.Equal("fd00:1::2", Lease(block, Owner("a")));
        Assert.Equal("fd00:1::3", Lease(block, Owner("b")));
        Assert.Equal("fd00:1::ffff:ffff:ffff:ffff", Lease(block, Owner("c"), wanted: "fd00:1::ffff:ffff:ffff:ffff"));
    }

    [Theory]
    [InlineData("10.1.2.0/24", "10.1.2.128/25", true)]
    [InlineData("10.1.2.128/25", "10.1.2.0/24", true)]
    [InlineData("10.1.2.0/24", "10.1.3.0/24", false)]
    [InlineData("0.0.0.0/0", "10.1.3.0/24", true)]
    [InlineData("fd00::/64", "fd00:0:0:1::/64", false)]
    [InlineData("::/0", "10.0.0.0/8", false)]
    public void Blocks_that_have_an_address_in_common_are_found(string a, string b, bool overlap)
        => Assert.Equal((overlap, overlap), (Subnet.Parse(a).Overlaps(Subnet.Parse(b)), Subnet.Parse(b).Overlaps(Subnet.Parse(a))));

    [Theory]
    [InlineData("10.1.2.0/24", "10.1.3.0/24", "10.1.2.255", 254UL)]
    [InlineData("10.255.255.0/24", "11.0.0.0/24", "10.255.255.255", 254UL)]
    [InlineData("10.1.2.4/31", "10.1.2.6/31", "10.1.2.5", 0UL)]
    [InlineData("fd00:0:0:1::/64", "fd00:0:0:2::/64", "fd00::1:ffff:ffff:ffff:ffff", ulong.MaxValue)]
    [InlineData("fd00::/56", "fd00:0:0:100::/56", "fd00::ff:ffff:ffff:ffff:ffff", ulong.MaxValue)]
    [InlineData("fd00::ffff:ffff:ffff:fff0/124", "fd00:0:0:1::/124", "fd00::ffff:ffff:ffff:ffff", 15UL)]
    public void A_block_ends_where_the_next_one_begins(string text, string next, string last, ulong usable)
    {
        Subnet block = Subnet.Parse(text);
        Assert.Equal((next, usable), (block.Next().ToString(), block.Usable));
        Assert.True(block.Contains(IPAddress.Parse(last)));
        Assert.False(block.Contains(block.Next().First) || block.Overlaps(block.Next()) || block.Next().Contains(IPAddress.Parse(last)));
        Assert.Equal(block.Next().First, Subnet.Around(IPAddress.Parse(last), block.PrefixLength).Next().First);
    }

    [Fact]
    public void Counting_on_goes_over_the_middle_of_a_long_address()
        => Assert.Equal(IPAddress.Parse("fd00:0:0:1::1"), Subnet.Around(Subnet.Parse("fd00::/60").At(ulong.MaxValue), 128).At(2));

    [Fact]
    public void Addresses_are_read_and_written_as_the_base_library_does()
    {
        string[] texts = ["10.0.0.1", "0.0.0.0", "255.255.255.255", "1.2.3.4", "010.1.1.1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1..2.3", ".1.2.3", "1.2.3.", "", "x", "1.2.3.4x", "::1", "fd00::5", "0x7f.1", "127.0.0.1 "];
        Assert.All(texts, text =>
        {
            IPAddress? expected = IPAddress.TryParse(text, out IPAddress? parsed) ? parsed : null, found = AddressText.TryParse(text);
            Assert.Equal(expected, found);
            Assert.Equal(expected?.ToString(), found is null ? null : AddressText.Of(found));
        });
    }

    [Theory]
    [InlineData("10.1.2.3/24", "did you mean 10.1.2.0/24?")]
    [InlineData("10.1.2.0/33", null)]
    [InlineData("10.1.2/24", null)]
    [InlineData("10.1.2.0", null)]
    [InlineData("fish/8", null)]
    [InlineData("fd00::/129", null)]
    [InlineData("10.1.2.0/-1", null)]
    public void What_is_no_block_is_refused(string text, string? hint)
    {
        StrataException failure = Assert.Throws<StrataException>(() => Subnet.Parse(text));
        Assert.Equal(hint ?? "write it like 10.91.5.0/24 or fd00:5::/64", failure.Hint);
    }

    [Fact]
    public void Routes_are_read_as_the_kernel_writes_them()
    {
        string[] lines =
        [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
            "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
            "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
            "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0",
        ];
        Assert.Equal(["192.0.2.0/24 eth0", "172.17.0.0/16 docker0"], SubnetClaims.ParseRoutes(lines).Select(r => $"{r.Subnet} {r.Device}"));
        string[] lines6 =
        [
            "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0",
            "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0",
            "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo",
        ];
        Assert.Equal(["fd00::/64 eth0"], SubnetClaims.ParseRoutes6(lines6).Select(r => $"{r.Subnet} {r.Device}"));
    }

    [Fact]
    public void A_block_belongs_to_one_network_until_that_is_gone()
    {
        var claims = new SubnetClaims(Path.Combine(_folder, "claims"));
        string first = Owner("first"), second = Owner("second");
        claims.Claim(Subnet.Parse("198.51.100.0/24"), first, isUp: false);
        claims.Claim(Subnet.Parse("198.51.100.0/24"), first, isUp: false);
        Assert.Equal(ErrorKind.Conflict, Assert.Throws<StrataException>(() => claims.Claim(Subnet.Parse("198.51.100.128/25"), second, isUp: false)).Kind);
        Directory.Delete(first);
        claims.Claim(Subnet.Parse("198.51.100.128/25"), second, isUp: false);
        claims.Release(Subnet.Parse("198.51.100.128/25"));
        claims.Claim(Subnet.Parse("198.51.100.0/24"), Owner("third"), isUp: false);
        Subnet free = claims.FindFree(forDefault: false);
        claims.Claim(free, second, isUp: false);
        Assert.False(claims.FindFree(forDefault: false).Overlaps(free));
    }

    public void Dispose() => FileSystems.RemoveTree(_folder);
}
