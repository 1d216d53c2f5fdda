using System.Globalization;
using Strata.Containers;
using Strata.Content;
using Strata.IntegrationTests.Seeds;
using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>
/// Clocks that jump, process ids that come again, and what another boot left (docs/reliability.md): nothing that is needed is removed, and nobody waits for
/// the dead. libfaketime moves the clock of the executable by up to ten years each way; its helpers and the kernel keep the true one, so that the times
/// of files and those that it writes itself do not fit. STRATA_LONG=1 for 200.
/// </summary>
[Collection(nameof(ReliabilityCollection))]
public sealed class ClockTests(CrashScene scene)
{
    private const int MostDays = 3_652;
    private static readonly string? s_library = FindLibrary();

    private static string? FindLibrary()
        => new[] { "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu" }.Select(d => Path.Combine(d, "faketime/libfaketimeMT.so.1")).FirstOrDefault(File.Exists);

    [Fact]
    public async Task A_clock_that_jumps_by_years_removes_nothing_and_stops_nobody()
    {
        Assert.SkipWhen(s_library is null, "libfaketime is not installed");
        var log = new TrialLog("jumps of the clock");
        await Parallel.ForEachAsync(Enumerable.Range(0, CrashScene.IsLong ? 200 : 6), CrashScene.AtOnce, async (number, _) =>
        {
            var random = new Random(CrashScene.Seed + number);
            string root = await scene.CopyAsync();
            MoveFiles(root, random);
            LeaveBehind(root);
            var faults = new List<string>();
            CrashCommand[] commands = [.. scene.Commands.Where(c => c.Name is "load" or "build" or "copy" or "commit" or "tag" or "run" or "prune" or "import")];
            random.Shuffle(commands);
            // prune takes the stopped container that commit needs: that is what it is for.
            int commit = Array.FindIndex(commands, c => c.Name == "commit"), prune = Array.FindIndex(commands, c => c.Name == "prune");
            if (prune < commit)
            {
                (commands[prune], commands[commit]) = (commands[commit], commands[prune]);
            }
            foreach (CrashCommand command in commands)
            {
                await RunAtAsync(root, random.Next(-MostDays, MostDays + 1), command.Arguments, faults);
            }
            await RunAtAsync(root, random.Next(-MostDays, MostDays + 1), ["system", "check", "--deep"], faults);
            string[] names = await StoreInspector.VerifyAsync(root, faults);
            faults.AddRange(CrashScene.Images.Concat(commands.Select(c => c.Makes).OfType<string>()).Except(names).Select(i => $"{i} is not listed"));
            await StoreInspector.EmptyAsync(root, faults);
            log.Add($"clocks {number}", "jumps", faults);
            CrashScene.Forget(root);
        });
        log.AssertClean(CrashScene.IsLong ? 200 : 6);
    }

    // The instrument: the executable believes it.
    [Fact]
    public async Task The_executable_sees_the_time_that_it_is_told()
    {
        Assert.SkipWhen(s_library is null, "libfaketime is not installed");
        string root = await scene.CopyAsync();
        string context = Path.Combine(scene.Folder, "context");
        (await AtAsync(root, MostDays, ["build", "--no-cache", "-t", "late:1", "-f", Path.Combine(context, "Built"), context], withEpoch: false)).Ok();
        string record = await File.ReadAllTextAsync(Path.Combine(root, "images/docker.io/library/late/_tags/1"), TestContext.Current.CancellationToken);
        int year = TimeProvider.System.GetUtcNow().AddDays(MostDays).Year;
        Assert.Contains($"\"created\":\"{year.ToString(CultureInfo.InvariantCulture)}", record, StringComparison.Ordinal);
        CrashScene.Forget(root);
    }

