using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Reads an overlay's upper directory: the kernel has put there what changed, deletions as whiteouts.</summary>
internal sealed class UpperScanner(string upper, LayerStack lower) : ChangeScanner(upper, lower)
{
    /// <summary>Makes the directory what its layer says: without what was left out, with the times that were clamped.</summary>
    internal void Settle(ChangesRecord changes)
    {
        // Looked at before anything is removed: that changes the times of directories.
        List<Item> items = [.. Walk().Where(i => !i.IsDeletion)];
        foreach (byte[] path in changes.LeftOut)
        {
            Upper.Remove(LinuxPath.Decode(path));
        }
        foreach (Item socket in items.Where(i => i.Status is { Kind: FileKind.Socket } && Hides(i)))
        {
            Upper.Remove(socket.Path);
            Upper.CreateNode(socket.Path, FileKind.CharacterDevice, 0, 0, 0); // the layer says that what was there is gone
        }
        FileTime newest = default;
        var times = new List<(string Path, FileTime Time)>();
        foreach ((string path, FileStatus status) in items.Where(i => i.Status is { Kind: not FileKind.Socket }).Select(i => (i.Path, i.Status!.Value)))
        {
            FileTime time = Clamp(status.Modified, changes.Clamp);
            if (changes.Clamp is not null || changes.LeftOut.Length > 0)
            {
                times.Add((path, time));
            }
            newest = !path.Contains('/', StringComparison.Ordinal) && Compare(time, newest) > 0 ? time : newest;
        }
        times.Reverse(); // a directory after what is in it
        times.ForEach(t => Upper.SetTimes(t.Path, t.Time));
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
