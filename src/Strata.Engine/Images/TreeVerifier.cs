using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Images;

/// <summary>Compares a layer's archive with its digest and with the files that were unpacked from it.</summary>
internal static class TreeVerifier
{
    private const int BufferBytes = 1 << 17;

    internal static List<StoreProblem> Verify(Stream blob, Digest diffId, string? tree, int number)
    {
        var problems = new List<StoreProblem>();
        using RootedDirectory? root = tree is null ? null : RootedDirectory.Open(tree);
        using var reader = new LayerReader(blob);
        while (reader.Read() is { } entry)
        {
            if (root is not null && Differs(root, entry, entry is FileEntry ? reader.Content : Stream.Null) is { } what)
            {
                problems.Add(new StoreProblem($"layer {number} /{entry.Path}", what, "the unpacked file was changed on disk: strata rmi and pull or build again"));
            }
        }
        if (reader.DiffId != diffId)
        {
            problems.Add(new StoreProblem($"layer {number}", $"its plain tar is {reader.DiffId}, not {diffId}", "pull or build the image again"));
        }
        return problems;
    }

    private static string? Differs(RootedDirectory root, LayerEntry entry, Stream content)
    {
        FileStatus? found = root.TryGetStatus(entry.Path);
        switch (entry)
        {
            case FileEntry file when found is { Kind: FileKind.Regular } status:
                return status.Size != file.Size ? $"{status.Size} bytes, not {file.Size}" : status.Mode != file.Metadata.Mode ? "its mode was changed" : SameContent(root, entry.Path, content) ? null : "its content was changed";
            case DirectoryEntry directory when found is { Kind: FileKind.Directory } status:
                return status.Mode != directory.Metadata.Mode ? "its mode was changed" : null;
            case SymbolicLinkEntry link when found is { Kind: FileKind.SymbolicLink }:
                return root.ReadLink(entry.Path) == link.Target ? null : "it links elsewhere";
            case NodeEntry when found is null:
                return "it is not there";
            default:
                return null;
        }
    }

    private static bool SameContent(RootedDirectory root, string path, Stream content)
    {
        using var file = new FileStream(root.OpenFile(path), FileAccess.Read, bufferSize: 0);
        byte[] expected = new byte[BufferBytes], actual = new byte[BufferBytes];
        int read;
        while ((read = content.ReadAtLeast(expected, BufferBytes, throwOnEndOfStream: false)) > 0)
        {
            if (file.ReadAtLeast(actual.AsSpan(0, read), read, throwOnEndOfStream: false) != read || !expected.AsSpan(0, read).SequenceEqual(actual.AsSpan(0, read)))
            {
                return false;
            }
        }
        return true;
    }
}
