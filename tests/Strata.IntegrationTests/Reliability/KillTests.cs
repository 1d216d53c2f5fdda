using System.Diagnostics;
using Strata.Content;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>
/// kill -9 at every step that changes the store, and at any time (docs/reliability.md). Nothing of it needs a manual repair. STRATA_LONG=1 kills at every
/// failpoint and at every call; else every push takes a sample that STRATA_SEED decides.
/// </summary>
[Collection(nameof(ReliabilityCollection))]
public sealed class KillTests(CrashScene scene)
{
    // Calls that change files; a kill is tried at the 1st, 2nd, … of each until the command ends undisturbed.
    private static readonly string[] s_calls =
        ["openat", "write", "pwrite64", "fsync", "syncfs", "renameat2", "rename", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "link", "linkat", "symlinkat", "fchmod", "fchmodat", "fchownat",
         "utimensat", "setxattr", "fsetxattr", "ftruncate", "mknodat", "flock", "copy_file_range", "move_mount", "umount2"];

    [Fact]
    public async Task The_store_survives_a_kill_at_every_failpoint()
    {
        var log = new TrialLog("failpoints");
        var cases = scene.Commands.SelectMany(c => Fail.Points.Select(p => (Command: c, Point: p))).ToList();
        await Parallel.ForEachAsync(Sample(cases, 60), CrashScene.AtOnce, async (item, _) =>
        {
            for (int n = 1; await TryFailpointAsync(item.Command, item.Point, n, log) && CrashScene.IsLong; n++)
            {
            }
        });
        log.AssertClean(CrashScene.IsLong ? 100 : 5);
    }

    [Fact]
    public async Task The_store_survives_a_kill_at_every_call_that_changes_files()
    {
        Assert.SkipUnless(Tracer.IsInstalled, "strace is not installed");
        var log = new TrialLog("kills at a call");
        var cases = new List<(CrashCommand Command, string Call, int K)>();
        // Under strace the helpers of the others would be killed too; those commands die at failpoints and at any time.
        foreach (CrashCommand command in Sample([.. scene.Commands.Where(c => !c.HasHelpers)], 5))
        {
            string root = await scene.CopyAsync();
            cases.AddRange((await Tracer.FindCallsAsync(root, command, s_calls, line => Tracer.Changes(scene.Folder, line))).Select(c => (command, c.Call, c.K)));
            CrashScene.Forget(root);
        }
        await Parallel.ForEachAsync(Sample(cases, 40), CrashScene.AtOnce, async (item, _) =>
        {
            string root = await scene.CopyAsync();
            Traced traced = await Tracer.KillAsync(root, item.Command, item.Call, item.K);
            if (traced.Touched)
            {
                log.Add($"{item.Command.Name} killed at {item.Call} {item.K}", item.Command.Name, await StoreInspector.FindFaultsAsync(root, item.Command, item.K % 10 == 0));
            }
            CrashScene.Forget(root);
        });
        log.AssertClean(CrashScene.IsLong ? 800 : 15);
    }

    [Fact]
    public async Task The_store_survives_a_kill_at_any_time()
    {
        var log = new TrialLog("kills at any time");
        var random = new Random(CrashScene.Seed);
        var times = new Dictionary<CrashCommand, double>();
        foreach (CrashCommand command in scene.Commands)
        {
            string root = await scene.CopyAsync();
            long begin = Stopwatch.GetTimestamp();
            (await Programs.StrataAsync(root, command.Arguments)).Ok();
            times[command] = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
            CrashScene.Forget(root);
        }
        var cases = Enumerable.Range(0, CrashScene.IsLong ? 600 : 30).Select(i => scene.Commands[i % scene.Commands.Count]).Select(c => (Command: c, After: random.NextDouble() * 1.3 * times[c])).ToList();
        await Parallel.ForEachAsync(cases, CrashScene.AtOnce, async (item, cancellationToken) =>
        {
            string root = await scene.CopyAsync();
            using ChildProcess process = ChildProcess.Start(Programs.Start(root, item.Command.Arguments));
            await Task.Delay(TimeSpan.FromMilliseconds(item.After), cancellationToken);
            process.Kill(9);
            int code = await process.WaitAsync(cancellationToken);
            log.Add($"{item.Command.Name} killed after {item.After:F1} ms", code == 137 ? "killed" : "ended", await StoreInspector.FindFaultsAsync(root, item.Command, item.After % 1 < 0.1));
            CrashScene.Forget(root);
        });
        log.AssertClean(cases.Count);
    }

