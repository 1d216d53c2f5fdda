using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>What a path in a stack of layers is: where it really is, and in which layer (0 is the bottom).</summary>
public sealed record LayerNode(string Path, int Layer, FileStatus Status);

/// <summary>
/// The union of layer directories, read in C# without a mount: top-down, whiteouts (character device 0:0) and opaque directories as overlayfs
/// has them, or as a list beside the files says (<see cref="LayerMarks"/>). Links are followed inside the stack only. Not for several threads at once.
/// </summary>
public sealed class LayerStack : IDisposable
{
    internal const int MaxLinks = 40; // the kernel's own limit
    private readonly string[] _trees; // bottom first
    private readonly ILayerFiles?[] _roots;
    private readonly Func<string, ILayerFiles> _open;
    private readonly LayerMarks?[] _marks;
    private readonly Func<string, LayerMarks?>? _readMarks;
    private readonly int _first;
    private Level? _root;

    /// <summary>Opens a stack of directories, bottom first.</summary>
    public LayerStack(IReadOnlyList<string> trees) : this(trees, 0) { }

    /// <summary>
    /// A stack of which those below <paramref name="first"/> are hidden: they count as layers, and nothing of them is seen. <paramref name="readMarks"/>
    /// gives what a directory's layer deletes; where null, the directories say it as overlayfs does. <paramref name="open"/> opens a layer that may be no directory.
    /// </summary>
    internal LayerStack(IReadOnlyList<string> trees, int first, Func<string, LayerMarks?>? readMarks = null, Func<string, ILayerFiles>? open = null)
    {
        ArgumentNullException.ThrowIfNull(trees);
        _trees = [.. trees];
        _roots = new ILayerFiles?[_trees.Length];
        _open = open ?? DirectoryFiles.Open;
        _marks = new LayerMarks?[_trees.Length];
        (_first, _readMarks) = (first, readMarks);
    }

    /// <summary>How many layers there are.</summary>
    public int Count => _trees.Length;

