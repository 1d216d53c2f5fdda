using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Strata.Containers.Networks;

/// <summary>Addresses and their texts. Four plain numbers are read and written here: the base library's code for both kinds of text is compiled at each start.</summary>
internal static class AddressText
{
    private const int Parts = 4;

    /// <summary>The address that a text is; null where it is none.</summary>
    internal static IPAddress? TryParse(string text)
        => TryParsePlain(text, out uint bits) ? new IPAddress(bits) : IPAddress.TryParse(text, out IPAddress? address) ? address : null;

    /// <summary>An address as everybody writes it.</summary>
    internal static string Of(IPAddress address)
    {
        if (address.AddressFamily != AddressFamily.InterNetwork)
        {
            return address.ToString();
        }
        Span<byte> bytes = stackalloc byte[Parts];
        _ = address.TryWriteBytes(bytes, out _);
        return string.Create(CultureInfo.InvariantCulture, $"{bytes[0]}.{bytes[1]}.{bytes[2]}.{bytes[3]}");
    }

    // 10.0.0.1, without anything else that inet_aton(3) takes; as IPAddress has it: the first number in the lowest byte.
    private static bool TryParsePlain(string text, out uint bits)
    {
        bits = 0;
        int part = 0, value = -1;
        foreach (char c in text)
        {
            if (c == '.' && value >= 0 && part < Parts - 1)
            {
                bits |= (uint)value << (8 * part++);
                value = -1;
            }
            else if (char.IsAsciiDigit(c) && value != 0) // a zero in front means octal to some
            {
                value = (Math.Max(value, 0) * 10) + (c - '0');
                if (value > byte.MaxValue)
                {
                    return false;
                }
            }
            else
            {
                return false;
            }
        }
        bits |= (uint)Math.Max(value, 0) << (8 * part);
        return part == Parts - 1 && value >= 0;
    }
}
