using System.Buffers;
using System.Globalization;

namespace Strata.Dockerfiles;

/// <summary>Durations as Go writes them: <c>1h2m3.5s</c>, <c>500ms</c>, <c>0</c> (Go's time.ParseDuration).</summary>
internal static class GoDuration
{
    private static readonly SearchValues<char> s_number = SearchValues.Create("0123456789.");

    /// <returns>Nanoseconds.</returns>
    /// <exception cref="FormatException">It is none; in Go's words.</exception>
    internal static long Parse(string text)
    {
        ReadOnlySpan<char> rest = text;
        bool negative = rest.StartsWith("-");
        rest = negative || rest.StartsWith("+") ? rest[1..] : rest;
        if (rest is "0")
        {
            return 0;
        }
        if (rest.IsEmpty)
        {
            throw Invalid(text);
        }
        decimal sum = 0;
        while (!rest.IsEmpty)
        {
            int digits = rest.IndexOfAnyExcept(s_number);
            digits = digits < 0 ? rest.Length : digits;
            // 18 digits before the point are more than 292 years of nanoseconds, and all that fits.
            if (digits is 0 or > 40 || !decimal.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number) || number > 1e18m)
            {
                throw Invalid(text);
            }
            rest = rest[digits..];
            int end = rest.IndexOfAny(s_number);
            ReadOnlySpan<char> unit = end < 0 ? rest : rest[..end];
            rest = rest[unit.Length..];
            sum += number * (unit switch
            {
                "h" => 3600e9m,
                "m" => 60e9m,
                "s" => 1e9m,
                "ms" => 1e6m,
                "us" or "µs" or "μs" => 1e3m,
                "ns" => 1m,
                "" => throw new FormatException($"time: missing unit in duration \"{text}\""),
                _ => throw new FormatException($"time: unknown unit \"{unit}\" in duration \"{text}\""),
            });
            if (sum > long.MaxValue)
            {
                throw Invalid(text);
            }
        }
        return negative ? -(long)sum : (long)sum;
    }

    private static FormatException Invalid(string text) => new($"time: invalid duration \"{text}\"");
}
