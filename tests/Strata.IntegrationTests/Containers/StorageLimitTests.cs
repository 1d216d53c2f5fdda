using System.Globalization;
using Strata.Linux;
using Xunit;

namespace Strata.IntegrationTests.Containers;

/// <summary>A container that can write so much and no more (--storage-opt size).</summary>
public sealed class StorageLimitTests : IClassFixture<ContainerStoreFixture>
{
    private readonly ContainerStoreFixture _store;
    private readonly StrataProgram _strata;

    public StorageLimitTests(ContainerStoreFixture store) => (_store, _strata) = (store, new StrataProgram(store));

    private static int LoopsOf(string folder) => (FileSystems.TryGetNames("/sys/block") ?? []).Count(n =>
        n.StartsWith("loop", StringComparison.Ordinal) && File.Exists($"/sys/block/{n}/loop/backing_file") && File.ReadAllText($"/sys/block/{n}/loop/backing_file").StartsWith(folder, StringComparison.Ordinal));

    private static long Kilobytes(string df) => long.Parse(df, CultureInfo.InvariantCulture);

    [Fact]
    public async Task Writing_more_than_that_fails_and_df_says_how_much_there_is()
    {
        string said = (await _strata.OkAsync("run", "--rm", "--network", "none", "--storage-opt", "size=40m", "box", "sh", "-c",
            "df -k / | tail -1 | awk '{print $2}'; dd if=/dev/zero of=/big bs=1M count=30 2>/dev/null && echo fits; dd if=/dev/zero of=/more bs=1M count=30 2>&1 | grep -o 'No space left on device'; rm /big && echo again > /small && cat /small")).OutputText;
        string[] lines = said.Split('\n');
        Assert.InRange(Kilobytes(lines[0]), 30 << 10, 40 << 10);
        Assert.Equal(["fits", "No space left on device", "again"], lines[1..]);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_store.Folder, "store", "active")));
        Assert.Equal(0, LoopsOf(_store.Folder));
    }

    [Fact]
    public async Task What_was_written_stays_over_stop_and_start_and_every_command_sees_it()
    {
        await _strata.OkAsync("create", "--name", "kept", "--network", "none", "--storage-opt", "size=32m", "box", "sleep", "1000");
        await _strata.OkAsync("start", "kept");
        await _strata.OkAsync("exec", "kept", "sh", "-c", "echo one > /one; chmod 700 /var/data/seed; rm /etc/plain");
        string[] changes = ["A /one", "C /etc", "C /var", "C /var/data", "C /var/data/seed", "D /etc/plain"];
        string[] Lines(ChildResult result) => [.. result.OutputText.Split('\n').Order(StringComparer.Ordinal)];
        Assert.Equal(changes, Lines(await _strata.OkAsync("diff", "kept")));
        Assert.Equal("33554432", (await _strata.OkAsync("inspect", "-f", "{{.HostConfig.StorageOpt.size}}", "kept")).OutputText);
        await _strata.OkAsync("stop", "-t", "0", "kept");
        Assert.Equal(changes, Lines(await _strata.OkAsync("diff", "kept")));

        string file = Path.Combine(_store.Folder, "copied");
        await _strata.OkAsync("cp", "kept:/one", file);
        Assert.Equal("one\n", await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        await _strata.OkAsync("cp", file, "kept:/two");
        await _strata.OkAsync("commit", "kept", "of-kept");
        Assert.Equal("one\none", (await _strata.OkAsync("run", "--rm", "--network", "none", "of-kept", "sh", "-c", "cat /one /two; test ! -e /etc/plain")).OutputText);

        await _strata.OkAsync("start", "kept");
        Assert.Equal("one\none", (await _strata.OkAsync("exec", "kept", "cat", "/one", "/two")).OutputText);
        Assert.Equal(1, LoopsOf(_store.Folder)); // one device, whoever looks at it
        Host.Kill(_store.Engine.Containers.ReadStart(_store.Engine.GetContainer("kept").Record.Id)!.MonitorPid, 9);
        await _strata.OkAsync("rm", "-f", "kept");
        Assert.Equal(0, LoopsOf(_store.Folder));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_store.Folder, "store", "active")));
    }

    [Fact]
    public async Task A_limit_that_cannot_be_kept_is_refused()
    {
        Assert.Contains("take 16m or more", (await _strata.RunAsync("run", "--rm", "--storage-opt", "size=1m", "box", "true")).ErrorText, StringComparison.Ordinal);
        Assert.Contains("there is size=BYTES only", (await _strata.RunAsync("run", "--rm", "--storage-opt", "inodes=1", "box", "true")).ErrorText, StringComparison.Ordinal);
        Assert.Empty((await _strata.OkAsync("ps", "-aq")).OutputText);
    }

    [Fact]
    public async Task What_is_removed_at_its_end_by_the_monitor_leaves_nothing()
    {
        await _strata.OkAsync("run", "-d", "--rm", "--name", "short", "--network", "none", "--storage-opt", "size=16m", "box", "true");
        string active = Path.Combine(_store.Folder, "store", "active");
        for (int looks = 0; (Directory.GetFileSystemEntries(active).Length > 0 || LoopsOf(_store.Folder) > 0) && looks < 200; looks++)
        {
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }
        Assert.Empty(Directory.GetFileSystemEntries(active));
        Assert.Equal(0, LoopsOf(_store.Folder));
    }
}
