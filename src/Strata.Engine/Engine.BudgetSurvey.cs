using System.Collections.Immutable;
using Strata.Build;
using Strata.Containers;
using Strata.Content;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;

namespace Strata;

public sealed partial class Engine
{
    // All that takes space and why it may not go: what CollectAsync keeps, by who it is kept for.
    private async ValueTask<BudgetSurvey> SurveyAsync(StoreSettings settings, CancellationToken cancellationToken)
    {
        var survey = new BudgetSurvey(Layout, Snapshots);
        HashSet<Digest> pins = StoreLease.ReadAll(Layout).Pins; // before names and containers, as a collector looks
        DateTimeOffset now = _options.Time.GetUtcNow();
        IReadOnlyList<Container> containers = ListContainers();
        foreach (IGrouping<Digest, ListedImage> names in ListImages().GroupBy(i => i.Record.Manifest.Digest))
        {
            var image = new BudgetedImage(names.Key, [.. names.Select(i => i.Record.Config).OfType<Digest>()], [.. names.Select(n => n.Reference is null ? Images.UntaggedPath(names.Key) : Images.PathOf(n.Reference))]);
            DateTimeOffset used = image.Paths.Max(p => FileSystems.TryGetStatus(p)?.Modified.ToDate() ?? DateTimeOffset.MinValue);
            bool isNamed = names.Any(n => n.Reference is not null);
            string name = isNamed ? string.Join(", ", names.Select(n => n.Reference?.Familiar).OfType<string>()) : (names.First().Record.Config ?? names.Key).Hex[..12].ToString();
            (HashSet<string> content, HashSet<string> records) = await PathsOfAsync(survey, names.First().Record.Manifest, cancellationToken).ConfigureAwait(false);
            records.UnionWith(image.Paths.Concat(image.Paths.SelectMany(survey.FoldersAbove)));
            survey.Items.Add(new BudgetItem(isNamed ? BudgetKind.NamedImage : BudgetKind.UnnamedImage, name, used)
            {
                Content = [.. content],
                Records = [.. records],
                Tag = image,
                Hold = containers.Any(image.IsOf) ? BudgetHold.Container : names.Any(n => IsPinned(n, settings)) ? BudgetHold.Pin
                    : Images.IsUsedHere(names.Key) || pins.Contains(names.Key) ? BudgetHold.InUse : RecentOrNot(used, now, settings),
            });
        }
        AddCache(survey, now, settings);
        foreach (Container container in containers)
        {
            (HashSet<string> content, HashSet<string> records) = await PathsOfAsync(survey, container.Record.Manifest, cancellationToken).ConfigureAwait(false);
            ActiveSnapshot? active = await Snapshots.TryOpenActiveAsync(container.Record.Id, cancellationToken).ConfigureAwait(false);
            survey.AddStack(active?.Parent, content, records);
            records.UnionWith([Containers.DirectoryOf(container.Record.Id), Path.Combine(Layout.Active, container.Record.Id)]);
            survey.Items.Add(new BudgetItem(BudgetKind.Holder, container.Record.Name, now) { Content = [.. content], Records = [.. records], Hold = BudgetHold.Container });
        }
        survey.Items.Add(new BudgetItem(BudgetKind.Holder, "leases", now) { Content = [.. pins.Select(Layout.Blob)], Hold = BudgetHold.InUse });
        return survey;
    }

    private static BudgetHold? RecentOrNot(DateTimeOffset used, DateTimeOffset now, StoreSettings settings) => now - used < settings.Keep ? BudgetHold.Recent : null;

    // What stands on a step's layer uses it as well: else the first step of a long build would be the first to go, and all after it be worth nothing.
    private void AddCache(BudgetSurvey survey, DateTimeOffset now, StoreSettings settings)
    {
        IReadOnlyList<CacheRecord> records = BuildCache.Open(Layout).ListRecords();
        ILookup<Digest, CommittedSnapshot> byLayer = survey.Snapshots.ToLookup(s => s.DiffId);
        var lastUsed = new Dictionary<Digest, DateTimeOffset>();
        foreach (CacheRecord record in records)
        {
            foreach (Digest diffId in record.Step.DiffId is { } top ? byLayer[top].SelectMany(s => s.Stack).Select(s => s.DiffId).Append(top) : [])
            {
                lastUsed[diffId] = lastUsed.TryGetValue(diffId, out DateTimeOffset known) && known > record.LastUsed ? known : record.LastUsed;
            }
        }
        foreach (CacheRecord record in records)
        {
            HashSet<string> content = [], own = [record.Path];
            CommittedSnapshot[] snapshots = record.Step.DiffId is { } diffId ? [.. byLayer[diffId]] : [];
            if (record.Step.Layer is { } layer)
            {
                content.Add(Layout.Blob(layer.Digest));
            }
            foreach (CommittedSnapshot snapshot in snapshots)
            {
                survey.AddStack(snapshot, content, own);
            }
            DateTimeOffset used = record.Step.DiffId is { } id ? lastUsed[id] : record.LastUsed;
            survey.Items.Add(new BudgetItem(BudgetKind.CacheRecord, record.Step.Instruction ?? Path.GetFileName(record.Path)[..12], used)
            {
                Content = [.. content], Records = [.. own], Tag = record, Hold = RecentOrNot(used, now, settings), Depth = snapshots.Length == 0 ? 0 : snapshots.Max(s => s.Stack.Count),
            });
        }
    }

