using System.Text.Json;
using Strata.Content;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Images;

/// <summary>An image in an archive: what it points to, and the names the archive gives it.</summary>
internal sealed record ArchivedImage(Descriptor Descriptor, IReadOnlyList<ImageReference> Names);

/// <summary>
/// Reads an archive of images in one pass, from a pipe too: blobs go straight into the store, each verified by its name, documents are kept until
/// the end. OCI layout (image-spec/image-layout.md) where there is an index.json, else docker-archive (manifest.json beside configs and layer tars).
/// </summary>
internal sealed class ArchiveReader(ContentStore store)
{
    private const int MaxDocumentBytes = OciJson.MaxDocumentBytes;
    private static readonly string[] s_folderDocuments = ["index.json", "manifest.json", LayoutFile];
    private const string BlobPrefix = "blobs/";
    private const string LayoutFile = "oci-layout";
    private readonly Dictionary<string, byte[]> _documents = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Descriptor> _blobs = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _links = new(StringComparer.Ordinal);

    /// <summary>Reads all of it.</summary>
    /// <exception cref="StrataException">Corrupt or Invalid: no archive of images, or a damaged one.</exception>
    internal async ValueTask<IReadOnlyList<ArchivedImage>> ReadAsync(Stream archive, CancellationToken cancellationToken)
    {
        try
        {
            await TakeAllAsync(archive, cancellationToken).ConfigureAwait(false);
        }
        catch (InvalidDataException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"archive: {e.Message}", e);
        }
        return await InterpretAsync(cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask TakeAllAsync(Stream archive, CancellationToken cancellationToken)
    {
        using var reader = new LayerReader(archive);
        while (reader.Read() is { } entry)
        {
            cancellationToken.ThrowIfCancellationRequested();
            switch (entry)
            {
                case FileEntry file:
                    await TakeAsync(file, reader.Content, cancellationToken).ConfigureAwait(false);
                    break;
                case SymbolicLinkEntry link:
                    _links[link.Path] = Resolve(link.Path, link.Target);
                    break;
                case HardLinkEntry link:
                    _links[link.Path] = link.Target;
                    break;
            }
        }
    }

    /// <summary>Reads an OCI layout that is a folder.</summary>
    internal async ValueTask<IReadOnlyList<ArchivedImage>> ReadFolderAsync(string folder, CancellationToken cancellationToken)
    {
        using RootedDirectory root = RootedDirectory.Open(folder);
        string[] NamesIn(string path) => root.TryGetStatus(path) is { Kind: FileKind.Directory } ? [.. root.GetNames(path).Select(n => $"{path}/{n}")] : [];
        foreach (string path in s_folderDocuments.Concat(NamesIn("blobs").SelectMany(NamesIn)))
        {
            if (root.TryGetStatus(path) is { Kind: FileKind.Regular } status)
            {
                using var file = new FileStream(root.OpenFile(path), FileAccess.Read, bufferSize: 0);
                await TakeAsync(new FileEntry(path, new EntryMetadata(0, 0, 0, default), status.Size), file, cancellationToken).ConfigureAwait(false);
            }
        }
        return await InterpretAsync(cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask TakeAsync(FileEntry file, Stream content, CancellationToken cancellationToken)
    {
        if (file.Path.StartsWith(BlobPrefix, StringComparison.Ordinal))
        {
            // blobs/ALGORITHM/ENCODED; image-spec/image-layout.md#blobs
            if (!Digest.TryParse(file.Path[BlobPrefix.Length..].Replace('/', ':'), null, out Digest digest))
            {
                throw new StrataException(ErrorKind.Invalid, $"archive: {file.Path}: the name is no digest");
            }
            var descriptor = new Descriptor("application/octet-stream", digest, file.Size);
            await store.WriteAsync(descriptor, content, cancellationToken).ConfigureAwait(false);
            _blobs[file.Path] = descriptor;
        }
        else if (file.Path.EndsWith(".json", StringComparison.Ordinal) || file.Path is "oci-layout" or "repositories")
        {
            if (file.Size > MaxDocumentBytes)
            {
                throw new StrataException(ErrorKind.Invalid, $"archive: {file.Path} has {file.Size} bytes; {MaxDocumentBytes} are taken");
            }
            byte[] bytes = new byte[file.Size];
            content.ReadExactly(bytes);
            _documents[file.Path] = bytes;
        }
        else if (file.Path.EndsWith(".tar", StringComparison.Ordinal) || file.Path.EndsWith(".tar.gz", StringComparison.Ordinal))
        {
            BlobWriter writer = store.CreateWriter();
            await using (writer.ConfigureAwait(false))
            {
                byte[] start = new byte[6];
                int read = content.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
                writer.Write(start.AsSpan(0, read));
                await content.CopyToAsync(writer, 1 << 20, cancellationToken).ConfigureAwait(false);
                string mediaType = Compression.Detect(start.AsSpan(0, read)) switch { CompressionKind.Gzip => MediaTypes.DockerLayerGzip, CompressionKind.Zstd => MediaTypes.OciLayerZstd, _ => MediaTypes.DockerLayer };
                _blobs[file.Path] = await writer.CommitAsync(mediaType, expected: null, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async ValueTask<IReadOnlyList<ArchivedImage>> InterpretAsync(CancellationToken cancellationToken)
    {
        List<DockerArchiveImage>? docker = _documents.TryGetValue("manifest.json", out byte[]? json) ? Parse(json, ArchiveJsonContext.Default.ListDockerArchiveImage, "manifest.json") : null;
        if (_documents.TryGetValue("index.json", out byte[]? indexJson))
        {
            if (!_documents.ContainsKey(LayoutFile))
            {
                throw new StrataException(ErrorKind.Corrupt, $"archive: index.json is in it and {LayoutFile} is not: cut off, or no OCI layout");
            }
            ImageIndex index = OciJson.ParseIndex(indexJson);
            var images = new List<ArchivedImage>();
            foreach (Descriptor image in index.Manifests)
            {
                if (store.TryGetSize(image.Digest) is null)
                {
                    throw new StrataException(ErrorKind.Corrupt, $"archive: index.json names {image.Digest}, which is not in it");
                }
                images.Add(new ArchivedImage(image with { Annotations = null, Platform = null }, await NamesOfAsync(image, docker, cancellationToken).ConfigureAwait(false)));
            }
            return [.. images.GroupBy(i => i.Descriptor.Digest).Select(g => new ArchivedImage(g.First().Descriptor, [.. g.SelectMany(i => i.Names).Distinct()]))];
        }
        if (docker is null)
        {
            throw new StrataException(ErrorKind.Invalid, "archive: neither index.json nor manifest.json is in it: no archive of images") { Hint = "a root file system becomes an image by: strata import FILE NAME" };
        }
        var found = new List<ArchivedImage>();
        foreach (DockerArchiveImage image in docker)
        {
            found.Add(await MakeManifestAsync(image, cancellationToken).ConfigureAwait(false));
        }
        return found;
    }

    private async ValueTask<ArchivedImage> MakeManifestAsync(DockerArchiveImage image, CancellationToken cancellationToken)
    {
        byte[] config = _documents.TryGetValue(image.Config, out byte[]? document) ? document
            : _blobs.TryGetValue(image.Config, out Descriptor? blob) ? await store.ReadAsync(blob, cancellationToken).ConfigureAwait(false)
            : throw new StrataException(ErrorKind.Corrupt, $"archive: manifest.json names {image.Config}, which is not in it");
        ImageConfig parsed = OciJson.ParseConfig(config);
        if (parsed.RootFs.DiffIds.Length != image.Layers.Count)
        {
            throw new StrataException(ErrorKind.Corrupt, $"archive: {image.Config} has {parsed.RootFs.DiffIds.Length} diff IDs and manifest.json {image.Layers.Count} layers");
        }
        Descriptor[] layers = [.. image.Layers.Select(LayerOf)];
        Descriptor configBlob = await store.WriteAsync(MediaTypes.DockerConfig, config, cancellationToken).ConfigureAwait(false);
        var manifest = new ImageManifest(configBlob, [.. layers]) { MediaType = MediaTypes.DockerManifest };
        Descriptor descriptor = await store.WriteAsync(MediaTypes.DockerManifest, OciJson.Serialize(manifest), cancellationToken).ConfigureAwait(false);
        return new ArchivedImage(descriptor, [.. (image.RepoTags ?? []).Select(ImageReference.Parse)]);
    }

    private Descriptor LayerOf(string path)
    {
        for (int links = 0; links < 8 && _links.TryGetValue(path, out string? target); links++)
        {
            path = target;
        }
        Descriptor blob = _blobs.TryGetValue(path, out Descriptor? found) ? found : throw new StrataException(ErrorKind.Corrupt, $"archive: manifest.json names {path}, which is not in it");
        if (blob.MediaType != "application/octet-stream")
        {
            return blob;
        }
        using FileStream file = store.OpenFile(blob.Digest);
        byte[] start = new byte[6];
        int read = file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        return blob with { MediaType = Compression.Detect(start.AsSpan(0, read)) switch { CompressionKind.Gzip => MediaTypes.DockerLayerGzip, CompressionKind.Zstd => MediaTypes.OciLayerZstd, _ => MediaTypes.DockerLayer } };
    }

    private async ValueTask<IReadOnlyList<ImageReference>> NamesOfAsync(Descriptor image, List<DockerArchiveImage>? docker, CancellationToken cancellationToken)
    {
        string? full = image.Annotations?.GetValueOrDefault("io.containerd.image.name");
        string? name = image.Annotations?.GetValueOrDefault("org.opencontainers.image.ref.name");
        if (full is not null && ImageReference.TryParse(full, out ImageReference? reference))
        {
            return [reference];
        }
        if (docker is not null && MediaTypes.IsManifest(image.MediaType))
        {
            ImageManifest manifest = OciJson.ParseManifest(await store.ReadAsync(image, cancellationToken).ConfigureAwait(false), image.MediaType);
            DockerArchiveImage? same = docker.FirstOrDefault(d => d.Config.EndsWith(manifest.Config.Digest.Hex.ToString(), StringComparison.Ordinal) || d.Config.Contains(manifest.Config.Digest.Hex.ToString(), StringComparison.Ordinal));
            if (same?.RepoTags is { Count: > 0 } tags)
            {
                return [.. tags.Select(ImageReference.Parse)];
            }
        }
        // A bare tag names nothing; with a repository it is a name (skopeo and buildah write either).
        return name is not null && name.AsSpan().IndexOfAny('/', ':') >= 0 && ImageReference.TryParse(name, out reference) ? [reference] : [];
    }

    private static T Parse<T>(byte[] json, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, string name)
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new StrataException(ErrorKind.Corrupt, $"archive: {name}: {e.Message}", e);
        }
    }

    private static string Resolve(string path, string target)
    {
        var parts = new List<string>(path.Split('/')[..^1]);
        foreach (string part in target.Split('/'))
        {
            if (part == ".." && parts.Count > 0)
            {
                parts.RemoveAt(parts.Count - 1);
            }
            else if (part is not ("" or "." or ".."))
            {
                parts.Add(part);
            }
        }
        return string.Join('/', parts);
    }
}

/// <summary>An entry of docker-archive's manifest.json.</summary>
internal sealed record DockerArchiveImage(string Config, List<string>? RepoTags, List<string> Layers);

[System.Text.Json.Serialization.JsonSourceGenerationOptions(RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[System.Text.Json.Serialization.JsonSerializable(typeof(List<DockerArchiveImage>))]
internal sealed partial class ArchiveJsonContext : System.Text.Json.Serialization.JsonSerializerContext;
