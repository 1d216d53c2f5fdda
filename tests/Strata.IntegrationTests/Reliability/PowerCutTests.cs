using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>
/// Power cuts (docs/reliability.md), in two ways. Replayed: a disk that recorded each write and flush of a workload is built up to any instant, with
/// some of what was not flushed, in any order, torn at sectors. Cut: a mounted ext4 stops at any instant. What is visible is whole, and what was
/// acknowledged is there. STRATA_LONG=1 for the counts of a release.
/// </summary>
[Collection(nameof(ReliabilityCollection))]
public sealed class PowerCutTests(CrashScene scene)
{
    private const int SectorBytes = 512;

    /// <summary>What was there when a command had ended with 0.</summary>
    private sealed record Acknowledged(string Command, int Events, string[] Names);

    [Theory]
    [InlineData("erofs")]
    [InlineData("overlay")]
    public async Task Every_state_that_a_power_cut_can_leave_is_whole_and_has_what_was_acknowledged(string snapshotter)
    {
        string folder = Path.Combine(scene.Folder, "replay-" + snapshotter);
        Directory.CreateDirectory(folder);
        string start = Path.Combine(folder, "start.img");
        await CrashDisk.MakeAsync(scene, start);
        (DiskEvent[] events, List<Acknowledged> acknowledged) = await RecordAsync(start, folder, snapshotter);
        Assert.True(events.Count(e => e.IsFlush) > 20, $"{events.Count(e => e.IsFlush)} flushes in {events.Length} events: a workload that syncs has more");
        var log = new TrialLog($"replayed states of {events.Length} writes and flushes");
        await ReplayAsync(events, acknowledged, start, CrashScene.IsLong ? 1_200 : 60, log);
        FileSystems.RemoveTree(folder);
        log.AssertClean(CrashScene.IsLong ? 1_000 : 50);
    }

    [Fact]
    public async Task A_power_cut_at_any_time_leaves_a_store_that_works()
    {
        string folder = Path.Combine(scene.Folder, "cuts");
        Directory.CreateDirectory(folder);
        string start = Path.Combine(folder, "start.img");
        await CrashDisk.MakeAsync(scene, start);
        var log = new TrialLog("ext4 cuts");
        var random = new Random(CrashScene.Seed);
        CrashCommand[] commands = [.. scene.Commands.Where(c => !c.HasHelpers && c.Name != "export")];
        var cases = Enumerable.Range(0, CrashScene.IsLong ? 240 : 16).Select(i => (Number: i, Command: commands[i % commands.Length], IsAfter: i % 3 == 0, At: random.NextDouble())).ToList();
        await Parallel.ForEachAsync(cases, CrashScene.AtOnce, async (item, cancellationToken) =>
        {
            string image = Path.Combine(folder, $"cut{item.Number}.img"), mount = image + ".mnt", root = Path.Combine(mount, "store");
            await CrashDisk.CopyAsync(start, image);
            await CrashDisk.MountAsync(image, mount);
            using (ChildProcess process = ChildProcess.Start(Programs.Start(root, item.Command.Arguments)))
            {
                int? code = item.IsAfter ? await process.WaitAsync(cancellationToken) : null;
                Assert.True(code is null or 0, $"{item.Command.Name} ended with {code}");
                await Task.Delay(TimeSpan.FromMilliseconds(item.At * (item.IsAfter ? 500 : 150)), cancellationToken);
                await CrashDisk.CutAsync(mount);
                process.Kill(9);
                await process.WaitAsync(cancellationToken);
            }
            await CrashDisk.UnmountAsync(mount);
            await CrashDisk.MountAsync(image, mount);
            var faults = new List<string>();
            if (item.IsAfter)
            {
                string[] names = await StoreInspector.VerifyAsync(root, faults);
                faults.AddRange(new[] { item.Command.Makes }.OfType<string>().Where(m => !names.Contains(m)).Select(m => $"{m} was acknowledged and is gone"));
                faults.AddRange(names.Where(n => n == item.Command.Removes).Select(n => $"{n} was removed and is back"));
            }
            faults.AddRange(await StoreInspector.FindFaultsAsync(root, item.Command, isThorough: false));
            log.Add($"{item.Command.Name} cut {item.Number}", item.IsAfter ? "after" : "during", faults);
            CrashScene.Forget(root);
            await CrashDisk.UnmountAsync(mount);
            File.Delete(image);
        });
        FileSystems.RemoveTree(folder);
        log.AssertClean(cases.Count);
    }

