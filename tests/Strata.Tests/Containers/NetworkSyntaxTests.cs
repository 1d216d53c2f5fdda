using Strata.Containers;
using Strata.Containers.Networks;
using Strata.Oci;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class NetworkSyntaxTests
{
    private static (NetworkMode Mode, NetworkOptions Options) Parse(params string[] networks) => NetworkSyntax.Parse(networks, [], null, null, null);

    [Theory]
    [InlineData("host", NetworkMode.Host)]
    [InlineData("none", NetworkMode.None)]
    [InlineData("container:web", NetworkMode.Container)]
    [InlineData("bridge", NetworkMode.Bridge)]
    [InlineData("mine", NetworkMode.Bridge)]
    public void Words_with_a_meaning_of_their_own_are_told_from_names(string text, NetworkMode mode) => Assert.Equal(mode, Parse(text).Mode);

    [Fact]
    public void Nothing_said_is_the_default_bridge()
    {
        (NetworkMode mode, NetworkOptions options) = Parse();
        Assert.Equal((NetworkMode.Bridge, "bridge"), (mode, Assert.Single(options.Networks).Network));
        Assert.Equal("bridge", Assert.Single(Parse("default").Options.Networks).Network);
        Assert.Equal("web", Parse("container:web").Options.SharedWith);
    }

    [Theory]
    [InlineData("mine:ip=10.1.2.3,alias=a,alias=b,mac=02:42:0A:00:00:01,interface_name=net0")]
    [InlineData("name=mine,ip=10.1.2.3,alias=a,alias=b,mac-address=02:42:0a:00:00:01,interface_name=net0")]
    [InlineData("ip=10.1.2.3,name=mine,alias=a,alias=b,mac-address=02-42-0a-00-00-01,interface_name=net0")]
    public void Options_of_a_network_are_read_in_both_styles(string text)
    {
        NetworkAttachment one = Assert.Single(Parse(text).Options.Networks);
        Assert.Equal(("mine", "10.1.2.3", "a b", "02:42:0a:00:00:01", "net0"), (one.Network, one.Address, string.Join(' ', one.Aliases), one.MacAddress, one.Interface));
    }

    [Fact]
    public void Several_networks_and_options_for_the_first_go_together()
    {
        NetworkOptions options = NetworkSyntax.Parse(["front", "back:alias=db"], ["www"], "10.0.0.9", "fd00::0009", "02:42:0a:00:00:09").Options;
        Assert.Equal(["front", "back"], options.Networks.Select(n => n.Network));
        Assert.Equal(("10.0.0.9", "fd00::9", "www"), (options.Networks[0].Address, options.Networks[0].Address6, Assert.Single(options.Networks[0].Aliases)));
        Assert.Equal("db", Assert.Single(options.Networks[1].Aliases));
    }

    [Theory]
    [InlineData("a", "a")]
    [InlineData("host", "a")]
    [InlineData("none", "container:x")]
    [InlineData("container:")]
    [InlineData("../x")]
    [InlineData("")]
    [InlineData("a:ip=fish")]
    [InlineData("a:ip=1.2.3")]
    [InlineData("a:ip6=1.2.3.4")]
    [InlineData("a:mac=01:42:0a:00:00:01")]
    [InlineData("a:mac=02:42:0a:00:00")]
    [InlineData("a:alias=")]
    [InlineData("a:alias=x y")]
    [InlineData("a:interface_name=a-name-too-long-for-it")]
    [InlineData("a:interface_name=x/y")]
    [InlineData("a:weight=3")]
    public void What_means_no_network_is_refused(params string[] networks) => Assert.Equal(ErrorKind.Invalid, Assert.Throws<StrataException>(() => Parse(networks)).Kind);

    [Fact]
    public void An_alias_needs_a_network_of_its_own()
        => Assert.Contains("--network host", Assert.Throws<StrataException>(() => NetworkSyntax.Parse(["host"], ["x"], null, null, null)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("host", "HOST")]
    [InlineData("none", "no network")]
    [InlineData("container:x", "another's network")]
    public void Ports_are_published_on_bridges_only(string network, string cause)
    {
        (NetworkMode mode, NetworkOptions options) = Parse(network);
        var container = new ContainerOptions { Image = "x", Isolation = new IsolationOptions { Network = mode }, Networking = options with { Ports = [PortSyntax.Parse("80:80")] } };
        Assert.Contains(cause, Assert.Throws<StrataException>(() => NetworkPlan.Resolve(container, new ContainerConfig())).Message, StringComparison.OrdinalIgnoreCase);
    }
}
