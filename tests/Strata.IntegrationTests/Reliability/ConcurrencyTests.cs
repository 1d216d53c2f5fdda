using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>
/// Processes of the real executable side by side over one store (docs/reliability.md). Each worker owns its names, and all share layers: so nothing that one
/// does may make another one fail, prune least of all. STRATA_LONG=1 for ten minutes.
/// </summary>
[Collection(nameof(ReliabilityCollection))]
public sealed class ConcurrencyTests(CrashScene scene)
{
    private static TimeSpan Length => CrashScene.IsLong ? TimeSpan.FromMinutes(10) : TimeSpan.FromSeconds(20);

    private delegate Task Round(string name, int number);

    [Fact]
    public async Task Nothing_that_a_process_does_makes_another_one_fail()
    {
        string root = await scene.CopyAsync(), folder = Path.Combine(scene.Folder, "side"), origin = Path.Combine(folder, "origin");
        Directory.CreateDirectory(folder);
        var log = new TrialLog("commands side by side");
        await MakeArchivesAsync(origin, folder, count: 2);
        await using (RegistryProcess registry = await RegistryProcess.StartAsync(origin, TestContext.Current.CancellationToken))
        {
            await PublishAsync(origin, registry.Address, "pulled");
            using var stop = new CancellationTokenSource(Length);
            var workers = new Workers(root, folder, registry.Address, log);
            Task Loop(string name, Round round) => Task.Run(async () =>
            {
                for (int i = 0; !stop.IsCancellationRequested; i++)
                {
                    await round(name, i);
                }
            });
            await Task.WhenAll(Loop("load0", workers.LoadAsync), Loop("load1", workers.LoadAsync), Loop("pulled", workers.PullAsync), Loop("copied", workers.CopyAsync), Loop("ran", workers.BuildAsync),
                Loop("run", workers.RunAsync), Loop("tagged:a", workers.TagAsync), Loop("tagged:b", workers.TagAsync), Loop("prune", workers.PruneAsync), Loop("look", workers.LookAsync));
        }
        var faults = new List<string>();
        await StoreInspector.CheckAsync(root, faults);
        string[] names = await StoreInspector.VerifyAsync(root, faults);
        if (!names.Order(StringComparer.Ordinal).SequenceEqual(CrashScene.Images))
        {
            faults.Add($"listed at the end: {string.Join(' ', names)}");
        }
        await StoreInspector.EmptyAsync(root, faults);
        log.Add("the store at the end", "end", faults);
        CrashScene.Forget(root);
        CrashScene.Forget(origin);
        FileSystems.RemoveTree(folder);
        log.AssertClean(CrashScene.IsLong ? 5_000 : 40);
    }

    // Images with names of their own whose layers are the same for all, as archives and in a registry's store.
    private async Task MakeArchivesAsync(string origin, string folder, int count)
    {
        string context = Path.Combine(folder, "context");
        Directory.CreateDirectory(context);
        foreach (string file in new[] { "noise", "text" })
        {
            File.Copy(Path.Combine(scene.Folder, "context", file), Path.Combine(context, file));
        }
        await File.WriteAllTextAsync(Path.Combine(context, "Shared"), "FROM box:1\nCOPY noise /data/noise\nCOPY text /data/text\nRUN echo three > /three; rm /etc/plain\n");
        await File.WriteAllTextAsync(Path.Combine(context, "Copied"), "FROM box:1\nARG N\nCOPY noise /data/noise\nCOPY text /data/text\nCOPY text /data/text.$N\n");
        await File.WriteAllTextAsync(Path.Combine(context, "Ran"), "FROM box:1 AS low\nCOPY noise /data/noise\nFROM low\nARG N\nRUN echo $N > /n; cp /data/noise /copy\nCOPY --from=low /data /more\n");
        string box = Path.Combine(folder, "box.tar");
        (await Programs.StrataAsync(scene.Template, "save", "-o", box, "box:1")).Ok();
        (await Programs.StrataAsync(origin, "load", "-i", box)).Ok();
        for (int i = 0; i < count; i++)
        {
            (await Programs.StrataAsync(origin, "build", "-t", $"load{i}:1", "-f", Path.Combine(context, "Shared"), context)).Ok();
            (await Programs.StrataAsync(origin, "save", "-o", Path.Combine(folder, $"load{i}.tar"), $"load{i}:1")).Ok();
        }
    }

