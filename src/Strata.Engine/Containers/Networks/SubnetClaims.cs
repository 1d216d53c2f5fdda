using System.Globalization;
using System.Net;
using Strata.Linux;

namespace Strata.Containers.Networks;

/// <summary>
/// Which blocks of addresses are taken on this machine: by routes, and by networks of all stores, whether their bridges are there now or not.
/// A claim is a symbolic link claims/ADDRESS_BITS to the network's directory; void when that is gone. Callers hold the machine's lock.
/// </summary>
internal sealed class SubnetClaims(string directory)
{
    /// <summary>Where the default network is looked for first, and blocks of 2^16 after it; other networks get blocks of 2^8 after those. Docker's (172.17…) and podman's (10.88, 10.89) are left alone.</summary>
    private const string DefaultFirst = "10.90.0.0/16", UserFirst = "10.100.0.0/24", UserFirst6 = "fd5a:7261:7461::/64";
    private const int DefaultTries = 10, UserTries = 100 * 256;

    /// <summary>A free block for the default network, or another.</summary>
    /// <exception cref="StrataException">Conflict: all are taken.</exception>
    internal Subnet FindFree(bool forDefault, bool is6 = false)
    {
        Subnet[] taken = [.. Taken()];
        Subnet candidate = Subnet.Parse(forDefault ? DefaultFirst : is6 ? UserFirst6 : UserFirst);
        for (int tries = forDefault ? DefaultTries : UserTries; tries > 0; tries--, candidate = candidate.Next())
        {
            if (!Array.Exists(taken, t => t.Overlaps(candidate)))
            {
                return candidate;
            }
        }
        throw new StrataException(ErrorKind.Conflict, "network: no free block of addresses was found") { Hint = "name one: strata network create --subnet 192.168.77.0/24 NAME" };
    }

    /// <summary>Takes a block for a network.</summary>
    /// <exception cref="StrataException">Conflict: another network or a route of this machine has a part of it.</exception>
    internal void Claim(Subnet subnet, string owner, bool isUp)
    {
        Directory.CreateDirectory(directory);
        foreach ((Subnet other, string holder) in Claims())
        {
            if (holder != owner && other.Overlaps(subnet))
            {
                throw new StrataException(ErrorKind.Conflict, $"subnet {subnet}: network {Path.GetFileName(holder)} has {other}") { Hint = "name another one with --subnet, or none: a free one is found" };
            }
        }
        if (!isUp && Routes().FirstOrDefault(r => r.Subnet.Overlaps(subnet)) is { Device: not null } route)
        {
            throw new StrataException(ErrorKind.Conflict, $"subnet {subnet}: this machine reaches {route.Subnet} by {route.Device}") { Hint = "name another one with --subnet, or none: a free one is found" };
        }
        string path = PathOf(subnet);
        if (new FileInfo(path).LinkTarget != owner)
        {
            File.Delete(path);
            File.CreateSymbolicLink(path, owner);
        }
    }

    /// <summary>Gives a block back.</summary>
    internal void Release(Subnet subnet) => File.Delete(PathOf(subnet));

    private string PathOf(Subnet subnet) => Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{subnet.First}_{subnet.PrefixLength}"));

    private IEnumerable<Subnet> Taken() => [.. Claims().Select(c => c.Subnet), .. Routes().Select(r => r.Subnet)];

    private IEnumerable<(Subnet Subnet, string Holder)> Claims()
    {
        foreach (string name in FileSystems.TryGetNames(directory) ?? [])
        {
            if (new FileInfo(Path.Combine(directory, name)).LinkTarget is { } holder && Directory.Exists(holder))
            {
                yield return (Subnet.Parse(name.Replace('_', '/')), holder);
            }
        }
    }

    private static IEnumerable<(Subnet Subnet, string Device)> Routes()
        => [.. ParseRoutes(File.ReadLines("/proc/net/route")), .. File.Exists("/proc/net/ipv6_route") ? ParseRoutes6(File.ReadLines("/proc/net/ipv6_route")) : []];

    /// <summary>/proc/net/route: interface, destination, …, mask (the eighth); numbers as this machine has them in memory. The default route is none of a block.</summary>
    internal static IEnumerable<(Subnet Subnet, string Device)> ParseRoutes(IEnumerable<string> lines)
    {
        foreach (string[] fields in lines.Skip(1).Select(l => l.Split('\t', StringSplitOptions.TrimEntries)).Where(f => f.Length > 7))
        {
            uint destination = uint.Parse(fields[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture), mask = uint.Parse(fields[7], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            if (mask != 0)
            {
                yield return (Subnet.Around(new IPAddress(BitConverter.GetBytes(destination)), int.CreateChecked(uint.PopCount(mask))), fields[0]);
            }
        }
    }

    /// <summary>/proc/net/ipv6_route: destination, prefix length, …, interface (the last).</summary>
    internal static IEnumerable<(Subnet Subnet, string Device)> ParseRoutes6(IEnumerable<string> lines)
    {
        foreach (string[] fields in lines.Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(f => f.Length > 9))
        {
            int prefix = int.Parse(fields[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            var address = new IPAddress(Convert.FromHexString(fields[0]));
            if (prefix != 0 && !address.IsIPv6LinkLocal && !address.IsIPv6Multicast && fields[^1] != "lo")
            {
                yield return (Subnet.Around(address, prefix), fields[^1]);
            }
        }
    }
}
