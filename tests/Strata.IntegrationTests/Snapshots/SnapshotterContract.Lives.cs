using Strata.Content;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;
using static Strata.IntegrationTests.Snapshots.TarItem;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>How snapshots come, are found, and go.</summary>
public abstract partial class SnapshotterContract
{
    [Fact]
    public async Task Mount_points_are_there_and_never_a_change()
    {
        CommittedSnapshot image = await _store.ApplyAsync(null,
            Directory("etc", 0b111_000_000, 1, 2, 1_000), File("etc/passwd"), SymbolicLink("etc/resolv.conf", "../run/resolve/stub.conf"), SymbolicLink("var", "data/var"), Directory("data"), Directory("dev"));
        MountPoint[] points =
        [
            new("/proc", true), new("/dev", true), new("/etc/hosts", false), new("/etc/passwd", false), new("/etc/resolv.conf", false), new("/var/log/app", true), new("/a/b/../c", true), new("/a", true),
        ];
        ActiveSnapshot active = await _store.Snapshots.PrepareAsync("c", image, points, cancellationToken: Token);
        List<string> seen = _store.See(active);
        Assert.Equal(
            ["/", "/a", "/a/c", "/data", "/data/var", "/data/var/log", "/data/var/log/app", "/dev", "/etc", "/etc/hosts", "/etc/passwd", "/etc/resolv.conf", "/proc", "/run", "/run/resolve", "/run/resolve/stub.conf", "/var"],
            seen.Select(l => l.Split(' ')[0]));
        Assert.Contains("/etc Directory 700 1:2  1000.000000005  ", seen);
        Assert.Contains(seen, l => l.StartsWith("/etc/resolv.conf SymbolicLink", StringComparison.Ordinal));
        Assert.Contains(seen, l => l.StartsWith("/run/resolve/stub.conf Regular 644 0:0 0 ", StringComparison.Ordinal));
        Assert.Empty(await _store.ChangesAsync(active));
        _store.Shell(active, "echo 1 > etc/new");
        Assert.Equal(["C /etc", "A /etc/new"], await _store.ChangesAsync(active));
        (CommittedSnapshot committed, byte[] tar) = await _store.CommitAsync(active);
        Assert.Equal(["/data", "/dev", "/etc", "/etc/new", "/etc/passwd", "/etc/resolv.conf", "/var"], _store.Paths(committed));
        Assert.NotEmpty(tar);
    }

    [Theory]
    [InlineData("/file/x")]
    [InlineData("/loop/x")]
    public async Task A_mount_point_below_a_file_is_refused_and_leaves_nothing(string path)
    {
        CommittedSnapshot image = await _store.ApplyAsync(null, File("file"), SymbolicLink("loop", "loop"));
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await _store.Snapshots.PrepareAsync("c", image, [new MountPoint(path, true)], cancellationToken: Token));
        Assert.Equal(ErrorKind.Invalid, e.Kind);
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
        await _store.Snapshots.RemoveAsync(image, Token);
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task What_was_only_made_to_mount_on_is_not_seen_without_a_mount()
    {
        CommittedSnapshot image = await _store.ApplyAsync(null, Directory("etc"), File("etc/passwd"), File("etc/kept"));
        ActiveSnapshot active = await _store.Snapshots.PrepareAsync("c", image, [new("/proc", true), new("/etc/hosts", false), new("/run/app", true), new("/run/other", true)], cancellationToken: Token);
        List<string> Read()
        {
            using LayerStack stack = _store.Snapshots.OpenStack(active);
            return [.. stack.Walk().Select(n => n.Path)];
        }
        Assert.Equal(["etc", "etc/kept", "etc/passwd"], Read());
        Assert.Null(await _store.Snapshots.WhereAsync(active, "/proc", Token));
        _store.Shell(active, "test -d run/other; echo 1 > run/app/n; echo 2 > etc/hosts; rm etc/passwd");
        Assert.Equal(["etc", "etc/hosts", "etc/kept", "run", "run/app", "run/app/n"], Read());
        Assert.Equal((1, 0), ((await _store.Snapshots.WhereAsync(active, "/etc/hosts", Token))!.Layer, (await _store.Snapshots.WhereAsync(active, "/etc/kept", Token))!.Layer));
        Assert.Equal(["C /etc", "A /etc/hosts", "D /etc/passwd", "A /run", "A /run/app", "A /run/app/n"], await _store.ChangesAsync(active));
    }

