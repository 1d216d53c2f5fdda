using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>
/// The disk says no (docs/reliability.md): a call that makes things last or visible fails once. The command fails with one clear line, nothing half
/// made is visible, and the next command works. STRATA_LONG=1 injects at every such call of every command.
/// </summary>
[Collection(nameof(ReliabilityCollection))]
public sealed class InjectedErrorTests(CrashScene scene)
{
    private static readonly string[] s_calls = ["fsync", "syncfs", "write", "pwrite64", "renameat2", "openat", "link", "linkat", "mkdir", "mkdirat"];

    private sealed record Injection(CrashCommand Command, string Call, int K, string Error)
    {
        public override string ToString() => $"{Command.Name} with {Error} from {Call} {K}";
    }

    [Fact]
    public async Task A_call_that_fails_makes_the_command_fail_and_leaves_the_store_whole()
    {
        Assert.SkipUnless(Tracer.IsInstalled, "strace is not installed");
        var log = new TrialLog("injected errors");
        List<Injection> cases = await FindCasesAsync();
        Injection[] chosen = [.. cases];
        if (!CrashScene.IsLong)
        {
            new Random(CrashScene.Seed).Shuffle(chosen);
        }
        await Parallel.ForEachAsync(chosen.Take(CrashScene.IsLong ? int.MaxValue : 50), CrashScene.AtOnce, async (item, _) =>
        {
            string root = await scene.CopyAsync();
            Traced traced = await Tracer.FailAsync(root, item.Command, item.Call, item.Error, item.K);
            // Threads take turns as they like: the call may have been another one this time.
            if (traced.Calls.Any(IsOfTheStore))
            {
                List<string> faults = Judge(traced);
                faults.AddRange(await StoreInspector.FindFaultsAsync(root, item.Command, item.K % 10 == 0));
                log.Add($"{item} ({traced.Calls[0]})", item.Call, faults);
            }
            CrashScene.Forget(root);
        });
        log.AssertClean(CrashScene.IsLong ? 500 : 25);
    }

    // Exit 0 is allowed for nothing here: each of these calls is one that the command's answer stands on.
    private static List<string> Judge(Traced traced)
    {
        (_, int code, _, string err) = traced.Outcome;
        var faults = new List<string>();
        if (code == 0)
        {
            faults.Add("it ended with 0");
        }
        if (code is -1 or > 128)
        {
            faults.Add($"it ended with {code}: {err.Trim()}");
        }
        if (code != 0 && (!err.Split('\n').Any(l => l.StartsWith("strata: ", StringComparison.Ordinal)) || err.Contains("   at ", StringComparison.Ordinal) || err.Contains("Unhandled", StringComparison.Ordinal)))
        {
            faults.Add($"its message is none: {err.Trim()}");
        }
        if (err.Split('\n').Count(l => l.StartsWith("strata: ", StringComparison.Ordinal)) > 1)
        {
            faults.Add($"it says it in several lines: {err.Trim()}");
        }
        return faults;
    }

    private async Task<List<Injection>> FindCasesAsync()
    {
        var cases = new List<Injection>();
        foreach (CrashCommand command in scene.Commands.Where(c => !c.HasHelpers)) // a helper's error is not the store's
        {
            string root = await scene.CopyAsync();
            foreach ((string call, int k) in await Tracer.FindCallsAsync(root, command, s_calls, IsOfTheStore))
            {
                cases.AddRange(from error in new[] { "ENOSPC", "EIO" } select new Injection(command, call, k, error));
            }
            CrashScene.Forget(root);
        }
        return cases;
    }

    // What has happened has happened, whether the log of events has it or not: no answer stands on that.
    private bool IsOfTheStore(string line) => Tracer.Changes(scene.Folder, line) && !line.Contains("/containers/events.log", StringComparison.Ordinal);
}
