using System.Collections.Immutable;
using Microsoft.Win32.SafeHandles;
using Strata.Layers;
using Strata.Linux;

namespace Strata.Snapshots;

/// <summary>Puts the entries of a layer or of any tar into a directory, through a <see cref="RootedDirectory"/>.</summary>
public static class LayerExtractor
{
    /// <summary>Extracts all that <paramref name="layer"/> has, to its end; returns the bytes of regular files.</summary>
    /// <exception cref="StrataException">The archive is damaged or has what must not be.</exception>
    /// <exception cref="LinuxException">The disk refused.</exception>
    public static long Extract(LayerReader layer, RootedDirectory target, ExtractOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(options);
        var extraction = new Extraction(target, options);
        while (layer.Read() is { } entry)
        {
            cancellationToken.ThrowIfCancellationRequested();
            extraction.Put(entry, entry is FileEntry ? layer.Content : Stream.Null);
        }
        extraction.Finish();
        return extraction.ContentBytes;
    }

    private sealed class Extraction(RootedDirectory target, ExtractOptions options)
    {
        private const int CopyBytes = 1 << 18;
        private readonly byte[] _copy = new byte[CopyBytes];
        private readonly Dictionary<string, FileTime> _directoryTimes = new(StringComparer.Ordinal);
        private string? _knownParent;

        internal long ContentBytes { get; private set; }

        internal void Put(LayerEntry entry, Stream content)
        {
            string path = options.Prefix.Length == 0 ? entry.Path : entry.Path.Length == 0 ? options.Prefix : options.Prefix + "/" + entry.Path;
            switch (entry)
            {
                case WhiteoutEntry:
                    PutWhiteout(path);
                    break;
                case OpaqueEntry:
                    PutOpaque(path);
                    break;
                case DirectoryEntry directory:
                    PutDirectory(path, directory.Metadata);
                    break;
                case FileEntry file:
                    Clear(path);
                    PutFile(path, file, content);
                    break;
                case SymbolicLinkEntry link:
                    Clear(path);
                    target.CreateSymbolicLink(path, link.Target);
                    Dress(path, link.Metadata, isLink: true);
                    break;
                case HardLinkEntry link:
                    Clear(path);
                    PutHardLink(path, link);
                    break;
                case DeviceEntry device:
                    Clear(path);
                    target.CreateNode(path, device.Kind, device.Metadata.Mode, device.Major, device.Minor);
                    Dress(path, device.Metadata, isLink: false);
                    break;
                default:
                    throw new System.Diagnostics.UnreachableException(entry.GetType().Name);
            }
        }

        // Directories last, the deepest first: what was put into them changed their times.
        internal void Finish()
        {
            foreach ((string path, FileTime time) in _directoryTimes.OrderByDescending(d => d.Key.Length))
            {
                if (target.TryGetStatus(path) is { Kind: FileKind.Directory })
                {
                    target.SetTimes(path, time);
                }
            }
        }

        private void PutWhiteout(string path)
        {
            if (options.OverlayWhiteouts)
            {
                // A layer's own file wins over its whiteout, in whatever order they come: the whiteout hides what is below, and the file does too.
                EnsureParent(path);
                switch (target.TryGetStatus(path))
                {
                    case null:
                        target.CreateNode(path, FileKind.CharacterDevice, 0, 0, 0);
                        break;
                    case { Kind: FileKind.Directory }:
                        target.SetXattr(path, OverlayXattrs.Opaque, "y"u8);
                        break;
                }
            }
            else
            {
                target.Remove(path);
                Forget(path);
            }
        }

        private void PutOpaque(string path)
        {
            if (options.OverlayWhiteouts)
            {
                EnsureDirectory(path);
                if (path.Length > 0)
                {
                    target.SetXattr(path, OverlayXattrs.Opaque, "y"u8);
                }
            }
            else if (target.TryGetStatus(path) is { Kind: FileKind.Directory })
            {
                foreach (string name in target.GetNames(path))
                {
                    target.Remove(path.Length == 0 ? name : path + "/" + name);
                }
                Forget(path);
            }
        }

        private void PutDirectory(string path, EntryMetadata metadata)
        {
            bool wasWhiteout = false;
            if (target.TryGetStatus(path) is not { Kind: FileKind.Directory })
            {
                wasWhiteout = options.OverlayWhiteouts && target.TryGetStatus(path) is { Kind: FileKind.CharacterDevice };
                Clear(path);
                target.CreateDirectory(path, metadata.Mode);
            }
            if (wasWhiteout)
            {
                target.SetXattr(path, OverlayXattrs.Opaque, "y"u8);
            }
            Dress(path, metadata, isLink: false);
            _directoryTimes[path] = metadata.Modified;
        }