    // Blobs and unpacked layers of an image, and the documents and records beside them.
    private async ValueTask<(HashSet<string> Content, HashSet<string> Records)> PathsOfAsync(BudgetSurvey survey, Descriptor root, CancellationToken cancellationToken)
    {
        HashSet<Digest> reached = [], documents = [root.Digest];
        HashSet<string> content = [], records = [];
        await GarbageCollector.MarkAsync(Content, root, reached, cancellationToken).ConfigureAwait(false);
        try
        {
            if (await TryReadImageAsync(root, cancellationToken).ConfigureAwait(false) is var (descriptor, manifest, config))
            {
                documents.UnionWith([descriptor.Digest, manifest.Config.Digest]);
                HashSet<Digest> chains = [.. ChainId.All(config.RootFs.DiffIds)];
                foreach (CommittedSnapshot snapshot in survey.Snapshots.Where(s => chains.Contains(s.ChainId)))
                {
                    survey.AddStack(snapshot, content, records);
                }
            }
        }
        catch (StrataException e) when (e.Kind is ErrorKind.Corrupt or ErrorKind.Invalid)
        {
            // system check tells of it; it holds the blobs that could be reached
        }
        content.UnionWith(reached.Except(documents).Select(Layout.Blob));
        records.UnionWith(documents.Select(Layout.Blob));
        return (content, records);
    }

    // What of the build cache prune takes: all, what was not used since a time, or so much that no more than a size is left.
    private async ValueTask<(CacheRecord[] Kept, CacheRecord[] Dropped, long Bytes)> ChooseCacheAsync(PruneOptions options, IEnumerable<ListedImage> images, IReadOnlyList<Container> containers, CancellationToken cancellationToken)
    {
        CacheRecord[] all = [.. BuildCache.Open(Layout).ListRecords()];
        HashSet<string> dropped;
        if (options.KeepStorage is { } keep)
        {
            BudgetSurvey survey = await SurveyAsync(StoreSettings.None, cancellationToken).ConfigureAwait(false);
            HashSet<Digest> kept = [.. images.Select(i => i.Record.Manifest.Digest), .. containers.Select(c => c.Record.Manifest.Digest)];
            BudgetItem[] items = [.. survey.Items.Where(i => i.Tag is not BudgetedImage image || kept.Contains(image.Manifest)).Select(i => i.Tag is CacheRecord record
                ? i with { Hold = i.LastUsed >= options.Until ? BudgetHold.Recent : null } : i with { Hold = BudgetHold.InUse })];
            HashSet<string> others = [.. items.Where(i => i.Tag is not CacheRecord).SelectMany(i => i.Content.Concat(i.Records))];
            long used = items.Where(i => i.Tag is CacheRecord).SelectMany(i => i.Content.Concat(i.Records)).Where(p => !others.Contains(p)).Distinct().Sum(survey.SizeOf);
            dropped = [.. BudgetPlan.Choose(used, keep, items, survey.SizeOf).Victims.Select(v => ((CacheRecord)v.Item.Tag!).Path)];
        }
        else
        {
            dropped = [.. all.Where(r => options.Until is not { } until || r.LastUsed < until).Select(r => r.Path)];
        }
        CacheRecord[] go = [.. all.Where(r => dropped.Contains(r.Path))];
        return ([.. all.Where(r => !dropped.Contains(r.Path))], go, go.Sum(r => FileSystems.GetDiskUsage(r.Path)));
    }
}

/// <summary>An image as a budget sees it.</summary>
/// <param name="Manifest">What its names point to.</param>
/// <param name="Configs">Its ID.</param>
/// <param name="Paths">The files of its names.</param>
internal sealed record BudgetedImage(Digest Manifest, ImmutableArray<Digest> Configs, ImmutableArray<string> Paths)
{
    /// <summary>Whether a container is made of it.</summary>
    internal bool IsOf(Container container) => container.Record.Manifest.Digest == Manifest || Configs.Contains(container.Record.ImageId);
}

/// <summary>What takes space in a store, at one moment.</summary>
internal sealed class BudgetSurvey(StoreLayout layout, ISnapshotter snapshotter)
{
    private readonly Dictionary<string, long> _sizes = new(StringComparer.Ordinal);
    private Dictionary<(Digest, string), (IReadOnlyList<string> Layers, IReadOnlyList<string> Records)>? _paths;

    internal List<BudgetItem> Items { get; } = [];

    internal IReadOnlyList<CommittedSnapshot> Snapshots { get; } = snapshotter.List().Committed;

    /// <summary>Adds what is on disk for a snapshot and for those below it that have a name.</summary>
    internal void AddStack(CommittedSnapshot? top, HashSet<string> layers, HashSet<string> records)
    {
        _paths ??= Snapshots.ToDictionary(s => (s.ChainId, s.Snapshotter), snapshotter.GetPaths);
        for (CommittedSnapshot? at = top; at is not null; at = at.Parent)
        {
            if (_paths.TryGetValue((at.ChainId, at.Snapshotter), out (IReadOnlyList<string> Layers, IReadOnlyList<string> Records) paths))
            {
                layers.UnionWith(paths.Layers);
                records.UnionWith(paths.Records);
            }
        }
    }

    /// <summary>The folders that go with the last name in them. A slash at the end: the folder itself, not what is in it.</summary>
    internal IEnumerable<string> FoldersAbove(string name)
    {
        for (string folder = Path.GetDirectoryName(name)!; folder.Length > layout.Images.Length && folder != layout.Untagged; folder = Path.GetDirectoryName(folder)!)
        {
            yield return folder + "/";
        }
    }

    /// <summary>Bytes on disk of a path of an item; looked up once.</summary>
    internal long SizeOf(string path)
    {
        if (!_sizes.TryGetValue(path, out long bytes))
        {
            _sizes[path] = bytes = path.EndsWith('/') ? (FileSystems.TryGetStatus(path[..^1])?.Blocks ?? 0) * 512 : FileSystems.GetDiskUsage(path);
        }
        return bytes;
    }
}
