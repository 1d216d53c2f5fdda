using System.Globalization;

namespace Strata.Cli.Commands;

/// <summary>Durations and times as Go writes them, which is how Docker takes them.</summary>
internal static class Durations
{
    private static readonly System.Buffers.SearchValues<char> s_number = System.Buffers.SearchValues.Create("0123456789.");

    /// <summary><c>1h30m</c>, <c>1.5s</c>, <c>100ms</c>, <c>0</c>: nanoseconds.</summary>
    /// <exception cref="StrataException">Invalid: it is no duration.</exception>
    internal static long Nanoseconds(string text, string option)
    {
        decimal total = 0;
        ReadOnlySpan<char> rest = text;
        while (rest.Length > 0)
        {
            int digits = rest.IndexOfAnyExcept(s_number);
            int unitEnd = digits <= 0 ? -1 : digits + (rest[digits..].IndexOfAny(s_number) is >= 0 and int next ? next : rest.Length - digits);
            decimal scale = unitEnd < 0 ? 0 : rest[digits..unitEnd] switch
            {
                "ns" => 1,
                "us" or "µs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                _ => 0,
            };
            if (text == "0")
            {
                return 0;
            }
            if (scale == 0 || !decimal.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal count) || (total += count * scale) > long.MaxValue)
            {
                throw new StrataException(ErrorKind.Invalid, $"{option} {text}: write it like 30s, 1m30s or 500ms");
            }
            rest = rest[unitEnd..];
        }
        return text.Length > 0 ? (long)total : throw new StrataException(ErrorKind.Invalid, $"{option}: write it like 30s, 1m30s or 500ms");
    }

    /// <summary>A time: RFC 3339 (also without its time or zone), seconds since 1970, or a duration: so long ago.</summary>
    /// <exception cref="StrataException">Invalid: it is none of these.</exception>
    internal static DateTimeOffset? Time(string? text, string option)
    {
        if (text is null)
        {
            return null;
        }
        if (decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal seconds) && seconds < 100_000_000_000m)
        {
            return DateTimeOffset.UnixEpoch + TimeSpan.FromTicks((long)(seconds * TimeSpan.TicksPerSecond));
        }
        if (text.Contains('-', StringComparison.Ordinal) && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeLocal, out DateTimeOffset at))
        {
            return at;
        }
        string duration = text.EndsWith('d') && long.TryParse(text[..^1], out long days) ? string.Create(CultureInfo.InvariantCulture, $"{days * 24}h") : text;
        try
        {
            return CommandContext.Time.GetUtcNow() - TimeSpan.FromTicks(Nanoseconds(duration, option) / 100);
        }
        catch (StrataException)
        {
            throw new StrataException(ErrorKind.Invalid, $"{option} {text}: neither a time nor a duration");
        }
    }
}
