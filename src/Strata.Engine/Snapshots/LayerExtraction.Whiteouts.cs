using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>What a layer deletes.</summary>
internal sealed partial class LayerExtraction
{
    private readonly List<string> _whiteouts = [], _opaques = []; // for a list beside the files

    private void PutWhiteout(Folder parent, string name, string path)
    {
        if (_isLayer)
        {
            parent.Hide(name);
            return;
        }
        _target.Drain();
        RemoveWhatWasThere(path);
    }

    private void PutOpaque(string path)
    {
        if (!_isLayer)
        {
            _target.Drain();
            if (_target.TryGetStatus(path) is { Kind: FileKind.Directory })
            {
                RemoveChildrenThatWereThere(path);
            }
            return;
        }
        Folder folder = Enter(path);
        folder.IsOpaque = true;
    }

    private void RemoveWhatWasThere(string path)
    {
        if (_own.Contains(path))
        {
            return;
        }
        if (IsMadeHere(path))
        {
            RemoveChildrenThatWereThere(path);
            return;
        }
        _target.Remove(path);
        Forget(path);
    }

    private void RemoveChildrenThatWereThere(string directory)
    {
        foreach (string name in _target.GetNames(directory))
        {
            RemoveWhatWasThere(directory.Length == 0 ? name : directory + "/" + name);
        }
    }

    // True where overlayfs' whiteouts were written. One that hides nothing is left out where that is known.
    private bool WriteWhiteouts(Folder folder)
    {
        bool any = false;
        foreach (string name in folder.Whiteouts ?? [])
        {
            string path = folder.PathOf(name);
            if (folder.Children.TryGetValue(name, out Folder? child))
            {
                child.IsOpaque = true;
                continue;
            }
            if (_target.TryGetStatus(path) is not null)
            {
                if (!_copiedUp.Contains(path))
                {
                    continue; // a file of this layer hides as well
                }
                _target.Remove(path);
            }
            if (_below is null || _below.TryFind(path)?.Path == path)
            {
                if (_form == WhiteoutForm.Marks)
                {
                    _whiteouts.Add(path);
                    continue;
                }
                _target.CreateNode(path, FileKind.CharacterDevice, 0, 0, 0);
                any = true;
            }
        }
        return any;
    }

    private void SetOpaque(string path)
    {
        if (_form == WhiteoutForm.Overlay)
        {
            _target.SetXattr(path, OverlayXattrs.Opaque, "y"u8);
        }
        else
        {
            _opaques.Add(path);
        }
    }
}
