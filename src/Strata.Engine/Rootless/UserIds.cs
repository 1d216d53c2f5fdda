using System.Globalization;
using Strata.Linux;

namespace Strata.Rootless;

/// <summary>The ids of a user, and how a namespace is given them: by newuidmap(1), which alone may give subordinate ones, or by the user for the own id alone.</summary>
internal sealed record UserIds(string Name, IReadOnlyList<IdRange> Uids, IReadOnlyList<IdRange> Gids)
{
    private const string UidFile = "/etc/subuid", GidFile = "/etc/subgid";

    /// <summary>The map as words: what tells whether a namespace was made for these ids.</summary>
    internal string Words => string.Join(';', Uids) + "," + string.Join(';', Gids);

    /// <summary>Users and groups, or neither: half of them would make files that nobody can own.</summary>
    private bool HasSubordinates => Uids.Count > 1 && Gids.Count > 1;

    internal static UserIds Read()
    {
        uint user = Host.EffectiveUserId, group = Host.EffectiveGroupId;
        string? name = SubordinateIds.NameOf(ReadText("/etc/passwd"), user) ?? Environment.GetEnvironmentVariable("USER");
        return Of(name, user, group, ReadText(UidFile), ReadText(GidFile));
    }

    internal static UserIds Of(string? name, uint user, uint group, string subuid, string subgid)
    {
        IReadOnlyList<(uint, uint)> users = SubordinateIds.Parse(subuid, name, user), groups = SubordinateIds.Parse(subgid, name, user);
        bool both = users.Count > 0 && groups.Count > 0;
        return new UserIds(name ?? user.ToString(CultureInfo.InvariantCulture), SubordinateIds.ToMap(user, both ? users : []), SubordinateIds.ToMap(group, both ? groups : []));
    }

    /// <summary>Says what a user without subordinate ids cannot do.</summary>
    internal void TellMissing(Action<string> notify)
    {
        if (!HasSubordinates)
        {
            notify($"user {Name} has no subordinate ids in {UidFile} and {GidFile}: only images whose files are all root's can be used (as root: {SubordinateIds.AddCommand(Name)})");
        }
    }

    /// <summary>Looks whether the programs are there before anything is made.</summary>
    /// <exception cref="StrataException">Unsupported: they are not.</exception>
    internal void FindHelpers()
    {
        if (HasSubordinates)
        {
            UserNamespaceEntry.Find("newuidmap", "uidmap");
            UserNamespaceEntry.Find("newgidmap", "uidmap");
        }
    }

    /// <summary>Gives the ids to the namespace of a process.</summary>
    internal void Map(int processId)
    {
        if (HasSubordinates)
        {
            Map("newuidmap", processId, Uids, UidFile);
            Map("newgidmap", processId, Gids, GidFile);
            return;
        }
        string folder = string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/");
        File.WriteAllText(folder + "uid_map", Uids[0].ToString());
        File.WriteAllText(folder + "setgroups", "deny"); // user_namespaces(7): else nobody may map a group without help
        File.WriteAllText(folder + "gid_map", Gids[0].ToString());
    }

    private void Map(string program, int processId, IReadOnlyList<IdRange> ranges, string file)
    {
        string[] numbers = [.. ranges.SelectMany(r => (uint[])[r.Inside, r.Outside, r.Count]).Select(n => n.ToString(CultureInfo.InvariantCulture))];
        ChildResult result = ChildProcess.Run(new ChildStart { Program = UserNamespaceEntry.Find(program, "uidmap"), Arguments = [processId.ToString(CultureInfo.InvariantCulture), .. numbers] });
        if (result.ExitCode != 0)
        {
            throw new StrataException(ErrorKind.Unsupported, $"{program}: user {Name} was not given the ids of {file}: {result.ErrorText}") { Hint = $"the lines of {file} may overlap with another user's, or {program} has lost its set-user-id bit: apt-get install --reinstall uidmap" };
        }
    }

    /// <summary>Why the kernel makes no user namespace, from the three places where that is set.</summary>
    internal static StrataException Refused()
    {
        (string file, string value, string setting)[] known =
        [
            ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
            ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ];
        foreach ((string file, string value, string setting) in known)
        {
            if (ReadText(file).Trim() == value)
            {
                return new StrataException(ErrorKind.Unsupported, $"this kernel makes no user namespaces for ordinary users: {file} is {value}") { Hint = $"as root: sysctl -w {setting}; or use strata as root" };
            }
        }
        return new StrataException(ErrorKind.Unsupported, "no user namespace could be made: the kernel or a security module refused it (unshare --user says why)") { Hint = "use strata as root" };
    }

    private static string ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