        private void PutFile(string path, FileEntry file, Stream content)
        {
            using SafeFileHandle handle = target.CreateFile(path, 0b110_000_000);
            int read;
            while ((read = content.Read(_copy, 0, CopyBytes)) > 0)
            {
                Files.Write(handle, _copy.AsSpan(0, read), path);
            }
            ContentBytes += file.Size;
            (uint uid, uint gid) = options.Owner ?? (file.Metadata.Uid, file.Metadata.Gid);
            if (uid != 0 || gid != 0)
            {
                Files.SetOwner(handle, uid, gid, path);
            }
            Files.SetMode(handle, file.Metadata.Mode, path); // after the owner: a change of owner clears set-uid
            foreach ((string name, ImmutableArray<byte> value) in file.Metadata.Xattrs)
            {
                Files.SetXattr(handle, name, value.AsSpan(), path);
            }
            Files.SetTimes(handle, file.Metadata.Modified, path);
        }

        private void PutHardLink(string path, HardLinkEntry link)
        {
            string existing = options.Prefix.Length == 0 ? link.Target : options.Prefix + "/" + link.Target;
            if (target.TryGetStatus(existing) is null)
            {
                (options.CopyUp ?? throw new StrataException(ErrorKind.Invalid, $"layer: «{link.Path}» is a hard link to «{link.Target}», which is not there"))(link.Target);
            }
            if (target.TryGetStatus(existing) is { Kind: FileKind.Directory })
            {
                throw new StrataException(ErrorKind.Invalid, $"layer: «{link.Path}» is a hard link to the directory «{link.Target}»");
            }
            target.CreateHardLink(path, existing);
        }

        private void Dress(string path, EntryMetadata metadata, bool isLink)
        {
            (uint uid, uint gid) = options.Owner ?? (metadata.Uid, metadata.Gid);
            target.SetOwner(path, uid, gid);
            if (!isLink)
            {
                target.SetMode(path, metadata.Mode);
            }
            foreach ((string name, ImmutableArray<byte> value) in metadata.Xattrs)
            {
                target.SetXattr(path, name, value.AsSpan());
            }
            target.SetTimes(path, metadata.Modified);
        }

        // Makes way: the parent is there, and nothing is at the path (the last entry of a name wins).
        private void Clear(string path)
        {
            if (path.Length == 0)
            {
                return;
            }
            if (!EnsureParent(path) || target.TryGetStatus(path) is null)
            {
                return;
            }
            target.Remove(path);
            Forget(path);
        }

        // True where the parent was there before, so that something may be at the path.
        private bool EnsureParent(string path)
        {
            int slash = path.LastIndexOf('/');
            string parent = slash < 0 ? "" : path[..slash];
            if (parent == _knownParent)
            {
                return true;
            }
            bool made = EnsureDirectory(parent);
            _knownParent = parent;
            return !made;
        }

        private bool EnsureDirectory(string path)
        {
            // In a tree of a single layer a link is never the way to a directory: it would lead elsewhere when the layers are joined.
            if (path.Length == 0 || target.TryGetStatus(path, follow: !options.OverlayWhiteouts) is { Kind: FileKind.Directory })
            {
                return false;
            }
            Clear(path);
            target.CreateDirectory(path, 0b111_101_101);
            return true;
        }

        private void Forget(string path)
        {
            _knownParent = null;
            string below = path + "/";
            foreach (string gone in _directoryTimes.Keys.Where(d => d == path || d.StartsWith(below, StringComparison.Ordinal)).ToList())
            {
                _directoryTimes.Remove(gone);
            }
        }
    }
}

/// <summary>How to extract.</summary>
public sealed record ExtractOptions
{
    /// <summary>True: whiteouts and opaque entries become what overlayfs reads (character device 0:0, trusted.overlay.opaque). False: they remove what is in the target.</summary>
    public bool OverlayWhiteouts { get; init; }
    /// <summary>Directory below the target that the archive's root is put at; created with mode 0755, owner 0:0 where missing.</summary>
    public string Prefix { get; init; } = "";
    /// <summary>Owner of everything, in place of the archive's.</summary>
    public (uint Uid, uint Gid)? Owner { get; init; }
    /// <summary>Brings a file of a lower layer (a path) into the target, for a hard link to it. Null: there is no lower layer.</summary>
    public Action<string>? CopyUp { get; init; }
}

/// <summary>The attributes by which overlayfs keeps its books (Documentation/filesystems/overlayfs.rst).</summary>
internal static class OverlayXattrs
{
    internal const string Prefix = "trusted.overlay.";
    internal const string Opaque = Prefix + "opaque";
}
