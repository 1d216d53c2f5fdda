using Strata.Layers;
using Strata.Linux;

namespace Strata.Build;

/// <summary>Owner and mode that copied files get; null keeps the source's.</summary>
internal sealed record CopyAttributes((uint Uid, uint Gid)? Owner, string? Mode);

/// <summary>
/// Puts a selection into a file system, with Docker's rules for destinations (Dockerfile reference, COPY): a directory gives its content,
/// a file goes into a destination that is a directory or ends in a slash, missing directories are made 0755 and root's.
/// Directories that a copy touches on its way keep their mtime, and new ones get <paramref name="made"/>, so that the result does not
/// depend on the clock.
/// </summary>
internal sealed class FileCopier(ICopyTarget target, CopyAttributes attributes, FileTime made)
{
    // Directories that this source made: nothing stands in the way there, and no name in them leads elsewhere.
    private readonly HashSet<string> _own = new(StringComparer.Ordinal);
    private readonly Dictionary<string, FileTime> _directoryTimes = new(StringComparer.Ordinal);
    private readonly Dictionary<(ulong Device, ulong Inode), string> _links = [];

    /// <summary>Copies all sources to a destination (absolute, or relative to the root).</summary>
    /// <exception cref="StrataException">Invalid: several sources and a destination that is no directory, or a file where a directory is.</exception>
    internal void Copy(CopySelection selection, string destination, bool parents, CancellationToken cancellationToken)
    {
        bool intoDirectory = destination.EndsWith('/') || parents;
        string path = destination.Trim('/');
        if (selection.Sources.Length > 1 && !intoDirectory)
        {
            throw new StrataException(ErrorKind.Invalid, $"with more than one source file, the destination must be a directory and end with a /: {destination}") { Hint = $"write {destination}/" };
        }
        foreach (CopySource source in selection.Sources)
        {
            cancellationToken.ThrowIfCancellationRequested();
            _links.Clear(); // one file in two sources becomes two files, as in docker and buildah; within a source, links stay links
            _own.Clear(); // what one source has made is in the way of the next
            if (source.IsDirectory)
            {
                CopyDirectory(selection, source, parents && source.Name.Length > 0 ? LinuxPath.Join(path, source.Name) : path, cancellationToken);
                target.Drain();
            }
            else
            {
                bool into = intoDirectory || target.TryGetStatus(path, follow: true) is { Kind: FileKind.Directory };
                CopyFile(selection, source, into ? LinuxPath.Join(path, source.Name) : ResolveFile(path));
            }
        }
        Finish();
    }

    /// <summary>Makes a directory and what leads to it; true where something was made.</summary>
    internal bool MakeDirectory(string path)
    {
        bool changed = EnsureDirectory(path.Trim('/'));
        Finish();
        return changed;
    }

    /// <summary>Writes one file with content that is at hand.</summary>
    internal void Write(string path, ReadOnlySpan<byte> content, int mode, FileTime modified)
    {
        path = path.Trim('/');
        EnsureParent(path);
        Clear(path);
        (uint uid, uint gid) = attributes.Owner ?? (0, 0);
        target.PutBytes(path, content, new EntryMetadata(ModeOf(mode, isDirectory: false), uid, gid, modified));
        Finish();
    }

    /// <summary>Makes the directory that something else (an archive) will be unpacked into, and remembers the times of what leads to it.</summary>
    internal void Prepare(string directory) => EnsureDirectory(directory.Trim('/'));

    /// <summary>Gives directories the times they should have. Last.</summary>
    internal void Finish()
    {
        foreach ((string path, FileTime time) in _directoryTimes.OrderByDescending(d => d.Key.Length))
        {
            target.SetTimes(path, time);
        }
        _directoryTimes.Clear();
    }

    private void CopyDirectory(CopySelection selection, CopySource source, string destination, CancellationToken cancellationToken)
    {
        bool there = target.TryGetStatus(destination, follow: true) is { Kind: FileKind.Directory };
        EnsureDirectory(destination);
        if (!there)
        {
            _own.Add(destination);
            Dress(selection, source.Path, destination, source.Status);
        }
        foreach (TreeEntry entry in selection.Take(source))
        {
            cancellationToken.ThrowIfCancellationRequested();
            string path = LinuxPath.Join(destination, CopySelection.Relative(source, entry));
            switch (entry.Status.Kind)
            {
                case FileKind.Directory:
                    if (target.TryGetStatus(path, follow: true) is not { Kind: FileKind.Directory })
                    {
                        EnsureParent(path);
                        Clear(path);
                        target.CreateDirectory(path, entry.Status.Mode);
                        _own.Add(path);
                    }
                    Dress(selection, entry.Path, ResolveFile(path), entry.Status);
                    break;
                case FileKind.Socket:
                    break; // a socket is no data: nothing could be told of it in a layer
                case FileKind.Regular when entry.Status.LinkCount == 1 && _own.Contains(Parent(path)):
                    target.PutFile(path, new CopiedFile(selection.Root, entry.Folder, entry.Name, entry.Status.Size), MetadataOf(entry.Status), mayWait: true);
                    break;
                default:
                    CopyNode(selection, entry.Path, path, entry.Status);
                    break;
            }
        }
    }

