using Strata.Linux;
using Strata.Oci;

namespace Strata;

/// <summary>What a registry over a store needs to know of its names.</summary>
public sealed partial class Engine
{
    /// <summary>When a name was given what it holds now, and when that was last used; null where there is no such name.</summary>
    public NameTimes? TryGetNameTimes(ImageReference reference)
    {
        string path = Images.PathOf(reference);
        if (FileSystems.TryGetStatus(path) is not { } status)
        {
            return null;
        }
        DateTimeOffset used = status.Modified.ToDate() ?? DateTimeOffset.UnixEpoch;
        DateTimeOffset set = FileBirth.TryGet(path)?.ToDate() ?? used;
        return new NameTimes(set, used > set ? used : set);
    }

    /// <summary>
    /// Notes that a name was used now, by somebody else than this process's user: unlike <see cref="Content.ImageStore.NoteUse"/> it does not keep
    /// the image for as long as this process lives.
    /// </summary>
    public void TouchName(ImageReference reference) => FileSystems.Touch(Images.PathOf(reference));
}

/// <summary>The times of a name.</summary>
/// <param name="Set">When it was given what it holds now.</param>
/// <param name="Used">When it was last pulled or run, or given.</param>
public readonly record struct NameTimes(DateTimeOffset Set, DateTimeOffset Used);
