using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Makes one tree of a stack, top-down: what the layers delete and hide is not in it.</summary>
internal static class StackCopier
{
    /// <summary>
    /// Into an empty directory. <paramref name="share"/> makes a second name for a layer's own file at the path in the target, where the tree is only read; where it is
    /// null or says no, files are copied (as reflinks where the file system has them). Names of one file stay that.
    /// </summary>
    internal static void Copy(LayerStack stack, RootedDirectory target, Func<LayerNode, bool>? share, CancellationToken cancellationToken)
    {
        if (stack.TryFind("") is not { } top)
        {
            target.SetMode("", 0b111_101_101);
            return;
        }
        var links = new Dictionary<(int Layer, ulong Inode), string>();
        var directories = new List<LayerNode> { top };
        UpCopier.Dress(stack, top, "", target);
        foreach (LayerNode node in stack.Walk())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (node.Status.Kind == FileKind.Directory)
            {
                target.CreateDirectory(node.Path, node.Status.Mode);
                UpCopier.Dress(stack, node, node.Path, target);
                directories.Add(node);
            }
            else if (share?.Invoke(node) == true)
            {
                continue;
            }
            else if (node.Status.LinkCount > 1 && !links.TryAdd((node.Layer, node.Status.Inode), node.Path))
            {
                target.CreateHardLink(node.Path, links[(node.Layer, node.Status.Inode)]);
            }
            else
            {
                UpCopier.Copy(stack, node, node.Path, target);
            }
        }
        directories.Reverse();
        directories.ForEach(d => target.SetTimes(d.Path, d.Status.Modified)); // what was put into them changed those
    }
}
