using System.Globalization;

namespace Strata.Oci;

/// <summary>RFC 3339 as Go writes it (<c>time.RFC3339Nano</c>): up to nine digits of a second, no trailing zeros, <c>Z</c> or an offset.</summary>
internal static class Timestamps
{
    private const int SecondsEnd = 19; // 2006-01-02T15:04:05

    public static string? Format(DateTimeOffset? value)
    {
        if (value is not { } time)
        {
            return null;
        }
        return time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", CultureInfo.InvariantCulture);
    }

    // Null where there is none; the text was checked when the document was parsed.
    public static DateTimeOffset? Parse(string? text) => TryParse(text, out DateTimeOffset value) ? value : null;

    public static bool TryParse(string? text, out DateTimeOffset value)
    {
        value = default;
        if (text is null || text.Length <= SecondsEnd || text[10] != 'T'
            || !DateTime.TryParseExact(text.AsSpan(0, SecondsEnd), "yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTime time))
        {
            return false;
        }
        int i = SecondsEnd;
        long ticks = 0;
        if (text[i] == '.')
        {
            int start = ++i;
            for (long unit = TimeSpan.TicksPerSecond / 10; i < text.Length && char.IsAsciiDigit(text[i]); i++, unit /= 10)
            {
                ticks += (text[i] - '0') * unit;
            }
            if (i == start)
            {
                return false;
            }
        }
        if (!TryParseZone(text.AsSpan(i), out TimeSpan offset))
        {
            return false;
        }
        long utc = time.Ticks + ticks - offset.Ticks;
        if (utc < 0 || utc > DateTime.MaxValue.Ticks)
        {
            return false;
        }
        value = new DateTimeOffset(utc, TimeSpan.Zero);
        return true;
    }

    private static bool TryParseZone(ReadOnlySpan<char> zone, out TimeSpan offset)
    {
        offset = default;
        if (zone is "Z")
        {
            return true;
        }
        if (zone.Length != 6 || zone[0] is not ('+' or '-') || !TimeSpan.TryParseExact(zone[1..], "hh\\:mm", CultureInfo.InvariantCulture, out offset))
        {
            return false;
        }
        offset = zone[0] == '-' ? -offset : offset;
        return true;
    }
}
