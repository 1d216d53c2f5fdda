using Microsoft.Win32.SafeHandles;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Brings things of a stack up into a directory, looking as they do.</summary>
internal static class UpCopier
{
    /// <summary>Copies one file, link or device (no directory) to a path whose parent is there.</summary>
    internal static void Copy(LayerStack stack, LayerNode node, string path, RootedDirectory target)
    {
        switch (node.Status.Kind)
        {
            case FileKind.Regular:
                using (Stream source = stack.OpenFile(node))
                using (SafeFileHandle copy = target.CreateFile(path, node.Status.Mode))
                {
                    if (source is FileStream file)
                    {
                        FileCopy.Copy(file.SafeFileHandle, copy);
                    }
                    else
                    {
                        using var bytes = new FileStream(copy, FileAccess.Write, bufferSize: 0);
                        source.CopyTo(bytes);
                    }
                }
                break;
            case FileKind.SymbolicLink:
                target.CreateSymbolicLink(path, stack.ReadLink(node));
                break;
            case FileKind.Directory:
                throw new ArgumentException("a directory is not copied", nameof(node));
            default:
                target.CreateNode(path, node.Status.Kind, node.Status.Mode, node.Status.DeviceMajor, node.Status.DeviceMinor);
                break;
        }
        Dress(stack, node, path, target);
    }

    /// <summary>Gives what is at a path in the target the looks of a node of the stack.</summary>
    internal static void Dress(LayerStack stack, LayerNode node, string path, RootedDirectory target)
    {
        target.SetOwner(path, node.Status.Uid, node.Status.Gid);
        if (node.Status.Kind != FileKind.SymbolicLink)
        {
            target.SetMode(path, node.Status.Mode);
            foreach ((string name, byte[] value) in stack.GetXattrs(node))
            {
                target.SetXattr(path, name, value);
            }
        }
        target.SetTimes(path, node.Status.Modified);
    }
}
