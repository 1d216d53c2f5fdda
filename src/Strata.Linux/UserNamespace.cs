using System.Globalization;

namespace Strata.Linux;

/// <summary>Ids inside a user namespace, the ids outside that they are, and how many.</summary>
public readonly record struct IdRange(uint Inside, uint Outside, uint Count)
{
    /// <summary>Whether an id inside is one of these.</summary>
    public bool Contains(uint id) => id >= Inside && id - Inside < Count;

    /// <summary>What an id outside is inside; 65534 where it is none of these, as the kernel tells it there (overflowuid).</summary>
    public uint ToInside(uint id)
    {
        const uint Overflow = 65534;
        return id >= Outside && id - Outside < Count ? id - Outside + Inside : Overflow;
    }

    /// <summary>What an id inside is outside.</summary>
    /// <exception cref="LinuxException">EOVERFLOW: it is none of these.</exception>
    public uint ToOutside(uint id) => Contains(id) ? id - Inside + Outside
        : throw new LinuxException("chown", id.ToString(CultureInfo.InvariantCulture), Errno.EOVERFLOW, $"the container has the ids {Inside} to {Inside + (Count - 1)}");

    /// <summary>As user_namespaces(7) writes a line of a map.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Inside} {Outside} {Count}");

    /// <summary>Reads the lines of /proc/PID/uid_map.</summary>
    public static IReadOnlyList<IdRange> ParseMap(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ranges = new List<IdRange>();
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            ranges.Add(new IdRange(Number(fields[0]), Number(fields[1]), Number(fields[2])));
        }
        return ranges;

        static uint Number(string field) => uint.Parse(field, CultureInfo.InvariantCulture);
    }
}

/// <summary>
/// The user namespace of an ordinary user that this process was entered again in: there it is root, over the user's own ids and nothing else. What it is
/// told by is a variable of the environment, and only where the kernel's map says the same: root that got the variable by accident stays root.
/// </summary>
/// <param name="OwnerUid">Who the user is outside.</param>
/// <param name="OwnerGid">The user's group outside.</param>
/// <param name="RuntimeRoot">Where running things are (<see cref="UserPlaces.RuntimeRoot"/> of the user).</param>
/// <param name="Uids">Which users there are.</param>
/// <param name="Gids">Which groups there are.</param>
public sealed record UserNamespace(uint OwnerUid, uint OwnerGid, string RuntimeRoot, IReadOnlyList<IdRange> Uids, IReadOnlyList<IdRange> Gids)
{
    /// <summary>The variable: <c>UID:GID:RUNTIMEROOT</c>. Helpers that start this program again need it.</summary>
    public const string Variable = "STRATA_USER_NAMESPACE";

    /// <summary>The one this process is in; null where it is in none of ours, as for root.</summary>
    public static UserNamespace? Current { get; } = Host.GetVariable("STRATA_USER_NAMESPACE\0"u8) is { Length: > 0 } value
        ? TryRead(value, Host.EffectiveUserId, File.ReadAllText("/proc/self/uid_map"), File.ReadAllText("/proc/self/gid_map")) : null;

    /// <summary>What the variable says.</summary>
    public string Value => string.Create(CultureInfo.InvariantCulture, $"{OwnerUid}:{OwnerGid}:{RuntimeRoot}");

    /// <summary>The variable for a helper's environment; null where there is none to pass on.</summary>
    public static string? Assignment => Current is { } current ? $"{Variable}={current.Value}" : null;

    /// <summary>Whether all ids of the system are there, or only the user's own: one.</summary>
    public bool HasSubordinates => Uids.Count > 1 || Uids[0].Count > 1;

    /// <summary>What gives a user more ids, as words for a hint.</summary>
    public static string MoreIds
    {
        get
        {
            string name = SubordinateIds.NameOf(File.ReadAllText("/etc/passwd"), Current?.OwnerUid ?? Host.EffectiveUserId) ?? "USER";
            return Current is { HasSubordinates: true } ? $"another line in /etc/subuid and in /etc/subgid gives more (as root: usermod --add-subuids 1000000-1999999 --add-subgids 1000000-1999999 {name})"
                : $"as root: {SubordinateIds.AddCommand(name)}";
        }
    }

    /// <summary>What stands behind a refused change of owner: which id it was, which there are. Null where both ids are there.</summary>
    public string? Explain(uint uid, uint gid)
    {
        (string what, uint id, IReadOnlyList<IdRange> ranges) = !Has(Uids, uid) ? ("user", uid, Uids) : ("group", gid, Gids);
        return Has(ranges, id) ? null
            : string.Create(CultureInfo.InvariantCulture, $"{what} {id} is beyond the ids that this user's containers have ({string.Join(", ", ranges.Select(Words))})");

        static string Words(IdRange range) => range.Count == 1 ? range.Inside.ToString(CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"{range.Inside}-{range.Inside + (range.Count - 1)}");
    }

    /// <summary>The failure of a change of owner, which says why where the ids run out.</summary>
    internal static LinuxException OwnerFailure(string path, uint uid, uint gid)
    {
        Errno error = Native.LastErrno;
        return new LinuxException("chown", path, error, error is Errno.EINVAL ? Current?.Explain(uid, gid) ?? "" : "");
    }

    internal static UserNamespace? TryRead(string value, uint effectiveUser, string uidMap, string gidMap)
    {
        string[] fields = value.Split(':', 3);
        if (effectiveUser != 0 || fields is not [_, _, ['/', ..] root] || !uint.TryParse(fields[0], CultureInfo.InvariantCulture, out uint uid) || !uint.TryParse(fields[1], CultureInfo.InvariantCulture, out uint gid))
        {
            return null;
        }
        IReadOnlyList<IdRange> uids = IdRange.ParseMap(uidMap);
        return uid != 0 && uids is [{ Inside: 0 } first, ..] && first.Outside == uid ? new UserNamespace(uid, gid, root, uids, IdRange.ParseMap(gidMap)) : null;
    }

    private static bool Has(IReadOnlyList<IdRange> ranges, uint id)
    {
        foreach (IdRange range in ranges)
        {
            if (range.Contains(id))
            {
                return true;
            }
        }
        return false;
    }
}
