using System.Net;
using System.Net.Sockets;

namespace Strata.Containers.Networks;

/// <summary>Reads what --network and its company are given. Pure.</summary>
public static class NetworkSyntax
{
    /// <summary>The name of the network that containers are in when nothing is said.</summary>
    public const string DefaultName = "bridge";

    private const string ContainerPrefix = "container:";
    private const int MaxInterfaceName = 15; // IFNAMSIZ without its zero

    /// <summary>What the options of run together mean.</summary>
    /// <param name="networks">Each --network: <c>host</c>, <c>none</c>, <c>bridge</c>, <c>container:ID</c>, a name, <c>NAME:ip=…,alias=…</c> or <c>name=NAME,alias=…</c>.</param>
    /// <param name="aliases">--network-alias: for the first network.</param>
    /// <param name="address">--ip: for the first network.</param>
    /// <param name="address6">--ip6: for the first network.</param>
    /// <param name="mac">--mac-address: for the first network.</param>
    /// <exception cref="StrataException">Invalid: they mean nothing together.</exception>
    public static (NetworkMode Mode, NetworkOptions Options) Parse(IReadOnlyList<string> networks, IReadOnlyList<string> aliases, string? address, string? address6, string? mac)
    {
        ArgumentNullException.ThrowIfNull(networks);
        ArgumentNullException.ThrowIfNull(aliases);
        bool hasMore = aliases.Count > 0 || address is not null || address6 is not null || mac is not null;
        if (networks.FirstOrDefault(n => n is "host" or "none" || n.StartsWith(ContainerPrefix, StringComparison.Ordinal)) is { } alone)
        {
            if (networks.Count > 1 || hasMore)
            {
                throw new StrataException(ErrorKind.Invalid, $"--network {alone}: neither other networks nor addresses and aliases go with it");
            }
            return alone switch
            {
                "host" => (NetworkMode.Host, new NetworkOptions()),
                "none" => (NetworkMode.None, new NetworkOptions()),
                _ => (NetworkMode.Container, new NetworkOptions { SharedWith = NotEmpty(alone[ContainerPrefix.Length..], alone) }),
            };
        }
        List<NetworkAttachment> attachments = [.. networks.Select(ParseOne)];
        if (attachments.GroupBy(a => a.Network).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new StrataException(ErrorKind.Invalid, $"--network {twice.Key}: asked for {twice.Count()} times");
        }
        if (attachments.Count == 0)
        {
            attachments.Add(new NetworkAttachment(DefaultName));
        }
        NetworkAttachment first = attachments[0];
        attachments[0] = first with
        {
            Aliases = first.Aliases.AddRange(aliases.Select(CheckAlias)),
            Address = address is null ? first.Address : CheckAddress(address, AddressFamily.InterNetwork, "--ip"),
            Address6 = address6 is null ? first.Address6 : CheckAddress(address6, AddressFamily.InterNetworkV6, "--ip6"),
            MacAddress = mac is null ? first.MacAddress : CheckMac(mac),
        };
        return (NetworkMode.Bridge, new NetworkOptions { Networks = [.. attachments] });
    }

    /// <summary>One network with its options, in podman's words or Docker's.</summary>
    internal static NetworkAttachment ParseOne(string text)
    {
        string name = text;
        string[] options = [];
        if (text.StartsWith("name=", StringComparison.Ordinal) || text.Contains(",name=", StringComparison.Ordinal))
        {
            string[] pairs = text.Split(',');
            name = pairs.First(p => p.StartsWith("name=", StringComparison.Ordinal))[5..];
            options = [.. pairs.Where(p => !p.StartsWith("name=", StringComparison.Ordinal))];
        }
        else if (text.IndexOf(':', StringComparison.Ordinal) is int colon and >= 0)
        {
            (name, options) = (text[..colon], text[(colon + 1)..].Split(',', StringSplitOptions.RemoveEmptyEntries));
        }
        name = name == "default" ? DefaultName : name;
        if (!ContainerStore.IsName(name))
        {
            throw new StrataException(ErrorKind.Invalid, $"--network '{text}': '{name}' is no network's name") { Hint = "there are bridge, none, host, container:ID, and the names that network ls shows" };
        }
        return options.Aggregate(new NetworkAttachment(name), (attachment, option) => With(attachment, option, text));
    }

