using Strata.Containers;

namespace Strata.Build;

/// <summary>The value of <c>--chown</c>: <c>user[:group]</c>, names by the image's own files; a user alone gives the group of the same number or name.</summary>
internal static class OwnerNames
{
    internal static (uint Uid, uint Gid) Resolve(ICopyTarget target, string owner)
    {
        try
        {
            // Docker: --chown=bin is bin:bin, --chown=55 is 55:55; not the user's login group.
            ResolvedUser user = target.ResolveUser(owner.Contains(':', StringComparison.Ordinal) ? owner : $"{owner}:{owner}");
            return (user.Uid, user.Gid);
        }
        catch (StrataException e)
        {
            throw new StrataException(e.Kind, $"--chown={owner}: {e.Message}", e);
        }
    }
}