    private void CopyFile(CopySelection selection, CopySource source, string path) => CopyNode(selection, source.Path, path, source.Status);

    private void CopyNode(CopySelection selection, string from, string to, FileStatus status)
    {
        EnsureParent(to);
        Clear(to);
        switch (status.Kind)
        {
            case FileKind.Regular:
                if (status.LinkCount > 1 && _links.TryGetValue((status.Device, status.Inode), out string? first))
                {
                    target.CreateHardLink(to, first);
                    return;
                }
                target.PutFile(to, new CopiedFile(selection.Root, "", from, status.Size), MetadataOf(status), mayWait: false);
                if (status.LinkCount > 1)
                {
                    _links.TryAdd((status.Device, status.Inode), to);
                }
                break;
            case FileKind.SymbolicLink:
                target.PutNode(to, status, selection.Root.ReadLink(from), MetadataOf(status));
                break;
            default:
                target.PutNode(to, status, null, MetadataOf(status) with { Xattrs = CopiedFile.Kept(selection.Root.GetXattrs(from)) });
                break;
        }
    }

    // A directory's time is set last: what is put into it changes it.
    private void Dress(CopySelection selection, string from, string to, FileStatus status)
    {
        target.Dress(to, MetadataOf(status) with { Xattrs = CopiedFile.Kept(selection.Root.GetXattrs(from)) });
        _directoryTimes[to] = status.Modified;
    }

    private EntryMetadata MetadataOf(in FileStatus status)
    {
        (uint uid, uint gid) = attributes.Owner ?? (status.Uid, status.Gid);
        return new EntryMetadata(ModeOf(status.Mode, status.Kind == FileKind.Directory), uid, gid, status.Modified);
    }

    private int ModeOf(int mode, bool isDirectory) => attributes.Mode is null ? mode : ModeExpression.Apply(attributes.Mode, mode, isDirectory);

    private void EnsureParent(string path) => EnsureDirectory(Parent(path));

    private static string Parent(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash < 0 ? "" : path[..slash];
    }

    private bool EnsureDirectory(string path)
    {
        if (_directoryTimes.ContainsKey(path))
        {
            return false;
        }
        switch (target.TryGetStatus(path, follow: true))
        {
            case { Kind: FileKind.Directory } status:
                // By its own name: a link on the way (/bin in many images) is not what changes.
                _directoryTimes.TryAdd(ResolveFile(path), status.Modified);
                return false;
            case not null:
                throw new StrataException(ErrorKind.Invalid, $"cannot make directory /{path}: something else is there");
        }
        if (target.TryGetStatus(path) is not null)
        {
            path = ResolveFile(path); // a link to a directory that is not there yet: Docker makes it
        }
        EnsureParent(path);
        target.CreateDirectory(path, 0b111_101_101);
        if (attributes.Owner is { } owner)
        {
            target.SetOwner(path, owner.Uid, owner.Gid);
        }
        int slash = path.LastIndexOf('/');
        _directoryTimes[path] = made != default ? made : _directoryTimes.GetValueOrDefault(slash < 0 ? "" : path[..slash]);
        return true;
    }

    private void Clear(string path)
    {
        switch (target.TryGetStatus(path))
        {
            case { Kind: FileKind.Directory }:
                throw new StrataException(ErrorKind.Invalid, $"cannot copy a file onto the directory /{path}");
            case not null:
                target.Remove(path);
                break;
        }
    }

    // A destination that is a link names what it links to, inside the image.
    private string ResolveFile(string path)
    {
        const int MaxLinks = 40; // the kernel's own limit
        for (int links = 0; target.TryGetStatus(path) is { Kind: FileKind.SymbolicLink }; links++)
        {
            if (links == MaxLinks)
            {
                throw new LinuxException("open", "/" + path, Errno.ELOOP);
            }
            string link = target.ReadLink(path);
            int slash = path.LastIndexOf('/');
            path = link.StartsWith('/') ? link.Trim('/') : LinuxPath.Join(slash < 0 ? "" : path[..slash], link.TrimEnd('/'));
        }
        return path;
    }
}