    [Fact]
    public async Task Each_layer_answers_for_itself()
    {
        CommittedSnapshot image = await _store.StackAsync([File("f", "low"), File("g"), File("h")], [File("f", "top"), Whiteout("g")]);
        ActiveSnapshot active = await _store.ChangeAsync(image, "rm f; echo again > g");
        List<string> Answers(string path) => [.. _store.Snapshots.GetAnswers(active, path).Select(a => $"{a.Layer}{(a.IsWhiteout ? "-" : "")}")];
        Assert.Equal(["2-", "1", "0"], Answers("/f"));
        Assert.Equal(["2", "1-", "0"], Answers("/g"));
        Assert.Equal(["0"], Answers("/h"));
        Assert.Empty(Answers("/none"));
        Assert.Equal([1, 0], _store.Snapshots.GetAnswers(image, "f").Select(a => a.Layer));
    }

    [Fact]
    public async Task What_a_container_starts_with_is_the_image_to_the_last_attribute()
    {
        CommittedSnapshot image = await _store.StackAsync(
            [Directory("", 0b111_000_111, 5, 6), Directory("d", 0b11_111_000_001, 1, 2, 77), File("d/one", "same", mode: 0b100_111_101_101, uid: 9, xattrs: [("user.note", [1]), ("trusted.note", [2])]), HardLink("two", "d/one"), HardLink("d/three", "two")],
            [Device("null", FileKind.CharacterDevice, 1, 3), SymbolicLink("link", "/nowhere"), File("ping", xattrs: [("security.capability", Convert.FromHexString("0100000200040000000000000000000000000000"))]), Directory("e"), Whiteout("d/three")]);
        ActiveSnapshot active = await _store.Snapshots.PrepareAsync("c", image, cancellationToken: Token);
        List<string> seen = _store.See(active);
        Assert.Equal(_store.See(image).Skip(1), seen.Skip(1));
        Assert.StartsWith("/ Directory 707 5:6", seen[0], StringComparison.Ordinal);
        Assert.Contains(seen, l => l.StartsWith("/two Regular 4755 9:0 4 ", StringComparison.Ordinal) && l.EndsWith(" = d/one", StringComparison.Ordinal));
        Assert.Empty(await _store.ChangesAsync(active));
    }

    [Fact]
    public async Task A_snapshot_on_nothing_is_an_empty_root()
    {
        ActiveSnapshot active = await _store.Snapshots.PrepareAsync("c", null, cancellationToken: Token);
        string line = Assert.Single(_store.See(active));
        Assert.StartsWith("/ Directory 755 0:0", line, StringComparison.Ordinal);
        _store.Shell(active, "echo 1 > n");
        Assert.Equal(["/n"], _store.Paths((await _store.CommitAsync(active)).Snapshot));
    }

    [Fact]
    public async Task A_committed_snapshot_is_mounted_read_only()
    {
        foreach (CommittedSnapshot snapshot in (CommittedSnapshot[])[await _store.StackAsync([File("f")]), await _store.StackAsync([File("f")], [File("g")])])
        {
            _store.InMount(snapshot, root =>
            {
                using RootedDirectory directory = RootedDirectory.Open(root);
                Assert.Equal(Errno.EROFS, Assert.Throws<LinuxException>(() => directory.CreateDirectory("new", 0)).Errno);
                return Assert.Throws<LinuxException>(() => directory.SetMode("f", 0)).Errno;
            });
        }
    }

