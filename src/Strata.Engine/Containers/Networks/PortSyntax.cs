using System.Collections.Immutable;
using System.Globalization;
using System.Net;

namespace Strata.Containers.Networks;

/// <summary>Reads what -p and --expose are given. Pure.</summary>
public static class PortSyntax
{
    private const int MaxPort = 65535;

    /// <summary>The most ports of one container that are published: each costs a descriptor of its monitor and a rule of the kernel.</summary>
    public const int MaxPublished = 4096;

    /// <summary><c>[[ADDRESS:][HOSTPORT]:]PORT[/tcp|udp|sctp]</c>; ports may be ranges of the same length, or the host's the longer one with a single port behind it.</summary>
    /// <exception cref="StrataException">Invalid: says what is wrong with it.</exception>
    public static PortMapping Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        (string rest, string protocol) = SplitProtocol(text, "publish");
        int last = rest.LastIndexOf(':');
        (int port, int end) = Range(rest[(last + 1)..], text, "publish");
        if (last < 0)
        {
            return Check(new PortMapping("", 0, port, protocol, end - port + 1), text);
        }
        string left = rest[..last];
        string address = "";
        int colon = left.LastIndexOf(':');
        if (colon >= 0)
        {
            address = HostAddress(left[..colon], text);
            left = left[(colon + 1)..];
        }
        if (left.Length == 0)
        {
            return Check(new PortMapping(address, 0, port, protocol, end - port + 1), text);
        }
        (int hostPort, int hostEnd) = Range(left, text, "publish");
        if (end == port && hostEnd > hostPort)
        {
            return new PortMapping(address, hostPort, port, protocol, 1) { HostPortEnd = hostEnd };
        }
        return hostEnd - hostPort == end - port ? Check(new PortMapping(address, hostPort, port, protocol, end - port + 1), text)
            : throw Bad("publish", text, "the two ranges have different lengths");
    }

    /// <summary><c>PORT[-PORT][/tcp|udp|sctp]</c> as single ports: <c>80/tcp</c>.</summary>
    /// <exception cref="StrataException">Invalid: says what is wrong with it.</exception>
    public static ImmutableArray<string> ParseExposed(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        (string rest, string protocol) = SplitProtocol(text, "expose");
        (int port, int end) = Range(rest, text, "expose");
        return end - port < MaxPublished ? [.. Enumerable.Range(port, end - port + 1).Select(p => string.Create(CultureInfo.InvariantCulture, $"{p}/{protocol}"))]
            : throw Bad("expose", text, $"more than {MaxPublished} ports");
    }

    private static PortMapping Check(PortMapping mapping, string text) => mapping.Count <= MaxPublished ? mapping : throw Bad("publish", text, $"more than {MaxPublished} ports");

    private static (string Ports, string Protocol) SplitProtocol(string text, string option)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        string protocol = slash < 0 ? "tcp" : text[(slash + 1)..].ToLowerInvariant();
        return protocol is "tcp" or "udp" or "sctp" ? (slash < 0 ? text : text[..slash], protocol) : throw Bad(option, text, $"'{protocol}' is none of tcp, udp and sctp");
    }

    private static (int First, int Last) Range(string text, string whole, string option)
    {
        int dash = text.IndexOf('-', StringComparison.Ordinal);
        int first = Port(dash < 0 ? text : text[..dash], whole, option);
        int last = dash < 0 ? first : Port(text[(dash + 1)..], whole, option);
        return last >= first ? (first, last) : throw Bad(option, whole, "a range ends before it begins");
    }

    private static int Port(string text, string whole, string option)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and <= MaxPort ? port
            : throw Bad(option, whole, text.Length == 0 ? "a port is missing" : $"'{text}' is no port: ports are 1 to {MaxPort}");

    private static string HostAddress(string text, string whole)
    {
        string bare = text.StartsWith('[') && text.EndsWith(']') ? text[1..^1] : text;
        bool is6 = bare.Contains(':', StringComparison.Ordinal);
        if (is6 != (bare.Length != text.Length) || !IPAddress.TryParse(bare, out IPAddress? address) || (!is6 && bare.Split('.').Length != 4))
        {
            throw Bad("publish", whole, $"'{text}' is no address (an IPv6 address stands in brackets)");
        }
        return address.Equals(IPAddress.Any) ? "" : address.ToString();
    }

    private static StrataException Bad(string option, string text, string cause)
        => new(ErrorKind.Invalid, $"{option} '{text}': {cause}") { Hint = option == "publish" ? "write it like 8080:80, 127.0.0.1:8080:80, 53:53/udp or 8000-8010:8000-8010" : "write it like 80, 53/udp or 8000-8010" };
}
