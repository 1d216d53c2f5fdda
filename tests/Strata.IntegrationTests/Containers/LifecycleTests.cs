using System.Globalization;
using Strata.Containers;
using Strata.Linux;
using Strata.Oci;
using Xunit;

namespace Strata.IntegrationTests.Containers;

public sealed class LifecycleTests(ContainerStoreFixture store) : IClassFixture<ContainerStoreFixture>, IAsyncDisposable
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static ContainerOptions Sleeper(string? name = null) => new() { Image = "box", Name = name, Command = ["sleep", "1000"], Isolation = new IsolationOptions { Network = NetworkMode.None } };

    private async Task<ContainerRecord> StartAsync(ContainerOptions options)
    {
        ContainerRecord record = await store.Engine.CreateContainerAsync(options, Cancel);
        return await store.Engine.StartContainerAsync(record.Id, Cancel);
    }

    private ContainerState State(string name) => store.Engine.GetContainer(name).State;

    [Fact]
    public async Task A_container_is_created_started_stopped_started_again_and_removed()
    {
        ContainerRecord record = await store.Engine.CreateContainerAsync(Sleeper("life") with { Command = ["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.01; done"] }, Cancel);
        Assert.Equal(ContainerStatus.Created, State("life").Status);
        await store.Engine.StartContainerAsync("life", Cancel);
        ContainerState running = State(record.Id[..4]);
        Assert.Equal(ContainerStatus.Running, running.Status);
        Assert.Equal(store.Engine.Runtime.Layout.RuntimeState, Path.GetDirectoryName(Directory.GetDirectories(store.Engine.Runtime.Layout.RuntimeState).Single()));
        Assert.Equal(ErrorKind.Conflict, (await Assert.ThrowsAsync<StrataException>(async () => await store.Engine.StartContainerAsync("life", Cancel))).Kind);
        Assert.Equal(ErrorKind.Conflict, (await Assert.ThrowsAsync<StrataException>(async () => await store.Engine.RemoveContainerAsync("life", cancellationToken: Cancel))).Kind);
        await WaitUntilTrapIsSetAsync(running.Pid!.Value);
        await store.Engine.StopContainerAsync("life", cancellationToken: Cancel);
        Assert.Equal((ContainerStatus.Exited, 5), (State("life").Status, State("life").ExitCode));
        Assert.Equal(5, await store.Engine.WaitContainerAsync("life", Cancel));
        await store.Engine.StartContainerAsync("life", Cancel);
        Assert.Equal(ContainerStatus.Running, State("life").Status);
        store.Engine.KillContainer("life");
        Assert.Equal(137, await store.Engine.WaitContainerAsync("life", Cancel));
        await store.Engine.RemoveContainerAsync("life", cancellationToken: Cancel);
        store.AssertNothingLeft();
    }

    // SigCgt of proc_pid_status(5): bit 14 is SIGTERM.
    private static async Task WaitUntilTrapIsSetAsync(int pid)
    {
        while (true)
        {
            string line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/status")).First(l => l.StartsWith("SigCgt", StringComparison.Ordinal));
            if ((ulong.Parse(line.AsSpan(7).Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) & (1 << 14)) != 0)
            {
                return;
            }
            await Task.Delay(1, Cancel);
        }
    }

    [Fact]
    public async Task One_that_does_not_listen_is_killed_when_patience_ends()
    {
        ContainerRecord record = await StartAsync(Sleeper()); // sleep as process 1 ignores SIGTERM
        await store.Engine.StopContainerAsync(record.Id, TimeSpan.FromMilliseconds(50), Cancel);
        Assert.Equal(137, State(record.Id).ExitCode);
    }

    [Fact]
    public async Task A_stop_waits_for_who_is_about_to_start_it()
    {
        ContainerRecord record = await store.Engine.CreateContainerAsync(Sleeper(), Cancel);
        using FileLock starting = await store.Engine.Containers.LockAsync(record.Id, Cancel);
        Task stop = store.Engine.StopContainerAsync(record.Id, TimeSpan.Zero, Cancel).AsTask();
        await Task.Delay(200, Cancel);
        Assert.False(stop.IsCompleted);
        starting.Dispose();
        await stop;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1225)]
    public async Task What_a_power_cut_left_of_a_record_that_was_not_synced_is_nobodys(int zeros)
    {
        ContainerStore containers = store.Engine.Containers;
        ContainerRecord gone = await store.Engine.RunDetachedAsync(Sleeper("gone") with { Remove = true }, Cancel), kept = await StartAsync(Sleeper("kept"));
        await File.WriteAllBytesAsync(Path.Combine(containers.DirectoryOf(gone.Id), "container.json"), new byte[zeros], Cancel);
        await File.WriteAllBytesAsync(Path.Combine(containers.DirectoryOf(kept.Id), "started.json"), new byte[zeros], Cancel);
        Assert.Equal(kept.Id, store.Engine.ListContainers().Single().Record.Id);
        Assert.Equal(ContainerStatus.Created, State("kept").Status);
        Assert.Null(store.Engine.TryGetContainer("gone"));
        Assert.Empty(await store.Engine.CheckAsync(deep: false, repair: false, Cancel));
        Assert.Equal(1, await store.Engine.SweepContainersAsync(Cancel));
        Assert.False(Directory.Exists(containers.DirectoryOf(gone.Id)));

        // One that was synced is never empty but by damage: that is said, and nothing of it removed.
        await File.WriteAllBytesAsync(Path.Combine(containers.DirectoryOf(kept.Id), "container.json"), new byte[zeros], Cancel);
        Assert.Equal(ErrorKind.Corrupt, Assert.Throws<StrataException>(() => store.Engine.ListContainers()).Kind);
        Assert.Equal(0, await store.Engine.SweepContainersAsync(Cancel));
        Assert.Equal(ErrorKind.Corrupt, (await Assert.ThrowsAsync<StrataException>(async () => await store.Engine.RemoveContainerAsync("kept", cancellationToken: Cancel))).Kind);
        await store.Engine.RemoveContainerAsync("kept", force: true, cancellationToken: Cancel);
        Assert.Empty(store.Engine.ListContainers());
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task Names_are_given_once_and_free_again_after_removal()
    {
        ContainerRecord first = await store.Engine.CreateContainerAsync(Sleeper("only"), Cancel);
        Assert.Equal(ErrorKind.Conflict, (await Assert.ThrowsAsync<StrataException>(async () => await store.Engine.CreateContainerAsync(Sleeper("only"), Cancel))).Kind);
        Assert.Equal(first.Id, store.Engine.ListContainers().Single().Record.Id);
        await store.Engine.RemoveContainerAsync("only", cancellationToken: Cancel);
        Assert.NotEqual(first.Id, (await store.Engine.CreateContainerAsync(Sleeper("only"), Cancel)).Id);
        ContainerRecord[] unnamed = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => store.Engine.CreateContainerAsync(Sleeper(), Cancel).AsTask()));
        Assert.Equal(8, unnamed.Select(r => r.Name).Distinct().Count());
        foreach (string bad in (string[])["", "-x", "a/b", "..", "a b"])
        {
            Assert.Equal(ErrorKind.Invalid, (await Assert.ThrowsAsync<StrataException>(async () => await store.Engine.CreateContainerAsync(Sleeper(bad), Cancel))).Kind);
        }
    }

    [Theory]
    [InlineData("monitor")]
    [InlineData("container")]
    [InlineData("both")]
    public async Task Killing_whom_ever_leaves_a_container_that_can_be_removed(string victim)
    {
        ContainerRecord record = await StartAsync(Sleeper());
        ContainerStart start = store.Engine.Containers.ReadStart(record.Id)!;
        if (victim != "container")
        {
            Host.Kill(start.MonitorPid, 9);
        }
        if (victim != "monitor")
        {
            Host.Kill(start.Pid, 9);
        }
        if (victim == "monitor")
        {
            Assert.Equal(ContainerStatus.Running, State(record.Id).Status); // without a monitor, but it is there
        }
        else
        {
            int? code = await store.Engine.WaitContainerAsync(record.Id, Cancel);
            Assert.Equal(victim == "container" ? 137 : null, code);
        }
        await store.Engine.RemoveContainerAsync(record.Id, force: true, cancellationToken: Cancel);
        store.AssertNothingLeft();
        Assert.False(LiveProcess.IsSame(start.Pid, start.PidStarted));
    }

    [Fact]
    public async Task A_foreground_run_whose_monitor_is_killed_ends_the_container()
    {
        ContainerSession? session = null;
        Task<int> running = store.Engine.RunContainerAsync(Sleeper() with { Remove = true }, new ContainerStreams(null, Stream.Null, Stream.Null), s => session = s, Cancel).AsTask();
        while (session is null)
        {
            await Task.Delay(1, Cancel);
        }
        ContainerStart start = store.Engine.Containers.ReadStart(session.Record.Id)!;
        Host.Kill(start.MonitorPid, 9);
        Assert.Equal(125, (await Assert.ThrowsAsync<ContainerStartException>(() => running)).ExitCode);
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task After_a_reboot_it_is_over_and_a_reused_number_is_not_taken_for_it()
    {
        ContainerRecord record = await store.Engine.CreateContainerAsync(Sleeper(), Cancel);
        int self = Environment.ProcessId;
        ulong started = LiveProcess.TryGetStart(self)!.Value;
        store.Engine.Containers.WriteStart(record.Id, new ContainerStart("another boot", self, started, self, started, DateTimeOffset.UnixEpoch));
        Assert.Equal(ContainerStatus.Exited, State(record.Id).Status);
        store.Engine.Containers.WriteStart(record.Id, new ContainerStart(LiveProcess.BootId, self, started + 1, self, started + 1, DateTimeOffset.UnixEpoch));
        Assert.Equal(ContainerStatus.Exited, State(record.Id).Status);
        Assert.Null(State(record.Id).ExitCode);
        await store.Engine.RemoveContainerAsync(record.Id, force: true, cancellationToken: Cancel); // and does not kill this test
    }

    [Fact]
    public async Task What_a_cut_creation_left_is_swept()
    {
        string id = ContainerStore.CreateId();
        using (await store.Engine.Containers.CreateDirectoryAsync(id, Cancel))
        {
            await store.Engine.Containers.TakeNameAsync("cut", id, durable: false, Cancel);
            await store.Engine.Snapshots.PrepareAsync(id, null, null, cancellationToken: Cancel);
            Assert.Equal(0, await store.Engine.SweepContainersAsync(Cancel)); // its creator lives
        }
        ContainerRecord taker = await store.Engine.CreateContainerAsync(Sleeper("cut"), Cancel); // the name is nobody's
        Assert.Equal(1, await store.Engine.SweepContainersAsync(Cancel));
        Assert.False(Directory.Exists(store.Engine.Containers.DirectoryOf(id)));
        Assert.Equal([taker.Id], store.Engine.Snapshots.List().ActiveKeys);
        Assert.Equal(taker.Id, store.Engine.GetContainer("cut").Record.Id);
    }

    [Fact]
    public async Task The_image_of_a_container_has_one_layer_more_and_what_was_said()
    {
        (int code, _, _) = await store.RunAsync(new ContainerOptions { Image = "box", Name = "maker", Command = ["sh", "-c", "echo made > /made; rm /etc/plain"], Environment = ["KEPT=1"] });
        Assert.Equal(0, code);
        (Descriptor manifest, _) = await store.Engine.CommitContainerAsync("maker", new CommitOptions { Reference = ImageReference.Parse("made"), Author = "me", Message = "why", Changes = ["CMD [\"cat\", \"/made\"]", "LABEL a=b"] }, Cancel);
        ImageManifest parsed = OciJson.ParseManifest(await store.Engine.Content.ReadAsync(manifest, Cancel));
        ImageConfig config = OciJson.ParseConfig(await store.Engine.Content.ReadAsync(parsed.Config, Cancel));
        Assert.Equal((2, 2, "me", "why"), (parsed.Layers.Length, config.RootFs.DiffIds.Length, config.Author, config.History[^1].Comment));
        Assert.Equal("made\n", (await store.RunAsync(new ContainerOptions { Image = "made", Remove = true })).Output);
        Assert.Equal("1\n", (await store.RunAsync(new ContainerOptions { Image = "made", Command = ["sh", "-c", "test ! -e /etc/plain && echo $KEPT"], Remove = true })).Output);
        using var export = new MemoryStream();
        await store.Engine.ExportAsync("maker", export, Cancel);
        export.Position = 0;
        await store.Engine.ImportImageAsync(export, new CommitOptions { Reference = ImageReference.Parse("flat"), Changes = ["ENV PATH=/bin"] }, Cancel);
        Assert.Equal("made\nfrom the image\n", (await store.RunAsync(new ContainerOptions { Image = "flat", Command = ["sh", "-c", "cat /made /var/data/seed; test ! -e /etc/plain"], Remove = true })).Output);
    }

    [Fact]
    public async Task Nothing_changed_makes_no_layer()
    {
        await store.RunAsync(new ContainerOptions { Image = "box", Name = "idle", Command = ["true"] });
        (Descriptor manifest, _) = await store.Engine.CommitContainerAsync("idle", new CommitOptions { Reference = ImageReference.Parse("same") }, Cancel);
        Assert.Single(OciJson.ParseManifest(await store.Engine.Content.ReadAsync(manifest, Cancel)).Layers);
    }

    [Fact]
    public async Task A_running_container_is_committed_and_exported_as_it_is()
    {
        ContainerRecord record = await StartAsync(Sleeper() with { Command = ["sh", "-c", "echo run > /run-file; sleep 1000"] });
        string file = Path.Combine(await store.Engine.MountAsync(record.Id, cancellationToken: Cancel), "run-file");
        while (!File.Exists(file) || new FileInfo(file).Length == 0)
        {
            await Task.Delay(1, Cancel);
        }
        await store.Engine.CommitContainerAsync(record.Id, new CommitOptions { Reference = ImageReference.Parse("live") }, Cancel);
        Assert.Equal(ContainerStatus.Running, State(record.Id).Status);
        Assert.Equal("run\n", (await store.RunAsync(new ContainerOptions { Image = "live", Command = ["cat", "/run-file"], Remove = true })).Output);
        using var export = new MemoryStream();
        await store.Engine.ExportAsync(record.Id, export, Cancel);
        Assert.True(export.Length > 1 << 20); // busybox is in it
        await store.Engine.RemoveContainerAsync(record.Id, force: true, cancellationToken: Cancel);
    }

    [Fact]
    public async Task File_systems_can_be_mounted_and_are_not_when_unmounted()
    {
        ContainerRecord record = await store.Engine.CreateContainerAsync(Sleeper(), Cancel);
        string path = await store.Engine.MountAsync(record.Id, cancellationToken: Cancel);
        await File.WriteAllTextAsync(path + "/written", "x", Cancel);
        Assert.Single(store.Engine.ListMounts());
        await store.Engine.UnmountAsync(record.Id, Cancel);
        Assert.Equal(["/written"], (await store.Engine.GetContainerChangesAsync(record.Id, Cancel)).Select(c => c.Path));
        string image = await store.Engine.MountAsync("box", cancellationToken: Cancel);
        Assert.True(File.Exists(image + "/bin/busybox"));
        Assert.ThrowsAny<IOException>(() => File.WriteAllText(image + "/x", "x"));
        await store.Engine.UnmountAsync("box", Cancel);
        Assert.Empty(store.Engine.ListMounts());
        await store.Engine.MountAsync(record.Id, readOnly: true, Cancel);
        await store.Engine.RemoveContainerAsync(record.Id, force: true, cancellationToken: Cancel); // mounted or not
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task Nobody_waits_for_the_disk_for_what_is_removed_at_the_end()
    {
        const string Root = "grep ' / overlay ' /proc/mounts | grep -c volatile";
        Assert.Equal("1\n", (await store.ShellAsync(Root)).Output);
        Assert.Equal("0\n", (await store.ShellAsync(Root, o => o with { Name = "kept", Remove = false })).Output);
        await store.Engine.RemoveContainerAsync("kept", cancellationToken: Cancel);
        // One that could not be started is still there, and so is the kernel's mark: it is mounted again, by cp and by the next start.
        await store.Engine.CreateContainerAsync(Sleeper("again") with { Remove = true, Command = ["/tmp/program"] }, Cancel);
        await Assert.ThrowsAsync<ContainerStartException>(async () => await store.Engine.StartContainerAsync("again", Cancel));
        string program = Path.Combine(store.Folder, "program");
        await File.WriteAllTextAsync(program, "#!/bin/sh\nexec sleep 1000\n", Cancel);
        File.SetUnixFileMode(program, (UnixFileMode)0b111_101_101);
        await store.Engine.CopyIntoContainerAsync(program, "again", "/tmp", cancellationToken: Cancel);
        await store.Engine.StartContainerAsync("again", Cancel);
        Assert.Equal(ContainerStatus.Running, State("again").Status);
        await store.Engine.RemoveContainerAsync("again", force: true, cancellationToken: Cancel);
    }

    [Fact]
    public async Task Twenty_at_once_all_run()
    {
        (int Code, string Output, string Error)[] results = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => store.ShellAsync($"echo {i}")));
        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"{i}\n"), results.Select(r => r.Output));
        store.AssertNothingLeft();
    }

    [Fact]
    public async Task An_image_for_a_newer_kernel_is_refused()
    {
        string root = Path.Combine(store.Folder, "empty");
        Directory.CreateDirectory(root);
        await store.ImportAsync(root, "future", $"LABEL {ContainerPlan.MinimumKernelLabel}=99.1", "CMD [\"/x\"]");
        StrataException refused = await Assert.ThrowsAsync<StrataException>(async () => await store.Engine.CreateContainerAsync(new ContainerOptions { Image = "future" }, Cancel));
        Assert.Equal(ErrorKind.Unsupported, refused.Kind);
        Assert.Contains("99.1", refused.Message, StringComparison.Ordinal);
        Assert.Contains(Host.KernelRelease, refused.Message, StringComparison.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Container container in store.Engine.ListContainers())
        {
            await store.Engine.RemoveContainerAsync(container.Record.Id, force: true, removeVolumes: true);
        }
    }
}
