using Strata.Layers;
using Strata.Linux;
using Strata.Oci;
using Strata.Snapshots;
using Xunit;
using static Strata.IntegrationTests.Snapshots.TarItem;

namespace Strata.IntegrationTests.Snapshots;

/// <summary>What every snapshotter makes of changes to a file system.</summary>
public abstract partial class SnapshotterContract
{
    private static readonly TarItem[] s_base =
    [
        Directory("d"), File("d/a", "a"), File("d/b", "b"), Directory("d/sub"), File("d/sub/c", "c"), File("f", "f", uid: 1, gid: 2), Directory("e"), File("e/x"), SymbolicLink("l", "d"), File("z"),
    ];

    public static TheoryData<string, string, string> Changes => new()
    {
        { "echo new > n", "A /n", "+n" },
        { "mkdir n; echo new > n/x", "A /n|A /n/x", "+n|+n/x" },
        { "echo more >> d/a", "C /d|C /d/a", "+d|+d/a" },
        { "rm f", "D /f", "-f" },
        { "rm -r d", "D /d", "-d" },
        { "rm d/a d/b", "C /d|D /d/a|D /d/b", "+d|-d/a|-d/b" },
        { "rm f; echo again > f", "C /f", "+f" },
        { "rm -r d; mkdir d; echo 1 > d/b; echo 1 > d/n", "C /d|D /d/a|C /d/b|A /d/n|D /d/sub", "+d|=d|+d/b|+d/n or +d|-d/a|+d/b|+d/n|-d/sub" },
        { "rm -r d; echo file > d", "C /d", "+d" },
        { "rm f; mkdir f; echo 1 > f/x", "C /f|A /f/x", "+f|+f/x" },
        { "rm -r d; ln -s e d", "C /d", "+d" },
        { "rm l; mkdir l; echo 1 > l/a", "C /l|A /l/a", "+l|+l/a" },
        { "chmod 600 f", "C /f", "+f" },
        { "chown 3:4 f", "C /f", "+f" },
        { "chmod 700 d", "C /d", "+d" },
        { "setfattr -n user.note -v 1 f", "C /f", "+f" },
        { "touch -d @5 f", "C /f", "+f" },
        { "ln f g", "C /f|A /g", "+f|~g" },
        { "echo new > n; ln n m; ln n o", "A /m|A /n|A /o", "+m|~n|~o" },
        { "mv f g", "D /f|A /g", "-f|+g" },
        { "echo 1 > n; rm n", "", "" },
        { "cat d/a d/sub/c > /dev/null; ls -lR > /dev/null", "", "" },
        { "mknod n c 1 3; mkfifo p; mknod b b 8 1", "A /b|A /n|A /p", "+b|+n|+p" },
        { "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'", "A /s", "" },
        { "chmod 700 .", "C /", "+" },
        { "truncate -s 1M d/a; echo 1 > new; rm e/x", "C /d|C /d/a|C /e|D /e/x|A /new", "+d|+d/a|+e|-e/x|+new" },
    };

    /// <summary>Of entries: + is there, - whiteout, = opaque, ~ hard link. What is found by comparing has a whiteout for each name in place of an opaque marker.</summary>
    [Theory]
    [MemberData(nameof(Changes))]
    public async Task A_change_is_listed_written_and_frozen_as_what_it_is(string script, string listed, string written)
    {
        CommittedSnapshot image = await _store.ApplyAsync(null, s_base);
        ActiveSnapshot active = await _store.ChangeAsync(image, script);
        Assert.Equal(Split(listed), await _store.ChangesAsync(active));
        (byte[] tar, List<LayerEntry> entries) = await _store.WriteAsync(active);
        Assert.Contains(string.Join('|', entries.Select(e => e switch { WhiteoutEntry => "-", OpaqueEntry => "=", HardLinkEntry => "~", _ => "+" } + e.Path)), written.Split(" or "));
        if (entries.Count == 0)
        {
            Assert.Empty(tar);
            return;
        }
        List<string> seen = [.. _store.See(active).Where(l => !l.Contains(" Socket ", StringComparison.Ordinal))];
        CommittedSnapshot committed = await _store.Snapshots.CommitAsync(active, Digest.Of(tar), Token);
        Assert.Equal(seen.Skip(1), _store.See(committed).Skip(1)); // the root's time is nowhere written
        Assert.Null(await _store.Snapshots.TryOpenActiveAsync(active.Key, Token));
        await AssertTheTarMakesTheSameAsync(committed, tar);
    }

