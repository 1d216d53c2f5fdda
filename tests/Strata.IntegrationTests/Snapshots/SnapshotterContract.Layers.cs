using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;
using static Strata.IntegrationTests.Snapshots.TarItem;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>What every snapshotter makes of layers.</summary>
public abstract partial class SnapshotterContract : IDisposable
{
    private readonly SnapshotStore _store;

    protected SnapshotterContract() => _store = new SnapshotStore(Open);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>Opens the snapshotter of a store.</summary>
    protected abstract ISnapshotter Open(Strata.Content.StoreLayout layout);

    public void Dispose()
    {
        _store.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task A_whiteout_hides_a_file_and_a_directory_of_the_layers_below()
    {
        CommittedSnapshot top = await _store.StackAsync(
            [Directory("a"), File("a/gone"), File("a/stays"), Directory("d"), File("d/x")],
            [Directory("a"), Whiteout("a/gone"), Whiteout("d")]);
        Assert.Equal(["/a", "/a/stays"], _store.Paths(top));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_whiteout_hides_nothing_of_its_own_layer_wherever_it_stands(bool whiteoutFirst)
    {
        TarItem[] own = [Directory("d"), File("d/new"), File("f", "new")], hidden = [Whiteout("d"), Whiteout("f")];
        CommittedSnapshot top = await _store.StackAsync([Directory("d"), File("d/old"), File("f", "old")], whiteoutFirst ? [.. hidden, .. own] : [.. own, .. hidden]);
        Assert.Equal(["/d", "/d/new", "/f"], _store.Paths(top));
        Assert.Equal("new", _store.Read(top, "f"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_opaque_directory_shows_its_own_layer_only(bool markerFirst)
    {
        TarItem[] own = [File("d/new"), Directory("d/sub"), File("d/sub/new")];
        CommittedSnapshot top = await _store.StackAsync(
            [Directory("d"), File("d/old"), Directory("d/sub"), File("d/sub/old"), File("other")],
            markerFirst ? [Directory("d"), Opaque("d"), .. own] : [Directory("d"), .. own, Opaque("d")]);
        Assert.Equal(["/d", "/d/new", "/d/sub", "/d/sub/new", "/other"], _store.Paths(top));
    }

    [Fact]
    public async Task An_opaque_root_hides_all_below()
    {
        CommittedSnapshot top = await _store.StackAsync([File("old"), Directory("d")], [Opaque(""), File("new")], [File("newer")]);
        Assert.Equal(["/new", "/newer"], _store.Paths(top));
        ActiveSnapshot active = await _store.ChangeAsync(top, "test ! -e old && touch added");
        Assert.Equal(["A /added"], await _store.ChangesAsync(active));
        Assert.Equal(1, (await _store.Snapshots.WhereAsync(top, "new", Token))!.Layer);
    }

    [Fact]
    public async Task What_is_deleted_and_made_again_is_new()
    {
        CommittedSnapshot top = await _store.StackAsync([Directory("d"), File("d/a"), File("d/b")], [Whiteout("d")], [Directory("d"), File("d/b", "again")]);
        Assert.Equal(["/d", "/d/b"], _store.Paths(top));
        Assert.Equal("again", _store.Read(top, "d/b"));
    }

    [Fact]
    public async Task A_file_takes_the_place_of_a_directory_and_a_directory_of_a_file()
    {
        CommittedSnapshot top = await _store.StackAsync([Directory("d"), File("d/x"), File("f")], [File("d", "now a file"), Directory("f"), File("f/x")], [Directory("d"), File("d/y")]);
        Assert.Equal(["/d", "/d/y", "/f", "/f/x"], _store.Paths(top));
    }

    [Fact]
    public async Task The_last_entry_of_a_name_wins()
    {
        CommittedSnapshot top = await _store.StackAsync(
            [Directory("was"), File("was/below"), Directory("d"), File("d/below")],
            [File("f", "one"), File("f", "two"), Directory("was"), File("was/x"), File("was", "a file"), File("d"), Directory("d"), File("d/own"), SymbolicLink("l", "f"), File("l", "no link")]);
        Assert.Equal(["/d", "/d/own", "/f", "/l", "/was"], _store.Paths(top));
        Assert.Equal("two", _store.Read(top, "f"));
        Assert.Equal("no link", _store.Read(top, "l"));
    }

    [Fact]
    public async Task Whiteouts_that_hide_nothing_are_not_seen()
    {
        CommittedSnapshot top = await _store.StackAsync(
            [Directory("base"), Whiteout("base/ghost"), Whiteout("ghost")],
            [Directory("new"), Whiteout("new/ghost"), Directory("base"), Opaque("base"), Whiteout("base/other"), Whiteout("no/such/thing")]);
        Assert.Equal(["/base", "/new", "/no", "/no/such"], _store.Paths(top));
        Assert.Equal(["/base"], _store.Paths(top.Parent!));
    }

    [Fact]
    public async Task Directories_that_no_entry_names_look_as_they_do_below()
    {
        CommittedSnapshot bottom = await _store.ApplyAsync(null, Directory("", 0b111_000_000, 7, 8), Directory("private", 0b111_000_000, 5, 6), File("private/x"));
        CommittedSnapshot top = await _store.ApplyAsync(bottom, File("private/y"));
        Assert.StartsWith("/ Directory 700 7:8", _store.See(top)[0], StringComparison.Ordinal);
        Assert.Contains(_store.See(top), l => l.StartsWith("/private Directory 700 5:6", StringComparison.Ordinal));
        // And where nothing is below, as root would make them.
        CommittedSnapshot alone = await _store.ApplyAsync(null, File("private/y"));
        Assert.Contains(_store.See(alone), l => l.StartsWith("/private Directory 755 0:0", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Links_on_the_way_are_followed_inside()
    {
        CommittedSnapshot top = await _store.StackAsync(
            [Directory("usr"), Directory("usr/lib"), File("usr/lib/old"), SymbolicLink("lib", "usr/lib"), SymbolicLink("up", "../../usr"), SymbolicLink("abs", "/usr/lib")],
            [File("lib/new"), File("up/share/x"), File("abs/newer"), SymbolicLink("own", "usr"), File("own/z")]);
        Assert.Equal(["/abs", "/lib", "/own", "/up", "/usr", "/usr/lib", "/usr/lib/new", "/usr/lib/newer", "/usr/lib/old", "/usr/share", "/usr/share/x", "/usr/z"], _store.Paths(top));
    }

    [Fact]
    public async Task A_link_to_the_root_and_a_file_behind_it_stay_inside()
    {
        string outside = Path.Combine(_store.Folder, "outside");
        System.IO.Directory.CreateDirectory(outside);
        CommittedSnapshot top = await _store.StackAsync(
            [SymbolicLink("a", "/"), File("a/etc/x", "inside"), SymbolicLink("out", outside), File("out/x"), SymbolicLink("dots", "../../../.."), File("dots/y"), HardLink("h", "a/etc/x")],
            [File("out/again"), Whiteout("out/x")]);
        Assert.Empty(System.IO.Directory.GetFileSystemEntries(outside));
        Assert.Equal("inside", _store.Read(top, "etc/x"));
        Assert.Contains("/y", _store.Paths(top));
    }

    [Fact]
    public async Task Links_that_go_round_are_refused()
    {
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => _store.StackAsync([SymbolicLink("a", "b"), SymbolicLink("b", "a"), File("a/x")]));
        Assert.Equal(ErrorKind.Invalid, e.Kind);
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task A_hard_link_to_a_file_of_a_layer_below_is_that_file()
    {
        CommittedSnapshot top = await _store.StackAsync([Directory("d", 0b111_000_000, 3, 4), File("d/a", "content", 0b110_000_000, 1, 2)], [HardLink("b", "d/a"), HardLink("c", "b")]);
        List<string> seen = _store.See(top);
        Assert.Contains(seen, l => l.StartsWith("/d Directory 700 3:4", StringComparison.Ordinal));
        Assert.Contains(seen, l => l.StartsWith("/d/a Regular 600 1:2 7", StringComparison.Ordinal) && l.EndsWith(" = b", StringComparison.Ordinal));
        Assert.Contains(seen, l => l.StartsWith("/c Regular 600 1:2 7", StringComparison.Ordinal) && l.EndsWith(" = b", StringComparison.Ordinal));
        Assert.Equal("content", _store.Read(top, "c"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_hard_link_whose_target_the_layer_hides_is_a_rename(bool whiteoutFirst)
    {
        TarItem link = HardLink("b", "a"), hidden = Whiteout("a");
        CommittedSnapshot top = await _store.StackAsync([File("a", "content")], whiteoutFirst ? [hidden, link] : [link, hidden]);
        Assert.Equal(["/b"], _store.Paths(top));
        Assert.Equal("content", _store.Read(top, "b"));
    }

    [Theory]
    [InlineData("nowhere", "not there")]
    [InlineData("d", "a directory")]
    [InlineData("own", "a directory")]
    [InlineData("h", "not there")]
    public async Task A_hard_link_to_nothing_or_to_a_directory_is_refused(string target, string why)
    {
        CommittedSnapshot bottom = await _store.ApplyAsync(null, Directory("d"));
        StrataException e = await Assert.ThrowsAsync<StrataException>(() => _store.ApplyAsync(bottom, Directory("own"), HardLink("h", target)));
        Assert.Equal(ErrorKind.Invalid, e.Kind);
        Assert.Contains(why, e.Message, StringComparison.Ordinal);
        await _store.Snapshots.RemoveAsync(bottom, Token);
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task Modes_owners_times_attributes_and_devices_are_as_the_layer_says()
    {
        byte[] capability = Convert.FromHexString("0100000200040000000000000000000000000000");
        CommittedSnapshot top = await _store.StackAsync([
            Directory("d", 0b10_111_101_101, 0, 50), File("d/roots", mode: 0b110_100_100), Directory("d/sub"), File("setuid", mode: 0b100_111_101_101, uid: 12, gid: 34),
            File("ping", xattrs: [("security.capability", capability), ("user.note", [1, 2, 0])]), Device("null", FileKind.CharacterDevice, 1, 3),
            Device("disk", FileKind.BlockDevice, 8, 70000), Device("pipe", FileKind.Fifo), Directory("t", 0b1_111_111_111)]);
        List<string> seen = _store.See(top);
        string[] expected =
        [
            "/d Directory 2755 0:50  1600000000.000000005", "/d/roots Regular 644 0:0 1 1600000000.123456789", "/d/sub Directory 755 0:0", "/setuid Regular 4755 12:34", "/t Directory 1777",
            "/null CharacterDevice 600 0:0  1600000000.123456789  1:3", "/disk BlockDevice 600 0:0  1600000000.123456789  8:70000", "/pipe Fifo 600 0:0",
            $"/ping Regular 644 0:0 1 1600000000.123456789 security.capability={Convert.ToHexStringLower(capability)},user.note=010200",
        ];
        foreach (string line in expected)
        {
            Assert.Contains(seen, l => l.StartsWith(line, StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Names_that_are_no_text_keep_their_bytes()
    {
        string name = LinuxPath.Decode([0xff, 0x41, 0xc3]), directory = LinuxPath.Decode([0x80]);
        CommittedSnapshot top = await _store.StackAsync([Directory(directory), File($"{directory}/{name}"), File("é"), File("\u20ac")], [Directory(directory), Whiteout($"{directory}/{name}"), File($"{directory}/new")]);
        Assert.Equal(["/\\dc80", "/\\dc80/new", "/é", "/\u20ac"], _store.Paths(top));
        Assert.Equal(["/\\dc80", "/\\dc80/\\dcffA\\dcc3", "/é", "/\u20ac"], _store.Paths(top.Parent!));
    }

    [Fact]
    public async Task Attributes_that_speak_to_overlayfs_come_out_of_no_layer()
    {
        CommittedSnapshot top = await _store.StackAsync(
            [Directory("secret"), File("secret/x"), Directory("d"), File("d/below"), File("f", "below")],
            [Directory("d"), File("d/own", "own"), File("f", "own", xattrs: [("trusted.overlay.redirect", "/secret/x"u8.ToArray()), ("trusted.overlay.metacopy", []), ("user.overlay.opaque", "y"u8.ToArray())])]);
        Assert.Equal("own", _store.Read(top, "f"));
        Assert.DoesNotContain(_store.See(top), l => l.Contains("overlay", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Applying_again_reads_nothing()
    {
        (Descriptor Layer, Digest DiffId)[] layers = [_store.Layer(File("a")), _store.Layer(File("b")), _store.Layer(File("c"))];
        CommittedSnapshot first = (await _store.Snapshots.ApplyStackAsync(layers, _store, Token))!;
        Assert.Equal(3, _store.Opened);
        ISnapshotter another = Open(_store.Layout);
        CommittedSnapshot second = (await another.ApplyStackAsync(layers, _store, Token))!;
        CommittedSnapshot? step = null;
        foreach ((Descriptor layer, Digest diffId) in layers)
        {
            step = await another.ApplyAsync(step, layer, diffId, _store, Token);
        }
        Assert.Equal((first.ChainId, first.ChainId), (second.ChainId, step!.ChainId));
        Assert.Equal(first.ChainId, (await another.TryGetAsync([.. layers.Select(l => l.DiffId)], Token))!.ChainId);
        Assert.Equal(3, _store.Opened);
    }

    [Fact]
    public async Task A_layer_is_on_disk_once_however_many_stacks_have_it()
    {
        TarItem[] shared = [Directory("big"), File("big/file", new string('x', 1_000_000))];
        CommittedSnapshot one = await _store.StackAsync([File("base1")], shared);
        long before = FileSystems.GetDiskUsage(_store.Layout.Root);
        CommittedSnapshot two = await _store.StackAsync([File("base2")], [File("more")], shared);
        Assert.InRange(FileSystems.GetDiskUsage(_store.Layout.Root) - before, 0, 100_000);
        await _store.Snapshots.RemoveAsync(one, Token);
        Assert.Equal(["/base2", "/big", "/big/file", "/more"], _store.Paths(two));
        await _store.Snapshots.RemoveAsync(two, Token);
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task A_layer_that_is_not_its_diff_id_is_refused_and_leaves_nothing()
    {
        (Descriptor layer, _) = _store.Layer(File("a", new string('x', 100_000)));
        Digest other = Digest.Of("other"u8);
        DigestMismatchException e = await Assert.ThrowsAsync<DigestMismatchException>(async () => await _store.Snapshots.ApplyAsync(null, layer, other, _store, Token));
        Assert.Equal((other, layer.Digest), (e.Expected, e.Actual));
        Assert.Null(await _store.Snapshots.TryGetAsync([other], Token));
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task A_layer_that_breaks_off_leaves_nothing()
    {
        (Descriptor whole, Digest diffId) = _store.Layer(File("a", new string('x', 100_000)));
        using Stream content = await _store.OpenAsync(whole, Token);
        byte[] cut = new byte[50_000];
        content.ReadExactly(cut);
        (Descriptor layer, _) = _store.Layer(cut);
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await _store.Snapshots.ApplyAsync(null, layer, diffId, _store, Token));
        Assert.Equal(ErrorKind.Corrupt, e.Kind);
        AssertNothingIsLeft();
    }

    [Fact]
    public async Task Many_at_once_unpack_a_layer_once()
    {
        (Descriptor Layer, Digest DiffId)[] layers = [.. Enumerable.Range(0, 6).Select(i => _store.Layer(File($"f{i}", new string('x', 10_000))))];
        var all = new List<Task<CommittedSnapshot?>>();
        for (int i = 0; i < 8; i++)
        {
            ISnapshotter own = Open(_store.Layout);
            (Descriptor, Digest)[] order = i % 2 == 0 ? layers : [.. layers.Reverse()];
            all.Add(Task.Run(async () => await own.ApplyStackAsync(order, _store, Token), Token));
        }
        CommittedSnapshot?[] tops = await Task.WhenAll(all);
        Assert.Equal(2, tops.Select(t => t!.ChainId).Distinct().Count());
        Assert.Equal(layers.Length, _store.Opened);
        Assert.All(tops, t => Assert.Equal(6, _store.Paths(t!).Count));
    }

    [Theory]
    [InlineData(128, true)]
    [InlineData(499, true)]
    [InlineData(500, false)]
    public async Task A_stack_may_be_high(int layers, bool withMountPoints)
    {
        CommittedSnapshot top = await _store.StackAsync([.. Enumerable.Range(0, layers).Select(i => (TarItem[])[File($"f{i % 100}", $"{i}")])]);
        Assert.Equal(Math.Min(layers, 100), _store.Paths(top).Count);
        Assert.Equal($"{layers - 1}", _store.Read(top, $"f{(layers - 1) % 100}"));
        ActiveSnapshot active = await _store.Snapshots.PrepareAsync("c", top, withMountPoints ? [new MountPoint("/proc", IsDirectory: true)] : [], cancellationToken: Token);
        _store.Shell(active, (withMountPoints ? "test -d proc && " : "") + "test -e f5 && touch new");
        Assert.Equal(["A /new"], await _store.ChangesAsync(active));
    }

    /// <summary>Neither half-made things nor whole ones without a name.</summary>
    protected void AssertNothingIsLeft()
    {
        string[] folders = [_store.Layout.Trees, _store.Layout.Snapshots, _store.Layout.Active, .. System.IO.Directory.GetDirectories(_store.Layout.Ingest)];
        Assert.DoesNotContain(folders.Where(System.IO.Directory.Exists).SelectMany(System.IO.Directory.GetFileSystemEntries), p => Path.GetFileName(p) != ".lock");
    }
}
