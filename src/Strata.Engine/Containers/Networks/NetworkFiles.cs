using System.Net;
using System.Text;

namespace Strata.Containers.Networks;

/// <summary>Texts of /etc/hosts and /etc/resolv.conf. Pure.</summary>
internal static class NetworkFiles
{
    internal const string HostGateway = "host-gateway";
    private const int MaxServers = 3, MaxSearch = 32; // resolv.conf(5): MAXNS; domains beyond are cut

    /// <summary><c>NAME:ADDRESS</c> or <c>NAME=ADDRESS</c>; the address may be <c>host-gateway</c>, which gives null.</summary>
    /// <exception cref="StrataException">Invalid: it is neither.</exception>
    internal static (string Name, IPAddress? Address) ParseHost(string text)
    {
        int split = text.IndexOfAny([':', '=']);
        string name = split < 0 ? text : text[..split];
        string value = split < 0 ? "" : text[(split + 1)..];
        string bare = value.StartsWith('[') && value.EndsWith(']') ? value[1..^1] : value;
        if (name.Length == 0 || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.')))
        {
            throw new StrataException(ErrorKind.Invalid, $"--add-host '{text}': '{name}' is no host's name") { Hint = "write it like db:10.0.0.5 or host.docker.internal:host-gateway" };
        }
        return value == HostGateway ? (name, null) : IPAddress.TryParse(bare, out IPAddress? address) ? (name, address)
            : throw new StrataException(ErrorKind.Invalid, $"--add-host '{text}': '{value}' is no address") { Hint = "write it like db:10.0.0.5 or host.docker.internal:host-gateway" };
    }

    /// <summary>/etc/hosts. Without an address of its own a container knows itself as 127.0.1.1, as Debian does.</summary>
    internal static string Hosts(string hostname, string? name, IReadOnlyList<IPAddress> own, IReadOnlyList<string> addHosts, IPAddress gateway)
    {
        var text = new StringBuilder("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        string names = name is null || name == hostname ? hostname : $"{hostname} {name}";
        if (own.Count == 0)
        {
            text.Append("127.0.1.1\t").Append(names).Append('\n');
        }
        foreach (IPAddress address in own)
        {
            text.Append(AddressText.Of(address)).Append('\t').Append(names).Append('\n');
        }
        foreach (string line in addHosts)
        {
            (string added, IPAddress? address) = ParseHost(line);
            text.Append(address ?? gateway).Append('\t').Append(added).Append('\n');
        }
        return text.ToString();
    }

    /// <summary>/etc/resolv.conf. The host's name servers at loopback addresses answer the host only: they are left out where the container has a net of its own.</summary>
    /// <param name="host">The host's text.</param>
    /// <param name="ownNet">Whether the container has a network of its own.</param>
    /// <param name="gateways">Name servers of its networks; they come first.</param>
    /// <param name="options">What was asked for.</param>
    internal static string Resolv(string host, bool ownNet, IReadOnlyList<IPAddress> gateways, NetworkOptions options)
    {
        List<string> servers = [], search = [], words = [];
        foreach (string line in host.Split('\n'))
        {
            string[] parts = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (parts.Length < 2 || parts[0][0] is '#' or ';')
            {
                continue;
            }
            switch (parts[0])
            {
                case "nameserver" when !ownNet || !(AddressText.TryParse(parts[1]) is { } address && IPAddress.IsLoopback(address)):
                    servers.Add(parts[1]);
                    break;
                case "search" or "domain":
                    search = [.. parts[1..]];
                    break;
                case "options":
                    words.AddRange(parts[1..]);
                    break;
                default:
                    break;
            }
        }
        servers = !options.Dns.IsEmpty ? [.. options.Dns] : gateways.Count > 0 ? [] : servers; // the networks' servers ask the host's themselves
        search = options.DnsSearch.IsEmpty ? search : [.. options.DnsSearch.Where(d => d != ".")];
        words = options.DnsOptions.IsEmpty ? words : [.. options.DnsOptions];
        var text = new StringBuilder();
        foreach (string server in gateways.Select(AddressText.Of).Concat(servers).Distinct().Take(MaxServers))
        {
            text.Append("nameserver ").Append(server).Append('\n');
        }
        Append(text, "search", search.Take(MaxSearch));
        Append(text, "options", words);
        return text.ToString();
    }

    private static void Append(StringBuilder text, string key, IEnumerable<string> values)
    {
        string joined = string.Join(' ', values);
        if (joined.Length > 0)
        {
            text.Append(key).Append(' ').Append(joined).Append('\n');
        }
    }
}