    // In a namespace of their own process ids are used again at once: those of a container that died unseen are other processes' now.
    [Fact]
    public async Task A_process_that_has_a_dead_containers_number_is_not_taken_for_it()
    {
        int trials = CrashScene.IsLong ? 50 : 2;
        for (int i = 0; i < trials; i++)
        {
            string root = await scene.CopyAsync(), strata = $"{SeedStore.Binary} --root {root}";
            (await InOwnNamespaceAsync($"{strata} create --name victim box:1 sleep 1000 >/dev/null && {strata} start victim >/dev/null")).Ok();
            ContainerStart start = ReadStart(root);
            // The same numbers, for processes that have nothing to do with it.
            string occupy = $"""
                for n in {start.Pid} {start.MonitorPid}; do
                  echo $((n - 1)) > /proc/sys/kernel/ns_last_pid; sleep 100 & [ $! = $n ] || exit 9; echo $! >> {root}.pids
                done
                {strata} ps -a --format '{"{{.Status}}"}' --filter name=victim
                timeout 30 {strata} system prune -f >/dev/null || exit 8
                for n in $(cat {root}.pids); do kill -0 $n || exit 7; done
                """;
            Outcome outcome = (await InOwnNamespaceAsync(occupy)).Ok();
            Assert.DoesNotContain("Up", outcome.Out, StringComparison.Ordinal);
            Assert.Equal("", (await Programs.StrataAsync(root, "ps", "-aq", "--filter", "name=victim")).Ok().Out);
            File.Delete(root + ".pids");
            CrashScene.Forget(root);
        }
    }

    private static Task<Outcome> InOwnNamespaceAsync(string script) => Programs.RunAsync("unshare", [], "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script);

    private static ContainerStart ReadStart(string root)
    {
        var store = new ContainerStore(new StoreLayout(root));
        return store.ReadStart(store.Get("victim").Id) ?? throw new InvalidOperationException("victim was not started");
    }

    private static async Task RunAtAsync(string root, int days, string[] arguments, List<string> faults)
    {
        Outcome outcome = await AtAsync(root, days, arguments);
        if (outcome.Code != 0)
        {
            faults.Add($"{days} days from now {outcome.Command} ended with {outcome.Code}: {outcome.Out.Trim()} {outcome.Err.Trim()}");
        }
    }

    private static Task<Outcome> AtAsync(string root, int days, string[] arguments, bool withEpoch = true)
        => Programs.RunAsync("env", [], [.. withEpoch ? Array.Empty<string>() : ["-u", "SOURCE_DATE_EPOCH"], $"LD_PRELOAD={s_library}", $"FAKETIME={days.ToString("+0;-0", CultureInfo.InvariantCulture)}d", "FAKETIME_DONT_FAKE_MONOTONIC=1", SeedStore.Binary, "--root", root, .. arguments]);

    // Every file of the store, but those of layers, is from somewhere within twenty years.
    private static void MoveFiles(string root, Random random)
    {
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        foreach (string path in Directory.GetFileSystemEntries(root, "*", SearchOption.AllDirectories).Where(p => !p.Contains("/fs/", StringComparison.Ordinal) && !p.Contains("/active/", StringComparison.Ordinal)))
        {
            File.SetLastWriteTimeUtc(path, now.AddDays(random.Next(-MostDays, MostDays + 1)).UtcDateTime);
        }
    }

    // Of another boot: a lease, a half-written blob, a half-written record, the turn to unpack a layer, a build's step, and a container that "runs".
    private static void LeaveBehind(string root)
    {
        Directory.CreateDirectory(Path.Combine(root, "leases"));
        File.WriteAllText(Path.Combine(root, "leases", "build-" + new string('0', 32)), "sha256:" + new string('a', 64) + "\n");
        string ingest = Path.Combine(root, "ingest", new string('1', 32));
        Directory.CreateDirectory(ingest);
        File.WriteAllText(Path.Combine(ingest, ".lock"), "");
        File.WriteAllText(Path.Combine(ingest, "blob-1"), "half");
        File.WriteAllText(Path.Combine(root, "images", ".tmp-" + new string('2', 32)), "{");
        File.WriteAllText(Path.Combine(root, "trees", ".lock-" + new string('3', 64)), "");
        Directory.CreateDirectory(Path.Combine(root, "active", "build-" + new string('4', 32)));
        foreach (string started in Directory.GetFiles(Path.Combine(root, "containers"), "started.json", SearchOption.AllDirectories))
        {
            string text = File.ReadAllText(started);
            string boot = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
            // Whoever has these numbers now: this test, which must outlive it.
            File.WriteAllText(started, text.Replace(boot, new string('0', 8) + boot[8..], StringComparison.Ordinal));
            File.Delete(Path.Combine(Path.GetDirectoryName(started)!, "exit"));
        }
    }
}
