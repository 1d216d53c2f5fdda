using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Containers;
using Strata.Layers;
using Strata.Linux;
using Strata.Snapshots;

namespace Strata.Build;

/// <summary>A regular file that is copied.</summary>
/// <param name="Root">The tree it is read from.</param>
/// <param name="Folder">Where it is in that tree.</param>
/// <param name="Name">Its name there.</param>
/// <param name="Size">How many bytes it had when it was looked at.</param>
internal sealed record CopiedFile(RootedDirectory Root, string Folder, string Name, long Size)
{
    internal string Path => LinuxPath.Join(Folder, Name);

    internal SafeFileHandle Open() => Root.OpenFile(Path, follow: true);

    /// <summary>Capabilities belong to the file; labels and ACLs of the build machine do not.</summary>
    internal static ImmutableArray<KeyValuePair<string, ImmutableArray<byte>>> Kept(IReadOnlyList<KeyValuePair<string, byte[]>> xattrs)
    {
        if (xattrs.Count == 0)
        {
            return [];
        }
        ImmutableArray<KeyValuePair<string, ImmutableArray<byte>>>.Builder kept = ImmutableArray.CreateBuilder<KeyValuePair<string, ImmutableArray<byte>>>();
        foreach ((string name, byte[] value) in xattrs)
        {
            if (name == "security.capability" || name.StartsWith("user.", StringComparison.Ordinal))
            {
                kept.Add(KeyValuePair.Create(name, ImmutableArray.Create(value)));
            }
        }
        return kept.ToImmutable();
    }
}

/// <summary>
/// What a copy goes into: a directory, or a layer that is not written yet. Paths are relative to its root; links on the way are followed inside. Failures are
/// those of the system calls (<see cref="LinuxException"/>).
/// </summary>
internal interface ICopyTarget : IDisposable
{
    /// <summary>What is there; null where nothing is.</summary>
    FileStatus? TryGetStatus(string path, bool follow = false);

    string ReadLink(string path);

    /// <summary>Finds a user by the target's own /etc/passwd and /etc/group.</summary>
    ResolvedUser ResolveUser(string user);

    /// <summary>Removes a file, link or device. Nothing there is no error.</summary>
    void Remove(string path);

    /// <summary>Makes a directory with a mode, as root.</summary>
    void CreateDirectory(string path, int mode);

    void CreateHardLink(string path, string existing);

    /// <summary>Makes a file; its extended attributes are the source's. <paramref name="mayWait"/>: it need not be there at once, and its directory is new.</summary>
    void PutFile(string path, CopiedFile file, EntryMetadata metadata, bool mayWait);

    /// <summary>Makes a file of bytes that are at hand.</summary>
    void PutBytes(string path, ReadOnlySpan<byte> content, EntryMetadata metadata);

    /// <summary>Makes a symbolic link to <paramref name="link"/>, or a device or FIFO as <paramref name="status"/> is one.</summary>
    void PutNode(string path, FileStatus status, string? link, EntryMetadata metadata);

    void SetOwner(string path, uint uid, uint gid);

    /// <summary>Gives a directory its looks, but for the time.</summary>
    void Dress(string path, EntryMetadata metadata);

    void SetTimes(string path, FileTime modified);

    /// <summary>Waits until all files are there.</summary>
    void Drain();
}

/// <summary>A directory: of a mounted snapshot, or one that will be mounted. It is the caller's.</summary>
internal sealed class DirectoryCopyTarget(RootedDirectory root) : ICopyTarget
{
    private SmallFileWriter? _small;

    public FileStatus? TryGetStatus(string path, bool follow) => root.TryGetStatus(path, follow);

    public string ReadLink(string path) => root.ReadLink(path);

    public ResolvedUser ResolveUser(string user) => UserLookup.Resolve(user, root);

    public void Remove(string path) => root.Remove(path);

    public void CreateDirectory(string path, int mode) => root.CreateDirectory(path, mode);

    public void CreateHardLink(string path, string existing) => root.CreateHardLink(path, existing);

    public void PutFile(string path, CopiedFile file, EntryMetadata metadata, bool mayWait)
    {
        using SafeFileHandle input = file.Open();
        metadata = metadata with { Xattrs = CopiedFile.Kept(Files.GetXattrs(input, file.Path)) };
        if (mayWait && file.Size <= SmallFileWriter.MaxFileBytes)
        {
            // Made by threads: of many small files, as source code is, making them is most of the work. The owner is set also where it is root: a set-gid directory gives its group.
            _small ??= new SmallFileWriter(root);
            _small.Add(path, metadata, (metadata.Uid, metadata.Gid), input, (int)file.Size);
            return;
        }
        using (SafeFileHandle output = root.CreateFile(path, metadata.Mode))
        {
            FileCopy.Copy(input, output);
        }
        Finish(path, metadata, isLink: false);
    }

    public void PutBytes(string path, ReadOnlySpan<byte> content, EntryMetadata metadata)
    {
        using (SafeFileHandle file = root.CreateFile(path, metadata.Mode))
        {
            RandomAccess.Write(file, content, 0);
        }
        Finish(path, metadata, isLink: false);
    }

    public void PutNode(string path, FileStatus status, string? link, EntryMetadata metadata)
    {
        if (link is not null)
        {
            root.CreateSymbolicLink(path, link);
        }
        else
        {
            root.CreateNode(path, status.Kind, metadata.Mode, status.DeviceMajor, status.DeviceMinor);
        }
        Finish(path, metadata, isLink: link is not null);
    }

    public void SetOwner(string path, uint uid, uint gid) => root.SetOwner(path, uid, gid);

    public void Dress(string path, EntryMetadata metadata) => Dress(path, metadata, isLink: false);

    public void SetTimes(string path, FileTime modified) => root.SetTimes(path, modified);

    public void Drain() => _small?.Drain();

    public void Dispose() => _small?.Dispose();

    private void Finish(string path, EntryMetadata metadata, bool isLink)
    {
        Dress(path, metadata, isLink);
        root.SetTimes(path, metadata.Modified);
    }

    private void Dress(string path, EntryMetadata metadata, bool isLink)
    {
        root.SetOwner(path, metadata.Uid, metadata.Gid);
        if (isLink)
        {
            return;
        }
        root.SetMode(path, metadata.Mode);
        foreach ((string name, ImmutableArray<byte> value) in metadata.Xattrs)
        {
            root.SetXattr(path, name, value.AsSpan());
        }
    }
}
