using System.Collections.Immutable;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;

namespace Strata;

public sealed partial class Engine
{
    private const string NoLimit = "off";

    /// <summary>What the store takes, may take and would give up next; removes nothing.</summary>
    /// <param name="maxSize">A limit instead of the store's own: a size, or <c>off</c>; null: the store's.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="StrataException">Invalid: the settings, or <paramref name="maxSize"/>, cannot be understood.</exception>
    public async ValueTask<BudgetReport> GetBudgetAsync(string? maxSize = null, CancellationToken cancellationToken = default)
    {
        StoreSettings settings = StoreSettings.Read(Layout);
        long? limit = LimitOf(settings, maxSize);
        BudgetSurvey survey = await SurveyAsync(settings, cancellationToken).ConfigureAwait(false);
        long used = FileSystems.GetDiskUsage(Layout.Root);
        long rubbish = (await CollectAsync(dryRun: true, includeCache: false, cancellationToken).ConfigureAwait(false)).Bytes;
        BudgetPlan next = BudgetPlan.Choose(used - rubbish, 0, survey.Items, survey.SizeOf);
        BudgetPlan? plan = used > limit ? BudgetPlan.Choose(used - rubbish, limit.Value, survey.Items, survey.SizeOf) : null;
        return new BudgetReport(settings, limit, used, plan?.UsedBytes ?? used)
        {
            RubbishBytes = rubbish,
            Victims = plan?.Victims ?? [],
            Next = next.Victims,
            Held = next.Held,
            VolumeBytes = FileSystems.GetDiskUsage(Layout.Volumes),
            OthersAtWork = StoreLease.ReadAll(Layout).Living > 0,
        };
    }

    /// <summary>
    /// Brings the store within its limit: first what nobody needs goes, then the build cache, then images without names, then images with names, each least
    /// recently used first. What a container, a pin, a living process, this program or <c>gc.keep</c> holds stays, and so the store may still be too large.
    /// </summary>
    /// <param name="maxSize">A limit instead of the store's own: a size, or <c>off</c>; null: the store's.</param>
    /// <param name="cancellationToken">Ends it; what has gone by then is gone whole.</param>
    /// <returns>What was done; null where there was nothing to do.</returns>
    /// <exception cref="StrataException">Invalid: the settings, or <paramref name="maxSize"/>, cannot be understood.</exception>
    public async ValueTask<BudgetReport?> KeepBudgetAsync(string? maxSize = null, CancellationToken cancellationToken = default)
    {
        if (LimitOf(StoreSettings.Read(Layout), maxSize) is not { } limit || MostUsed() <= limit || FileSystems.GetDiskUsage(Layout.Root) <= limit)
        {
            return null;
        }
        using FileLock turn = await BudgetTurn.TakeAsync(Layout, cancellationToken).ConfigureAwait(false);
        StoreSettings settings = StoreSettings.Read(Layout); // somebody may have pinned something while we waited
        long before = FileSystems.GetDiskUsage(Layout.Root);
        await CollectAsync(dryRun: false, includeCache: false, cancellationToken).ConfigureAwait(false);
        long used = FileSystems.GetDiskUsage(Layout.Root), rubbish = before - used;
        ImmutableArray<BudgetVictim>.Builder victims = ImmutableArray.CreateBuilder<BudgetVictim>();
        // A plan is exact for what it has seen; what came or went meanwhile is seen by the next one.
        const int Rounds = 3;
        for (int round = 0; used > limit && round < Rounds; round++)
        {
            if (!await TryEvictAsync(await PlanAsync(settings, used, limit, cancellationToken).ConfigureAwait(false), victims, cancellationToken).ConfigureAwait(false))
            {
                break;
            }
            await CollectAsync(dryRun: false, includeCache: false, cancellationToken).ConfigureAwait(false);
            used = FileSystems.GetDiskUsage(Layout.Root);
        }
        BudgetPlan? stays = used > limit ? await PlanAsync(settings, used, used, cancellationToken).ConfigureAwait(false) : null;
        return new BudgetReport(settings, limit, before, used)
        {
            RubbishBytes = rubbish,
            Victims = victims.DrainToImmutable(),
            Held = stays?.Held ?? ImmutableSortedDictionary<BudgetHold, long>.Empty,
            VolumeBytes = stays is null ? 0 : FileSystems.GetDiskUsage(Layout.Volumes),
            OthersAtWork = StoreLease.ReadAll(Layout).Living > 0,
        };
    }

