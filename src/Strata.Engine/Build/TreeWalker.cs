using Strata.Dockerfiles;
using Strata.Linux;

namespace Strata.Build;

/// <summary>A thing met on a walk: its path from the root that was walked, and its status (of itself, not of what it links to).</summary>
internal readonly record struct TreeEntry(string Path, FileStatus Status);

/// <summary>Walks a directory tree in the order of bytes, a directory before what is in it, leaving out what the ignore rules hide.</summary>
internal sealed class TreeWalker(RootedDirectory root, DockerIgnore? ignore)
{
    /// <summary>The tree that is walked.</summary>
    internal RootedDirectory Root { get; } = root;

    /// <summary>Whether the ignore rules hide a path. The root itself is never hidden.</summary>
    internal bool IsIgnored(string path) => path.Length > 0 && ignore is not null && ignore.IsIgnored(path);

    /// <summary>Whether a path cannot be a source: the rules hide it, and it is no directory that holds something which a later rule brings back.</summary>
    internal bool IsHidden(string path)
        => IsIgnored(path) && !(ignore!.MayContainIncluded(path) && Root.TryGetStatus(path) is { Kind: FileKind.Directory } && Walk(path).Any());

    /// <summary>All below <paramref name="directory"/>, without itself.</summary>
    internal IEnumerable<TreeEntry> Walk(string directory)
    {
        var open = new Stack<IEnumerator<string>>();
        open.Push(Names(directory));
        while (open.TryPeek(out IEnumerator<string>? names))
        {
            if (!names.MoveNext())
            {
                open.Pop().Dispose();
                continue;
            }
            string path = names.Current;
            if (Root.TryGetStatus(path) is not { } status)
            {
                continue; // gone since the directory was read
            }
            bool isDirectory = status.Kind == FileKind.Directory;
            if (IsIgnored(path))
            {
                // A hidden directory is entered where a later rule may bring back something in it; it is then shown with that.
                if (isDirectory && ignore!.MayContainIncluded(path))
                {
                    foreach (TreeEntry entry in WalkHidden(path, status))
                    {
                        yield return entry;
                    }
                }
                continue;
            }
            yield return new TreeEntry(path, status);
            if (isDirectory)
            {
                open.Push(Names(path));
            }
        }
    }

    private IEnumerable<TreeEntry> WalkHidden(string directory, FileStatus status)
    {
        bool shown = false;
        foreach (TreeEntry entry in Walk(directory))
        {
            if (!shown)
            {
                shown = true;
                yield return new TreeEntry(directory, status);
            }
            yield return entry;
        }
    }

    private IEnumerator<string> Names(string directory)
    {
        string prefix = directory.Length == 0 ? "" : directory + "/";
        return Root.GetNames(directory).Order(Comparer<string>.Create(LinuxPath.Compare)).Select(name => prefix + name).GetEnumerator();
    }
}
