using System.Collections.Immutable;
using Strata.Linux;

namespace Strata.Containers;

public static partial class UserLookup
{
    /// <summary>A user with more groups: names of the image's /etc/group, or numbers.</summary>
    /// <exception cref="StrataException">Invalid: no such group.</exception>
    internal static ResolvedUser AddGroups(ResolvedUser user, ImmutableArray<string> groups, RootedDirectory root)
        => user with { Groups = [.. user.Groups.Concat(groups.Select(g => ResolveGroup(g, g, () => TryRead(root, "/etc/group")))).Distinct().Order()] };
}