    // crun and conmon rename files as strata does not: by rename(2). Which of the two dies is theirs to decide.
    [Fact]
    public async Task A_helper_that_is_killed_keeps_nobody_waiting()
    {
        Assert.SkipUnless(Tracer.IsInstalled, "strace is not installed");
        var log = new TrialLog("killed helpers");
        (string Call, int K)[] cases = [.. from call in CrashScene.IsLong ? ["rename", "mkdir", "openat", "write", "mount", "execve"] : new[] { "rename" } from k in Enumerable.Range(1, CrashScene.IsLong && call != "rename" ? 12 : 2) select (call, k)];
        CrashCommand run = scene.Commands.Single(c => c.Name == "run");
        await Parallel.ForEachAsync(cases, CrashScene.AtOnce, async (item, _) =>
        {
            string root = await scene.CopyAsync();
            Traced traced = await Tracer.KillAsync(root, run, item.Call, item.K);
            List<string> faults = traced.Outcome.Code == -1 ? [$"run: {traced.Outcome.Err}"] : [];
            faults.AddRange(await StoreInspector.FindFaultsAsync(root, run, isThorough: false));
            log.Add($"run with a helper killed at {item.Call} {item.K}", traced.Touched ? "killed" : "ended", faults);
            CrashScene.Forget(root);
        });
        log.AssertClean(cases.Length);
    }

    // The instrument itself: a command that nothing kills leaves nothing behind either, and a store that is damaged is called bad.
    [Fact]
    public async Task The_inspector_finds_nothing_after_a_quiet_end_and_something_after_damage()
    {
        foreach (CrashCommand command in scene.Commands)
        {
            string root = await scene.CopyAsync();
            (await Programs.StrataAsync(root, command.Arguments)).Ok();
            Assert.Empty(await StoreInspector.FindFaultsAsync(root, command, isThorough: true));
            CrashScene.Forget(root);
        }
        string damaged = await scene.CopyAsync();
        string tree = Directory.GetFiles(Path.Combine(damaged, "trees"), "*", SearchOption.AllDirectories).First(f => Path.GetFileName(f) is "text" or "layer.tar");
        await File.AppendAllTextAsync(tree, "x", TestContext.Current.CancellationToken);
        Assert.NotEmpty(await StoreInspector.FindFaultsAsync(damaged, scene.Commands[^1], isThorough: false));
        CrashScene.Forget(damaged);
    }

    // True where the point was reached: then there may be a next time.
    private async Task<bool> TryFailpointAsync(CrashCommand command, string point, int n, TrialLog log)
    {
        string root = await scene.CopyAsync();
        Outcome killed = await Programs.RunAsync(SeedStore.Binary, [$"STRATA_FAILPOINT={point}:{n}"], ["--root", root, .. command.Arguments]);
        bool isReached = killed.Code == 137;
        if (isReached)
        {
            log.Add($"{command.Name} killed at {point}:{n}", command.Name, await StoreInspector.FindFaultsAsync(root, command, n % 5 == 1));
        }
        CrashScene.Forget(root);
        return isReached;
    }

    private static IReadOnlyList<T> Sample<T>(IReadOnlyList<T> all, int count)
    {
        if (CrashScene.IsLong)
        {
            return all;
        }
        T[] mixed = [.. all];
        new Random(CrashScene.Seed).Shuffle(mixed);
        return mixed[..Math.Min(count, mixed.Length)];
    }
}
