using Strata.Content;
using Strata.Images;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;

namespace Strata.IntegrationTests.Snapshots;

public sealed class ErofsSnapshotterTests : SnapshotterContract
{
    protected override ISnapshotter Open(StoreLayout layout) => ErofsSnapshotter.Open(layout);
}

/// <summary>What only layers that are a tar and an index do.</summary>
public sealed class ErofsLayerTests : IDisposable
{
    private readonly SnapshotStore _store = new(l => ErofsSnapshotter.Open(l));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _store.Dispose();

    [Fact]
    public async Task A_layer_is_its_tar_and_an_index_and_no_file_is_unpacked()
    {
        (Descriptor layer, Digest diffId) = _store.Layer(TarItem.Directory("d"), TarItem.File("d/f", "content"));
        CommittedSnapshot snapshot = await _store.Snapshots.ApplyAsync(null, layer, diffId, _store, Token);
        string folder = FolderOf(snapshot);
        Assert.Equal(["fs", "layer.erofs", "layer.tar", "tree.json"], Directory.GetFileSystemEntries(folder).Select(e => Path.GetFileName(e)!).Order(StringComparer.Ordinal));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(folder, "fs")));
        Assert.Equal(diffId, Digest.Of(await File.ReadAllBytesAsync(Path.Combine(folder, "layer.tar"), Token)));
        Assert.Equal([folder], _store.Snapshots.GetDirectories(snapshot));
        await _store.Snapshots.RemoveAsync(snapshot, Token);
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public async Task The_same_layer_gives_the_same_index()
    {
        (Descriptor layer, Digest diffId) = _store.Layer(TarItem.File("b"), TarItem.File("a"), TarItem.Whiteout("x"), TarItem.Directory("d"), TarItem.File("d/z"));
        using var other = new SnapshotStore(l => ErofsSnapshotter.Open(l));
        CommittedSnapshot one = await _store.Snapshots.ApplyAsync(null, layer, diffId, _store, Token), two = await other.Snapshots.ApplyAsync(null, layer, diffId, _store, Token);
        Assert.Equal(File.ReadAllBytes(Path.Combine(FolderOf(one), "layer.erofs")), File.ReadAllBytes(Path.Combine(other.Layout.Trees, two.Tree, "layer.erofs")));
    }

    [Theory]
    [InlineData("layer.erofs", 1024)]
    [InlineData("layer.erofs", 1024 + 60)]
    [InlineData("layer.erofs", -1)]
    [InlineData("layer.tar", -1)]
    [InlineData("tree.json", 30)]
    public async Task What_was_not_written_here_is_never_mounted(string name, int at)
    {
        CommittedSnapshot snapshot = await _store.ApplyAsync(null, TarItem.File("a"), TarItem.File("b"));
        string path = Path.Combine(FolderOf(snapshot), name);
        byte[] bytes = await File.ReadAllBytesAsync(path, Token);
        if (at < 0)
        {
            Array.Resize(ref bytes, bytes.Length - 512);
        }
        else
        {
            bytes[at] ^= 1;
        }
        await File.WriteAllBytesAsync(path, bytes, Token);
        StrataException e = Assert.Throws<StrataException>(() => _store.Snapshots.GetMounts(snapshot, _store.Folder));
        Assert.Equal(ErrorKind.Corrupt, e.Kind);
    }

    [Theory]
    [InlineData("layer.tar", "its plain tar on disk is not its diff ID any more")]
    [InlineData("layer.erofs", "the index over its files was changed on disk")]
    public async Task A_flipped_bit_is_found(string name, string found)
    {
        (Descriptor layer, Digest diffId) = _store.Layer(TarItem.File("a", new string('x', 5000)), TarItem.File("b"));
        CommittedSnapshot snapshot = await _store.Snapshots.ApplyAsync(null, layer, diffId, _store, Token);
        string folder = FolderOf(snapshot), path = Path.Combine(folder, name);
        Assert.Empty(TreeVerifier.Verify(await _store.OpenAsync(layer, Token), diffId, folder, "layer"));
        byte[] bytes = await File.ReadAllBytesAsync(path, Token);
        bytes[^700] ^= 4;
        await File.WriteAllBytesAsync(path, bytes, Token);
        Assert.Equal(found, Assert.Single(TreeVerifier.Verify(await _store.OpenAsync(layer, Token), diffId, folder, "layer")).What);
    }

    [Fact]
    public async Task A_layer_has_one_superblock_for_all_who_use_it_and_none_when_nobody_does()
    {
        CommittedSnapshot snapshot = await _store.StackAsync([TarItem.File("a")], [TarItem.File("b")]);
        string lower = Path.Combine(FolderOf(snapshot), "fs");
        ulong first = DeviceOf(lower);
        ulong inside = _store.InMount(snapshot, _ =>
        {
            ulong own = DeviceOf(lower);
            Assert.NotEqual(first, own);
            Assert.Equal(own, _store.InMount(snapshot, _ => DeviceOf(lower))); // in a second namespace
            return own;
        });
        Assert.Equal(first, DeviceOf(lower)); // in ours nothing was ever mounted
        Assert.DoesNotContain(Mounts.ReadTable(), m => m.Target.StartsWith(_store.Folder, StringComparison.Ordinal));
        Assert.NotEqual(0UL, inside);
    }

    [Fact]
    public async Task Those_who_mount_a_layer_at_the_same_time_have_one_superblock()
    {
        const int Users = 8;
        CommittedSnapshot snapshot = await _store.StackAsync([TarItem.File("a")], [TarItem.File("b")]);
        string lower = Path.Combine(FolderOf(snapshot), "fs");
        ulong[] devices = new ulong[Users];
        using var ready = new Barrier(Users);
        Thread[] threads = [.. Enumerable.Range(0, Users).Select(i => new Thread(() => _store.InMount(snapshot, _ =>
        {
            devices[i] = DeviceOf(lower);
            return ready.SignalAndWait(TimeSpan.FromSeconds(30)); // nobody leaves before all have looked
        })))];
        foreach (Thread thread in threads)
        {
            thread.Start();
        }
        foreach (Thread thread in threads)
        {
            thread.Join();
        }
        Assert.Single(devices.Distinct());
    }

    // fincore(1): bytes of a file that are in memory.
    [Fact]
    public async Task What_several_read_is_in_memory_once()
    {
        CommittedSnapshot snapshot = await _store.StackAsync([TarItem.File("big", new byte[8 << 20].Select((_, i) => (byte)(i * 31 >> 7)).ToArray())], [TarItem.File("b")]);
        string tar = Path.Combine(_store.Layout.Trees, snapshot.Parent!.Tree, "layer.tar");
        long Cached() => long.Parse(ChildProcess.Run(new ChildStart { Program = "/usr/bin/fincore", Arguments = ["-b", "-n", "-o", "RES", tar] }).OutputText, System.Globalization.CultureInfo.InvariantCulture);
        _store.InMount(snapshot, root =>
        {
            byte[] first = File.ReadAllBytes(Path.Combine(root, "big"));
            Assert.InRange(Cached(), 8 << 20, long.MaxValue);
            return _store.InMount(snapshot, again =>
            {
                Assert.Equal(first, File.ReadAllBytes(Path.Combine(again, "big")));
                Assert.InRange(Cached(), 0, 1 << 20); // read again, and from the file system's own pages
                return 0;
            });
        });
    }

    // Its root shows, at the place of a layer, another file system.
    [Fact]
    public async Task A_namespace_with_a_root_of_its_own_gives_nobody_a_layer()
    {
        CommittedSnapshot good = await _store.StackAsync([TarItem.File("a", "good")], [TarItem.File("b")]), evil = await _store.ApplyAsync(null, TarItem.File("a", "evil"));
        string lower = Path.Combine(_store.Layout.Trees, good.Parent!.Tree, "fs"), root = Directory.CreateDirectory(Path.Combine(_store.Folder, "root")).FullName;
        string ready = Path.Combine(_store.Folder, "ready");
        string script = "mkfifo $3.wait; mount -t tmpfs none $0 && mkdir -p $0/evil $0/old $0$(dirname $2) && mount --bind $1 $0/evil && ln -s /evil $0$2 && cd $0 && pivot_root . old && echo >/old$3 && read <>/old$3.wait";
        string read = _store.InMount(evil, shown =>
        {
            using ChildProcess other = ChildProcess.Start(new ChildStart { Program = "/usr/bin/unshare", Arguments = ["-m", "bash", "-c", script, root, shown, lower, ready] });
            try
            {
                Assert.True(SpinWait.SpinUntil(() => File.Exists(ready), TimeSpan.FromSeconds(10)));
                return _store.InMount(good, place => File.ReadAllText(Path.Combine(place, "a")));
            }
            finally
            {
                other.Kill(9);
                other.Wait();
            }
        });
        Assert.Equal("good", read);
    }

    [Fact]
    public async Task No_two_files_of_several_layers_have_one_number_on_one_device()
    {
        CommittedSnapshot snapshot = await _store.StackAsync([TarItem.File("a")], [TarItem.File("b")], [TarItem.File("c"), TarItem.Directory("d")]);
        FileStatus[] seen = _store.InMount(snapshot, root => ((string[])["", "a", "b", "c", "d"]).Select(n => FileSystems.TryGetStatus(Path.Combine(root, n))!.Value).ToArray());
        Assert.Single(seen.Select(s => s.Device).Distinct());
        Assert.Equal(seen.Length, seen.Select(s => s.Inode).Distinct().Count());
    }

    [Fact]
    public async Task What_other_snapshotters_have_is_seen_and_spared()
    {
        (Descriptor layer, Digest diffId) = _store.Layer(TarItem.File("a"));
        OverlaySnapshotter overlay = OverlaySnapshotter.Open(_store.Layout);
        UnionSnapshotter union = UnionSnapshotter.Open(_store.Layout);
        foreach (ISnapshotter snapshots in (ISnapshotter[])[overlay, union, _store.Snapshots])
        {
            await snapshots.ApplyAsync(null, layer, diffId, _store, Token);
        }
        foreach (ISnapshotter snapshots in (ISnapshotter[])[overlay, union, _store.Snapshots])
        {
            Assert.Equal(["erofs", "overlay", "union"], snapshots.List().Committed.Select(s => s.Snapshotter).Order(StringComparer.Ordinal));
            Assert.Equal(0, await snapshots.SweepAsync(cancellationToken: Token));
            Assert.Equal(3, Directory.GetDirectories(_store.Layout.Trees).Length);
        }
        await overlay.RemoveAsync(_store.Snapshots.List().Committed.Single(s => s.Snapshotter == "overlay"), Token);
        await overlay.RemoveAsync(overlay.List().Committed.Single(s => s.Snapshotter == "erofs"), Token);
        Assert.Equal("union", Assert.Single(_store.Snapshots.List().Committed).Snapshotter);
        Assert.Single(Directory.GetDirectories(_store.Layout.Trees));
    }

    [Fact]
    public async Task Where_others_would_see_them_layers_are_not_left_mounted()
    {
        CommittedSnapshot snapshot = await _store.StackAsync([TarItem.File("a", "one")], [TarItem.File("b")]);
        string target = Path.Combine(_store.Folder, "host");
        Directory.CreateDirectory(target);
        foreach (MountSpec mount in _store.Snapshots.GetMounts(snapshot, target))
        {
            Mounts.Mount(mount);
        }
        try
        {
            Assert.Equal("one", await File.ReadAllTextAsync(Path.Combine(target, "a"), Token));
            Assert.Equal([target], Mounts.ReadTable().Select(m => m.Target).Where(t => t.StartsWith(_store.Folder, StringComparison.Ordinal)));
        }
        finally
        {
            Mounts.Unmount(target, detach: true);
        }
    }

    [Fact]
    public void Without_a_file_system_whose_files_the_kernel_reads_it_is_not_taken()
    {
        string place = Path.Combine(_store.Folder, "memory");
        Directory.CreateDirectory(place);
        Mounts.RunInPrivateNamespace(() =>
        {
            Mounts.Mount(new MountSpec("tmpfs", "strata", place, ["size=8m"]));
            var layout = new StoreLayout(Path.Combine(place, "store"));
            ErofsProbe probe = ErofsProbe.Make(layout);
            Assert.False(probe.Mounts);
            Assert.Contains("EROFS cannot be mounted out of files here", probe.Reason, StringComparison.Ordinal);
            Assert.Equal(probe, ErofsProbe.Make(layout)); // kept
            StrataException e = Assert.Throws<StrataException>(() => SnapshotterChoice.Make(layout, "erofs"));
            Assert.Equal(ErrorKind.Unsupported, e.Kind);
            return 0;
        });
        Assert.Equal(new ErofsProbe(true, "EROFS mounts here out of files"), ErofsProbe.Make(_store.Layout));
        Assert.Equal("erofs", SnapshotterChoice.Make(_store.Layout, "erofs").Snapshotter.Name);
    }

    private static ulong DeviceOf(string path) => FileSystems.TryGetStatus(path)!.Value.Device;

    private string FolderOf(CommittedSnapshot snapshot) => Path.Combine(_store.Layout.Trees, snapshot.Tree);
}