    private static NetworkAttachment With(NetworkAttachment attachment, string option, string text)
    {
        int equals = option.IndexOf('=', StringComparison.Ordinal);
        string value = equals < 0 ? "" : option[(equals + 1)..];
        return (equals < 0 ? option : option[..equals]) switch
        {
            "ip" when value.Contains(':', StringComparison.Ordinal) => attachment with { Address6 = CheckAddress(value, AddressFamily.InterNetworkV6, "ip") },
            "ip" => attachment with { Address = CheckAddress(value, AddressFamily.InterNetwork, "ip") },
            "ip6" => attachment with { Address6 = CheckAddress(value, AddressFamily.InterNetworkV6, "ip6") },
            "mac" or "mac-address" => attachment with { MacAddress = CheckMac(value) },
            "alias" => attachment with { Aliases = attachment.Aliases.Add(CheckAlias(value)) },
            "interface_name" => attachment with
            {
                Interface = value.Length is > 0 and <= MaxInterfaceName && value.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.') && value is not ("." or ".." or "lo")
                    ? value : throw new StrataException(ErrorKind.Invalid, $"--network '{text}': '{value}' is no name for an interface"),
            },
            string other => throw new StrataException(ErrorKind.Invalid, $"--network '{text}': no such option: {other}") { Hint = "there are ip, ip6, mac, alias and interface_name" },
        };
    }

    /// <summary>Checks a name for the network's DNS.</summary>
    internal static string CheckAlias(string name)
        => name.Length is > 0 and <= 253 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') ? name
            : throw new StrataException(ErrorKind.Invalid, $"alias '{name}': only letters, digits, '-', '_' and '.'");

    /// <summary>Checks an address of a family; gives it as it is written usually.</summary>
    internal static string CheckAddress(string text, AddressFamily family, string option)
        => IPAddress.TryParse(text, out IPAddress? address) && address.AddressFamily == family && (family == AddressFamily.InterNetworkV6 || text.Split('.').Length == 4) ? address.ToString()
            : throw new StrataException(ErrorKind.Invalid, $"{option} '{text}': not an {(family == AddressFamily.InterNetwork ? "IPv4" : "IPv6")} address");

    // Six bytes; the first one's lowest bit would make it a group's (IEEE 802).
    private static string CheckMac(string text)
    {
        string[] parts = text.Split(':', '-');
        bool isGood = parts.Length == 6 && parts.All(p => p.Length == 2 && p.All(char.IsAsciiHexDigit)) && (Convert.ToByte(parts[0], 16) & 1) == 0;
        return isGood ? string.Join(':', parts).ToLowerInvariant() : throw new StrataException(ErrorKind.Invalid, $"mac-address '{text}': not the hardware address of one interface, like 02:42:0a:00:00:01");
    }

    private static string NotEmpty(string name, string text) => name.Length > 0 ? name : throw new StrataException(ErrorKind.Invalid, $"--network {text}: which container?");

    /// <summary>Checks name servers, search domains, options and --add-host.</summary>
    /// <exception cref="StrataException">Invalid: names the value.</exception>
    public static NetworkOptions CheckNames(NetworkOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        foreach (string server in options.Dns.Where(d => !IPAddress.TryParse(d, out _)))
        {
            throw new StrataException(ErrorKind.Invalid, $"--dns '{server}': not an address");
        }
        foreach (string text in options.DnsSearch.Concat(options.DnsOptions).Where(t => t.Length == 0 || t.Any(c => char.IsWhiteSpace(c) || char.IsControl(c))))
        {
            throw new StrataException(ErrorKind.Invalid, $"--dns-search or --dns-option '{text}': a single word");
        }
        foreach (string host in options.AddHosts)
        {
            NetworkFiles.ParseHost(host);
        }
        return options;
    }
}
