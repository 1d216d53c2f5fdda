using System.Text;
using Strata.Content;
using Strata.Images;
using Strata.Layers;
using Strata.Linux;
using Strata.Oci;

namespace Strata.Tests.Images;

/// <summary>A store in a temporary folder, and layers written by hand.</summary>
internal sealed class ImageFixture : IDisposable
{
    internal ImageFixture()
    {
        Folder = Directory.CreateTempSubdirectory("strata-images-").FullName;
        Content = ContentStore.Open(Path.Combine(Folder, "store"));
        Images = ImageStore.Open(Content.Layout);
    }

    internal string Folder { get; }
    internal ContentStore Content { get; }
    internal ImageStore Images { get; }

    internal static EntryMetadata Dress(int mode) => new(mode, Host.EffectiveUserId, Host.EffectiveGroupId, new FileTime(1_700_000_000, 0));

    internal static LayerEntry MakeFolder(string path) => new DirectoryEntry(path, Dress(0b111_101_101));

    /// <summary>Writes a layer of entries; a file's content is as many letters x as its size, or what <paramref name="contents"/> has for it.</summary>
    internal async Task<CommittedLayer> LayerAsync(IReadOnlyList<LayerEntry> entries, Dictionary<string, string>? contents = null, CompressionKind compression = CompressionKind.Gzip)
    {
        CommittedLayer? layer = await LayerCommitter.WriteAsync(Content, tar =>
        {
            using var writer = new LayerWriter(tar);
            foreach (LayerEntry entry in entries)
            {
                if (entry is FileEntry file)
                {
                    using var content = new MemoryStream(contents is not null && contents.TryGetValue(file.Path, out string? text) ? Encoding.UTF8.GetBytes(text) : [.. Enumerable.Repeat((byte)'x', (int)file.Size)]);
                    writer.Write(entry, content);
                }
                else
                {
                    writer.Write(entry);
                }
            }
            writer.Finish();
            return ValueTask.FromResult(true);
        }, compression);
        return layer!;
    }

    internal static FileEntry File(string path, long size, int mode = 0b110_100_100) => new(path, Dress(mode), size);

    /// <summary>An image of layers, under a name.</summary>
    internal async Task<(Descriptor Descriptor, ImageManifest Manifest)> ImageAsync(string? name, params CommittedLayer[] layers)
    {
        CancellationToken cancellationToken = Xunit.TestContext.Current.CancellationToken;
        var config = new ImageConfig { Architecture = Platform.Host.Architecture, Os = Platform.Host.Os, RootFs = new RootFs("layers", [.. layers.Select(l => l.DiffId)]) };
        Descriptor blob = await Content.WriteAsync(MediaTypes.OciConfig, OciJson.Serialize(config), cancellationToken);
        var manifest = new ImageManifest(blob, [.. layers.Select(l => l.Layer)]) { MediaType = MediaTypes.OciManifest };
        Descriptor descriptor = await Content.WriteAsync(MediaTypes.OciManifest, OciJson.Serialize(manifest), cancellationToken);
        if (name is not null)
        {
            await Images.SetAsync(ImageReference.Parse(name), new ImageRecord(descriptor) { Config = blob.Digest, Size = 0 }, cancellationToken);
        }
        return (descriptor, manifest);
    }

    public void Dispose() => FileSystems.RemoveTree(Folder);
}