    [Fact]
    public async Task A_directory_of_the_image_can_be_renamed_as_programs_do_it()
    {
        // Without redirects the kernel refuses (EXDEV), and mv copies.
        CommittedSnapshot image = await _store.ApplyAsync(null, s_base);
        ActiveSnapshot active = await _store.ChangeAsync(image, "mv d moved");
        Assert.Equal(["D /d", "A /moved", "A /moved/a", "A /moved/b", "A /moved/sub", "A /moved/sub/c"], await _store.ChangesAsync(active));
        (CommittedSnapshot committed, byte[] tar) = await _store.CommitAsync(active);
        await AssertTheTarMakesTheSameAsync(committed, tar);
    }

    [Fact]
    public async Task One_byte_of_a_big_file_makes_a_layer_with_the_whole_file()
    {
        CommittedSnapshot image = await _store.ApplyAsync(null, Directory("d"), File("d/big", new string('x', 5_000_000)), File("d/other", new string('y', 1_000_000)));
        ActiveSnapshot active = await _store.ChangeAsync(image, "printf z | dd of=d/big bs=1 seek=2500000 conv=notrunc status=none");
        (CommittedSnapshot committed, byte[] tar) = await _store.CommitAsync(active);
        Assert.InRange(tar.Length, 5_000_000, 5_010_000);
        Assert.Equal(5_000_000, committed.ContentBytes);
        Assert.Equal('z', _store.Read(committed, "d/big")[2_500_000]);
        Assert.Equal('x', _store.Read(image, "d/big")[2_500_000]);
    }

    [Fact]
    public async Task Times_capabilities_and_names_survive_a_commit_to_the_nanosecond_and_the_byte()
    {
        ActiveSnapshot active = await _store.ChangeAsync(null, """
            mkdir -m 2770 dir; touch -d @1234567890.123456789 dir/old; touch -d @-1.5 before; touch $'n\xffme' $'new\nline' 'trailing '
            setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 dir/old; setfattr -h -n trusted.note -v 1 dir; chown 70000:4294967294 before
            ln -s $'\xfe' link; chown -h 5:6 link; touch -h -d @7.000000007 link; touch -d @9.9 dir
            """);
        List<string> seen = _store.See(active);
        Assert.Contains(seen, l => l.Contains("1234567890.123456789 security.capability=0100", StringComparison.Ordinal));
        Assert.Contains(seen, l => l.StartsWith("/before Regular 644 70000:4294967294 0 -2.500000000", StringComparison.Ordinal));
        (CommittedSnapshot committed, byte[] tar) = await _store.CommitAsync(active);
        Assert.Equal(seen.Skip(1), _store.See(committed).Skip(1));
        await AssertTheTarMakesTheSameAsync(committed, tar);
    }

    [Fact]
    public async Task Later_times_are_clamped_in_the_layer_and_in_what_is_frozen_and_not_before()
    {
        ActiveSnapshot active = await _store.ChangeAsync(null, "mkdir d; touch d/new; touch -d @1000 d/old; ln -s x d/link");
        List<string> before = _store.See(active);
        var options = new SnapshotDiffOptions { ClampModified = new FileTime(2000, 0) };
        (byte[] first, List<LayerEntry> entries) = await _store.WriteAsync(active, options);
        Assert.Equal(before, _store.See(active));
        Assert.Equal([2000L, 2000, 2000, 1000], entries.Select(e => ((NodeEntry)e).Metadata.Modified.Seconds));
        (byte[] second, _) = await _store.WriteAsync(active, options);
        Assert.Equal(first, second);
        CommittedSnapshot committed = await _store.Snapshots.CommitAsync(active, Digest.Of(first), Token);
        Assert.DoesNotContain(_store.See(committed), l => l.Contains(" 17", StringComparison.Ordinal) || l.Contains(" 16", StringComparison.Ordinal));
        await AssertTheTarMakesTheSameAsync(committed, first);
    }

    [Fact]
    public async Task A_frozen_snapshot_can_be_changed_frozen_and_changed_again()
    {
        CommittedSnapshot at = await _store.ApplyAsync(null, s_base);
        foreach (string script in (string[])["rm -r d; mkdir d; echo 1 > d/n", "rm d/n; rmdir d; echo 2 > f; chmod 711 e", "mkdir -p d/sub; ln f g; rm e/x", "rm f; mv g h; chmod 755 .; rm -r e d"])
        {
            ActiveSnapshot active = await _store.ChangeAsync(at, script);
            List<string> seen = _store.See(active, directoryTimes: false);
            (at, byte[] tar) = await _store.CommitAsync(active);
            Assert.Equal(seen, _store.See(at, directoryTimes: false));
            await AssertTheTarMakesTheSameAsync(at, tar);
        }
        Assert.Equal(["/h", "/l", "/z"], _store.Paths(at));
    }

