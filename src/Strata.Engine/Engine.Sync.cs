using System.Runtime.CompilerServices;
using Strata.Distribution;
using Strata.Images;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    /// <summary>Makes repositories like others, tag by tag; what is the same already costs a look at each side. A tag that fails is told of and does not stop the rest.</summary>
    /// <param name="file">Which.</param>
    /// <param name="delete">Also removes tags of those that the entry takes and the source has not (any more).</param>
    /// <param name="dryRun">Only says what would be done.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="StrataException">A repository cannot be listed.</exception>
    public async IAsyncEnumerable<SyncedTag> SyncAsync(SyncFile file, bool delete = false, bool dryRun = false, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(file);
        foreach (SyncEntry entry in file.Entries)
        {
            SortedSet<string> there = await ListTagsAsync(entry.From, entry, mayBeMissing: false, cancellationToken).ConfigureAwait(false);
            foreach (string tag in there)
            {
                yield return await SyncTagAsync(entry, tag, dryRun, cancellationToken).ConfigureAwait(false);
            }
            if (!delete)
            {
                continue;
            }
            SortedSet<string> gone = await ListTagsAsync(entry.To, entry, mayBeMissing: true, cancellationToken).ConfigureAwait(false);
            foreach (string tag in gone.Except(there).Order(StringComparer.Ordinal))
            {
                yield return await RemoveTagAsync(entry.To.WithTag(tag), dryRun, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async ValueTask<SortedSet<string>> ListTagsAsync(ImageReference repository, SyncEntry entry, bool mayBeMissing, CancellationToken cancellationToken)
    {
        var tags = new SortedSet<string>(StringComparer.Ordinal);
        try
        {
            await foreach (string tag in Registries.GetRepository(repository).ListTagsAsync(cancellationToken).ConfigureAwait(false))
            {
                if (entry.Takes(tag))
                {
                    tags.Add(tag);
                }
            }
        }
        catch (StrataException e) when (mayBeMissing && e.Kind == ErrorKind.NotFound)
        {
            // nothing of it was ever there
        }
        return tags;
    }

    private async ValueTask<SyncedTag> SyncTagAsync(SyncEntry entry, string tag, bool dryRun, CancellationToken cancellationToken)
    {
        ImageReference from = entry.From.WithTag(tag), to = entry.To.WithTag(tag);
        try
        {
            Descriptor wanted = await Registries.GetRepository(from).ResolveAsync(tag, cancellationToken).ConfigureAwait(false);
            if (!entry.AllPlatforms)
            {
                wanted = await SelectAsync(Registries.GetRepository(from), new ImagePlace(ImagePlaceKind.Registry, from, null, null), wanted, new ImageCopyOptions(), cancellationToken).ConfigureAwait(false);
            }
            if (await TryResolveAsync(to, cancellationToken).ConfigureAwait(false) == wanted.Digest)
            {
                return new SyncedTag(to, SyncAction.UpToDate, wanted.Digest);
            }
            if (!dryRun)
            {
                await CopyAsync(new ImagePlace(ImagePlaceKind.Registry, from, null, null), new ImagePlace(ImagePlaceKind.Registry, to, null, null), new ImageCopyOptions { AllPlatforms = entry.AllPlatforms }, cancellationToken).ConfigureAwait(false);
            }
            return new SyncedTag(to, SyncAction.Copied, wanted.Digest);
        }
        catch (StrataException e)
        {
            return new SyncedTag(to, SyncAction.Failed, null) { Failure = e };
        }
    }

    private async ValueTask<SyncedTag> RemoveTagAsync(ImageReference tag, bool dryRun, CancellationToken cancellationToken)
    {
        try
        {
            if (!dryRun)
            {
                await Registries.DeleteAsync(tag, cancellationToken).ConfigureAwait(false);
            }
            return new SyncedTag(tag, SyncAction.Removed, null);
        }
        catch (StrataException e)
        {
            return new SyncedTag(tag, SyncAction.Failed, null) { Failure = e };
        }
    }

    private async ValueTask<Digest?> TryResolveAsync(ImageReference reference, CancellationToken cancellationToken)
    {
        try
        {
            return (await Registries.GetRepository(reference).ResolveAsync(reference.Tag!, cancellationToken).ConfigureAwait(false)).Digest;
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
        {
            return null;
        }
    }
}

/// <summary>What became of a tag.</summary>
/// <param name="Tag">At the destination.</param>
/// <param name="Action">What was done, or would be.</param>
/// <param name="Digest">What it points to; null where it is gone, or failed.</param>
public sealed record SyncedTag(ImageReference Tag, SyncAction Action, Digest? Digest)
{
    /// <summary>Why it failed.</summary>
    public StrataException? Failure { get; init; }
}

/// <summary>What a synchronization does with a tag.</summary>
public enum SyncAction
{
    /// <summary>Both had the same.</summary>
    UpToDate,
    /// <summary>It was copied.</summary>
    Copied,
    /// <summary>It was removed.</summary>
    Removed,
    /// <summary>It could not be; the next one was tried.</summary>
    Failed,
}
