using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// Compares a copy with the layers it was made from. What was not touched since (ctime, which no program can set) is not read: two stats a file.
/// What was touched is compared whole, so that a change that was taken back is none.
/// </summary>
/// <param name="copy">The writable directory.</param>
/// <param name="lower">What it is a copy of.</param>
/// <param name="layers">How many of the directories below are the parent's; one above those has mount points, which nobody sees as changes.</param>
/// <param name="made">When the copy was whole; null: not known, all is compared whole.</param>
internal sealed class ComparedScanner(string copy, LayerStack lower, int layers, FileTime? made) : ChangeScanner(copy, lower)
{
    private const int BufferBytes = 1 << 17;

    /// <summary>The paths that are there for mounts alone, as they were made: nothing of what the snapshot's owner has done.</summary>
    internal List<string> FindMountPoints()
    {
        var found = new List<string>();
        Collect(Lower.Root(), found);
        return found;
    }

    /// <summary>The layer below that still answers for a path; null where the copy is another, or where nothing is below.</summary>
    internal LayerNode? FindUnchanged(string path)
        => path.Length > 0 && Lower.TryFind(path) is { } node && node.Path == path && Upper.TryGetStatus(path) is { } own && LevelAt(path) is { } level && IsOfLayers(level) && IsSame(path, own, level) ? node : null;

    private protected override bool IsOpaque(string path) => false;

    private protected override IEnumerable<Item> Walk()
    {
        var open = new List<Frame> { Enter("", Lower.Count > 0 ? Lower.Root() : null, null) };
        while (open.Count > 0)
        {
            Frame at = open[^1];
            if (!at.Names.MoveNext())
            {
                at.Names.Dispose();
                open.RemoveAt(open.Count - 1);
                continue;
            }
            string path = at.Names.Current;
            LayerStack.Level? level = at.Below is null ? null : Lower.Step(at.Below, path[(path.LastIndexOf('/') + 1)..]);
            LayerStack.Level? below = level is not null && IsOfLayers(level) ? level : null;
            FileStatus? status = Upper.TryGetStatus(path);
            if (status is null && below is null)
            {
                continue; // a mount point that was removed, or a file that a running container took away meanwhile
            }
            var item = new Item(path, status, below, IsDeletion: status is null);
            bool isSame = status is { } own && level is not null && IsSame(path, own, level);
            if (!isSame)
            {
                foreach (Frame frame in open.Where(f => f.Pending is not null))
                {
                    yield return frame.Pending!;
                    frame.Pending = null;
                }
                yield return item;
            }
            if (status is { Kind: FileKind.Directory })
            {
                open.Add(Enter(path, level is { Status.Kind: FileKind.Directory } ? level : null, isSame ? item : null));
            }
        }
    }

    private Frame Enter(string directory, LayerStack.Level? below, Item? pending)
    {
        string prefix = directory.Length == 0 ? "" : directory + "/";
        IEnumerable<string> names = below is null ? Upper.GetNames(directory) : Upper.GetNames(directory).Union(Lower.GetNames(below), StringComparer.Ordinal);
        return new Frame(names.Order(Comparer<string>.Create(LinuxPath.Compare)).Select(name => prefix + name).GetEnumerator(), below, pending);
    }

    private bool IsOfLayers(LayerStack.Level level) => level.Layers.Exists(l => l < layers);

    private LayerStack.Level? LevelAt(string path)
    {
        LayerStack.Level? at = Lower.Root();
        foreach (string name in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            at = at is null ? null : Lower.Step(at, name);
        }
        return at;
    }

    // True where a directory has nothing but mount points as they were made.
    private bool Collect(LayerStack.Level directory, List<string> found)
    {
        bool all = true;
        HashSet<string> names = [.. Upper.GetNames(directory.Path)];
        foreach (string name in names)
        {
            LayerStack.Level? level = Lower.Step(directory, name);
            if (level is null || !level.Layers.Contains(layers) || Upper.TryGetStatus(level.Path) is not { } own)
            {
                all = false;
                continue;
            }
            bool isOnlyHere = !IsOfLayers(level), isSame = IsSame(level.Path, own, level);
            bool isEmpty = level.Status.Kind != FileKind.Directory || own.Kind != FileKind.Directory || Collect(level, found);
            if (isOnlyHere && isSame && isEmpty)
            {
                found.Add(level.Path);
            }
            else
            {
                all = false;
            }
        }
        return all;
    }

