using System.Collections.Immutable;
using Strata.Linux;

namespace Strata.Layers;

/// <summary>
/// One entry of a layer. <see cref="Path"/> is clean: relative, no empty, "." or ".." components, no trailing slash; "" is the root directory.
/// Names that are not UTF-8 are kept by <see cref="LinuxPath"/>'s escape.
/// </summary>
public abstract record LayerEntry(string Path);

/// <summary><c>.wh.name</c>: hides <see cref="LayerEntry.Path"/> (the hidden path, without <c>.wh.</c>).</summary>
public sealed record WhiteoutEntry(string Path) : LayerEntry(Path);

/// <summary><c>.wh..wh..opq</c>: hides all that lower layers have in directory <see cref="LayerEntry.Path"/>; not what this layer has.</summary>
public sealed record OpaqueEntry(string Path) : LayerEntry(Path);

/// <summary>Something that is there. The set is closed.</summary>
public abstract record NodeEntry(string Path, EntryMetadata Metadata) : LayerEntry(Path);

/// <summary>A directory.</summary>
public sealed record DirectoryEntry(string Path, EntryMetadata Metadata) : NodeEntry(Path, Metadata);

/// <summary>A regular file; its <see cref="Size"/> bytes (holes included) are read from <see cref="LayerReader.Content"/>.</summary>
public sealed record FileEntry(string Path, EntryMetadata Metadata, long Size) : NodeEntry(Path, Metadata);

/// <summary>A symbolic link; the target is any text.</summary>
public sealed record SymbolicLinkEntry(string Path, EntryMetadata Metadata, string Target) : NodeEntry(Path, Metadata);

/// <summary>Another name of an earlier entry, or of a lower layer's file; <see cref="Target"/> is clean like a path.</summary>
public sealed record HardLinkEntry(string Path, EntryMetadata Metadata, string Target) : NodeEntry(Path, Metadata);

/// <summary>A character or block device, or a FIFO.</summary>
public sealed record DeviceEntry(string Path, EntryMetadata Metadata, FileKind Kind, uint Major, uint Minor) : NodeEntry(Path, Metadata);

/// <summary>What every node carries.</summary>
/// <param name="Mode">Permission bits with set-uid, set-gid, sticky (07777).</param>
/// <param name="Uid">Owner.</param>
/// <param name="Gid">Group.</param>
/// <param name="Modified">mtime.</param>
/// <param name="Xattrs">Extended attributes, ordered by name; overlayfs' own are never among them.</param>
public sealed record EntryMetadata(int Mode, uint Uid, uint Gid, FileTime Modified, ImmutableArray<KeyValuePair<string, ImmutableArray<byte>>> Xattrs)
{
    /// <summary>Without extended attributes.</summary>
    public EntryMetadata(int mode, uint uid, uint gid, FileTime modified) : this(mode, uid, gid, modified, []) { }
}
