using System.Net;
using System.Net.Sockets;

namespace Strata.Distribution;

/// <summary>What kind of place a host is, as far as its name tells.</summary>
internal static class Hosts
{
    public static bool IsLoopback(Uri uri) => uri.IsLoopback;

    public static bool IsLoopback(string hostAndPort) => TryParse(hostAndPort, out Uri? uri) && uri.IsLoopback;

    /// <summary>169.254/16 and fe80::/10: where clouds keep the secrets of a machine. Nothing of ours is ever there.</summary>
    public static bool IsLinkLocal(Uri uri) => Address(uri) is { } address
        && (address.IsIPv6LinkLocal || (address.AddressFamily == AddressFamily.InterNetwork && address.GetAddressBytes() is [169, 254, ..]));

    /// <summary>An address of a private network, written as numbers.</summary>
    public static bool IsPrivate(Uri uri) => Address(uri) is { } address
        && (address.IsIPv6UniqueLocal || (address.AddressFamily == AddressFamily.InterNetwork
            && address.GetAddressBytes() is [10, ..] or [192, 168, ..] or [172, >= 16 and < 32, ..] or [100, >= 64 and < 128, ..]));

    /// <summary>The same scheme, host and port: what a credential may be sent to.</summary>
    public static bool IsSameOrigin(Uri a, Uri b)
        => a.Scheme == b.Scheme && a.Port == b.Port && string.Equals(a.IdnHost, b.IdnHost, StringComparison.OrdinalIgnoreCase);

    /// <summary>For messages: no user, no query (both may hold secrets), no fragment.</summary>
    public static Uri WithoutSecrets(Uri uri) => new(uri.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped));

    /// <summary>Text of a server, fit for a terminal: no control characters, no reordering of what stands around it, not endless.</summary>
    public static string Printable(string text)
    {
        const int Most = 1024;
        ReadOnlySpan<char> start = text.AsSpan(0, Math.Min(text.Length, Most));
        return string.Create(start.Length, start, static (target, source) =>
        {
            for (int i = 0; i < source.Length; i++)
            {
                target[i] = char.IsControl(source[i]) || source[i] is >= '\u200E' and <= '\u200F' or >= '\u202A' and <= '\u202E' or >= '\u2066' and <= '\u2069'
                    ? '?'
                    : source[i];
            }
        });
    }

    private static bool TryParse(string hostAndPort, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Uri? uri)
        => Uri.TryCreate("http://" + hostAndPort, UriKind.Absolute, out uri);

    private static IPAddress? Address(Uri uri)
    {
        if (!IPAddress.TryParse(uri.IdnHost.Trim('[', ']'), out IPAddress? address))
        {
            return null;
        }
        return address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
    }
}
