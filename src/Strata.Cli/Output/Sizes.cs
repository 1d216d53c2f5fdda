using System.Globalization;

namespace Strata.Cli.Output;

/// <summary>Bytes for people, as Docker writes them: decimal, four digits at most (<c>52.4MB</c>, <c>0B</c>).</summary>
internal static class Sizes
{
    private static readonly string[] s_units = ["B", "kB", "MB", "GB", "TB", "PB"];

    internal static string Human(long bytes, int digits = 3)
    {
        double value = bytes;
        int unit = 0;
        while (value >= 1000 && unit < s_units.Length - 1)
        {
            value /= 1000;
            unit++;
        }
        return Significant(value, digits) + s_units[unit];
    }

    // Go's %.3g without an exponent.
    private static string Significant(double value, int digits)
    {
        if (value == 0)
        {
            return "0";
        }
        int whole = (int)Math.Floor(Math.Log10(value)) + 1;
        string text = Math.Round(value, Math.Clamp(digits - whole, 0, 15)).ToString("0.###", CultureInfo.InvariantCulture);
        return text;
    }
}

/// <summary>How long ago, in Docker's words (go-units HumanDuration).</summary>
internal static class Ages
{
    internal static string Ago(DateTimeOffset? time, DateTimeOffset now) => time is { } t ? Duration(now - t) + " ago" : "N/A";

    internal static string Duration(TimeSpan duration)
    {
        int seconds = (int)duration.TotalSeconds, hours = (int)Math.Round(duration.TotalHours);
        return seconds switch
        {
            < 1 => "Less than a second",
            1 => "1 second",
            < 60 => $"{seconds} seconds",
            < 120 => "About a minute",
            < 3600 => $"{(int)duration.TotalMinutes} minutes",
            _ => hours switch
            {
                <= 1 => "About an hour",
                < 48 => $"{hours} hours",
                < 24 * 7 * 2 => $"{hours / 24} days",
                < 24 * 30 * 2 => $"{hours / 24 / 7} weeks",
                < 24 * 365 * 2 => $"{hours / 24 / 30} months",
                _ => $"{(int)(duration.TotalHours / 24 / 365)} years",
            },
        };
    }
}