    /// <summary>What is at a path; null where nothing is. Links on the way are followed, the last one only where asked.</summary>
    /// <exception cref="LinuxException">ELOOP: too many links.</exception>
    public LayerNode? TryFind(string path, bool follow = false)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Count > 0 && Descend(path, follow, missing: null) is { } level ? NodeOf(level) : null;
    }

    /// <summary>Where a path leads, all links followed (the last one, too): relative and clean. What is not there yet is taken by its name.</summary>
    /// <exception cref="LinuxException">ENOTDIR: a file is in the way; ELOOP: too many links.</exception>
    public string ResolvePath(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var missing = new List<string>();
        Level at = Descend(path, follow: true, missing) ?? throw new LinuxException("open", path, Errno.ENOTDIR);
        return at.Path.Length == 0 ? string.Join('/', missing) : string.Join('/', [at.Path, .. missing]);
    }

    /// <summary>The names in a directory of the union, in the order of bytes.</summary>
    public IReadOnlyList<string> GetNames(LayerNode directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        return [.. Children(LevelOf(directory)).Keys];
    }

    /// <summary>All below the root, a directory before what is in it, in the order of bytes; without the root.</summary>
    public IEnumerable<LayerNode> Walk()
    {
        var open = new Stack<IEnumerator<Level>>();
        open.Push(Children(Root()).Values.GetEnumerator());
        while (open.TryPeek(out IEnumerator<Level>? children))
        {
            if (!children.MoveNext())
            {
                open.Pop().Dispose();
                continue;
            }
            yield return NodeOf(children.Current);
            if (children.Current.Status.Kind == FileKind.Directory)
            {
                open.Push(Children(children.Current).Values.GetEnumerator());
            }
        }
    }

    /// <summary>What each layer says about a clean path, topmost first: also those below one that hides them.</summary>
    internal IReadOnlyList<LayerAnswer> GetAnswers(string path)
    {
        string clean = path.Trim('/');
        var answers = new List<LayerAnswer>();
        for (int layer = Count - 1; layer >= 0; layer--)
        {
            if (TryGetOwn(layer, clean, out FileStatus status, out bool isWhiteout))
            {
                answers.Add(new LayerAnswer(layer, status, isWhiteout));
            }
        }
        return answers;
    }

    /// <summary>Opens a regular file to read; the stream knows its length and can seek. It is good as long as the stack is.</summary>
    public Stream OpenFile(LayerNode file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return Open(file.Layer).OpenFile(file.Path);
    }

    /// <summary>The target of a symbolic link.</summary>
    public string ReadLink(LayerNode link)
    {
        ArgumentNullException.ThrowIfNull(link);
        return Open(link.Layer).ReadLink(link.Path);
    }

    /// <summary>Extended attributes, without overlayfs' own.</summary>
    public IReadOnlyList<KeyValuePair<string, byte[]>> GetXattrs(LayerNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        var others = new List<KeyValuePair<string, byte[]>>();
        foreach (KeyValuePair<string, byte[]> attribute in Open(node.Layer).GetXattrs(node.Path))
        {
            if (!attribute.Key.StartsWith(OverlayXattrs.Prefix, StringComparison.Ordinal))
            {
                others.Add(attribute);
            }
        }
        return others;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ILayerFiles? root in _roots)
        {
            root?.Dispose();
        }
    }

    internal static bool IsWhiteout(FileStatus status) => status is { Kind: FileKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 };

    /// <summary>A path with the layers that have it, topmost first; more than one only for directories that are joined.</summary>
    internal sealed record Level(string Path, List<int> Layers, FileStatus Status);

    /// <summary>The root, as a place to descend from.</summary>
    internal Level Root() => _root ??= new("", [.. Enumerable.Range(_first, Count - _first).Reverse()], Count == 0 ? default : Open(Count - 1).TryGetStatus("")!.Value);

    /// <summary>What a directory of the union has by a name; no link is followed.</summary>
    internal Level? Step(Level directory, string name)
    {
        string path = directory.Path.Length == 0 ? name : directory.Path + "/" + name;
        Level? found = null;
        for (int i = 0; i < directory.Layers.Count; i++)
        {
            int layer = directory.Layers[i];
            if (TryGetOwn(layer, path, out FileStatus status, out bool isWhiteout) && !Add(ref found, path, layer, status, isWhiteout, isLast: i == directory.Layers.Count - 1))
            {
                break;
            }
        }
        return found;
    }

    /// <summary>The names in a directory of the union.</summary>
    internal IEnumerable<string> GetNames(Level directory) => Children(directory).Keys;

    // Follows a path to where it ends. Null where nothing is there; with a list for what is missing, only where a file is in the way.
    private Level? Descend(string path, bool follow, List<string>? missing)
    {
        var rest = new Stack<string>(path.Split('/').Reverse());
        var way = new List<Level> { Root() };
        for (int links = 0; rest.TryPop(out string? name);)
        {
            if (name is "" or ".")
            {
                continue;
            }
            if (name == "..")
            {
                if (missing is { Count: > 0 })
                {
                    missing.RemoveAt(missing.Count - 1);
                }
                else if (way.Count > 1) // above the root is the root
                {
                    way.RemoveAt(way.Count - 1);
                }
                continue;
            }
            if (missing is { Count: > 0 } || Step(way[^1], name) is not { } next)
            {
                if (missing is null)
                {
                    return null;
                }
                missing.Add(name);
                continue;
            }
            if (next.Status.Kind == FileKind.Directory)
            {
                way.Add(next);
                continue;
            }
            if (next.Status.Kind != FileKind.SymbolicLink)
            {
                return rest.Count == 0 ? next : null;
            }
            if (!follow && rest.All(r => r is ""))
            {
                return next;
            }
            if (++links > MaxLinks)
            {
                throw new LinuxException("open", path, Errno.ELOOP);
            }
            string target = Open(next.Layers[0]).ReadLink(next.Path);
            if (target.StartsWith('/'))
            {
                way.RemoveRange(1, way.Count - 1);
            }
            foreach (string part in target.Split('/').Reverse())
            {
                rest.Push(part);
            }
        }
        return way[^1];
    }

    private ILayerFiles Open(int layer)
    {
        if (_roots[layer] is { } open)
        {
            return open;
        }
        _marks[layer] = _readMarks?.Invoke(_trees[layer]);
        return _roots[layer] = _open(_trees[layer]);
    }

    // What one layer says about a path.
    private bool TryGetOwn(int layer, string path, out FileStatus status, out bool isWhiteout)
    {
        ILayerFiles root = Open(layer);
        isWhiteout = _marks[layer]?.IsWhiteout(path) == true;
        if (isWhiteout)
        {
            status = default;
            return true;
        }
        FileStatus? own = root.TryGetStatus(path);
        status = own ?? default;
        isWhiteout = _readMarks is null && IsWhiteout(status);
        return own is not null;
    }

    private bool IsOpaque(int layer, string path)
        => _readMarks is null ? Open(layer).TryGetXattr(path, OverlayXattrs.Opaque) is [(byte)'y'] : _marks[layer]?.IsOpaque(path) == true;

    internal static LayerNode NodeOf(Level level) => new(level.Path, level.Layers.Count == 0 ? 0 : level.Layers[0], level.Status);

    private Level LevelOf(LayerNode node)
    {
        Level level = Root();
        foreach (string name in node.Path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            level = Step(level, name) ?? throw new LinuxException("open", node.Path, Errno.ENOENT);
        }
        return level;
    }

    // One more layer's idea of a path, from the top down. False: nothing below counts any more.
    private bool Add(ref Level? found, string path, int layer, FileStatus status, bool isWhiteout, bool isLast)
    {
        if (isWhiteout || status.Kind != FileKind.Directory)
        {
            found ??= isWhiteout ? null : new Level(path, [layer], status);
            return false;
        }
        if (found is null)
        {
            found = new Level(path, [layer], status);
        }
        else
        {
            found.Layers.Add(layer);
        }
        return !isLast && !IsOpaque(layer, path);
    }

    private SortedDictionary<string, Level> Children(Level directory)
    {
        var children = new SortedDictionary<string, Level?>(Comparer<string>.Create(LinuxPath.Compare));
        var closed = new HashSet<string>(StringComparer.Ordinal);
        foreach (int layer in directory.Layers)
        {
            IEnumerable<string> names = Open(layer).GetNames(directory.Path);
            foreach (string name in _marks[layer] is { } marks ? names.Concat(marks.WhiteoutsIn(directory.Path)) : names)
            {
                if (closed.Contains(name))
                {
                    continue;
                }
                string path = directory.Path.Length == 0 ? name : directory.Path + "/" + name;
                children.TryGetValue(name, out Level? found);
                if (TryGetOwn(layer, path, out FileStatus status, out bool isWhiteout) && !Add(ref found, path, layer, status, isWhiteout, isLast: layer == directory.Layers[^1]))
                {
                    closed.Add(name);
                }
                children[name] = found;
            }
        }
        var result = new SortedDictionary<string, Level>(children.Comparer);
        foreach ((string name, Level? level) in children)
        {
            if (level is not null)
            {
                result.Add(name, level);
            }
        }
        return result;
    }
}