    /// <summary>What the store may take; null: as much as there is.</summary>
    /// <exception cref="StrataException">Invalid: the settings, or <paramref name="maxSize"/>, cannot be understood.</exception>
    public long? GetBudgetLimit(string? maxSize = null) => LimitOf(StoreSettings.Read(Layout), maxSize);

    /// <summary>Changes the limit and the time to keep; null leaves what is.</summary>
    /// <exception cref="StrataException">Invalid: the settings, or one of these, cannot be understood.</exception>
    public ValueTask<StoreSettings> SetBudgetAsync(string? maxSize, string? keep, CancellationToken cancellationToken = default)
        => StoreSettings.UpdateAsync(Layout, s => s with
        {
            MaxSize = maxSize is null ? s.MaxSize : maxSize == NoLimit ? null : StoreSettings.ParseMaxSize(maxSize, "gc.maxSize"),
            Keep = keep is null ? s.Keep : StoreSettings.ParseDuration(keep, "gc.keep"),
        }, cancellationToken);

    /// <summary>Keeps images from going by themselves: by name whatever the name points to, by ID or digest that one image. Gives the pins as they are kept.</summary>
    /// <exception cref="StrataException">NotFound: no such image; then none is pinned.</exception>
    public async ValueTask<IReadOnlyList<string>> PinAsync(IReadOnlyList<string> images, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(images);
        List<string> pins = [];
        await StoreSettings.UpdateAsync(Layout, s =>
        {
            pins.AddRange(images.Select(PinOf));
            return s with { Pins = [.. s.Pins.Union(pins)] };
        }, cancellationToken).ConfigureAwait(false);
        return pins;
    }

    /// <summary>Lets images go again; also those that are not here any more.</summary>
    /// <exception cref="StrataException">NotFound: it is not pinned; then none is unpinned.</exception>
    public async ValueTask UnpinAsync(IReadOnlyList<string> images, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(images);
        await StoreSettings.UpdateAsync(Layout, s => s with { Pins = [.. s.Pins.Except(images.Select(text => FindPin(s, text)))] }, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Whether an image is pinned, by this name or by its digest.</summary>
    public static bool IsPinned(ListedImage image, StoreSettings settings)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(settings);
        return settings.Pins.Length > 0 && ((image.Reference is { } name && settings.Pins.Contains(name.ToString())) || settings.Pins.Contains(image.Record.Manifest.Digest.ToString()));
    }

    private string PinOf(string text)
    {
        (ImageReference? reference, ImageRecord record) = FindRecord(text);
        return reference is not null && ImageReference.TryParse(text, out ImageReference? typed) && typed == reference ? reference.ToString() : record.Manifest.Digest.ToString();
    }

    private string FindPin(StoreSettings settings, string text)
    {
        if (ImageReference.TryParse(text, out ImageReference? typed) && settings.Pins.Contains(typed.ToString()))
        {
            return typed.ToString();
        }
        if (settings.Pins.Contains(text))
        {
            return text;
        }
        string? pin = null;
        try
        {
            pin = FindRecord(text).Record.Manifest.Digest.ToString();
        }
        catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
        {
            // then it cannot be what a pin names
        }
        return pin is not null && settings.Pins.Contains(pin) ? pin : throw new StrataException(ErrorKind.NotFound, $"{text}: it is not pinned")
        {
            Hint = settings.Pins.IsEmpty ? "nothing is" : $"pinned are: {string.Join(", ", settings.Pins)}",
        };
    }

    private static long? LimitOf(StoreSettings settings, string? maxSize)
        => maxSize is null ? settings.MaxSize : maxSize == NoLimit ? null : StoreSettings.ParseMaxSize(maxSize, "limit");

    // What the store takes at most, without a look at its files: what all on its disk take. Not where files may share blocks, and each count them.
    private long MostUsed()
    {
        FileSystemSpace space = FileSystems.GetSpace(Layout.Root);
        return space.Type is "ext4" or "tmpfs" ? space.TotalBytes - space.FreeBytes : long.MaxValue;
    }

    private async ValueTask<BudgetPlan> PlanAsync(StoreSettings settings, long used, long limit, CancellationToken cancellationToken)
    {
        BudgetSurvey survey = await SurveyAsync(settings, cancellationToken).ConfigureAwait(false);
        return BudgetPlan.Choose(used, limit, survey.Items, survey.SizeOf);
    }

    // False: nothing went, or a process has come that may use anything; the rest is for the command after it.
    private async ValueTask<bool> TryEvictAsync(BudgetPlan plan, ImmutableArray<BudgetVictim>.Builder gone, CancellationToken cancellationToken)
    {
        int before = gone.Count;
        foreach (BudgetVictim victim in plan.Victims)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (StoreLease.ReadAll(Layout).Living > 0 || (victim.Item.Tag is BudgetedImage image && !await TryForgetAsync(image, cancellationToken).ConfigureAwait(false)))
            {
                return false;
            }
            if (victim.Item.Tag is Build.CacheRecord record)
            {
                Build.BuildCache.Open(Layout).Remove(record);
            }
            gone.Add(victim);
        }
        return gone.Count > before;
    }

