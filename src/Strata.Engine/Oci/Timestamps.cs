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
        // By hand, both ways: a record has a time, and a calendar and its formats take longer to make than a listing to print.
        DateTime utc = time.UtcDateTime;
        Span<char> text = stackalloc char[28]; // 2006-01-02T15:04:05.1234567Z
        Put(text, 0, utc.Year, 4);
        text[4] = '-';
        Put(text, 5, utc.Month, 2);
        text[7] = '-';
        Put(text, 8, utc.Day, 2);
        text[10] = 'T';
        Put(text, 11, utc.Hour, 2);
        text[13] = ':';
        Put(text, 14, utc.Minute, 2);
        text[16] = ':';
        Put(text, 17, utc.Second, 2);
        int end = SecondsEnd;
        if (utc.Ticks % TimeSpan.TicksPerSecond is not 0 and long fraction)
        {
            text[end] = '.';
            Put(text, end + 1, fraction, 7);
            for (end += 8; text[end - 1] == '0';)
            {
                end--;
            }
        }
        text[end++] = 'Z';
        return text[..end].ToString();
    }

    // Null where there is none; the text was checked when the document was parsed.
    public static DateTimeOffset? Parse(string? text) => TryParse(text, out DateTimeOffset value) ? value : null;

    public static bool TryParse(string? text, out DateTimeOffset value)
    {
        value = default;
        if (text is null || text.Length <= SecondsEnd || text[10] != 'T'
            || !TryReadSeconds(text, out DateTime time))
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
        int hours = zone.Length == 6 && zone[0] is '+' or '-' && zone[3] == ':' ? Digits(zone[1..3]) : -1;
        int minutes = hours < 0 ? -1 : Digits(zone[4..]);
        if (hours is < 0 or > 23 || minutes is < 0 or > 59)
        {
            return false;
        }
        offset = new TimeSpan(hours, minutes, 0);
        offset = zone[0] == '-' ? -offset : offset;
        return true;
    }

    private static bool TryReadSeconds(ReadOnlySpan<char> text, out DateTime time)
    {
        time = default;
        if (text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':')
        {
            return false;
        }
        int year = Digits(text[..4]), month = Digits(text[5..7]), day = Digits(text[8..10]);
        int hour = Digits(text[11..13]), minute = Digits(text[14..16]), second = Digits(text[17..19]);
        if (year < 1 || month is < 1 or > 12 || day < 1 || day > DateTime.DaysInMonth(year, month) || hour is < 0 or > 23 || minute is < 0 or > 59 || second is < 0 or > 59)
        {
            return false;
        }
        time = new DateTime(year, month, day, hour, minute, second);
        return true;
    }

    // The number, or -1 where something is no digit.
    private static int Digits(ReadOnlySpan<char> text)
    {
        int value = 0;
        foreach (char c in text)
        {
            if (!char.IsAsciiDigit(c))
            {
                return -1;
            }
            value = (value * 10) + c - '0';
        }
        return value;
    }

    private static void Put(Span<char> text, int at, long value, int digits)
    {
        for (int i = at + digits - 1; i >= at; i--, value /= 10)
        {
            text[i] = (char)('0' + (value % 10));
        }
    }
}
