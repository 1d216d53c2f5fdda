using System.Globalization;

namespace Strata.Content;

/// <summary>Sizes as people write them: <c>20GB</c> (decimal, as sizes are shown), <c>20GiB</c> (binary), <c>1.5T</c>, <c>1048576</c>.</summary>
public static class ByteSize
{
    // The longer endings first: "GiB" ends in "B" as well.
    private static readonly (string Ending, decimal Factor)[] s_units =
    [
        ("kib", 1024m), ("mib", 1048576m), ("gib", 1073741824m), ("tib", 1099511627776m), ("kb", 1e3m), ("mb", 1e6m), ("gb", 1e9m), ("tb", 1e12m),
        ("k", 1e3m), ("m", 1e6m), ("g", 1e9m), ("t", 1e12m), ("b", 1m), ("", 1m),
    ];

    /// <summary>Reads a size; false where it is none. Letters' case does not matter; a blank may stand before the unit.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        ArgumentNullException.ThrowIfNull(text);
        (string ending, decimal factor) = Array.Find(s_units, u => text.EndsWith(u.Ending, StringComparison.OrdinalIgnoreCase));
        ReadOnlySpan<char> number = text.AsSpan(0, text.Length - ending.Length).TrimEnd(' ');
        bytes = 0;
        // More digits than a long has are no size of a disk; and no unit's product overflows a decimal.
        if (number.Length is 0 or > 19 || !decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value) || value * factor > long.MaxValue)
        {
            return false;
        }
        bytes = (long)(value * factor);
        return true;
    }
}
