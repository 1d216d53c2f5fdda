using Strata.Dockerfiles;
using Strata.Linux;

namespace Strata.Build;

/// <summary>A thing met on a walk. All that is in one folder shares its text, so that a walk of 200,000 files holds their names and not as many whole paths.</summary>
/// <param name="Folder">The path of the folder it is in, from the root that was walked; empty for the root.</param>
/// <param name="Name">Its name there.</param>
/// <param name="Status">Of itself, not of what it links to.</param>
internal readonly record struct TreeEntry(string Folder, string Name, FileStatus Status)
{
    /// <summary>Its path from the root that was walked; a new text each time.</summary>
    internal string Path => LinuxPath.Join(Folder, Name);
}

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
        var open = new Stack<(string Folder, IEnumerator<string> Names)>();
        open.Push((directory, Names(directory)));
        while (open.TryPeek(out (string Folder, IEnumerator<string> Names) at))
        {
            if (!at.Names.MoveNext())
            {
                open.Pop().Names.Dispose();
                continue;
            }
            (string folder, string name) = (at.Folder, at.Names.Current);
            string path = LinuxPath.Join(folder, name);
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
                    foreach (TreeEntry entry in WalkHidden(path, new TreeEntry(folder, name, status)))
                    {
                        yield return entry;
                    }
                }
                continue;
            }
            yield return new TreeEntry(folder, name, status);
            if (isDirectory)
            {
                open.Push((path, Names(path)));
            }
        }
    }

    private IEnumerable<TreeEntry> WalkHidden(string directory, TreeEntry itself)
    {
        bool shown = false;
        foreach (TreeEntry entry in Walk(directory))
        {
            if (!shown)
            {
                shown = true;
                yield return itself;
            }
            yield return entry;
        }
    }

    private IEnumerator<string> Names(string directory) => Root.GetNames(directory).Order(Comparer<string>.Create(LinuxPath.Compare)).GetEnumerator();
}
