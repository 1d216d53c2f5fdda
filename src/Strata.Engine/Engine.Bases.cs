using System.Collections.Immutable;
using Strata.Content;
using Strata.Oci;
using Strata.Snapshots;
using Strata.Supply;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>
    /// The images of this store that an image could be built on, the smallest first, each with what the image's own layers need and would not find there.
    /// A base is an image that is built on no other one here; the empty image is always among them.
    /// </summary>
    /// <exception cref="StrataException">NotFound, Invalid: as of <see cref="ResolveImageAsync"/>.</exception>
    public async ValueTask<IReadOnlyList<BaseCandidate>> FindBasesAsync(string text, CancellationToken cancellationToken = default)
    {
        using StoreLease lease = Content.AcquireLease("bases");
        LocalImage image = await ResolveImageAsync(text, cancellationToken).ConfigureAwait(false);
        var known = new List<LocalImage>();
        foreach (ListedImage listed in ListImages())
        {
            if (listed.Reference is { } name && await TryReadImageAsync(listed.Record.Manifest, cancellationToken).ConfigureAwait(false) is { } read && read.Config.Architecture == image.Config.Architecture)
            {
                known.Add(new LocalImage(name, listed.Record, read.Descriptor, read.Manifest, read.Config));
            }
        }
        int baseLayers = known.Where(k => IsBelow(k.Config, image.Config)).Select(k => k.Config.RootFs.DiffIds.Length).DefaultIfEmpty(0).Max();
        ImmutableArray<ImageNeed> needs = await FindNeedsAsync(image, baseLayers, cancellationToken).ConfigureAwait(false);
        var found = new List<BaseCandidate> { new("scratch", 0) { Breaks = needs } };
        foreach (LocalImage other in known.Where(k => !known.Any(below => IsBelow(below.Config, k.Config)) && k.Descriptor.Digest != image.Descriptor.Digest).DistinctBy(k => k.Descriptor.Digest))
        {
            using LayerStack? stack = await OpenFilesAsync(other, cancellationToken).ConfigureAwait(false);
            if (stack is not null)
            {
                ImageRecord record = await MakeRecordAsync(other.Descriptor, cancellationToken).ConfigureAwait(false);
                found.Add(new BaseCandidate(other.Reference!.Familiar, record.Size ?? 0)
                {
                    IsPresent = IsBelow(other.Config, image.Config), Libc = ImageNeeds.LibcOf(stack), Shell = ImageNeeds.ProgramOf(stack, "bash", "sh"), Packages = ImageNeeds.ManagerOf(stack),
                    Breaks = ImageNeeds.Missing(needs, stack),
                });
            }
        }
        return [.. found.OrderBy(c => c.Bytes).ThenBy(c => c.Name, StringComparer.Ordinal)];
    }

    private async ValueTask<ImmutableArray<ImageNeed>> FindNeedsAsync(LocalImage image, int baseLayers, CancellationToken cancellationToken)
    {
        using LayerStack? files = await OpenFilesAsync(image, cancellationToken).ConfigureAwait(false);
        return files is null ? [] : ImageNeeds.Find(files, image.Config, baseLayers);
    }

    // Whether the one's layers are the other's lowest.
    private static bool IsBelow(ImageConfig lower, ImageConfig upper)
    {
        int count = lower.RootFs.DiffIds.Length;
        return count > 0 && count < upper.RootFs.DiffIds.Length && upper.RootFs.DiffIds.Take(count).SequenceEqual(lower.RootFs.DiffIds);
    }

    private async ValueTask<LayerStack?> OpenFilesAsync(LocalImage image, CancellationToken cancellationToken)
        => await ImageUnpacker.UnpackAsync(Content, image.Manifest, image.Config, Snapshots, cancellationToken).ConfigureAwait(false) is { } snapshot ? Snapshots.OpenStack(snapshot) : null;
}

/// <summary>An image that another could be built on.</summary>
/// <param name="Name">Its name; scratch for the empty one.</param>
/// <param name="Bytes">Bytes of its files.</param>
public sealed record BaseCandidate(string Name, long Bytes)
{
    /// <summary>Whether it is what the image is built on now.</summary>
    public bool IsPresent { get; init; }
    /// <summary>glibc or musl; null where it has none.</summary>
    public string? Libc { get; init; }
    /// <summary>bash or sh; null where it has none.</summary>
    public string? Shell { get; init; }
    /// <summary>apt-get, apk, dnf…; null where it has none.</summary>
    public string? Packages { get; init; }
    /// <summary>What the image's own layers need and it does not have.</summary>
    public ImmutableArray<ImageNeed> Breaks { get; init; } = [];
}