    [Fact]
    public async Task The_same_changes_give_the_same_snapshot()
    {
        CommittedSnapshot image = await _store.ApplyAsync(null, s_base);
        const string Script = "echo 1 > n; touch -d @1 n d; rm f";
        (CommittedSnapshot one, byte[] tar) = await _store.CommitAsync(await _store.ChangeAsync(image, Script));
        ActiveSnapshot again = await _store.ChangeAsync(image, Script);
        (CommittedSnapshot two, byte[] sameTar) = await _store.CommitAsync(again);
        Assert.Equal(tar, sameTar);
        Assert.Equal(one.ChainId, two.ChainId);
        Assert.Null(await _store.Snapshots.TryOpenActiveAsync(again.Key, Token));
        (Descriptor layer, Digest diffId) = _store.Layer(tar);
        int opened = _store.Opened;
        Assert.Equal(one.ChainId, (await _store.Snapshots.ApplyAsync(image, layer, diffId, _store, Token)).ChainId);
        Assert.Equal(opened, _store.Opened);
    }

    [Fact]
    public async Task A_layer_of_changes_means_the_same_on_another_image()
    {
        CommittedSnapshot one = await _store.ApplyAsync(null, Directory("", 0b111_000_000, 9, 9), Directory("d"), File("d/gone"));
        (_, byte[] tar) = await _store.CommitAsync(await _store.ChangeAsync(one, "rm d/gone; echo 1 > n"));
        (Descriptor layer, Digest diffId) = _store.Layer(tar);
        CommittedSnapshot other = await _store.ApplyAsync(null, Directory("d"), File("d/gone"), File("d/stays"), File("o"));
        CommittedSnapshot moved = await _store.Snapshots.ApplyAsync(other, layer, diffId, _store, Token);
        Assert.Equal(["/d", "/d/stays", "/n", "/o"], _store.Paths(moved));
        Assert.StartsWith("/ Directory 755 0:0", _store.See(moved)[0], StringComparison.Ordinal);
        CommittedSnapshot empty = await _store.Snapshots.ApplyAsync(null, layer, diffId, _store, Token);
        Assert.Equal(["/d", "/n"], _store.Paths(empty));
    }

    [Fact]
    public async Task Changes_that_were_not_written_as_a_layer_cannot_be_frozen()
    {
        ActiveSnapshot active = await _store.ChangeAsync(null, "touch n");
        StrataException e = await Assert.ThrowsAsync<StrataException>(async () => await _store.Snapshots.CommitAsync(active, Digest.Of("x"u8), Token));
        Assert.Equal(ErrorKind.Conflict, e.Kind);
        Assert.Equal(["A /n"], await _store.ChangesAsync(active));
    }

    // On the same parent, in a store that has neither: what a push and a pull elsewhere would give.
    private async Task AssertTheTarMakesTheSameAsync(CommittedSnapshot committed, byte[] tar)
    {
        using var elsewhere = new SnapshotStore(Open);
        (Descriptor layer, Digest diffId) = elsewhere.Layer(tar);
        var layers = new List<(Descriptor, Digest)>();
        foreach (CommittedSnapshot below in committed.Stack.SkipLast(1))
        {
            layers.Add(_tars.TryGetValue(below.DiffId, out byte[]? known) ? elsewhere.Layer(known) : elsewhere.Layer(s_base));
        }
        _tars[diffId] = tar;
        CommittedSnapshot there = (await elsewhere.Snapshots.ApplyStackAsync([.. layers, (layer, diffId)], elsewhere, Token))!;
        Assert.Equal(committed.ChainId, there.ChainId);
        Assert.Equal(_store.See(committed).Skip(1), elsewhere.See(there).Skip(1));
        Assert.Equal(_store.See(committed, directoryTimes: false)[0], elsewhere.See(there, directoryTimes: false)[0]);
    }

    private readonly Dictionary<Digest, byte[]> _tars = [];

    private static string[] Split(string list) => list.Split('|', StringSplitOptions.RemoveEmptyEntries);
}
