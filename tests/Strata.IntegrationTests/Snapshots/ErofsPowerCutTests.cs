using Strata.IntegrationTests.Reliability;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>
/// An ext4 that stops at any instant while a build applies its base's layers and commits its own, or right after (docs/reliability.md): its layers, a tar and an index each, are there whole or
/// not at all, and what was acknowledged is there. STRATA_LONG=1: 200 cuts.
/// </summary>
[Collection(nameof(ReliabilityCollection))]
public sealed class ErofsPowerCutTests(CrashScene scene)
{
    private const int Cuts = 6, LongCuts = 200;

    [Fact]
    public async Task A_power_cut_leaves_layers_whole_or_not_at_all()
    {
        string folder = Path.Combine(scene.Folder, "erofs"), start = Path.Combine(folder, "start.img");
        string[] build = scene.Commands.Single(c => c.Name == "copy").Arguments;
        Directory.CreateDirectory(folder);
        await CrashDisk.MakeAsync(scene, start);
        var log = new TrialLog("ext4 cuts with erofs");
        var random = new Random(CrashScene.Seed);
        var cases = Enumerable.Range(0, CrashScene.IsLong ? LongCuts : Cuts).Select(i => (Number: i, IsAfter: i % 2 == 0, At: random.NextDouble())).ToList();
        await Parallel.ForEachAsync(cases, CrashScene.AtOnce, async (item, cancellationToken) =>
        {
            string image = Path.Combine(folder, $"cut{item.Number}.img"), mount = image + ".mnt", root = Path.Combine(mount, "store");
            await CrashDisk.CopyAsync(start, image);
            await CrashDisk.MountAsync(image, mount);
            using (ChildProcess process = ChildProcess.Start(Programs.Start(root, ["--snapshotter", "erofs", .. build])))
            {
                int? code = item.IsAfter ? await process.WaitAsync(cancellationToken) : null;
                Assert.True(code is null or 0, $"build ended with {code}");
                await Task.Delay(TimeSpan.FromMilliseconds(item.At * (item.IsAfter ? 20 : 250)), cancellationToken);
                await CrashDisk.CutAsync(mount);
                process.Kill(9);
                await process.WaitAsync(cancellationToken);
            }
            await CrashDisk.UnmountAsync(mount);
            await CrashDisk.MountAsync(image, mount);
            log.Add($"cut {item.Number}", item.IsAfter ? "after" : "during", await FindFaultsAsync(root, build, item.IsAfter));
            CrashScene.Forget(root);
            await CrashDisk.UnmountAsync(mount);
            File.Delete(image);
        });
        FileSystems.RemoveTree(folder);
        log.AssertClean(cases.Count);
    }

    private static async Task<List<string>> FindFaultsAsync(string root, string[] build, bool isAcknowledged)
    {
        var faults = new List<string>();
        await StoreInspector.CheckAsync(root, faults);
        Outcome images = await ErofsAsync(root, "images", "--format", "{{.Repository}}:{{.Tag}}");
        bool isThere = images.Out.Split('\n').Contains("copied:1");
        if (isAcknowledged && !isThere)
        {
            faults.Add("copied:1 was acknowledged and is gone");
        }
        foreach (string[] arguments in (string[][])[.. isThere ? [["verify", "copied:1"]] : Array.Empty<string[]>(), build, ["verify", "copied:1"], ["run", "--rm", "--network", "none", "copied:1", "sh", "-c", "cmp /more /data/noise && test -d /w"]])
        {
            Outcome outcome = await ErofsAsync(root, arguments);
            if (outcome.Code != 0)
            {
                faults.Add($"{outcome.Command} ended with {outcome.Code}: {outcome.Out} {outcome.Err}");
            }
        }
        await StoreInspector.CheckAsync(root, faults);
        return faults;
    }

    private static Task<Outcome> ErofsAsync(string root, params string[] arguments) => Programs.StrataAsync(root, ["--snapshotter", "erofs", .. arguments]);
}