    private bool IsSame(string path, FileStatus own, LayerStack.Level below)
    {
        FileStatus lower = below.Status;
        if (own.Kind != lower.Kind || (own.Uid, own.Gid, own.Modified) != (lower.Uid, lower.Gid, lower.Modified) || (own.Kind != FileKind.SymbolicLink && own.Mode != lower.Mode)
            || (own.Kind != FileKind.Directory && own.Size != lower.Size) || (own.DeviceMajor, own.DeviceMinor) != (lower.DeviceMajor, lower.DeviceMinor))
        {
            return false;
        }
        if (made is { } whole && Compare(own.Changed, whole) <= 0)
        {
            return true;
        }
        LayerNode node = LayerStack.NodeOf(below);
        if (!Xattrs(Upper.GetXattrs(path)).SequenceEqual(Lower.GetXattrs(node), XattrComparer.Instance))
        {
            return false;
        }
        return own.Kind switch
        {
            FileKind.Directory => true,
            _ when own.LinkCount > 1 || lower.LinkCount > 1 => false, // which names are one file may have changed: all of them are written
            FileKind.Regular => HasSameContent(path, node),
            FileKind.SymbolicLink => Upper.ReadLink(path) == Lower.ReadLink(node),
            _ => true,
        };
    }

    private bool HasSameContent(string path, LayerNode node)
    {
        using var one = new FileStream(Upper.OpenFile(path), FileAccess.Read, bufferSize: 0);
        using Stream other = Lower.OpenFile(node);
        byte[] mine = new byte[BufferBytes], theirs = new byte[BufferBytes];
        int read;
        while ((read = one.ReadAtLeast(mine, BufferBytes, throwOnEndOfStream: false)) > 0)
        {
            if (other.ReadAtLeast(theirs.AsSpan(0, read), read, throwOnEndOfStream: false) != read || !mine.AsSpan(0, read).SequenceEqual(theirs.AsSpan(0, read)))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>
    /// Gives the changes to a tree by hard links (no byte is copied, and the copy stays whole), with the times that were clamped.
    /// <paramref name="place"/> has the copy at <paramref name="from"/> and the empty tree at <paramref name="to"/>.
    /// </summary>
    internal LayerMarks LinkInto(RootedDirectory place, string from, string to, ChangesRecord changes)
    {
        var whiteouts = new List<string>();
        var times = new List<(string Path, FileTime Time)>();
        FileTime newest = default;
        Dress(place, to, "", Upper.TryGetStatus("")!.Value);
        foreach (Item item in Walk())
        {
            if (item.Status is not { } status || status.Kind == FileKind.Socket)
            {
                if (Hides(item))
                {
                    whiteouts.Add(item.Path);
                }
                continue;
            }
            string path = $"{to}/{item.Path}";
            FileTime time = Clamp(status.Modified, changes.Clamp);
            if (status.Kind == FileKind.Directory)
            {
                place.CreateDirectory(path, status.Mode);
                Dress(place, to, item.Path, status);
                times.Add((path, time));
            }
            else
            {
                place.CreateHardLink(path, $"{from}/{item.Path}");
                if (time != status.Modified)
                {
                    times.Add((path, time));
                }
            }
            newest = !item.Path.Contains('/', StringComparison.Ordinal) && Compare(time, newest) > 0 ? time : newest;
        }
        times.Reverse();
        times.ForEach(t => place.SetTimes(t.Path, t.Time));
        place.SetTimes(to, changes.Implied.Length > 0 ? newest : Clamp(Upper.TryGetStatus("")!.Value.Modified, changes.Clamp));
        return new LayerMarks(whiteouts, []);
    }

    private void Dress(RootedDirectory place, string to, string path, FileStatus status)
    {
        string target = path.Length == 0 ? to : $"{to}/{path}";
        place.SetOwner(target, status.Uid, status.Gid);
        place.SetMode(target, status.Mode);
        foreach ((string name, byte[] value) in Xattrs(Upper.GetXattrs(path)))
        {
            place.SetXattr(target, name, value);
        }
    }

    private sealed class Frame(IEnumerator<string> names, LayerStack.Level? below, Item? pending)
    {
        internal IEnumerator<string> Names { get; } = names;
        internal LayerStack.Level? Below { get; } = below;

        /// <summary>The directory itself, where it is the same and nothing in it was found to be another.</summary>
        internal Item? Pending { get; set; } = pending;
    }
}