    private async Task<(DiskEvent[] Events, List<Acknowledged> Acknowledged)> RecordAsync(string start, string folder, string snapshotter)
    {
        string live = Path.Combine(folder, "live.img"), mount = Path.Combine(folder, "live"), root = Path.Combine(mount, "store");
        await CrashDisk.CopyAsync(start, live);
        using var disk = new RecordedDisk(live, Path.Combine(folder, "disk"));
        await CrashDisk.MountAsync(disk.Loop, mount);
        await File.WriteAllTextAsync(Path.Combine(root, "settings.json"), $$"""{"snapshotter":"{{snapshotter}}"}""");
        var acknowledged = new List<Acknowledged> { new("(start)", 0, await NamesAsync(root)) };
        string context = Path.Combine(scene.Folder, "context");
        string[][] more = [["rmi", "loaded:1"], ["tag", "keep:1", "late:1"], ["system", "dedupe"], ["build", "--no-cache", "-t", "last:1", "-f", Path.Combine(context, "Built"), context], ["create", "--name", "made", "box:1", "true"], ["system", "dedupe", "--min-size", "1"], ["tag", "keep:1", "later:1"]];
        foreach (string[] arguments in scene.Commands.Where(c => c.Name is not ("prune-all" or "export" or "rm")).Select(c => c.Arguments).Concat(more))
        {
            (await Programs.StrataAsync(root, arguments)).Ok();
            acknowledged.Add(new Acknowledged(string.Join(' ', arguments.Take(3)), disk.Count, await NamesAsync(root)));
        }
        FileSystems.RemoveTree(new Strata.Containers.RuntimeLayout(new Strata.Content.StoreLayout(root)).Root);
        await CrashDisk.UnmountAsync(mount);
        return (disk.Events, acknowledged);
    }

    private static async Task<string[]> NamesAsync(string root)
    {
        var faults = new List<string>();
        string[] names = await StoreInspector.VerifyAsync(root, faults);
        Assert.Empty(faults);
        return names;
    }

    // One image grows through all flushes; each state is a copy of it with some of what came after.
    private static async Task ReplayAsync(DiskEvent[] events, List<Acknowledged> acknowledged, string start, int states, TrialLog log)
    {
        var random = new Random(CrashScene.Seed);
        int[] flushes = [.. events.Index().Where(e => e.Item.IsFlush).Select(e => e.Index)];
        int[] chosen = [.. Enumerable.Range(0, states).Select(_ => random.Next(flushes.Length - 1)).Order()];
        using SemaphoreSlim slots = new(CrashScene.AtOnce.MaxDegreeOfParallelism);
        var running = new List<Task>();
        int applied = 0;
        for (int i = 0; i < states; i++)
        {
            int end = flushes[chosen[i]], cut = random.Next(end + 1, flushes[chosen[i] + 1] + 1);
            Apply(start, events[applied..end]);
            applied = end;
            await slots.WaitAsync();
            string state = $"{start}.{i}";
            await CrashDisk.CopyAsync(start, state);
            bool isOrdered = random.Next(3) == 0;
            DiskEvent[] tail = [.. events[(end + 1)..cut].Where(e => !e.IsFlush)];
            if (!isOrdered)
            {
                random.Shuffle(tail);
                tail = tail[..random.Next(tail.Length + 1)];
            }
            bool[] torn = [.. tail.Select(_ => !isOrdered && random.Next(5) == 0)];
            int[] sectors = [.. tail.Select(e => random.Next(e.Bytes!.Length / SectorBytes + 1))];
            Apply(state, tail.Index().Select(t => torn[t.Index] && !IsInSuperblock(t.Item.Offset + (sectors[t.Index] * SectorBytes)) ? t.Item with { Bytes = t.Item.Bytes![..(sectors[t.Index] * SectorBytes)] } : t.Item));
            int last = acknowledged.FindLastIndex(a => a.Events <= cut);
            bool isMade = acknowledged[..(last + 1)].Any(a => a.Command.StartsWith("create ", StringComparison.Ordinal));
            running.Add(CheckStateAsync(state, $"state {i}, cut at event {cut} of {events.Length}, after {acknowledged[last].Command}", isOrdered, isMade, acknowledged[last].Names,
                last + 1 < acknowledged.Count ? acknowledged[last + 1].Names : null, log).ContinueWith(t => { slots.Release(); return t; }, TaskScheduler.Default).Unwrap());
        }
        await Task.WhenAll(running);
    }

    // ext4 takes it that its superblock is written whole: half of it has the wrong checksum, and is neither mounted nor, with one group of blocks, repaired by e2fsck.
    private static bool IsInSuperblock(long at) => at is > 1024 and < 2048;

    private static void Apply(string image, IEnumerable<DiskEvent> events)
    {
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        foreach (DiskEvent happened in events.Where(e => !e.IsFlush))
        {
            RandomAccess.Write(file, happened.Bytes, happened.Offset);
        }
    }

    private static async Task CheckStateAsync(string image, string what, bool isOrdered, bool isMade, string[] before, string[]? after, TrialLog log)
    {
        string mount = image + ".mnt", root = Path.Combine(mount, "store");
        await CrashDisk.MountAsync(image, mount);
        var faults = new List<string>();
        await StoreInspector.CheckAsync(root, faults);
        string[] names = await StoreInspector.VerifyAsync(root, faults);
        if (!names.SequenceEqual(before) && (after is null || !names.SequenceEqual(after)))
        {
            faults.Add($"lists {string.Join(' ', names)}; was {string.Join(' ', before)}; was to be {string.Join(' ', after ?? [])}");
        }
        if (isMade && await Programs.StrataAsync(root, "diff", "made") is { Code: not 0 } lost)
        {
            faults.Add($"the container that was created is not whole: {lost.Err}");
        }
        CrashScene.Forget(root);
        await CrashDisk.UnmountAsync(mount);
        File.Delete(image);
        log.Add(what, isOrdered ? "in order" : "reordered", faults);
    }
}
