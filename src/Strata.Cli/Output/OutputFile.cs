using Strata.Linux;

namespace Strata.Cli.Output;

/// <summary>
/// A file that -o names: there whole, and durable, or as it was before. What is no regular file (/dev/null, a pipe) is written to as it is: a
/// rename would put a file in its place.
/// </summary>
internal static class OutputFile
{
    internal static async Task WriteAsync(string path, Func<Stream, Task> write)
    {
        if (FileSystems.TryGetStatus(path, follow: true) is { Kind: not FileKind.Regular } there)
        {
            await using FileStream open = there.Kind == FileKind.Directory ? throw new StrataException(ErrorKind.Invalid, $"{path}: it is a directory")
                : new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            await write(open);
            return;
        }
        // A link stays a link: what it points to is replaced.
        string target = FileSystems.TryGetStatus(path) is { Kind: FileKind.SymbolicLink } ? File.ResolveLinkTarget(path, returnFinalTarget: true)!.FullName : Path.GetFullPath(path);
        string folder = Path.GetDirectoryName(target)!, temporary = Path.Combine(folder, $".{Path.GetFileName(target)}.{Guid.NewGuid():n}");
        if (!Directory.Exists(folder))
        {
            throw new StrataException(ErrorKind.NotFound, $"{path}: there is no directory {folder}");
        }
        try
        {
            await using (FileStream file = new(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0))
            {
                await write(file);
                Durability.SyncFile(file.SafeFileHandle, target);
            }
            Durability.Rename(temporary, target, replace: true);
            Durability.SyncDirectory(folder);
        }
        finally
        {
            File.Delete(temporary); // not there any more where all went well
        }
    }
}
