using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>A directory that a layer is extracted into.</summary>
internal sealed class DirectoryTarget(RootedDirectory root) : IExtractionTarget
{
    private const int CopyBytes = 1 << 18;
    private readonly SmallFileWriter _smallFiles = new(root);
    private byte[]? _copy;

    public void Dispose() => _smallFiles.Dispose();

    public void Settle(string path) => _smallFiles.Settle(path);

    public void Drain() => _smallFiles.Drain();

    public FileStatus? TryGetStatus(string path) => root.TryGetStatus(path);

    public string ReadLink(string path) => root.ReadLink(path);

    public IReadOnlyList<string> GetNames(string path) => root.GetNames(path);

    public void Remove(string path) => root.Remove(path);

    public void CreateDirectory(string path, int mode) => root.CreateDirectory(path, mode);

    public void CreateSymbolicLink(string path, string target) => root.CreateSymbolicLink(path, target);

    public void CreateHardLink(string path, string existing) => root.CreateHardLink(path, existing);

    public void CreateNode(string path, FileKind kind, int mode, uint major, uint minor) => root.CreateNode(path, kind, mode, major, minor);

    public void SetOwner(string path, uint uid, uint gid) => root.SetOwner(path, uid, gid);

    public void SetMode(string path, int mode) => root.SetMode(path, mode);

    public void SetTimes(string path, FileTime modified) => root.SetTimes(path, modified);

    public void SetXattr(string path, string name, ReadOnlySpan<byte> value) => root.SetXattr(path, name, value);

    public void PutFile(string path, FileEntry file, (uint Uid, uint Gid)? owner, Stream content, bool mayWait)
    {
        if (mayWait && file.Size <= SmallFileWriter.MaxFileBytes && content is not EntryContent { HasMap: true })
        {
            _smallFiles.Add(path, (int)file.Size, file.Metadata, owner, content);
            return;
        }
        _smallFiles.Settle(path);
        using SafeFileHandle handle = root.CreateFile(path, file.Metadata.Mode);
        CopyContent(content, handle, file.Size, path);
        FileDresser.Dress(handle, path, file.Metadata, owner);
    }

    public void CopyUp(LayerStack below, LayerNode node, string path) => UpCopier.Copy(below, node, path, root);

    public void DressAs(LayerStack below, LayerNode node, string path) => UpCopier.Dress(below, node, path, root);

    // Holes of the archive stay holes; and so does what is zeros for long: an archive of a sparse file that knows no holes has those written out.
    private void CopyContent(Stream content, SafeFileHandle handle, long size, string path)
    {
        byte[] buffer = _copy ??= new byte[CopyBytes];
        bool endsInHole = false;
        while (true)
        {
            long hole = (content as EntryContent)?.PassHole() ?? 0;
            int read = 0;
            if (hole == 0)
            {
                read = content.Read(buffer, 0, CopyBytes);
                if (read == 0)
                {
                    break;
                }
                hole = FileDresser.IsLongZeros(buffer.AsSpan(0, read)) ? read : 0;
            }
            endsInHole = hole > 0;
            if (endsInHole)
            {
                Files.Skip(handle, hole, path);
            }
            else
            {
                Files.Write(handle, buffer.AsSpan(0, read), path);
            }
        }
        if (endsInHole)
        {
            Files.SetLength(handle, size, path);
        }
    }
}
