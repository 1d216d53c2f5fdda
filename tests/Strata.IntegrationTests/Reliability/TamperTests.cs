using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>
/// One file of the store is changed behind its back (docs/reliability.md): the deep check finds it, bringing the image again heals it without removing
/// anything first, and repair takes away nothing that is whole. STRATA_LONG=1 for a thousand.
/// </summary>
[Collection(nameof(ReliabilityCollection))]
public sealed class TamperTests(CrashScene scene)
{
    private static int Count => CrashScene.IsLong ? 1_000 : 60;

    /// <summary>A kind of file, and where it is.</summary>
    private sealed record Area(string Name, string Folder, Func<string, bool> Has)
    {
        /// <summary>That it is gone is no damage: it is what rmi and prune do.</summary>
        internal bool MayBeGone { get; init; }

        /// <summary>Whatever is in its place is no damage: a power cut may leave anything there.</summary>
        internal bool IsOnlyAMiss { get; init; }

        internal string[] Files(string root) => Directory.Exists(Path.Combine(root, Folder))
            ? [.. Directory.GetFiles(Path.Combine(root, Folder), "*", SearchOption.AllDirectories).Where(f => Has(f) && new FileInfo(f) is { LinkTarget: null, Length: > 0 }).Order(StringComparer.Ordinal)] : [];
    }

    private static readonly Area[] s_areas =
    [
        new("blob", "blobs", _ => true),
        new("files of a layer", "trees", f => f.Contains("/fs/", StringComparison.Ordinal) || Path.GetFileName(f) is "layer.tar" or "layer.erofs"),
        new("record of a tree", "trees", f => f.EndsWith("/tree.json", StringComparison.Ordinal) && f.Split('/')[^3] == "trees"),
        new("record of a snapshot", "snapshots", f => Path.GetFileName(f) is not ("snapshotter.json" or "erofs.json")) { MayBeGone = true },
        new("name", "images", _ => true) { MayBeGone = true },
        new("record of the cache", "cache/steps", _ => true) { IsOnlyAMiss = true },
    ];

    private static readonly string[] s_ways = ["flip", "truncate", "delete", "replace"];

    [Fact]
    public async Task What_was_changed_behind_its_back_is_found_and_healed()
    {
        string archive = Path.Combine(scene.Folder, "all.tar");
        (await Programs.StrataAsync(scene.Template, ["save", "-o", archive, .. CrashScene.Images])).Ok();
        (await Programs.StrataAsync(scene.Template, "system", "check", "--deep")).Ok();
        var log = new TrialLog("changed files");
        await Parallel.ForEachAsync(Enumerable.Range(0, Count), CrashScene.AtOnce, async (number, _) =>
        {
            var random = new Random(CrashScene.Seed + number);
            Area area = s_areas[number % s_areas.Length];
            string way = s_ways[number / s_areas.Length % s_ways.Length], root = await scene.CopyAsync();
            string[] files = area.Files(root);
            string file = files[random.Next(files.Length)];
            Tamper(file, way, files, random);
            List<string> faults = await TryAsync(root, area, file, way, archive, isRepaired: random.Next(2) == 0);
            log.Add($"{way} {Path.GetRelativePath(root, file)} (number {number})", $"{area.Name} {way}", faults);
            CrashScene.Forget(root);
        });
        File.Delete(archive);
        log.AssertClean(Count);
    }