    [Fact]
    public async Task A_key_is_taken_once()
    {
        var all = new List<Task<bool>>();
        for (int i = 0; i < 8; i++)
        {
            ISnapshotter own = Open(_store.Layout);
            all.Add(Task.Run(async () =>
            {
                try
                {
                    await own.PrepareAsync("c", null, cancellationToken: Token);
                    return true;
                }
                catch (StrataException e) when (e.Kind == ErrorKind.Conflict)
                {
                    return false;
                }
            }, Token));
        }
        Assert.Single(await Task.WhenAll(all), won => won);
        Assert.Equal(["c"], _store.Snapshots.List().ActiveKeys);
    }

    [Fact]
    public async Task Another_process_opens_what_this_one_made()
    {
        CommittedSnapshot image = await _store.StackAsync([File("f")], [File("g")]);
        ActiveSnapshot active = await _store.ChangeAsync(image, "echo 1 > n; rm g", "c");
        ISnapshotter other = Open(_store.Layout);
        ActiveSnapshot opened = (await other.TryOpenActiveAsync("c", Token))!;
        Assert.Equal(active.Parent!.ChainId, opened.Parent!.ChainId);
        Assert.Equal(["D /g", "A /n"], await _store.ChangesAsync(opened));
        Assert.Equal([image.ChainId], other.List().Committed.Select(c => c.ChainId));
        Assert.Null(await other.TryOpenActiveAsync("none", Token));
        Assert.Null(await other.TryGetAsync([Digest.Of("none"u8)], Token));
    }

