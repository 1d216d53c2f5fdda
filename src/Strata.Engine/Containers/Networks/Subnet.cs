using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Strata.Containers.Networks;

/// <summary>A block of addresses of one family: <c>10.90.0.0/16</c>. The bits behind the prefix are zero.</summary>
public readonly record struct Subnet
{
    private readonly UInt128 _first;

    private Subnet(UInt128 first, int prefixLength, bool is6) => (_first, PrefixLength, Is6) = (first, prefixLength, is6);

    /// <summary>How many bits are the network's.</summary>
    public int PrefixLength { get; }

    /// <summary>Whether it is IPv6.</summary>
    public bool Is6 { get; }

    private int Bits => Is6 ? 128 : 32;
    private UInt128 Size => PrefixLength == 0 && Is6 ? UInt128.MaxValue : UInt128.One << (Bits - PrefixLength);
    private UInt128 Last => _first + Size - 1;

    /// <summary>The first address: the network's own.</summary>
    public IPAddress First => ToAddress(_first, Is6);

    /// <summary>How many addresses of it can be given to containers and the gateway: not the first, and not the last of an IPv4 network.</summary>
    public UInt128 Usable => Size <= 2 ? 0 : Size - (Is6 ? UInt128.One : 2);

    /// <summary>Reads <c>ADDRESS/BITS</c>.</summary>
    /// <exception cref="StrataException">Invalid: it is none, or bits behind the prefix are set.</exception>
    public static Subnet Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split('/');
        if (parts.Length != 2 || !IPAddress.TryParse(parts[0], out IPAddress? address) || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int prefix)
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
        int bits = is6 ? 128 : 32;
        UInt128 value = ToNumber(address);
        return new Subnet(prefixLength == 0 ? 0 : value >> (bits - prefixLength) << (bits - prefixLength), prefixLength, is6);
    }

    /// <summary>Whether an address is in it.</summary>
    public bool Contains(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        UInt128 value = ToNumber(address);
        return (address.AddressFamily == AddressFamily.InterNetworkV6) == Is6 && value >= _first && value <= Last;
    }

    /// <summary>Whether they have an address in common.</summary>
    public bool Overlaps(Subnet other) => other.Is6 == Is6 && other._first <= Last && _first <= other.Last;

    /// <summary>Whether all of another is in it.</summary>
    public bool Contains(Subnet other) => other.Is6 == Is6 && other._first >= _first && other.Last <= Last;

    /// <summary>The N-th address.</summary>
    public IPAddress At(UInt128 index) => ToAddress(_first + index, Is6);

    /// <summary>Whether a container or a gateway can have this address: it is in it, not the network's own, and not the IPv4 broadcast address.</summary>
    public bool IsUsable(IPAddress address) => Contains(address) && ToNumber(address) != _first && (Is6 || ToNumber(address) != Last);

    /// <summary>The block of the same size behind it.</summary>
    public Subnet Next() => new(_first + Size, PrefixLength, Is6);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{First}/{PrefixLength}");

    private static UInt128 ToNumber(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        _ = address.TryWriteBytes(bytes, out int length);
        return length == 4 ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    private static IPAddress ToAddress(UInt128 value, bool is6)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, value);
        return new IPAddress(is6 ? bytes : bytes[12..]);
    }
}
