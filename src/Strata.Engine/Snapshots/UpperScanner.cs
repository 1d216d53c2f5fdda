using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Reads an overlay's upper directory: the kernel has put there what changed, deletions as whiteouts.</summary>
internal sealed class UpperScanner(string upper, LayerStack lower) : ChangeScanner(upper, lower)
{
    /// <summary>Makes the directory what its layer says: without what was left out, with the times that were clamped.</summary>
    internal void Settle(ChangesRecord changes)
    {
        foreach (byte[] path in changes.LeftOut)
        {
            Upper.Remove(LinuxPath.Decode(path));
        }
        FileTime newest = default;
        var clamped = new List<(string Path, FileTime Time)>();
        foreach (Item item in Walk())
        {
            if (item.IsDeletion || item.Status is not { } status)
            {
                continue;
            }
            FileTime time = Clamp(status.Modified, changes.Clamp);
            // All again, last to first: what is removed or set above has changed the times of directories.
            if (changes.Clamp is not null || changes.LeftOut.Length > 0)
            {
                clamped.Add((item.Path, time));
            }
            newest = !item.Path.Contains('/', StringComparison.Ordinal) && Compare(time, newest) > 0 ? time : newest;
        }
        clamped.Reverse();
        clamped.ForEach(c => Upper.SetTimes(c.Path, c.Time));
        if (changes.Implied.Length > 0)
        {
            Upper.SetTimes("", newest); // no entry says it: as extracting the layer would set it
        }
    }

    private protected override bool IsOpaque(string path) => Upper.TryGetXattr(path, OverlayXattrs.Opaque) is [(byte)'y'];

    // Goes down in the layers below at the same time: a name costs one look, and none where its directory is new.
    private protected override IEnumerable<Item> Walk()
    {
        var open = new Stack<(IEnumerator<string> Names, LayerStack.Level? Below, bool IsOpaque)>();
        open.Push(Names("", Lower.Count > 0 ? Lower.Root() : null, isOpaque: false));
        while (open.TryPeek(out (IEnumerator<string> Names, LayerStack.Level? Below, bool IsOpaque) at))
        {
            if (!at.Names.MoveNext())
            {
                open.Pop().Names.Dispose();
                continue;
            }
            string path = at.Names.Current;
            LayerStack.Level? below = at.Below is null ? null : Lower.Step(at.Below, path[(path.LastIndexOf('/') + 1)..]);
            FileStatus? status = Upper.TryGetStatus(path);
            if (status is null && !at.IsOpaque)
            {
                continue; // a running container took it away meanwhile
            }
            yield return new Item(path, status, below, IsDeletion: status is null || LayerStack.IsWhiteout(status.Value), at.IsOpaque);
            if (status is { Kind: FileKind.Directory })
            {
                LayerStack.Level? joined = below is { Status.Kind: FileKind.Directory } ? below : null;
                open.Push(Names(path, joined, joined is not null && IsOpaque(path)));
            }
        }
    }

    private (IEnumerator<string> Names, LayerStack.Level? Below, bool IsOpaque) Names(string directory, LayerStack.Level? below, bool isOpaque)
    {
        string prefix = directory.Length == 0 ? "" : directory + "/";
        IEnumerable<string> names = Upper.GetNames(directory);
        if (isOpaque)
        {
            names = names.Union(Lower.GetNames(below!), StringComparer.Ordinal);
        }
        return (names.Order(Comparer<string>.Create(LinuxPath.Compare)).Select(name => prefix + name).GetEnumerator(), below, isOpaque);
    }
}
