using System.Globalization;
using Strata.IntegrationTests.Reliability;
using Strata.IntegrationTests.Seeds;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Content;

/// <summary>A limit that is kept, by the real executable: after every command, against everything that must stay, on a full disk and through kills.</summary>
public sealed class BudgetTests : IDisposable
{
    private const int FileBytes = 1_000_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("strata-budget-").FullName;
    private int _files;

    private string Root => Path.Combine(_folder, "store");

    private Outcome Strata(params string[] arguments) => SeedStore.RunIn(Root, null, arguments);

    private static long DiskUsage(string path) => long.Parse(SeedStore.Exec("du", null, "-sB1", path).Ok().Out.Split('\t')[0], CultureInfo.InvariantCulture);

    private string Names() => string.Join(' ', Strata("images", "--format", "{{.Repository}}:{{.Tag}}").Ok().Lines.Order());

    private void MakeBase()
    {
        string tree = Path.Combine(_folder, "tree", "bin");
        Directory.CreateDirectory(tree);
        File.Copy("/bin/busybox", Path.Combine(tree, "sh"), overwrite: true);
        File.CreateSymbolicLink(Path.Combine(tree, "sleep"), "sh");
        Strata("bootstrap", "--rootfs", Path.GetDirectoryName(tree)!, "-t", "base:1", "-q").Ok();
    }

    // A context whose one file is like no other; as many bytes on disk packed as unpacked.
    private string Context(string dockerfile = "FROM base:1\nCOPY f /f\n")
    {
        string context = Path.Combine(_folder, "context");
        Directory.CreateDirectory(context);
        byte[] noise = new byte[FileBytes];
        new Random(++_files).NextBytes(noise);
        File.WriteAllBytes(Path.Combine(context, "f"), noise);
        File.WriteAllText(Path.Combine(context, "Dockerfile"), dockerfile);
        return context;
    }

    private Outcome Build(string tag, string dockerfile = "FROM base:1\nCOPY f /f\n") => Strata("build", "-t", tag, Context(dockerfile));

    private void AgeTag(string name, int hours) => File.SetLastWriteTimeUtc(Path.Combine(Root, "images/docker.io/library", name.Split(':')[0], "_tags", name.Split(':')[1]), TimeProvider.System.GetUtcNow().AddHours(-hours).UtcDateTime);

    private void AssertWhole() => Assert.Equal("0 problems", Strata("system", "check", "--deep").Ok().Out.Trim());

    [Fact]
    public void The_limit_holds_after_each_of_fifteen_commands_and_df_is_du()
    {
        MakeBase();
        const long Limit = 12_000_000;
        Strata("system", "budget", "--max-size", Limit.ToString(CultureInfo.InvariantCulture)).Ok();
        for (int i = 1; i <= 15; i++)
        {
            Outcome outcome = i % 3 == 0 ? Strata("import", Tar(), $"imported:{i}").Ok() : Build($"app:{i}").Ok();
            long du = DiskUsage(Root), df = long.Parse(Strata("system", "df", "--format", "{{.TotalBytes}}").Ok().Out, CultureInfo.InvariantCulture);
            Assert.True(du <= Limit, $"{i}: {du} bytes\n{outcome.Err}");
            Assert.DoesNotContain("warning", outcome.Err, StringComparison.Ordinal);
            Assert.InRange(df, du * 0.99, du * 1.01);
            Assert.Contains(i % 3 == 0 ? $"imported:{i}" : $"app:{i}", Names(), StringComparison.Ordinal);
        }
        Assert.DoesNotContain("app:1 ", Names(), StringComparison.Ordinal);
        AssertWhole();
        Outcome quiet = Strata("build", "-q", "-t", "app:16", Context()).Ok();
        Assert.Equal("", quiet.Err);
        Assert.True(DiskUsage(Root) <= Limit);
    }

    private string Tar()
    {
        string context = Context(), tar = Path.Combine(_folder, "f.tar");
        SeedStore.Exec("tar", null, "-cf", tar, "-C", context, "f").Ok();
        return tar;
    }

