using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>What a path in a stack of layers is: where it really is, and in which layer (0 is the bottom).</summary>
public sealed record LayerNode(string Path, int Layer, FileStatus Status);

/// <summary>
/// The union of layer directories, read in C# without a mount: top-down, whiteouts (character device 0:0) and opaque directories as overlayfs
/// has them. Links are followed inside the stack only. Not for several threads at once.
/// </summary>
public sealed class LayerStack : IDisposable
{
    private const int MaxLinks = 40; // the kernel's own limit
    private readonly string[] _trees; // bottom first
    private readonly RootedDirectory?[] _roots;

    /// <summary>Opens a stack of directories, bottom first.</summary>
    public LayerStack(IReadOnlyList<string> trees)
    {
        ArgumentNullException.ThrowIfNull(trees);
        _trees = [.. trees];
        _roots = new RootedDirectory?[_trees.Length];
    }

    /// <summary>How many layers there are.</summary>
    public int Count => _trees.Length;

    /// <summary>What is at a path; null where nothing is. Links on the way are followed, the last one only where asked.</summary>
    public LayerNode? TryFind(string path, bool follow = false)
    {
        ArgumentNullException.ThrowIfNull(path);
        var rest = new Stack<string>(path.Split('/').Reverse());
        var way = new List<Level> { Root() };
        LayerNode? found = RootNode();
        for (int links = 0; rest.TryPop(out string? name);)
        {
            if (name is "" or ".")
            {
                continue;
            }
            if (name == "..")
            {
                way.RemoveRange(Math.Max(1, way.Count - 1), way.Count > 1 ? 1 : 0);
                found = NodeOf(way[^1]);
                continue;
            }
            if (Step(way[^1], name) is not { } next)
            {
                return null;
            }
            found = NodeOf(next);
            if (next.Status.Kind == FileKind.Directory)
            {
                way.Add(next);
                continue;
            }
            bool last = rest.All(r => r is "");
            if (next.Status.Kind != FileKind.SymbolicLink)
            {
                return last && rest.Count == 0 ? found : null;
            }
            if (last && !follow)
            {
                return found;
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
            found = NodeOf(way[^1]);
            foreach (string part in target.Split('/').Reverse())
            {
                rest.Push(part);
            }
        }
        return found;
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

    /// <summary>Opens a regular file.</summary>
    public SafeFileHandle OpenFile(LayerNode file)
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
        return [.. Open(node.Layer).GetXattrs(node.Path).Where(x => !x.Key.StartsWith(OverlayXattrs.Prefix, StringComparison.Ordinal))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (RootedDirectory? root in _roots)
        {
            root?.Dispose();
        }
    }

    internal static bool IsWhiteout(FileStatus status) => status is { Kind: FileKind.CharacterDevice, DeviceMajor: 0, DeviceMinor: 0 };

    /// <summary>A path with the layers that have it, topmost first; more than one only for directories that are joined.</summary>
    private sealed record Level(string Path, List<int> Layers, FileStatus Status);

    private RootedDirectory Open(int layer) => _roots[layer] ??= RootedDirectory.Open(_trees[layer]);

    private Level Root() => new("", [.. Enumerable.Range(0, Count).Reverse()], Count == 0 ? default : Open(Count - 1).TryGetStatus("")!.Value);

    private LayerNode? RootNode() => Count == 0 ? null : NodeOf(Root());

    private static LayerNode NodeOf(Level level) => new(level.Path, level.Layers.Count == 0 ? 0 : level.Layers[0], level.Status);

    private Level LevelOf(LayerNode node)
    {
        Level level = Root();
        foreach (string name in node.Path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            level = Step(level, name) ?? throw new LinuxException("open", node.Path, Errno.ENOENT);
        }
        return level;
    }

    private Level? Step(Level directory, string name)
    {
        string path = directory.Path.Length == 0 ? name : directory.Path + "/" + name;
        Level? found = null;
        foreach (int layer in directory.Layers)
        {
            if (Open(layer).TryGetStatus(path) is { } status && !Add(ref found, path, layer, status))
            {
                break;
            }
        }
        return found;
    }

    // One more layer's idea of a path, from the top down. False: nothing below counts any more.
    private bool Add(ref Level? found, string path, int layer, FileStatus status)
    {
        if (status.Kind != FileKind.Directory)
        {
            found ??= IsWhiteout(status) ? null : new Level(path, [layer], status);
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
        return Open(layer).TryGetXattr(path, OverlayXattrs.Opaque) is not [(byte)'y'];
    }

    private SortedDictionary<string, Level> Children(Level directory)
    {
        var children = new SortedDictionary<string, Level?>(Comparer<string>.Create(LinuxPath.Compare));
        var closed = new HashSet<string>(StringComparer.Ordinal);
        foreach (int layer in directory.Layers)
        {
            foreach (string name in Open(layer).GetNames(directory.Path))
            {
                if (closed.Contains(name))
                {
                    continue;
                }
                string path = directory.Path.Length == 0 ? name : directory.Path + "/" + name;
                children.TryGetValue(name, out Level? found);
                if (Open(layer).TryGetStatus(path) is { } status && !Add(ref found, path, layer, status))
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
