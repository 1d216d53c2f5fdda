using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// Where the files of a layer go: a directory, or an index of files that is not on disk yet. Paths have no link on the way, except where a method says so;
/// failures are those of the system calls of the same name (<see cref="LinuxException"/>).
/// </summary>
internal interface IExtractionTarget : IDisposable
{
    /// <summary>Waits until what was put at a path is there to be seen.</summary>
    void Settle(string path);

    /// <summary>Waits until all that was put is there.</summary>
    void Drain();

    /// <summary>What is there; links on the way are followed inside, the last one not. Null where nothing is.</summary>
    FileStatus? TryGetStatus(string path);

    string ReadLink(string path);

    IReadOnlyList<string> GetNames(string path);

    /// <summary>Removes what is there, with all below.</summary>
    void Remove(string path);

    void CreateDirectory(string path, int mode);

    void CreateSymbolicLink(string path, string target);

    /// <summary>Links on the way to <paramref name="existing"/> are followed inside.</summary>
    void CreateHardLink(string path, string existing);

    void CreateNode(string path, FileKind kind, int mode, uint major, uint minor);

    void SetOwner(string path, uint uid, uint gid);

    void SetMode(string path, int mode);

    void SetTimes(string path, FileTime modified);

    void SetXattr(string path, string name, ReadOnlySpan<byte> value);

    /// <summary>Makes a regular file with its looks. <paramref name="owner"/> null: as root makes it. <paramref name="mayWait"/>: it need not be there at once, and what is at its name is no directory.</summary>
    void PutFile(string path, FileEntry file, (uint Uid, uint Gid)? owner, Stream content, bool mayWait);

    /// <summary>Brings a file, link or device (no directory) up from the layers below.</summary>
    void CopyUp(LayerStack below, LayerNode node, string path);

    /// <summary>Gives a directory the looks of a node below.</summary>
    void DressAs(LayerStack below, LayerNode node, string path);
}
