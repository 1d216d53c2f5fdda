namespace Strata.Cli.Output;

/// <summary>Bytes for people, as Docker writes them: decimal, three digits unless asked for more (<c>52.4MB</c>, <c>0B</c>).</summary>
internal static class Sizes
{
    private static readonly string[] s_units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

    internal static string Human(long bytes, int digits = 3)
    {
        double value = bytes;
        int unit = 0;
        // What rounds up to 1000 belongs to the next unit (Docker's %.3g makes 1e+03kB of it).
        while (Round(value, digits) >= 1000 && unit < s_units.Length - 1)
        {
            value /= 1000;
            unit++;
        }
        long thousandths = (long)Math.Round(Round(value, digits) * 1000), rest = thousandths % 1000;
        string fraction = rest == 0 ? "" : "." + Whole(1000 + rest)[1..].TrimEnd('0');
        return Whole(thousandths / 1000) + fraction + s_units[unit];
    }

    /// <summary>A number that is not negative, in digits: no culture is asked, and none made for it.</summary>
    internal static string Whole(long number) => ((ulong)number).ToString(provider: null);

    // Go's %.3g, save that digits before the point are never dropped.
    private static double Round(double value, int digits)
    {
        int whole = value < 1 ? 1 : (int)Math.Floor(Math.Log10(value)) + 1;
        return Math.Round(value, Math.Clamp(digits - whole, 0, 15));
    }
}

/// <summary>How long ago, in Docker's words (go-units HumanDuration).</summary>
internal static class Ages
{
    internal static string Ago(DateTimeOffset? time, DateTimeOffset now) => time is { } t ? Duration(now - t) + " ago" : "N/A";

    internal static string Duration(TimeSpan duration)
    {
        int seconds = (int)duration.TotalSeconds, hours = (int)(duration.TotalHours + 0.5); // as Go rounds: 2.5 hours are 3
        return seconds switch
        {
            < 1 => "Less than a second",
            1 => "1 second",
            < 60 => Sizes.Whole(seconds) + " seconds",
            < 120 => "About a minute",
            < 3600 => Sizes.Whole((int)duration.TotalMinutes) + " minutes",
            _ => hours switch
            {
                <= 1 => "About an hour",
                < 48 => Sizes.Whole(hours) + " hours",
                < 24 * 7 * 2 => Sizes.Whole(hours / 24) + " days",
                < 24 * 30 * 2 => Sizes.Whole(hours / 24 / 7) + " weeks",
                < 24 * 365 * 2 => Sizes.Whole(hours / 24 / 30) + " months",
                _ => Sizes.Whole((int)(duration.TotalHours / 24 / 365)) + " years",
            },
        };
    }
}