    // A push of an image whose layers are all there is a name.
    private static async Task PublishAsync(string origin, string registry, string name)
    {
        (await Programs.StrataAsync(origin, "tag", "load0:1", $"{registry}/{name}:1")).Ok();
        (await Programs.StrataAsync(origin, "push", $"{registry}/{name}:1")).Ok();
    }

    /// <summary>What the workers do, a round at a time. A round ends with as many names as it began with.</summary>
    private sealed class Workers(string root, string folder, string registry, TrialLog log)
    {
        private string Context => Path.Combine(folder, "context");

        internal async Task LoadAsync(string name, int number)
        {
            await DoAsync("load", "load", "-i", Path.Combine(folder, name + ".tar"));
            await SeeAsync($"{name}:1");
            await DoAsync("tag", "tag", $"{name}:1", $"{name}:2");
            await DoAsync("rmi", "rmi", $"{name}:1");
            await UseAsync($"{name}:2");
            await DoAsync("rmi", "rmi", $"{name}:2");
        }

        internal async Task PullAsync(string name, int number)
        {
            string image = $"{registry}/{name}:1";
            await DoAsync("pull", "pull", image);
            await SeeAsync(image);
            await UseAsync(image);
            await DoAsync("rmi", "rmi", image);
        }

        internal async Task CopyAsync(string name, int number) => await BuildAsync(name, number, "Copied", $"/data/text.{number}");

        internal async Task BuildAsync(string name, int number) => await BuildAsync(name, number, "Ran", "/more/noise");

        internal async Task RunAsync(string name, int number)
        {
            Outcome outcome = await DoAsync("run", "run", "--rm", "keep:1", "/none");
            Expect(outcome, "run", o => o.Code == 127);
            outcome = await DoAsync("run", "run", "--rm", "box:1", "sh", "-c", $"echo {number} > /n; cat /n; exit 7");
            Expect(outcome, "run", o => o.Code == 7 && o.Out.Trim() == $"{number}");
        }

        // Two of these share a repository: the folder of its names comes and goes.
        internal async Task TagAsync(string name, int number)
        {
            await DoAsync("tag", "tag", number % 2 == 0 ? "box:1" : "app:1", name);
            await SeeAsync(name);
            await DoAsync("verify", "verify", name);
            await DoAsync("save", "save", "-o", Path.Combine(folder, name[^1] + ".out"), name);
            await DoAsync("rmi", "rmi", name);
        }

        internal async Task PruneAsync(string name, int number) => await DoAsync("prune", "system", "prune", "-f");

        internal async Task LookAsync(string name, int number)
        {
            foreach (string[] arguments in new string[][] { ["images"], ["ps", "-a"], ["system", "df", "-v"], ["system", "check"], ["history", "app:1"], ["inspect", "keep:1"], ["system", "check", "--deep"] })
            {
                await DoAsync(string.Join('-', arguments.Take(2)), arguments);
            }
        }

        private async Task BuildAsync(string name, int number, string file, string has)
        {
            await DoAsync("build", "build", "--build-arg", $"N={number}", "-t", $"{name}:1", "-f", Path.Combine(Context, file), Context);
            Expect(await DoAsync("run", "run", "--rm", $"{name}:1", "wc", "-c", has), "run", o => o.Code == 0);
            await DoAsync("rmi", "rmi", $"{name}:1");
        }

        private async Task SeeAsync(string name) => Expect(await DoAsync("images", "images", "--format", "{{.Repository}}:{{.Tag}}"), "images", o => o.Lines.Contains(name));

        private async Task UseAsync(string name) => Expect(await DoAsync("run", "run", "--rm", name, "cat", "/three"), "run", o => o.Out == "three\n");

        private async Task<Outcome> DoAsync(string kind, params string[] arguments)
        {
            Outcome outcome = await Programs.StrataAsync(root, arguments);
            // What a run ends with is its process's business, and the round's.
            bool isAnswer = kind == "run" && outcome.Code is 7 or 127;
            log.Add(outcome.Command, kind, outcome.Code == 0 || isAnswer ? [] : [$"ended with {outcome.Code}: {outcome.Err.Trim()} {outcome.Out.Trim()}"]);
            return outcome;
        }

        private void Expect(Outcome outcome, string kind, Func<Outcome, bool> isRight)
        {
            if (!isRight(outcome))
            {
                log.Add(outcome.Command, kind, [$"ended with {outcome.Code} and said {outcome.Out.Trim()} {outcome.Err.Trim()}"]);
            }
        }
    }
}
