using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Images;

/// <summary>The forms of an archive of images.</summary>
public enum ArchiveFormat
{
    /// <summary>What docker load takes, of every age: an OCI layout and a manifest.json in one tar. Layers keep their bytes, so digests survive.</summary>
    DockerArchive,
    /// <summary>An OCI layout in a tar.</summary>
    OciArchive,
}

/// <summary>Writes images as a tar, reproducibly: documents first, then blobs in the order of their digests.</summary>
internal static class ArchiveWriter
{
    private static readonly EntryMetadata s_file = new(0b110_100_100, 0, 0, default);
    private static readonly EntryMetadata s_folder = new(0b111_101_101, 0, 0, default);

    internal static async ValueTask WriteAsync(ContentStore store, IReadOnlyList<(Descriptor Image, IReadOnlyList<ImageReference> Names)> images, ArchiveFormat format, Stream tar, CancellationToken cancellationToken)
    {
        using var writer = new LayerWriter(tar);
        await WriteAsync(store, images, format, new TarTarget(writer), cancellationToken).ConfigureAwait(false);
        writer.Finish();
    }

    /// <summary>Writes an OCI layout into an empty folder.</summary>
    internal static async ValueTask WriteFolderAsync(ContentStore store, IReadOnlyList<(Descriptor Image, IReadOnlyList<ImageReference> Names)> images, string folder, CancellationToken cancellationToken)
    {
        using RootedDirectory root = RootedDirectory.Open(folder);
        await WriteAsync(store, images, ArchiveFormat.OciArchive, new FolderTarget(root), cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask WriteAsync(ContentStore store, IReadOnlyList<(Descriptor Image, IReadOnlyList<ImageReference> Names)> images, ArchiveFormat format, ITarget writer, CancellationToken cancellationToken)
    {
        var blobs = new SortedDictionary<string, Descriptor>(StringComparer.Ordinal);
        var docker = new List<DockerArchiveImage>();
        ImmutableArray<Descriptor>.Builder index = ImmutableArray.CreateBuilder<Descriptor>();
        foreach ((Descriptor image, IReadOnlyList<ImageReference> names) in images)
        {
            ImageManifest manifest = OciJson.ParseManifest(await store.ReadAsync(image, cancellationToken).ConfigureAwait(false), image.MediaType);
            foreach (Descriptor blob in manifest.Layers.Append(manifest.Config).Append(image))
            {
                blobs[blob.Digest.ToString()] = blob;
            }
            docker.Add(new DockerArchiveImage(BlobPath(manifest.Config), [.. names.Select(n => n.Familiar)], [.. manifest.Layers.Select(BlobPath)]));
            index.AddRange(names.Count == 0 ? [image] : names.Select(name => image with
            {
                Annotations = ImmutableSortedDictionary<string, string>.Empty.Add("io.containerd.image.name", name.ToString()).Add("org.opencontainers.image.ref.name", name.Tag ?? name.ToString()),
            }));
        }
        writer.Folder("blobs");
        foreach (string algorithm in blobs.Values.Select(b => b.Digest.Algorithm.ToString()).Distinct())
        {
            writer.Folder($"blobs/{algorithm}");
        }
        foreach (Descriptor blob in blobs.Values)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using FileStream content = store.OpenFile(blob.Digest);
            if (content.Length != blob.Size)
            {
                throw new StrataException(ErrorKind.Corrupt, $"store: {blob.Digest} has {content.Length} bytes, not {blob.Size}") { Hint = "see strata system check --deep" };
            }
            writer.File(BlobPath(blob), blob.Size, content);
        }
        Document(writer, "index.json", OciJson.Serialize(new ImageIndex(index.ToImmutable()) { MediaType = MediaTypes.OciIndex }));
        if (format == ArchiveFormat.DockerArchive)
        {
            Document(writer, "manifest.json", JsonSerializer.SerializeToUtf8Bytes(docker, ArchiveJsonContext.Default.ListDockerArchiveImage));
        }
        Document(writer, "oci-layout", Encoding.ASCII.GetBytes("{\"imageLayoutVersion\":\"1.0.0\"}"));
    }

    private static string BlobPath(Descriptor blob) => $"blobs/{blob.Digest.Algorithm}/{blob.Digest.Hex}";

    private static void Document(ITarget writer, string name, byte[] content)
    {
        using var stream = new MemoryStream(content);
        writer.File(name, content.Length, stream);
    }

    private interface ITarget
    {
        void Folder(string path);
        void File(string path, long size, Stream content);
    }

    private sealed class TarTarget(LayerWriter writer) : ITarget
    {
        public void Folder(string path) => writer.Write(new DirectoryEntry(path, s_folder));
        public void File(string path, long size, Stream content) => writer.Write(new FileEntry(path, s_file, size), content);
    }

    private sealed class FolderTarget(RootedDirectory root) : ITarget
    {
        public void Folder(string path) => root.CreateDirectory(path, s_folder.Mode);

        public void File(string path, long size, Stream content)
        {
            using var file = new FileStream(root.CreateFile(path, s_file.Mode), FileAccess.Write, bufferSize: 0);
            content.CopyTo(file);
            Durability.SyncFile(file.SafeFileHandle, path);
        }
    }
}
