using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Containers;

/// <summary>Copies a tree with owners, modes, times, extended attributes and hard links. Both sides are closed: no link leads out of either.</summary>
internal static class TreeCopy
{
    /// <summary>Copies what is in <paramref name="from"/> into the empty <paramref name="to"/>, and gives it the attributes of the first.</summary>
    public static void Copy(RootedDirectory from, RootedDirectory to)
    {
        var links = new Dictionary<(ulong Device, ulong Inode), string>();
        CopyChildren(from, to, "", links);
        CopyAttributes(from, to, "", from.TryGetStatus("") ?? throw new LinuxException("statx", "/", Errno.ENOENT));
    }

    private static void CopyChildren(RootedDirectory from, RootedDirectory to, string directory, Dictionary<(ulong Device, ulong Inode), string> links)
    {
        foreach (string name in from.GetNames(directory))
        {
            string path = directory.Length == 0 ? name : directory + "/" + name;
            if (from.TryGetStatus(path) is not { } status || status.Kind == FileKind.Socket)
            {
                continue; // gone since, or a socket, whose server is not here
            }
            if (status.LinkCount > 1 && status.Kind != FileKind.Directory && !links.TryAdd((status.Device, status.Inode), path))
            {
                to.CreateHardLink(path, links[(status.Device, status.Inode)]);
                continue;
            }
            switch (status.Kind)
            {
                case FileKind.Directory:
                    to.CreateDirectory(path, 0b111_000_000);
                    CopyChildren(from, to, path, links);
                    break;
                case FileKind.SymbolicLink:
                    to.CreateSymbolicLink(path, from.ReadLink(path));
                    break;
                case FileKind.Regular:
                    using (SafeFileHandle source = from.OpenFile(path))
                    using (SafeFileHandle target = to.CreateFile(path, 0b110_000_000))
                    {
                        FileCopy.Copy(source, target);
                    }
                    break;
                default:
                    to.CreateNode(path, status.Kind, 0b110_000_000, status.DeviceMajor, status.DeviceMinor);
                    break;
            }
            CopyAttributes(from, to, path, status);
        }
    }

    private static void CopyAttributes(RootedDirectory from, RootedDirectory to, string path, FileStatus status)
    {
        to.SetOwner(path, status.Uid, status.Gid);
        if (status.Kind != FileKind.SymbolicLink)
        {
            to.SetMode(path, status.Mode); // after the owner: chown(2) clears set-user-id
        }
        foreach ((string name, byte[] value) in from.GetXattrs(path))
        {
            to.SetXattr(path, name, value);
        }
        to.SetTimes(path, status.Modified);
    }
}