    [Fact]
    public async Task What_others_stand_on_is_not_removed()
    {
        CommittedSnapshot bottom = await _store.StackAsync([File("a")]), top = await _store.StackAsync([File("a")], [File("b")]);
        Assert.Equal(ErrorKind.Conflict, (await Assert.ThrowsAsync<StrataException>(async () => await _store.Snapshots.RemoveAsync(bottom, Token))).Kind);
        ActiveSnapshot active = await _store.Snapshots.PrepareAsync("c", top, cancellationToken: Token);
        Assert.Equal(ErrorKind.Conflict, (await Assert.ThrowsAsync<StrataException>(async () => await _store.Snapshots.RemoveAsync(top, Token))).Kind);
        Assert.Equal(["/a", "/b"], _store.Paths(active));
        foreach (Snapshot snapshot in (Snapshot[])[active, active, top, top, bottom])
        {
            await _store.Snapshots.RemoveAsync(snapshot, Token);
        }
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task A_layer_below_that_no_one_named_can_be_stood_on()
    {
        CommittedSnapshot top = await _store.StackAsync([File("a")], [File("b")]);
        ActiveSnapshot active = await _store.Snapshots.PrepareAsync("c", top.Parent, cancellationToken: Token);
        await _store.Snapshots.RemoveAsync(top, Token);
        Assert.Equal(["/a"], _store.Paths((await _store.Snapshots.TryOpenActiveAsync("c", Token))!));
        Assert.Equal(["/a"], _store.Paths(active));
    }

    [Fact]
    public async Task On_what_was_removed_nothing_is_made()
    {
        CommittedSnapshot gone = await _store.ApplyAsync(null, File("a"));
        await _store.Snapshots.RemoveAsync(gone, Token);
        Assert.Equal(ErrorKind.NotFound, (await Assert.ThrowsAsync<StrataException>(async () => await _store.Snapshots.PrepareAsync("c", gone, cancellationToken: Token))).Kind);
        Assert.Equal(ErrorKind.NotFound, (await Assert.ThrowsAsync<StrataException>(() => _store.ApplyAsync(gone, File("b")))).Kind);
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task A_layer_whose_files_were_taken_away_by_hand_is_unpacked_anew()
    {
        (Descriptor Layer, Digest DiffId)[] layers = [_store.Layer(File("a")), _store.Layer(File("b"))];
        CommittedSnapshot top = (await _store.Snapshots.ApplyStackAsync(layers, _store, Token))!;
        FileSystems.RemoveTree(Path.Combine(_store.Layout.Trees, top.Parent!.Tree));
        Assert.Null(await _store.Snapshots.TryGetAsync([.. layers.Select(l => l.DiffId)], Token));
        Assert.Equal(["/a", "/b"], _store.Paths((await _store.Snapshots.ApplyStackAsync(layers, _store, Token))!));
    }

    [Fact]
    public async Task Pulls_and_removals_side_by_side_never_break_one_another()
    {
        (Descriptor Layer, Digest DiffId)[] layers = [.. Enumerable.Range(0, 4).Select(i => _store.Layer(File($"f{i}")))];
        // On a busy machine the moment in which nobody holds a lease comes seldom: three seconds, and on until it came.
        var watch = System.Diagnostics.Stopwatch.StartNew();
        int removed = 0;
        bool IsOver() => watch.Elapsed > TimeSpan.FromSeconds(Volatile.Read(ref removed) > 0 ? 3 : 60);
        async Task UseAsync(ISnapshotter own, int height, string key)
        {
            CommittedSnapshot top = (await own.ApplyStackAsync(layers[..height], _store, Token))!;
            ActiveSnapshot active = await own.PrepareAsync(key, top, cancellationToken: Token);
            try
            {
                using LayerStack stack = own.OpenStack(active);
                Assert.Equal(height, stack.Walk().Count());
            }
            finally
            {
                await own.RemoveAsync(active, Token);
            }
        }
        async Task PullAsync(int height)
        {
            ISnapshotter own = Open(_store.Layout);
            for (int i = 0; !IsOver(); i++)
            {
                // Who holds a lease loses nothing that he has found.
                using (StoreLease.Create(_store.Layout, "pull", _ => { }))
                {
                    await UseAsync(own, height, $"{height}-{i}");
                }
                try
                {
                    await UseAsync(own, height, $"{height}-{i}-free");
                }
                catch (StrataException e) when (e.Kind == ErrorKind.NotFound)
                {
                    // Who holds none may lose it between the two: said, not broken.
                }
                await Task.Delay(2, Token);
            }
        }
        async Task RemoveAsync()
        {
            ISnapshotter own = Open(_store.Layout);
            while (!IsOver())
            {
                foreach (CommittedSnapshot snapshot in own.List().Committed.OrderByDescending(c => c.Stack.Count))
                {
                    removed += await own.RemoveUnlessAsync(snapshot, () => StoreLease.ReadAll(_store.Layout).Living > 0, Token) ? 1 : 0;
                }
                await own.SweepAsync(cancellationToken: Token);
                await Task.Delay(1, Token);
            }
        }
        await Task.WhenAll([.. Enumerable.Range(2, 3).Select(h => Task.Run(() => PullAsync(h), Token)), Task.Run(RemoveAsync, Token)]);
        Assert.True(removed > 0, "nothing was ever removed");
    }

    public static TheoryData<string, string?, int> Places => new()
    {
        { "/both", "/both", 1 }, { "/low", "/low", 0 }, { "/gone", null, 0 }, { "/d/x", null, 0 }, { "/d/y", "/d/y", 1 }, { "link/y", "/d/y", 1 }, { "/d/../low", "/low", 0 }, { "/new", "/new", 2 },
        { "/out/low", "/low", 0 }, { "/none", null, 0 }, { "/", "/", 2 }, { "/low/x", null, 0 }, { "/d", "/d", 1 },
    };

    [Theory]
    [MemberData(nameof(Places))]
    public async Task It_is_known_which_layer_answers(string path, string? place, int layer)
    {
        CommittedSnapshot image = await _store.StackAsync(
            [File("both", "low"), File("low"), File("gone"), Directory("d"), File("d/x"), SymbolicLink("out", "../..")],
            [File("both", "top"), Whiteout("gone"), Directory("d"), Opaque("d"), File("d/y"), SymbolicLink("link", "/d")]);
        ActiveSnapshot active = await _store.ChangeAsync(image, "touch new");
        PathOrigin? origin = await _store.Snapshots.WhereAsync(active, path, Token);
        Assert.Equal((place, place is null ? null : layer), (origin?.Path, origin?.Layer));
        Assert.Equal(place is null || layer == 2 ? null : image.Stack[layer].DiffId, origin?.DiffId);
    }
}