    private static async Task<List<string>> TryAsync(string root, Area area, string file, string way, string archive, bool isRepaired)
    {
        var faults = new List<string>();
        Outcome check = await Programs.StrataAsync(root, "system", "check", "--deep");
        if (area.IsOnlyAMiss ? check.Code != 0 : check.Code != 3 && !(way == "delete" && area.MayBeGone && check.Code == 0))
        {
            faults.Add($"the check ended with {check.Code}: {check.Out.Trim()} {check.Err.Trim()}");
        }
        if (isRepaired)
        {
            string[] before = Files(root);
            check = await Programs.StrataAsync(root, "system", "check", "--deep", "--repair");
            // The file itself and what is made again: the tree that it was in, the record of a snapshot.
            string damaged = area.Folder == "trees" ? Path.Combine(root, "trees", Path.GetRelativePath(root, file).Split('/')[1]) : file;
            faults.AddRange(before.Except(Files(root)).Where(f => !f.StartsWith(damaged, StringComparison.Ordinal)).Select(f => $"repair took {f} away"));
            if (check.Code is not (0 or 3))
            {
                faults.Add($"repair ended with {check.Code}: {check.Err.Trim()}");
            }
        }
        string context = Path.Combine(Path.GetDirectoryName(root)!, "context");
        string[][] again = [["load", "-i", archive], .. area.Folder == "cache/steps" ? [["build", "-t", "app:1", context], ["build", "-t", "keep:1", "-f", Path.Combine(context, "Keep"), context]] : Array.Empty<string[]>()];
        foreach (string[] arguments in again)
        {
            Outcome brought = await Programs.StrataAsync(root, arguments);
            if (brought.Code != 0)
            {
                faults.Add($"{brought.Command} ended with {brought.Code}: {brought.Err.Trim()}");
            }
        }
        await StoreInspector.CheckAsync(root, faults);
        string[] names = await StoreInspector.VerifyAsync(root, faults);
        faults.AddRange(CrashScene.Images.Except(names).Select(i => $"{i} is not listed"));
        return faults;
    }

    private static string[] Files(string root)
        => [.. new[] { "blobs", "images", "trees" }.Select(f => Path.Combine(root, f)).SelectMany(f => Directory.GetFiles(f, "*", SearchOption.AllDirectories)).Where(f => !Path.GetFileName(f).StartsWith(".lock", StringComparison.Ordinal))];

    private static void Tamper(string file, string way, string[] files, Random random)
    {
        byte[] content = File.ReadAllBytes(file);
        switch (way)
        {
            case "flip":
                content[random.Next(content.Length)] ^= (byte)(1 << random.Next(8));
                break;
            case "truncate":
                content = content[..random.Next(content.Length)];
                break;
            case "replace":
                content = files.Select(File.ReadAllBytes).FirstOrDefault(c => !c.SequenceEqual(content)) ?? [.. content, 0];
                break;
            default:
                File.Delete(file);
                return;
        }
        // In place: its mode and other names stay as they were.
        using var changed = new FileStream(file, FileMode.Open, FileAccess.Write);
        changed.SetLength(content.Length);
        changed.Write(content);
    }

    // With the largest blob, which is a layer of it.
    [Fact]
    public async Task A_pull_brings_back_what_repair_took_away()
    {
        string root = await scene.CopyAsync(), origin = await scene.CopyAsync();
        await using (RegistryProcess registry = await RegistryProcess.StartAsync(origin, TestContext.Current.CancellationToken))
        {
            string name = $"{registry.Address}/app:1";
            (await Programs.StrataAsync(origin, "tag", "app:1", name)).Ok();
            (await Programs.StrataAsync(origin, "push", name)).Ok();
            (await Programs.StrataAsync(root, "pull", name)).Ok();
            string blob = s_areas[0].Files(root).MaxBy(f => new FileInfo(f).Length)!;
            byte[] content = await File.ReadAllBytesAsync(blob, TestContext.Current.CancellationToken);
            content[content.Length / 2] ^= 1;
            await File.WriteAllBytesAsync(blob, content, TestContext.Current.CancellationToken);
            Assert.Contains(Path.GetFileName(blob), (await Programs.StrataAsync(root, "system", "check", "--deep", "--repair")).Answers(3).Out, StringComparison.Ordinal);
            (await Programs.StrataAsync(root, "pull", name)).Ok();
            (await Programs.StrataAsync(root, "system", "check", "--deep")).Ok();
        }
        CrashScene.Forget(root);
        CrashScene.Forget(origin);
    }
}