    // The names are put aside, and only then it is asked who is at work: who comes later does not find them, who came before is seen, and they go back.
    private async ValueTask<bool> TryForgetAsync(BudgetedImage image, CancellationToken cancellationToken)
    {
        using FileLock turn = await TrashFolder.LockAsync(Layout, cancellationToken).ConfigureAwait(false);
        List<(string Path, string Aside)> moved = [];
        foreach (string path in image.Paths)
        {
            string aside = Path.Combine(Layout.Trash, "name-" + Guid.NewGuid().ToString("n"));
            try
            {
                Durability.Rename(path, aside, replace: false);
                moved.Add((path, aside));
            }
            catch (LinuxException e) when (e.Errno is Errno.ENOENT)
            {
                // somebody has removed the name
            }
        }
        Fail.Point("budget.after-aside");
        bool isWanted = StoreLease.ReadAll(Layout).Living > 0 || ListContainers().Any(c => image.IsOf(c));
        foreach ((string path, string aside) in moved)
        {
            try
            {
                if (isWanted)
                {
                    Durability.Rename(aside, path, replace: false);
                }
            }
            catch (LinuxException e) when (e.Errno is Errno.EEXIST)
            {
                // the name was given anew: that counts
            }
            FileSystems.RemoveTree(aside);
            string folder = Path.GetDirectoryName(path)!;
            Durability.SyncDirectory(folder);
            if (folder != Layout.Untagged)
            {
                Images.RemoveEmptyFolders(folder);
            }
        }
        return !isWanted;
    }
}

/// <summary>How a store stands to its limit.</summary>
/// <param name="Settings">What its owner has decided.</param>
/// <param name="LimitBytes">What it may take; null: no limit.</param>
/// <param name="UsedBytes">What it took, as du counts.</param>
/// <param name="LeftBytes">What it takes when the victims are gone.</param>
public sealed record BudgetReport(StoreSettings Settings, long? LimitBytes, long UsedBytes, long LeftBytes)
{
    /// <summary>What nobody needs, and goes before all.</summary>
    public long RubbishBytes { get; init; }
    /// <summary>What goes, or has gone, in order.</summary>
    public ImmutableArray<BudgetVictim> Victims { get; init; } = [];
    /// <summary>What would go if there were no room at all, in order.</summary>
    public ImmutableArray<BudgetVictim> Next { get; init; } = [];
    /// <summary>Bytes on disk of what does not go, by the strongest reason.</summary>
    public ImmutableSortedDictionary<BudgetHold, long> Held { get; init; } = ImmutableSortedDictionary<BudgetHold, long>.Empty;
    /// <summary>What volumes take; they never go by themselves.</summary>
    public long VolumeBytes { get; init; }
    /// <summary>A process is at work that may use anything; while it is, images and their files stay.</summary>
    public bool OthersAtWork { get; init; }
    /// <summary>Whether the limit is not kept, and cannot be.</summary>
    public bool IsOver => LeftBytes > LimitBytes;
}
