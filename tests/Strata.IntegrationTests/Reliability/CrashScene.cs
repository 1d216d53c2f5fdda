using Strata.Content;
using Strata.IntegrationTests.Containers;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Reliability;

/// <summary>A command whose every step is a place to die at.</summary>
/// <param name="Name">What the trial is called.</param>
/// <param name="Arguments">After <c>strata --root ROOT</c>.</param>
internal sealed record CrashCommand(string Name, params string[] Arguments)
{
    /// <summary>An image that is there when it has ended with 0.</summary>
    internal string? Makes { get; init; }
    /// <summary>An image that need not be there any more.</summary>
    internal string? Removes { get; init; }
    /// <summary>What an ended one says when it is repeated: it is an answer, not a failure.</summary>
    internal string? RepeatMaySay { get; init; }
    /// <summary>Other programs work for it (crun, conmon) and may end after it.</summary>
    internal bool HasHelpers { get; init; }
}

/// <summary>The tests that share the scene, one after the other.</summary>
[CollectionDefinition(nameof(ReliabilityCollection))]
public sealed class ReliabilityCollection : ICollectionFixture<CrashScene>;

/// <summary>
/// A store with images, a container and a build cache, made once in memory; a trial works on a copy. In memory, because a killed process leaves the
/// page cache as it is: what the disk has of it is the power cuts' question.
/// </summary>
public sealed class CrashScene : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-crash-").FullName;
    private int _copies;

    /// <summary>A folder for all, on a tmpfs.</summary>
    internal string Folder => _folder;

    /// <summary>The store that is copied.</summary>
    internal string Template => Path.Combine(_folder, "template");

    /// <summary>The images of the template.</summary>
    internal static IReadOnlyList<string> Images { get; } = ["app:1", "box:1", "keep:1"];

    /// <summary>All commands that change a store.</summary>
    internal IReadOnlyList<CrashCommand> Commands { get; private set; } = [];

    /// <summary>Whether the counts are those of a release (STRATA_LONG=1), not those of every push.</summary>
    internal static bool IsLong => Environment.GetEnvironmentVariable("STRATA_LONG") == "1";

    /// <summary>What decides everything that is random: STRATA_SEED, or always the same.</summary>
    internal static int Seed => int.TryParse(Environment.GetEnvironmentVariable("STRATA_SEED"), out int seed) ? seed : 20_261;

    /// <summary>How many trials go on at once.</summary>
    internal static ParallelOptions AtOnce => new() { MaxDegreeOfParallelism = Math.Clamp(Environment.ProcessorCount, 1, 8), CancellationToken = TestContext.Current.CancellationToken };

    public async ValueTask InitializeAsync()
    {
        Mounts.Mount(new MountSpec("tmpfs", "strata-crash", _folder, ["size=2g", "mode=700"]));
        string tree = Path.Combine(_folder, "tree"), context = Path.Combine(_folder, "context"), other = Path.Combine(_folder, "other");
        Directory.CreateDirectory(tree);
        BusyboxRoot.Create(tree);
        WriteContext(context);
        foreach (string root in new[] { Template, other })
        {
            (await Programs.StrataAsync(root, "bootstrap", "--rootfs", tree, "-t", "box:1")).Ok();
        }
        (await Programs.StrataAsync(Template, "build", "-t", "app:1", context)).Ok();
        (await Programs.StrataAsync(Template, "build", "-t", "keep:1", "-f", Path.Combine(context, "Keep"), context)).Ok();
        (await Programs.StrataAsync(Template, "run", "--name", "work", "box:1", "sh", "-c", "echo new > /new; rm /etc/plain; mkdir -p /a/b; ln /new /a/b/c")).Ok();
        (await Programs.StrataAsync(other, "build", "-t", "loaded:1", "-f", Path.Combine(context, "Loaded"), context)).Ok();
        (await Programs.StrataAsync(other, "save", "-o", Path.Combine(_folder, "loaded.tar"), "loaded:1")).Ok();
        (await Programs.StrataAsync(Template, "export", "-o", Path.Combine(_folder, "exported.tar"), "work")).Ok();
        FileSystems.RemoveTree(other);
        Commands = MakeCommands(context);
    }

    /// <summary>A copy of the template; the caller hands it back to <see cref="Forget"/>.</summary>
    internal async Task<string> CopyAsync()
    {
        string root = Path.Combine(_folder, "t" + Interlocked.Increment(ref _copies));
        (await Programs.RunAsync("cp", [], "-a", Template, root)).Ok();
        return root;
    }

    /// <summary>Removes a copy and what is in /run for it.</summary>
    internal static void Forget(string root)
    {
        FileSystems.RemoveTree(root);
        FileSystems.RemoveTree(new Strata.Containers.RuntimeLayout(new StoreLayout(root)).Root);
    }

    public async ValueTask DisposeAsync()
    {
        await AssertNothingRunsAsync(_folder);
        FileSystems.RemoveTree(new Strata.Containers.RuntimeLayout(new StoreLayout(Template)).Root);
        string[] left = [.. Mounts.ReadTable().Select(m => m.Target).Where(t => t.StartsWith(_folder + "/", StringComparison.Ordinal)).Reverse()];
        foreach (string mount in left)
        {
            Mounts.Unmount(mount, detach: true); // of a test that failed
        }
        Mounts.Unmount(_folder, detach: left.Length > 0);
        Directory.Delete(_folder);
        Assert.True(left.Length == 0, $"left mounted: {string.Join(' ', left)}");
    }

    /// <summary>Waits until no process names a path; false where one stays.</summary>
    internal static async Task<bool> WaitForQuietAsync(string path)
    {
        const int Attempts = 250; // of 20 ms: 5 s
        for (int i = 0; i < Attempts && Programs.Naming(path).Count > 0; i++)
        {
            await Task.Delay(20);
        }
        return Programs.Naming(path).Count == 0;
    }

    private static async Task AssertNothingRunsAsync(string path)
    {
        bool isQuiet = await WaitForQuietAsync(path);
        List<int> left = Programs.Naming(path);
        left.ForEach(id => Host.Kill(id, 9));
        Assert.True(isQuiet, $"{left.Count} processes were left behind");
    }

    private static void WriteContext(string context)
    {
        Directory.CreateDirectory(context);
        var random = new Random(1);
        byte[] noise = new byte[300_000];
        random.NextBytes(noise);
        File.WriteAllBytes(Path.Combine(context, "noise"), noise);
        File.WriteAllText(Path.Combine(context, "text"), string.Concat(Enumerable.Repeat("all work and no play\n", 2_000)));
        File.WriteAllText(Path.Combine(context, "Dockerfile"), "FROM box:1\nCOPY noise /data/noise\nCOPY text /data/text\nCMD [\"/bin/true\"]\n");
        File.WriteAllText(Path.Combine(context, "Keep"), "FROM scratch\nCOPY text /keep/text\nCOPY noise /keep/noise\n");
        File.WriteAllText(Path.Combine(context, "Loaded"), "FROM box:1\nCOPY noise /one/noise\nRUN ln /one/noise /two; rm /etc/plain; mkdir /three; echo 3 > /three/x\nCOPY text /four\n");
        File.WriteAllText(Path.Combine(context, "Built"), "FROM box:1\nCOPY text /built/text\nRUN echo made > /made; rm /bin/yes\nCOPY noise /built/noise\n");
        File.WriteAllText(Path.Combine(context, "Copied"), "FROM app:1\nCOPY noise /more\nWORKDIR /w\n");
    }

    private List<CrashCommand> MakeCommands(string context) =>
    [
        new("load", "load", "-i", Path.Combine(_folder, "loaded.tar")) { Makes = "loaded:1" },
        new("build", "build", "-t", "built:1", "-f", Path.Combine(context, "Built"), context) { Makes = "built:1", HasHelpers = true },
        new("copy", "build", "-t", "copied:1", "-f", Path.Combine(context, "Copied"), context) { Makes = "copied:1" },
        new("commit", "commit", "work", "committed:1") { Makes = "committed:1" },
        new("tag", "tag", "app:1", "tagged:1") { Makes = "tagged:1" },
        new("retag", "tag", "keep:1", "app:1") { Makes = "app:1" },
        new("rmi", "rmi", "app:1") { Removes = "app:1", RepeatMaySay = "No such image" },
        new("rm", "rm", "work") { RepeatMaySay = "not found" },
        new("prune", "system", "prune", "-f"),
        new("prune-all", "system", "prune", "-af") { Removes = "*" },
        new("run", "run", "--rm", "box:1", "sh", "-c", "echo x > /x") { HasHelpers = true },
        new("export", "export", "-o", Path.Combine(_folder, "out.tar"), "work"),
        new("import", "import", Path.Combine(_folder, "exported.tar"), "imported:1") { Makes = "imported:1" },
    ];
}