    [Fact]
    public void A_dry_run_tells_what_goes_to_the_byte_and_removes_nothing()
    {
        MakeBase();
        foreach (int i in new[] { 1, 2, 3, 4 })
        {
            Build($"app:{i}").Ok();
            AgeTag($"app:{i}", 10 - i);
        }
        Strata("run", "--rm", "app:1", "/bin/sh", "-c", "exit 0").Ok(); // a use: now the youngest
        Strata("history", "app:2").Ok();
        Strata("pin", "app:3").Ok();
        long before = DiskUsage(Root);
        string limit = (before - 4_000_000).ToString(CultureInfo.InvariantCulture), names = Names();
        Outcome dry = Strata("system", "budget", "--max-size", limit, "--dry-run").Ok();
        Assert.Equal(["app:2", "app:4"], dry.Lines.Where(l => l.StartsWith("image", StringComparison.Ordinal)).Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]));
        Assert.Equal(names, Names());
        Assert.InRange(DiskUsage(Root) - before, 0, 8192);
        Assert.DoesNotContain("maxSize", File.ReadAllText(Path.Combine(Root, "settings.json")), StringComparison.Ordinal);

        before = DiskUsage(Root);
        Strata("system", "budget", "--max-size", limit, "--apply").Ok();
        string said = dry.Lines.First(l => l.StartsWith("Would reclaim ", StringComparison.Ordinal)).Split(' ')[2];
        Assert.InRange(before - DiskUsage(Root) - long.Parse(said, CultureInfo.InvariantCulture), -8192, 8192); // the settings' file, and the lock
        Assert.Equal("app:1 app:3 base:1", Names());
        Assert.Equal("app:3", Strata("images", "--filter", "pinned=true", "--format", "{{.Repository}}:{{.Tag}}").Ok().Out.Trim());
        AssertWhole();
    }

    [Fact]
    public void What_containers_pins_and_age_hold_stays_and_the_command_succeeds_with_a_warning()
    {
        MakeBase();
        foreach (string name in new[] { "held:1", "pinned:1", "young:1", "old:1" })
        {
            Build(name).Ok();
            AgeTag(name, name == "young:1" ? 1 : 9);
        }
        foreach (string record in Directory.GetFiles(Path.Combine(Root, "cache", "steps")))
        {
            File.SetLastWriteTimeUtc(record, TimeProvider.System.GetUtcNow().AddHours(-9).UtcDateTime);
        }
        Strata("create", "--name", "box", "held:1", "/bin/sh").Ok();
        AgeTag("held:1", 9);
        AgeTag("base:1", 9);
        Strata("pin", "pinned:1").Ok();
        Strata("system", "budget", "--max-size", "1MB", "--keep", "2h").Ok();
        Outcome built = Build("new:1", "FROM scratch\nCOPY f /f\n").Ok();
        Assert.Equal("base:1 held:1 new:1 pinned:1 young:1", Names());
        string warning = Assert.Single(built.Err.Split('\n'), l => l.StartsWith("strata: warning:", StringComparison.Ordinal));
        foreach (string reason in new[] { "held by containers", "pinned", "in use", "used within 2h" })
        {
            Assert.Contains(reason, warning, StringComparison.Ordinal);
        }
        Assert.Contains("old:1", built.Err, StringComparison.Ordinal);
        Strata("start", "-a", "box").Ok();
        Strata("rm", "box").Ok();
        AssertWhole();
    }

    [Fact]
    public void Wrong_settings_are_one_line_with_file_and_key_and_do_not_stop_a_build()
    {
        MakeBase();
        File.WriteAllText(Path.Combine(Root, "settings.json"), """{"gc":{"maxsize":"1GB"}}""");
        Outcome asked = Strata("system", "budget").Fails(1);
        Assert.Contains($"{Root}/settings.json: gc.maxsize: there is no such setting", asked.Err, StringComparison.Ordinal);
        Assert.Contains("gc.maxsize", Build("app:1").Ok().Err, StringComparison.Ordinal);
        Strata("images").Ok();
    }

    [Fact]
    public void Pruning_keeps_so_much_of_the_cache_as_it_is_told()
    {
        MakeBase();
        foreach (int i in new[] { 1, 2, 3 })
        {
            Build($"app:{i}").Ok();
            Strata("rmi", $"app:{i}").Ok();
        }
        Assert.Equal(3, Directory.GetFiles(Path.Combine(Root, "cache", "steps")).Length);
        Strata("system", "prune", "-f", "--filter", "until=1h").Ok();
        Assert.Equal(3, Directory.GetFiles(Path.Combine(Root, "cache", "steps")).Length);
        long before = DiskUsage(Root);
        Strata("system", "prune", "-f", "--keep-storage", "5MB").Ok();
        Assert.Equal(2, Directory.GetFiles(Path.Combine(Root, "cache", "steps")).Length);
        Assert.InRange(before - DiskUsage(Root), 2 * FileBytes, 3 * FileBytes);
        Strata("system", "prune", "-f").Ok();
        Assert.Empty(Directory.GetFiles(Path.Combine(Root, "cache", "steps")));
    }

    [Fact]
    public async Task A_build_on_an_image_that_would_go_is_not_disturbed()
    {
        MakeBase();
        Task<Outcome> building = Programs.StrataAsync(Root, "build", "-t", "slow:1", Context("FROM base:1\nRUN sleep 4; echo x > /x\nCOPY f /f\n"));
        for (int i = 0; i < 500 && FileSystems.TryGetNames(Path.Combine(Root, "active")) is not { Count: > 0 }; i++)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken); // until its first step runs
        }
        AgeTag("base:1", 99);
        Outcome applied = (await Programs.StrataAsync(Root, "system", "budget", "--max-size", "1MB", "--apply")).Ok();
        Assert.False(building.IsCompleted);
        Assert.Contains("another process is at work", applied.Err, StringComparison.Ordinal);
        Outcome built = await building;
        Assert.True(built.Code == 0, built.Err);
        Assert.Contains("slow:1", Names(), StringComparison.Ordinal);
        AssertWhole();
        Strata("run", "--rm", "slow:1", "/bin/sh", "-c", "exit 0").Ok();
        Strata("system", "budget", "--max-size", "1MB", "--apply").Ok();
        Assert.Equal("", Names());
        Assert.True(DiskUsage(Root) <= 1_000_000);
    }

    [Fact]
    public async Task Killed_at_any_point_it_leaves_a_whole_store_and_can_be_repeated()
    {
        MakeBase();
        for (int i = 1; i <= 3; i++)
        {
            Build($"app:{i}").Ok();
        }
        string template = Path.Combine(_folder, "template");
        Directory.Move(Root, template);
        int killed = 0;
        foreach (string point in new[] { "budget.after-aside", "budget.after-aside:2", "collect.after-trash", "collect.after-trash:3" })
        {
            await TryAsync(point, delay: null);
        }
        for (int milliseconds = 30; milliseconds <= 180; milliseconds += 30)
        {
            await TryAsync(point: null, milliseconds);
        }
        Assert.True(killed >= 4, $"killed {killed} times");
        Directory.Move(template, Root);

        async Task TryAsync(string? point, int? delay)
        {
            (await Programs.RunAsync("cp", [], "-a", template, Root)).Ok();
            string[] environment = point is null ? [] : [$"STRATA_FAILPOINT={point}"], arguments = ["--root", Root, "system", "budget", "--max-size", "4MB", "--apply"];
            if (delay is { } milliseconds)
            {
                using ChildProcess process = ChildProcess.Start(Programs.Start(SeedStore.Binary, environment, arguments));
                await Task.Delay(milliseconds, TestContext.Current.CancellationToken);
                process.Kill(9);
                killed += await process.WaitAsync(TestContext.Current.CancellationToken) == 137 ? 1 : 0;
            }
            else
            {
                killed += (await Programs.RunAsync(SeedStore.Binary, environment, arguments)).Code == 137 ? 1 : 0;
            }
            AssertWhole();
            Strata("system", "budget", "--max-size", "4MB", "--apply").Ok();
            Assert.True(DiskUsage(Root) <= 4_000_000, $"{point} {delay}: {DiskUsage(Root)} bytes");
            AssertWhole();
            FileSystems.RemoveTree(Root);
        }
    }

    [Fact]
    public async Task On_a_full_disk_a_limit_makes_room()
    {
        MakeBase();
        Build("app:1").Ok();
        Build("app:2").Ok();
        string image = Path.Combine(_folder, "full.img"), mount = Path.Combine(_folder, "mnt"), root = Path.Combine(mount, "store");
        await using (FileStream file = File.Create(image))
        {
            file.SetLength(32 << 20);
        }
        (await Programs.RunAsync("mkfs.ext4", [], "-q", "-F", "-b", "4096", "-m", "0", image)).Ok();
        await CrashDisk.MountAsync(image, mount);
        try
        {
            (await Programs.RunAsync("cp", [], "-a", Root, root)).Ok();
            await FullDiskTests.FillAsync(Path.Combine(mount, "filler"), free: 0);
            Assert.Equal(0, FileSystems.GetSpace(mount).FreeBytes);
            (await Programs.StrataAsync(root, "system", "budget", "--max-size", "1MB", "--dry-run")).Ok();
            (await Programs.StrataAsync(root, "system", "budget", "--max-size", "1MB", "--apply")).Ok();
            Assert.True(DiskUsage(root) <= 1_000_000);
            Assert.InRange(FileSystems.GetSpace(mount).FreeBytes, 4_000_000, long.MaxValue);
            (await Programs.StrataAsync(root, "system", "check", "--deep")).Ok();
        }
        finally
        {
            await CrashDisk.UnmountAsync(mount);
        }
    }

    public void Dispose() => FileSystems.RemoveTree(_folder);
}
