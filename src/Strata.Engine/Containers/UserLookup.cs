using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>
/// Resolves what USER says (<c>user</c>, <c>user:group</c>, names or numbers) by the image's own /etc/passwd and /etc/group. Those files are
/// the image author's: only regular files inside the root are read, at most 1 MiB of each, and a FIFO there is not waited for.
/// </summary>
public static partial class UserLookup
{
    private const int MaxFileBytes = 1 << 20;
    // setuid(2) takes -1 for "leave it"; the upper half is refused because many tools read it as negative.
    private const uint MaxId = int.MaxValue;

    private readonly record struct PasswdLine(string Name, uint Uid, uint Gid, string Home);
    private readonly record struct GroupLine(string Name, uint Gid, string[] Members);

    /// <summary>Resolves <paramref name="user"/> inside <paramref name="root"/>; null or empty is root.</summary>
    /// <exception cref="StrataException">Invalid: no such user or group, or a number out of range.</exception>
    public static ResolvedUser Resolve(string? user, RootedDirectory root)
    {
        ArgumentNullException.ThrowIfNull(root);
        ResolvedUser found = Resolve(user, () => TryRead(root, "/etc/passwd"), () => TryRead(root, "/etc/group"));
        return UserNamespace.Current?.Explain(found.Uid, found.Gid) is not { } cause ? found
            : throw new StrataException(ErrorKind.Unsupported, $"user '{user}': {cause}") { Hint = UserNamespace.MoreIds };
    }

    internal static ResolvedUser Resolve(string? user, Func<string?> passwd, Func<string?> group)
    {
        string text = string.IsNullOrEmpty(user) ? "0" : user;
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        (string userPart, string? groupPart) = colon < 0 ? (text, null) : (text[..colon], text[(colon + 1)..]);
        if (userPart.Length == 0 || groupPart?.Length == 0)
        {
            throw new StrataException(ErrorKind.Invalid, $"user '{text}': an empty name");
        }
        uint? number = TryParseId(userPart, text);
        PasswdLine? found = ParsePasswd(passwd() ?? "").Cast<PasswdLine?>()
            .FirstOrDefault(line => number is { } uid ? line!.Value.Uid == uid : line!.Value.Name == userPart);
        if (found is null && number is null)
        {
            throw new StrataException(ErrorKind.Invalid, $"user '{userPart}': not in the image's /etc/passwd");
        }
        uint resolved = found?.Uid ?? number!.Value;
        string home = found is { Home.Length: > 0 } line ? line.Home : resolved == 0 ? "/root" : "/";
        if (groupPart is not null)
        {
            return new ResolvedUser(resolved, ResolveGroup(groupPart, text, group), [], home);
        }
        // Other groups only where the group was left open, and only for a user the image knows by name, as initgroups(3) has it.
        string? name = found?.Name;
        uint gid = found?.Gid ?? 0;
        ImmutableArray<uint> groups = name is null ? [] :
            [.. ParseGroup(group() ?? "").Where(g => g.Gid != gid && g.Members.Contains(name)).Select(g => g.Gid).Distinct().Order()];
        return new ResolvedUser(resolved, gid, groups, home);
    }

    private static uint ResolveGroup(string group, string text, Func<string?> file)
    {
        if (TryParseId(group, text) is { } number)
        {
            return number;
        }
        foreach (GroupLine line in ParseGroup(file() ?? ""))
        {
            if (line.Name == group)
            {
                return line.Gid;
            }
        }
        throw new StrataException(ErrorKind.Invalid, $"group '{group}': not in the image's /etc/group");
    }

    private static uint? TryParseId(string part, string text)
    {
        if (!part.AsSpan(part[0] == '-' ? 1 : 0).ContainsAnyExceptInRange('0', '9') && part != "-")
        {
            return uint.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out uint id) && id <= MaxId
                ? id
                : throw new StrataException(ErrorKind.Invalid, $"user '{text}': {part} is not between 0 and {MaxId}");
        }
        return null;
    }

    private static IEnumerable<PasswdLine> ParsePasswd(string text)
    {
        foreach (string[] fields in Lines(text))
        {
            if (fields.Length >= 4 && TryId(fields[2]) is { } uid && TryId(fields[3]) is { } gid)
            {
                yield return new PasswdLine(fields[0], uid, gid, fields.Length > 5 ? fields[5] : "");
            }
        }
    }

    private static IEnumerable<GroupLine> ParseGroup(string text)
    {
        foreach (string[] fields in Lines(text))
        {
            if (fields.Length >= 3 && TryId(fields[2]) is { } gid)
            {
                yield return new GroupLine(fields[0], gid, fields.Length > 3 ? fields[3].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) : []);
            }
        }
    }

    private static IEnumerable<string[]> Lines(string text)
        => text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#').Select(line => line.Split(':'));

    private static uint? TryId(string text) => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint id) && id <= MaxId ? id : null;

    private static string? TryRead(RootedDirectory root, string path)
    {
        if (root.TryGetStatus(path, follow: true) is not { Kind: FileKind.Regular })
        {
            return null;
        }
        using SafeFileHandle file = root.OpenFile(path, follow: true);
        byte[] bytes = new byte[MaxFileBytes];
        int length = 0;
        while (length < bytes.Length && RandomAccess.Read(file, bytes.AsSpan(length), length) is > 0 and int read)
        {
            length += read;
        }
        return Encoding.UTF8.GetString(bytes.AsSpan(0, length));
    }
}
