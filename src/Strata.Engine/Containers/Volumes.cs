using Strata.Content;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>Directories that outlive containers: volumes/NAME/_data. A volume without a name of its own has 64 hex digits for one.</summary>
public sealed class Volumes
{
    private readonly StoreLayout _layout;

    /// <summary>Opens the volumes of a store. Does no I/O.</summary>
    public Volumes(StoreLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        _layout = layout;
    }

    /// <summary>Where the data of a volume is.</summary>
    public string PathOf(string name)
        => ContainerStore.IsName(name) ? Path.Combine(_layout.Volumes, name, "_data")
            : throw new StrataException(ErrorKind.Invalid, $"volume '{name}': only letters, digits, '_', '.' and '-', at most 128, the first a letter or digit");

    /// <summary>Makes a volume where it is missing; tells whether it did.</summary>
    public bool Create(string name)
    {
        string data = PathOf(name);
        if (Directory.Exists(data))
        {
            return false;
        }
        Directory.CreateDirectory(_layout.Volumes, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(data);
        File.SetUnixFileMode(data, (UnixFileMode)0b111_101_101);
        return true;
    }

    /// <summary>Removes a volume. Idempotent.</summary>
    public void Remove(string name) => FileSystems.RemoveTree(Path.GetDirectoryName(PathOf(name))!);

    /// <summary>All names, ordered.</summary>
    public IReadOnlyList<string> List()
        => Directory.Exists(_layout.Volumes) ? [.. Directory.EnumerateDirectories(_layout.Volumes).Select(d => Path.GetFileName(d)).Where(ContainerStore.IsName).Order(StringComparer.Ordinal)] : [];

    /// <summary>
    /// Fills an empty volume with what the image has at its place: owner, mode, times and extended attributes too. Called inside the private
    /// namespace, before anything of the image runs.
    /// </summary>
    internal void CopyUp(string name, RootedDirectory root, string target)
    {
        if (root.TryGetStatus(target, follow: true) is not { Kind: FileKind.Directory })
        {
            return;
        }
        using RootedDirectory from = root.OpenDirectory(target);
        using RootedDirectory to = RootedDirectory.Open(PathOf(name));
        if (to.GetNames("").Count == 0)
        {
            TreeCopy.Copy(from, to);
        }
    }
}
