using System.Collections.Immutable;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Build;

/// <summary>An OCI layout in a folder of this machine, written blob by blob; its index has what was written last.</summary>
internal sealed class LayoutFolder(string folder) : IContentSource, IContentSink
{
    /// <summary>The manifest that the index names.</summary>
    /// <exception cref="StrataException">NotFound: there is no layout. Invalid: it names none, or several.</exception>
    internal Descriptor ReadRoot()
    {
        byte[] bytes = AtomicFile.TryRead(Path.Combine(folder, "index.json")) ?? throw new StrataException(ErrorKind.NotFound, $"{folder}: no OCI layout is there");
        ImageIndex index = OciJson.ParseIndex(bytes, MediaTypes.OciIndex);
        return index.Manifests is [Descriptor only] ? only : throw new StrataException(ErrorKind.Invalid, $"{folder}: the layout has {index.Manifests.Length} manifests; a cache is one");
    }

    /// <summary>Names the manifest. Last: what it points to is there.</summary>
    internal void WriteRoot(Descriptor manifest) => WriteRoots([manifest]);

    /// <summary>The same for several names.</summary>
    internal void WriteRoots(ImmutableArray<Descriptor> manifests)
    {
        AtomicFile.Write(Path.Combine(folder, "oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}"u8);
        AtomicFile.Write(Path.Combine(folder, "index.json"), OciJson.Serialize(new ImageIndex(manifests) { MediaType = MediaTypes.OciIndex }));
    }

    public ValueTask<Stream> OpenAsync(Descriptor descriptor, CancellationToken cancellationToken = default)
    {
        string path = PathOf(descriptor.Digest);
        return File.Exists(path) ? ValueTask.FromResult<Stream>(new VerifyingStream(File.OpenRead(path), descriptor, folder))
            : throw new StrataException(ErrorKind.NotFound, $"{folder}: {descriptor.Digest} is not there");
    }

    public ValueTask<bool> ContainsAsync(Descriptor descriptor, CancellationToken cancellationToken = default)
        => ValueTask.FromResult(FileSystems.TryGetStatus(PathOf(descriptor.Digest)) is { } status && status.Size == descriptor.Size);

    public async ValueTask WriteAsync(Descriptor descriptor, Stream content, CancellationToken cancellationToken = default)
    {
        string path = PathOf(descriptor.Digest);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string temporary = path + "." + Guid.NewGuid().ToString("n");
        try
        {
            var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write);
            await using (file.ConfigureAwait(false))
            {
                await content.CopyToAsync(file, 1 << 17, cancellationToken).ConfigureAwait(false);
                Durability.SyncFile(file.SafeFileHandle, temporary);
            }
            Durability.Rename(temporary, path, replace: true);
        }
        finally
        {
            File.Delete(temporary); // not there any more where all went well
        }
    }

    private string PathOf(Digest digest) => Path.Combine(folder, "blobs", digest.Algorithm.ToString(), digest.Hex.ToString());
}
