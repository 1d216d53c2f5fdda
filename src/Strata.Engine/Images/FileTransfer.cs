using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Images;

/// <summary>How files are copied between a container and the host.</summary>
public sealed record CopyFilesOptions
{
    /// <summary>Keep owners; else what is copied belongs to root in a container, and to who copies on the host.</summary>
    public bool Archive { get; init; }
    /// <summary>Copy what the source leads to, where it is a symbolic link.</summary>
    public bool FollowLink { get; init; }
}

/// <summary>
/// Copies trees between two closed directories. Every path is resolved by the kernel inside its own side (<see cref="RootedDirectory"/>), each time
/// anew: a container that changes its files meanwhile can spoil its own copy, and reach nothing outside.
/// </summary>
internal sealed class FileTransfer(RootedDirectory from, RootedDirectory to, (uint Uid, uint Gid)? owner, CancellationToken cancellationToken)
{
    private const int OwnerOnly = 0b111_000_000, MostLinks = 40;

    /// <summary>Copies <c>cp</c>'s way: <paramref name="source"/> to the path, or into the directory, <paramref name="target"/>.</summary>
    /// <exception cref="StrataException">NotFound, Invalid, Conflict: source and target do not fit.</exception>
    public void Copy(string source, string target, bool followLink)
    {
        bool onlyChildren = source.EndsWith("/.", StringComparison.Ordinal) || source is "." or "/";
        bool wantsDirectory = source.EndsWith('/') || onlyChildren;
        string path = Clean(source);
        path = followLink || wantsDirectory ? ResolveLast(from, path) : path;
        FileStatus status = from.TryGetStatus(path) ?? throw new StrataException(ErrorKind.NotFound, $"{source}: nothing is there");
        if (wantsDirectory && status.Kind != FileKind.Directory)
        {
            throw new StrataException(ErrorKind.Invalid, $"{source}: not a directory");
        }
        string place = ResolveLast(to, Clean(target));
        FileStatus? there = place.Length == 0 ? to.TryGetStatus("") : to.TryGetStatus(place);
        if (there is { Kind: FileKind.Directory } && !onlyChildren)
        {
            place = LinuxPath.Join(place, NameOf(Clean(source)));
        }
        else if (there is null && target.EndsWith('/') && status.Kind != FileKind.Directory)
        {
            throw new StrataException(ErrorKind.NotFound, $"{target}: no such directory");
        }
        else if (there is { Kind: not FileKind.Directory } && status.Kind == FileKind.Directory)
        {
            throw new StrataException(ErrorKind.Invalid, $"{target}: cannot copy a directory over a file");
        }
        if (ParentOf(place) is { Length: > 0 } parent && to.TryGetStatus(parent, follow: true) is not { Kind: FileKind.Directory })
        {
            throw new StrataException(ErrorKind.NotFound, $"{target}: no such directory");
        }
        CopyNode(path, place, status);
    }

    private void CopyNode(string source, string target, FileStatus status)
    {
        cancellationToken.ThrowIfCancellationRequested();
        FileStatus? there = target.Length == 0 ? to.TryGetStatus("") : to.TryGetStatus(target);
        if (status.Kind == FileKind.Directory)
        {
            CopyDirectory(source, target, status, there);
            return;
        }
        if (there is { Kind: FileKind.Directory })
        {
            throw new StrataException(ErrorKind.Conflict, $"{target}: cannot copy a file over a directory");
        }
        if (there is not null)
        {
            to.Remove(target);
        }
        switch (status.Kind)
        {
            case FileKind.Regular:
                using (SafeFileHandle read = from.OpenFile(source))
                using (SafeFileHandle write = to.CreateFile(target, 0b110_000_000))
                {
                    FileCopy.Copy(read, write);
                }
                break;
            case FileKind.SymbolicLink:
                to.CreateSymbolicLink(target, from.ReadLink(source));
                break;
            case FileKind.Socket:
                return; // nothing without its server
            default:
                to.CreateNode(target, status.Kind, 0b110_000_000, status.DeviceMajor, status.DeviceMinor);
                break;
        }
        Dress(target, status);
    }

    private void CopyDirectory(string source, string target, FileStatus status, FileStatus? there)
    {
        if (there is { Kind: not FileKind.Directory })
        {
            throw new StrataException(ErrorKind.Conflict, $"{target}: cannot copy a directory over a file");
        }
        if (there is null)
        {
            to.CreateDirectory(target, OwnerOnly);
        }
        foreach (string name in from.GetNames(source))
        {
            string child = LinuxPath.Join(source, name);
            if (from.TryGetStatus(child) is { } found)
            {
                CopyNode(child, LinuxPath.Join(target, name), found);
            }
        }
        if (there is null)
        {
            Dress(target, status);
        }
    }

    private void Dress(string path, FileStatus status)
    {
        (uint uid, uint gid) = owner ?? (status.Uid, status.Gid);
        to.SetOwner(path, uid, gid);
        if (status.Kind != FileKind.SymbolicLink)
        {
            to.SetMode(path, status.Mode); // after the owner: chown(2) clears set-user-id
        }
        to.SetTimes(path, status.Modified);
    }

