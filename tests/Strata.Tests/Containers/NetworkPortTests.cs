using Strata.Containers.Networks;
using Xunit;

namespace Strata.Tests.Containers;

public sealed class NetworkPortTests
{
    [Theory]
    [InlineData("80", "80/tcp", 1, 0)]
    [InlineData("8080:80", "0.0.0.0:8080->80/tcp", 1, 0)]
    [InlineData("53:53/udp", "0.0.0.0:53->53/udp", 1, 0)]
    [InlineData("9000:9000/SCTP", "0.0.0.0:9000->9000/sctp", 1, 0)]
    [InlineData("127.0.0.1:8080:80", "127.0.0.1:8080->80/tcp", 1, 0)]
    [InlineData("0.0.0.0:8080:80", "0.0.0.0:8080->80/tcp", 1, 0)]
    [InlineData("[::1]:8080:80", "[::1]:8080->80/tcp", 1, 0)]
    [InlineData("127.0.0.1::80", "80/tcp", 1, 0)]
    [InlineData(":80", "80/tcp", 1, 0)]
    [InlineData("8000-8010:9000-9010", "0.0.0.0:8000-8010->9000-9010/tcp", 11, 0)]
    [InlineData("8000-8010:80", "0.0.0.0:8000->80/tcp", 1, 8010)]
    [InlineData("8000-8001", "8000-8001/tcp", 2, 0)]
    [InlineData("65535:65535", "0.0.0.0:65535->65535/tcp", 1, 0)]
    public void What_is_published_is_read_as_docker_reads_it(string text, string shown, int count, int choiceEnd)
    {
        PortMapping mapping = PortSyntax.Parse(text);
        Assert.Equal((shown, count, choiceEnd), (mapping.ToString(), mapping.Count, mapping.HostPortEnd));
        Assert.Equal(count, mapping.Each().Count());
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("65536")]
    [InlineData("-1")]
    [InlineData("80:")]
    [InlineData("x:80")]
    [InlineData("80/icmp")]
    [InlineData("80/")]
    [InlineData("8010-8000:80")]
    [InlineData("8000-8002:80-81")]
    [InlineData("8000:80-81")]
    [InlineData("::1:8080:80")]
    [InlineData("[127.0.0.1]:8080:80")]
    [InlineData("1.2.3:8080:80")]
    [InlineData("localhost:8080:80")]
    [InlineData("+80:80")]
    [InlineData("8 0:80")]
    [InlineData("1-5000:1-5000")]
    public void What_means_no_port_is_refused_and_says_how_to_write_it(string text)
    {
        StrataException failure = Assert.Throws<StrataException>(() => PortSyntax.Parse(text));
        Assert.Equal(ErrorKind.Invalid, failure.Kind);
        Assert.StartsWith($"publish '{text}': ", failure.Message, StringComparison.Ordinal);
        Assert.NotNull(failure.Hint);
    }

    [Theory]
    [InlineData("80", "80/tcp")]
    [InlineData("53/udp", "53/udp")]
    [InlineData("8000-8002/tcp", "8000/tcp 8001/tcp 8002/tcp")]
    public void What_is_exposed_is_single_ports(string text, string expected) => Assert.Equal(expected, string.Join(' ', PortSyntax.ParseExposed(text)));

    [Theory]
    [InlineData("http")]
    [InlineData("80:80")]
    [InlineData("2-1")]
    [InlineData("")]
    public void What_exposes_nothing_is_refused(string text) => Assert.StartsWith("expose ", Assert.Throws<StrataException>(() => PortSyntax.ParseExposed(text)).Message, StringComparison.Ordinal);
}
