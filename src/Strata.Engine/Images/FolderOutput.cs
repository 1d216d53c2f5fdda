using Strata.Linux;

namespace Strata.Images;

/// <summary>A folder that is there whole or not at all: written beside its place, and renamed when it is done.</summary>
internal static class FolderOutput
{
    /// <summary>Makes <paramref name="folder"/>, which must be empty where it is there; <paramref name="write"/> fills the folder it is given.</summary>
    /// <exception cref="StrataException">Conflict: something is in it; NotFound: there is no directory for it; Unavailable: the disk is full.</exception>
    internal static async ValueTask WriteAsync(string act, string folder, Func<string, ValueTask> write)
    {
        string target = LinuxPath.GetFull(folder).TrimEnd('/'), parent = Path.GetDirectoryName(target) ?? "/", temporary = Path.Combine(parent, $".{Path.GetFileName(target)}.{Guid.NewGuid():n}");
        if (target.Length == 0 || File.Exists(target) || (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()))
        {
            throw new StrataException(ErrorKind.Conflict, $"{act} {folder}: something is there already") { Hint = "name a folder that is empty, or is not there" };
        }
        if (!Directory.Exists(parent))
        {
            throw new StrataException(ErrorKind.NotFound, $"{act} {folder}: there is no directory {parent}");
        }
        try
        {
            Directory.CreateDirectory(temporary);
            await write(temporary).ConfigureAwait(false);
            Durability.Rename(temporary, target, replace: true); // an empty folder may be in its place
            Durability.SyncDirectory(parent);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOSPC or Errno.EDQUOT)
        {
            throw new StrataException(ErrorKind.Unavailable, $"{act} {folder}: {e.Message}", e) { Hint = "nothing of it was left: make room, or name a folder on another disk" };
        }
        finally
        {
            FileSystems.RemoveTree(temporary); // not there any more where all went well
        }
    }
}
