using System.Globalization;

namespace Strata.Linux;

/// <summary>The further ids that a user may give to containers: /etc/subuid and /etc/subgid (subuid(5)).</summary>
public static class SubordinateIds
{
    /// <summary>The ranges of a user, by name or number, in the order of the file. Lines that are none are left out, as newuidmap(1) does.</summary>
    /// <returns>Where each range begins outside, and how many ids it has.</returns>
    public static IReadOnlyList<(uint Start, uint Count)> Parse(string text, string? userName, uint userId)
    {
        ArgumentNullException.ThrowIfNull(text);
        string number = userId.ToString(CultureInfo.InvariantCulture);
        var ranges = new List<(uint, uint)>();
        foreach (string line in text.Split('\n'))
        {
            string[] fields = line.Trim().Split(':');
            if (fields.Length == 3 && (fields[0] == number || (userName is not null && fields[0] == userName))
                && uint.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint start)
                && uint.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out uint count) && count > 0 && start <= uint.MaxValue - count)
            {
                ranges.Add((start, count));
            }
        }
        return ranges;
    }

    /// <summary>The map of a user namespace: 0 is the user, the ids from 1 on are the subordinate ones.</summary>
    public static IReadOnlyList<IdRange> ToMap(uint own, IReadOnlyList<(uint Start, uint Count)> ranges)
    {
        ArgumentNullException.ThrowIfNull(ranges);
        var map = new List<IdRange> { new(0, own, 1) };
        uint next = 1;
        foreach ((uint start, uint count) in ranges)
        {
            uint fits = Math.Min(count, uint.MaxValue - next);
            if (fits > 0 && !(own >= start && own - start < count)) // the kernel takes no id twice
            {
                map.Add(new IdRange(next, start, fits));
                next += fits;
            }
        }
        return map;
    }

    /// <summary>The line that gives a user subordinate ids, for root.</summary>
    public static string AddCommand(string name) => $"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}";

    /// <summary>The name of a user in the text of /etc/passwd, or null.</summary>
    public static string? NameOf(string passwd, uint userId)
    {
        ArgumentNullException.ThrowIfNull(passwd);
        string number = userId.ToString(CultureInfo.InvariantCulture);
        return passwd.Split('\n').Select(l => l.Split(':')).FirstOrDefault(f => f.Length > 2 && f[2] == number)?[0];
    }
}
