using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>
/// The files of one layer, read without a mount. Paths are relative; links on the way are followed inside, the last component not. Failures are those of
/// the system calls of the same name (<see cref="LinuxException"/>). Not for several threads at once.
/// </summary>
internal interface ILayerFiles : IDisposable
{
    /// <summary>Null where nothing is (ENOENT, ENOTDIR).</summary>
    FileStatus? TryGetStatus(string path);

    /// <summary>The names in a directory, in any order.</summary>
    IReadOnlyList<string> GetNames(string path);

    string ReadLink(string path);

    /// <summary>Opens a regular file; the stream knows its length and can seek.</summary>
    Stream OpenFile(string path);

    /// <summary>Ordered by name.</summary>
    IReadOnlyList<KeyValuePair<string, byte[]>> GetXattrs(string path);

    byte[]? TryGetXattr(string path, string name);
}

/// <summary>A layer that is a directory.</summary>
internal sealed class DirectoryFiles(RootedDirectory root) : ILayerFiles
{
    internal static ILayerFiles Open(string path) => new DirectoryFiles(RootedDirectory.Open(path));

    public FileStatus? TryGetStatus(string path) => root.TryGetStatus(path);

    public IReadOnlyList<string> GetNames(string path) => root.GetNames(path);

    public string ReadLink(string path) => root.ReadLink(path);

    public Stream OpenFile(string path) => new FileStream(root.OpenFile(path), FileAccess.Read, bufferSize: 0);

    public IReadOnlyList<KeyValuePair<string, byte[]>> GetXattrs(string path) => root.GetXattrs(path);

    public byte[]? TryGetXattr(string path, string name) => root.TryGetXattr(path, name);

    public void Dispose() => root.Dispose();
}