    /// <summary>Writes a file or tree as a tar whose names begin with the source's own.</summary>
    public static void WriteTar(RootedDirectory from, string source, bool followLink, LayerWriter writer, CancellationToken cancellationToken)
    {
        bool onlyChildren = source.EndsWith("/.", StringComparison.Ordinal) || source is "." or "/";
        string path = followLink || onlyChildren || source.EndsWith('/') ? ResolveLast(from, Clean(source)) : Clean(source);
        FileStatus status = from.TryGetStatus(path) ?? throw new StrataException(ErrorKind.NotFound, $"{source}: nothing is there");
        WriteTar(from, path, onlyChildren ? "" : NameOf(Clean(source)), status, writer, [], cancellationToken);
    }

    /// <summary>Writes all of a directory below a name, extended attributes too.</summary>
    public static void WriteTree(RootedDirectory from, string name, LayerWriter writer, CancellationToken cancellationToken)
        => WriteTar(from, "", name, from.TryGetStatus("") ?? throw new LinuxException("statx", name, Errno.ENOENT), writer, [], cancellationToken);

    private static void WriteTar(RootedDirectory from, string path, string name, FileStatus status, LayerWriter writer, Dictionary<(ulong, ulong), string> links, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        EntryMetadata metadata = new(status.Mode, status.Uid, status.Gid, status.Modified,
            [.. from.GetXattrs(path).OrderBy(x => x.Key, StringComparer.Ordinal).Select(x => KeyValuePair.Create(x.Key, ImmutableArray.Create(x.Value)))]);
        if (status.LinkCount > 1 && status.Kind == FileKind.Regular && !links.TryAdd((status.Device, status.Inode), name))
        {
            writer.Write(new HardLinkEntry(name, metadata, links[(status.Device, status.Inode)]));
            return;
        }
        switch (status.Kind)
        {
            case FileKind.Directory:
                if (name.Length > 0)
                {
                    writer.Write(new DirectoryEntry(name, metadata));
                }
                foreach (string child in from.GetNames(path).Order(Comparer<string>.Create(LinuxPath.Compare)))
                {
                    if (from.TryGetStatus(LinuxPath.Join(path, child)) is { } found)
                    {
                        WriteTar(from, LinuxPath.Join(path, child), LinuxPath.Join(name, child), found, writer, links, cancellationToken);
                    }
                }
                break;
            case FileKind.SymbolicLink:
                writer.Write(new SymbolicLinkEntry(name, metadata, from.ReadLink(path)));
                break;
            case FileKind.Regular:
                using (SafeFileHandle file = from.OpenFile(path))
                using (var content = new FileStream(file, FileAccess.Read, bufferSize: 0))
                {
                    writer.Write(new FileEntry(name, metadata, Files.GetStatus(file).Size), content);
                }
                break;
            case FileKind.Socket:
                break;
            default:
                writer.Write(new DeviceEntry(name, metadata, status.Kind, status.DeviceMajor, status.DeviceMinor));
                break;
        }
    }

    /// <summary>Puts a tar, plain or compressed by gzip or zstd (which this process undoes: nothing of the container is run), into a directory that is there.</summary>
    public static void ReadTar(Stream tar, RootedDirectory to, string target, (uint Uid, uint Gid)? owner, CancellationToken cancellationToken)
    {
        string place = ResolveLast(to, Clean(target));
        if (to.TryGetStatus(place) is not { Kind: FileKind.Directory })
        {
            throw new StrataException(ErrorKind.NotFound, $"{target}: no such directory in the container");
        }
        using Stream plain = Compression.OpenDecompressor(tar);
        using var reader = new LayerReader(plain);
        using var extraction = new LayerExtraction(to, new ExtractOptions { Prefix = place, Owner = owner }, WhiteoutForm.Applied, below: null);
        while (reader.Read() is { } entry)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (entry is WhiteoutEntry or OpaqueEntry)
            {
                throw new StrataException(ErrorKind.Invalid, $"{entry.Path}: names that begin with .wh. mean deletions in layers, and are not copied into containers");
            }
            if (entry.Path.Length > 0) // the target itself stays as it is
            {
                extraction.Put(entry, entry is FileEntry ? reader.Content : Stream.Null);
            }
        }
        extraction.Finish();
    }

    /// <summary>A path without what means nothing; <c>..</c> goes up by the text, at most to the root.</summary>
    internal static string Clean(string path)
    {
        var parts = new List<string>();
        foreach (string part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (part == "..")
            {
                parts.RemoveRange(Math.Max(0, parts.Count - 1), Math.Min(1, parts.Count));
            }
            else if (part != ".")
            {
                parts.Add(part);
            }
        }
        return string.Join('/', parts);
    }

    // What is at the end of links, inside the root; where that is nothing yet, its place. What is found may be another thing by the time it is used:
    // the kernel looks again, in the same root.
    private static string ResolveLast(RootedDirectory root, string path)
    {
        for (int i = 0; i < MostLinks && path.Length > 0 && root.TryGetStatus(path) is { Kind: FileKind.SymbolicLink }; i++)
        {
            string target = root.ReadLink(path);
            path = Clean(target.StartsWith('/') ? target : ParentOf(path) + "/" + target);
        }
        return path;
    }

    private static string ParentOf(string path) => path.LastIndexOf('/') is >= 0 and int slash ? path[..slash] : "";

    private static string NameOf(string path) => path[(path.LastIndexOf('/') + 1)..];
}
