using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Strata.Containers.Networks;

/// <summary>A block of addresses of one family: <c>10.90.0.0/16</c>. The bits behind the prefix are zero.</summary>
public readonly record struct Subnet
{
    // The first address as a number of 128 bits, IPv4 in the last 32. Two words: UInt128's operators are compiled at each start of a program.
    private readonly ulong _high, _low;

    private Subnet(ulong high, ulong low, int prefixLength, bool is6) => (_high, _low, PrefixLength, Is6) = (high, low, prefixLength, is6);

    /// <summary>How many bits are the network's.</summary>
    public int PrefixLength { get; }

    /// <summary>Whether it is IPv6.</summary>
    public bool Is6 { get; }

    private int HostBits => (Is6 ? 128 : 32) - PrefixLength;
    private ulong LastHigh => _high | HostMask(HostBits - 64);
    private ulong LastLow => _low | HostMask(HostBits);

    /// <summary>The first address: the network's own.</summary>
    public IPAddress First => ToAddress(_high, _low, Is6);

    /// <summary>How many addresses of it can be given to containers and the gateway: not the first, and not the last of an IPv4 network. No more than can be counted.</summary>
    public ulong Usable => HostBits >= 64 ? ulong.MaxValue : HostBits <= 1 ? 0 : (1UL << HostBits) - (Is6 ? 1UL : 2);

    /// <summary>Reads <c>ADDRESS/BITS</c>.</summary>
    /// <exception cref="StrataException">Invalid: it is none, or bits behind the prefix are set.</exception>
    public static Subnet Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split('/');
        if (parts.Length != 2 || AddressText.TryParse(parts[0]) is not { } address || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int prefix)
            || prefix > (address.AddressFamily == AddressFamily.InterNetworkV6 ? 128 : 32) || (address.AddressFamily == AddressFamily.InterNetwork && parts[0].Split('.').Length != 4))
        {
            throw new StrataException(ErrorKind.Invalid, $"subnet '{text}': not a block of addresses") { Hint = "write it like 10.91.5.0/24 or fd00:5::/64" };
        }
        Subnet subnet = Around(address, prefix);
        return subnet.First.Equals(address) ? subnet
            : throw new StrataException(ErrorKind.Invalid, $"subnet '{text}': it has bits behind its prefix") { Hint = $"did you mean {subnet}?" };
    }

    /// <summary>The block of this size that an address is in.</summary>
    public static Subnet Around(IPAddress address, int prefixLength)
    {
        ArgumentNullException.ThrowIfNull(address);
        bool is6 = address.AddressFamily == AddressFamily.InterNetworkV6;
        int hostBits = (is6 ? 128 : 32) - prefixLength;
        ReadNumber(address, out ulong high, out ulong low);
        return new Subnet(high & ~HostMask(hostBits - 64), low & ~HostMask(hostBits), prefixLength, is6);
    }

    /// <summary>Whether an address is in it.</summary>
    public bool Contains(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        ReadNumber(address, out ulong high, out ulong low);
        return (address.AddressFamily == AddressFamily.InterNetworkV6) == Is6 && !IsLess(high, low, _high, _low) && !IsLess(LastHigh, LastLow, high, low);
    }

    /// <summary>Whether they have an address in common.</summary>
    public bool Overlaps(Subnet other) => other.Is6 == Is6 && !IsLess(LastHigh, LastLow, other._high, other._low) && !IsLess(other.LastHigh, other.LastLow, _high, _low);

    /// <summary>Whether all of another is in it.</summary>
    public bool Contains(Subnet other) => other.Is6 == Is6 && !IsLess(other._high, other._low, _high, _low) && !IsLess(LastHigh, LastLow, other.LastHigh, other.LastLow);

    /// <summary>The N-th address.</summary>
    public IPAddress At(ulong index)
    {
        ulong low = unchecked(_low + index);
        return ToAddress(low < _low ? unchecked(_high + 1) : _high, low, Is6);
    }

    /// <summary>Whether a container or a gateway can have this address: it is in it, not the network's own, and not the IPv4 broadcast address.</summary>
    public bool IsUsable(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        ReadNumber(address, out ulong high, out ulong low);
        return Contains(address) && (high != _high || low != _low) && (Is6 || low != LastLow);
    }

    /// <summary>The block of the same size behind it.</summary>
    public Subnet Next()
    {
        ulong low = unchecked(LastLow + 1);
        return new Subnet(low == 0 ? unchecked(LastHigh + 1) : LastHigh, low, PrefixLength, Is6);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{AddressText.Of(First)}/{PrefixLength}");

    // The lowest bits of a word that are not the network's.
    private static ulong HostMask(int bits) => bits <= 0 ? 0 : bits >= 64 ? ulong.MaxValue : (1UL << bits) - 1;

    private static bool IsLess(ulong high, ulong low, ulong thanHigh, ulong thanLow) => high < thanHigh || (high == thanHigh && low < thanLow);

    private static void ReadNumber(IPAddress address, out ulong high, out ulong low)
    {
        Span<byte> bytes = stackalloc byte[16];
        _ = address.TryWriteBytes(bytes, out int length);
        high = length == 4 ? 0 : BinaryPrimitives.ReadUInt64BigEndian(bytes);
        low = length == 4 ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
    }

    private static IPAddress ToAddress(ulong high, ulong low, bool is6)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, high);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], low);
        return new IPAddress(is6 ? bytes : bytes[12..]);
    }
}
